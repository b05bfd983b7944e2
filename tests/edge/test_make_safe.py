"""After a daemon that was killed: every line off, every port on, whatever a part of it says."""

from pathlib import Path

import pytest
from gpiozero import OutputDevice

from dockd.cli import main
from dockd.domain.board import Board, LampPins, Line, NoPower, PortPower, Power, Relay, Wiring
from dockd.domain.model import BayId
from dockd.domain.usb import PortPath
from dockd.edges.gpio.pins import Pins
from dockd.errors import PermanentError, Reason, TransientError
from dockd.make_safe import let_go, lit
from tests.lamp_parts import WatchedPin, WatchedPins

ONE, TWO, THREE = BayId(1), BayId(2), BayId(3)


def wiring(number: int, power: Power) -> Wiring:
    first = 10 * number + 4
    lamp = LampPins(red=Line(number=first), green=Line(number=first + 1), blue=Line(number=first + 2))
    return Wiring(port=PortPath(f"a-usb-0:1.{number}"), bus="usb", lamp=lamp, power=power, sensor=None)


BAYS = {ONE: wiring(0, PortPower()), TWO: wiring(1, Relay(line=Line(number=9))), THREE: wiring(2, NoPower())}
BOARD = Board(
    name="three bays",
    host="a",
    most_usb_devices=32,
    other_usb_devices=0,
    budget_ma=4000,
    gpio_lines=frozenset(),
    expanders={},
    bays=BAYS,
)


class Ports:
    """Root's helper, and what it was asked."""

    def __init__(self, error: PermanentError | TransientError | None = None) -> None:
        self.error = error
        self.asked: list[tuple[BayId, bool]] = []

    async def power(self, bay: BayId, *, on: bool) -> None:
        self.asked.append((bay, on))
        if self.error is not None:
            raise self.error

    async def powered(self, bay: BayId) -> bool:
        raise AssertionError(bay)


def pin(pins: WatchedPins, number: int) -> WatchedPin:
    found = pins.pin(number)
    assert isinstance(found, WatchedPin)
    return found


NUMBERS = (4, 5, 6, 9, 14, 15, 16, 24, 25, 26)


@pytest.mark.promise("I8")
def test_every_line_of_every_bay_is_driven_off_and_let_go_of() -> None:
    pins = WatchedPins()
    for number in NUMBERS:
        pin(pins, number)._state = True  # as a daemon left it that was killed
    assert list(let_go(BOARD, Pins(factory=pins))) == []
    assert [(pin(pins, number).state, pin(pins, number).function) for number in NUMBERS] == [(False, "input")] * 10


def test_a_line_that_cannot_be_had_is_told_of_and_the_others_are_off_all_the_same() -> None:
    pins = WatchedPins()
    mine = OutputDevice(5, pin_factory=pins)
    left = list(let_go(BOARD, Pins(factory=pins)))
    assert len(left) == 1
    assert left[0].startswith("bay 1: lamp.green: GPIO5: pin GPIO5 is already in use")
    mine.close()


async def test_hub_ports_have_power_and_nothing_else_is_asked() -> None:
    ports = Ports()
    assert await lit(BOARD, ports) == []
    assert ports.asked == [(ONE, True)]


async def test_a_port_without_a_switch_is_fine_and_one_that_does_not_answer_is_told_of() -> None:
    assert await lit(BOARD, Ports(PermanentError(Reason.POWER, "bay 1: no switch in its port"))) == []
    assert await lit(BOARD, Ports(TransientError(Reason.POWER, "bay 1: no answer"))) == ["bay 1: no answer"]


def test_a_station_without_a_board_has_nothing_to_make_safe(tmp_path: Path) -> None:
    (tmp_path / "dockd.toml").write_text(
        '[station]\nid = "a"\n[[bays]]\nnumber = 1\n[store]\nurl = "https://a/"\nverify = "accepted"\n'
    )
    assert main(["make-safe", "--config", str(tmp_path / "dockd.toml")]) == 0


def board_file(path: Path) -> None:
    path.write_text(
        'name = "one bay"\nhost = "a"\nmost_usb_devices = 9\nother_usb_devices = 0\nbudget_ma = 900\ngpio_lines = []\n'
        '[[expanders]]\nname = "x"\ndevice = "9-0099"\nlines = 16\n'
        '[[bays]]\nnumber = 1\nport = "a-usb-0:1"\nlamp = { red = "x:0", green = "x:1", blue = "x:2" }\n'
    )


@pytest.mark.promise("I8")
@pytest.mark.parametrize("config", ["[stat", 'hardware = {board = "/nowhere/board.toml"}', None])
def test_a_configuration_that_is_wrong_by_now_keeps_no_lamp_lit_where_roots_helper_has_a_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, config: str | None
) -> None:
    if config is not None:
        (tmp_path / "dockd.toml").write_text(
            f'[station]\nid = "a"\n[[bays]]\nnumber = 1\n[store]\nurl = "https://a/"\nverify = "accepted"\n{config}\n'
        )
    board_file(tmp_path / "board.toml")
    monkeypatch.setattr("dockd.make_safe.ROOTS_BOARD", tmp_path / "board.toml")
    assert main(["make-safe", "--config", str(tmp_path / "dockd.toml")]) == 1
    said = capsys.readouterr().err
    assert [said.count(f"bay 1: lamp.{colour}: x:") for colour in ("red", "green", "blue")] == [1, 1, 1]
    assert f"dockd make-safe: taking the board of root's helper, {tmp_path}/board.toml" in said
    (tmp_path / "board.toml").unlink()
    assert main(["make-safe", "--config", str(tmp_path / "dockd.toml")]) == 78


def test_a_line_that_cannot_be_had_is_asked_for_again_when_the_ports_have_power(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stopped an expander's bus may be over by then."""
    board_file(tmp_path / "board.toml")
    (tmp_path / "dockd.toml").write_text(
        '[station]\nid = "a"\n[[bays]]\nnumber = 1\n[store]\nurl = "https://a/"\nverify = "accepted"\n'
        f'[hardware]\nboard = "{tmp_path}/board.toml"\n'
    )
    answers = [["bay 1: lamp.green: x:1: no"], []]
    monkeypatch.setattr("dockd.make_safe.let_go", lambda _, __: answers.pop(0))
    assert main(["make-safe", "--config", str(tmp_path / "dockd.toml")]) == 0
    assert (answers, capsys.readouterr().err) == ([], "")


def test_what_may_still_be_lit_is_said_and_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board_file(tmp_path / "board.toml")
    (tmp_path / "dockd.toml").write_text(
        '[station]\nid = "a"\n[[bays]]\nnumber = 1\n[store]\nurl = "https://a/"\nverify = "accepted"\n'
        f'[hardware]\nboard = "{tmp_path}/board.toml"\n'
    )
    assert main(["make-safe", "--config", str(tmp_path / "dockd.toml")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[:3] for line in said] == [
        ["dockd make-safe", " bay 1", f" lamp.{colour}"] for colour in ("red", "green", "blue")
    ]
