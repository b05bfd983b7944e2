"""Boards: what cannot be so is said with the bay and the part it is about."""

from dataclasses import replace

import pytest

from dockd.domain.board import (
    Board,
    Clash,
    Controller,
    Expander,
    LampPins,
    Line,
    NoPower,
    Part,
    PortPower,
    Relay,
    Sensor,
    Wiring,
    line_of,
    problems,
)
from dockd.domain.model import BayId
from dockd.domain.usb import PortPath

HOST = "pci-0000:00:10.0"
LAMP = LampPins(red=Line(number=4), green=Line(number=5), blue=Line(number=6))
ONE = Wiring(
    port=PortPath(f"{HOST}-usb-0:1.1"),
    bus="usb",
    lamp=LAMP,
    power=PortPower(),
    sensor=Sensor(chip="ina3221@1-0040", channel=1),
)
TWO = Wiring(
    port=PortPath(f"{HOST}-usb-0:1.2"),
    bus="usb",
    lamp=LampPins(
        red=Line(number=0, expander="a"), green=Line(number=1, expander="a"), blue=Line(number=15, expander="a")
    ),
    power=Relay(line=Line(number=17)),
    sensor=Sensor(chip="ina3221@1-0040", channel=2),
)
BOARD = Board(
    name="two bays",
    host=HOST,
    most_usb_devices=3,
    other_usb_devices=0,
    budget_ma=2000,
    gpio_lines=frozenset({4, 5, 6, 17}),
    expanders={"a": Expander(device="1-0020", lines=16)},
    bays={BayId(1): ONE, BayId(2): TWO},
)


def with_second(second: Wiring) -> Board:
    return replace(BOARD, bays={BayId(1): ONE, BayId(2): second})


def found(board: Board) -> list[tuple[int | None, Part | None, str, str]]:
    return [(clash.bay, clash.part, clash.value, clash.expected) for clash in problems(board)]


def test_a_board_without_a_clash_has_no_problem() -> None:
    assert found(BOARD) == []


def test_a_bay_is_found_by_its_port() -> None:
    assert BOARD.bay_at(PortPath(f"{HOST}-usb-0:1.2")) == 2
    assert BOARD.bay_at(PortPath(f"{HOST}-usb-0:1.3")) is None


def test_two_bays_on_one_port_are_refused() -> None:
    board = with_second(replace(TWO, port=ONE.port))
    assert found(board) == [(2, Part.PORT, f"{HOST}-usb-0:1.1", "a port of its own: bay 1 port has it")]


def test_a_port_of_another_controller_is_refused() -> None:
    other = PortPath("pci-0000:00:11.0-usb-0:1.2")
    assert found(replace(with_second(replace(TWO, port=other)), most_usb_devices=9)) == [
        (2, Part.PORT, other, "a port of host pci-0000:00:10.0")
    ]


def test_a_bay_where_another_bays_hub_is_is_refused() -> None:
    hub = PortPath(f"{HOST}-usb-0:1")
    assert found(with_second(replace(TWO, port=hub))) == [
        (2, Part.PORT, hub, "the port of a camera: bay 1 is behind a hub in it")
    ]


def test_a_line_claimed_twice_is_refused() -> None:
    board = with_second(replace(TWO, power=Relay(line=Line(number=5))))
    assert found(board) == [(2, Part.RELAY, "GPIO5", "a line of its own: bay 1 lamp.green has it")]


def test_a_line_claimed_twice_within_one_lamp_is_refused() -> None:
    board = with_second(replace(TWO, lamp=replace(LAMP, red=Line(number=17)), power=NoPower()))
    assert found(board) == [
        (2, Part.GREEN, "GPIO5", "a line of its own: bay 1 lamp.green has it"),
        (2, Part.BLUE, "GPIO6", "a line of its own: bay 1 lamp.blue has it"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (Line(number=28), "a line in gpio_lines, which are 4 5 6 17"),
        (Line(number=16, expander="a"), "a line from a:0 to a:15"),
        (Line(number=0, expander="b"), "a line of an expander that the board has, which are a"),
    ],
)
def test_an_unknown_line_is_refused(line: Line, expected: str) -> None:
    assert found(with_second(replace(TWO, power=Relay(line=line)))) == [(2, Part.RELAY, str(line), expected)]


def test_a_board_without_lines_says_so() -> None:
    bare = replace(BOARD, gpio_lines=frozenset(), expanders={}, bays={BayId(2): TWO})
    assert {clash.expected for clash in problems(bare)} == {
        "a line of an expander that the board has, which are none",
        "a line in gpio_lines, which are none",
    }


def test_a_sensor_claimed_twice_is_refused() -> None:
    board = with_second(replace(TWO, sensor=ONE.sensor))
    assert found(board) == [(2, Part.SENSOR, "ina3221@1-0040 1", "a channel of its own: bay 1 sensor has it")]


def test_bays_without_lamp_switch_and_sensor_are_fine() -> None:
    assert found(with_second(replace(TWO, lamp=None, power=NoPower(), sensor=None))) == []


def test_more_devices_than_the_controller_can_have_are_refused_hubs_and_others_included() -> None:
    full = replace(BOARD, other_usb_devices=1)
    expected = "at most 3 USB devices, which is what pci-0000:00:10.0 can have at once"
    assert list(problems(full)) == [Clash(bay=None, part=None, value="2 bays, 1 hubs, 1 others", expected=expected)]


SECOND = Controller(host="pci-0000:00:11.0", most_usb_devices=2)
BOTH = replace(
    with_second(replace(TWO, port=PortPath("pci-0000:00:11.0-usb-0:1.2"))),
    most_usb_devices=2,
    more_controllers=(SECOND,),
)


def test_bays_on_two_controllers_are_counted_at_each() -> None:
    assert BOTH.hosts == (HOST, "pci-0000:00:11.0")
    assert found(BOTH) == []
    assert found(replace(BOTH, more_controllers=(replace(SECOND, other_usb_devices=1),))) == [
        (
            None,
            None,
            "1 bays, 1 hubs, 1 others",
            "at most 2 USB devices, which is what pci-0000:00:11.0 can have at once",
        )
    ]


def test_a_port_of_none_of_two_controllers_is_refused() -> None:
    port = PortPath("pci-0000:00:12.0-usb-0:1.2")
    assert found(replace(BOTH, bays={BayId(1): ONE, BayId(2): replace(TWO, port=port)})) == [
        (2, Part.PORT, port, "a port of host pci-0000:00:10.0 or pci-0000:00:11.0")
    ]


@pytest.mark.parametrize("text", ["GPIO17", "GPIO0", "a:3", "lamps-2_b:255"])
def test_a_line_is_read_as_it_is_written(text: str) -> None:
    assert str(line_of(text)) == text


@pytest.mark.parametrize(
    "text", ["", "17", "GPIO", "GPIO017", "gpio17", "GPIO-1", "a:", "A:3", ":3", "a:3\n", "GPIO1000"]
)
def test_what_is_no_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a line such as GPIO17"):
        line_of(text)
