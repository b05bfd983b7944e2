"""Files of hw/boards: found, read, and refused with file, path, value and expectation."""

from pathlib import Path

import pytest

from dockd.domain.board import Board, Controller, Expander, LampPins, Line, NoPower, PortPower, Relay, Sensor, Wiring
from dockd.domain.model import BayId
from dockd.domain.usb import PortPath
from dockd.edges.boards import hardware_folder, load_board
from dockd.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
EXPANDER = "a name of 1 to 32 of the characters a-z, 0-9, '_' and '-', a letter first"
HEAD = """
name = "two bays"
host = "pci-0000:00:10.0"
most_usb_devices = 32
budget_ma = 2000
gpio_lines = ["GPIO4", "GPIO5", "GPIO6", "GPIO17"]
[[expanders]]
name = "a"
device = "1-0020"
lines = 16
"""
ONE = """
[[bays]]
number = 1
port = "pci-0000:00:10.0-usb-0:1.1"
lamp = { red = "GPIO4", green = "GPIO5", blue = "a:6" }
power = "port"
sensor = { chip = "ina3221", channel = 2 }
"""
TWO = """
[[bays]]
number = 2
port = "pci-0000:00:10.0-usb-0:1.2"
bus = "left"
power = "relay"
relay = "GPIO17"
"""
THREE = """
[[bays]]
number = 3
port = "pci-0000:00:10.0-usb-0:1.3"
"""


def board(tmp_path: Path, text: str) -> Board:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return load_board(str(file))


def refused(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        board(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_every_board_of_hw_can_be_read() -> None:
    names = {path.stem for path in (ROOT / "hw/boards").glob("*.toml")}
    assert names == {"rpi4-8", "rpi4-2x7", "rpi5-2x7", "emulated-14"}
    assert {name: len(load_board(name).bays) for name in names} == {
        "rpi4-8": 8,
        "rpi4-2x7": 14,
        "rpi5-2x7": 14,
        "emulated-14": 14,
    }


def test_the_emulated_board_has_seven_bays_on_each_hub() -> None:
    emulated = load_board("emulated-14")
    assert emulated.bays[BayId(3)].port == "pci-0000:00:10.0-usb-0:1.3"
    assert emulated.bays[BayId(14)].port == "pci-0000:00:10.0-usb-0:2.7"


def test_what_is_written_is_taken(tmp_path: Path) -> None:
    assert board(tmp_path, HEAD + ONE + TWO + THREE) == Board(
        name="two bays",
        host="pci-0000:00:10.0",
        most_usb_devices=32,
        other_usb_devices=0,
        budget_ma=2000,
        gpio_lines=frozenset({4, 5, 6, 17}),
        expanders={"a": Expander(device="1-0020", lines=16)},
        bays={
            BayId(1): Wiring(
                port=PortPath("pci-0000:00:10.0-usb-0:1.1"),
                bus="usb",
                lamp=LampPins(red=Line(number=4), green=Line(number=5), blue=Line(number=6, expander="a")),
                power=PortPower(),
                sensor=Sensor(chip="ina3221", channel=2),
            ),
            BayId(2): Wiring(
                port=PortPath("pci-0000:00:10.0-usb-0:1.2"),
                bus="left",
                lamp=None,
                power=Relay(line=Line(number=17)),
                sensor=None,
            ),
            BayId(3): Wiring(
                port=PortPath("pci-0000:00:10.0-usb-0:1.3"), bus="usb", lamp=None, power=NoPower(), sensor=None
            ),
        },
    )


def test_what_clashes_is_said_with_its_path_in_the_file(tmp_path: Path) -> None:
    text = HEAD + THREE + ONE.replace("1.1", "1.3").replace("GPIO5", "GPIO4") + TWO.replace("GPIO17", "GPIO18")
    assert refused(tmp_path, text) == [
        "mine.toml: bays[1].port: pci-0000:00:10.0-usb-0:1.3: expected a port of its own: bay 3 port has it",
        "mine.toml: bays[2].relay: GPIO18: expected a line in gpio_lines, which are 4 5 6 17",
        "mine.toml: bays[1].lamp.green: GPIO4: expected a line of its own: bay 1 lamp.red has it",
    ]


MORE = """
[[more_controllers]]
host = "pci-0000:00:11.0"
most_usb_devices = 8
other_usb_devices = 1
"""


def test_a_second_controller_is_read_and_its_ports_are_the_boards(tmp_path: Path) -> None:
    other = THREE.replace("00:10.0", "00:11.0")
    read = board(tmp_path, HEAD + MORE + ONE + other)
    assert read.more_controllers == (Controller(host="pci-0000:00:11.0", most_usb_devices=8, other_usb_devices=1),)
    assert read.bays[BayId(3)].port == "pci-0000:00:11.0-usb-0:1.3"
    assert refused(tmp_path, HEAD + ONE + other) == [
        "mine.toml: bays[1].port: pci-0000:00:11.0-usb-0:1.3: expected a port of host pci-0000:00:10.0"
    ]


def test_more_bays_than_the_controller_can_have_are_refused(tmp_path: Path) -> None:
    text = (HEAD + ONE + TWO).replace("most_usb_devices = 32", "most_usb_devices = 2")
    said = "2 bays, 1 hubs, 0 others: expected at most 2 USB devices, which is what pci-0000:00:10.0 can have at once"
    assert refused(tmp_path, text) == [f"mine.toml: bays: {said}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + ONE + ONE.replace("1.1", "1.2"), "bays[1].number: 1: expected a number of its own: bays[0] has it"),
        (HEAD + THREE + 'power = "relay"', 'bays[0].relay: (missing): expected a line, with power = "relay"'),
        (HEAD + THREE + 'relay = "GPIO4"', 'bays[0].relay: "GPIO4": expected no line unless power = "relay"'),
        (
            HEAD + HEAD.partition("[[")[1] + HEAD.partition("[[")[2] + THREE,
            'expanders[1].name: "a": expected a name of its own: expanders[0] has it',
        ),
        (
            HEAD + MORE.replace("00:11.0", "00:10.0") + THREE,
            'more_controllers[0].host: "pci-0000:00:10.0": expected a controller of its own: host has it',
        ),
        (
            HEAD + MORE.replace("00:11.0", "1") + MORE.replace("00:11.0", "1") + THREE,
            'more_controllers[1].host: "pci-0000:1": expected a controller of its own: more_controllers[0] has it',
        ),
        (HEAD + THREE + "lamp = 3", "bays[0].lamp: 3: expected a table, written { ... }"),
        (
            HEAD + THREE + 'lamp = { red = "4", green = "GPIO5", blue = "GPIO6" }',
            'bays[0].lamp.red: "4": expected a line such as GPIO17, or a:3 of an expander',
        ),
        (
            HEAD + THREE + "lamps = 3",
            "bays[0].lamps: 3: expected one of number, port, bus, lamp, power, relay or sensor",
        ),
        (
            HEAD + THREE.replace("usb-0:1.3", "usb-0:1.3:1.0"),
            'bays[0].port: "pci-0000:00:10.0-usb-0:1.3:1.0": expected a port path such as pci-0000:00:10.0-usb-0:1.3',
        ),
        (
            HEAD.replace('"GPIO4"', '"a:4"') + THREE,
            'gpio_lines[0]: "a:4": expected a line of the header such as GPIO17',
        ),
        (
            HEAD.replace('name = "a"', 'name = "A"') + THREE,
            f'expanders[0].name: "A": expected {EXPANDER}',
        ),
        (
            HEAD.replace('"pci-0000:00:10.0"', '"usb1/1-1"') + THREE,
            'host: "usb1/1-1": expected a USB controller as ID_PATH has it, such as pci-0000:00:10.0',
        ),
        (HEAD, "bays: (missing): expected 1 to 34 tables, each written [[bays]]"),
    ],
)
def test_what_is_wrong_in_itself_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert [line.partition(" (did")[0] for line in refused(tmp_path, text)] == [f"mine.toml: {said}"]


def test_a_name_that_there_is_not_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        load_board("rpi3")
    assert str(caught.value) == (
        "hardware.board: rpi3: expected a board that there is (emulated-14 rpi4-2x7 rpi4-8 rpi5-2x7), "
        "or the absolute path of a file"
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: No such file or directory"):
        load_board(str(tmp_path / "gone.toml"))


def test_an_installed_dockd_has_its_hardware_inside(tmp_path: Path) -> None:
    package = tmp_path / "site-packages/dockd"
    assert hardware_folder(package) == tmp_path / "site-packages/hw"
    (package / "hw/boards").mkdir(parents=True)
    (package / "hw/boards/own.toml").write_text(HEAD + THREE)
    assert hardware_folder(package) == package / "hw"
    assert load_board("own", hardware=hardware_folder(package)).name == "two bays"
