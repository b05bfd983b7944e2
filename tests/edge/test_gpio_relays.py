"""Relays that switch bays, and the lines of a board by whichever driver has them."""

import pytest

from dockd.domain.board import Line
from dockd.domain.model import BayId
from dockd.edges.gpio.lines import LineError, Output
from dockd.edges.gpio.pins import Pins
from dockd.edges.gpio.relays import Relays
from dockd.edges.gpio.wired import BoardLines
from dockd.errors import InvariantError, Reason, TransientError
from tests.lamp_parts import WatchedPin, WatchedPins

ONE, TWO = BayId(1), BayId(2)


def pin(pins: WatchedPins, number: int) -> WatchedPin:
    found = pins.pin(number)
    assert isinstance(found, WatchedPin)
    return found


async def test_a_relay_is_driven_while_its_bay_is_dark_and_at_no_other_time() -> None:
    pins = WatchedPins()
    relays = Relays({ONE: Line(number=5), TWO: Line(number=6)}, lines=Pins(factory=pins))
    assert (pin(pins, 5).state, pin(pins, 6).state) == (False, False)
    await relays.set(ONE, on=False)
    assert (pin(pins, 5).state, pin(pins, 6).state) == (True, False)
    await relays.set(ONE, on=True)
    assert not pin(pins, 5).state


async def test_at_its_end_no_line_is_driven_and_all_are_inputs_again() -> None:
    pins = WatchedPins()
    relays = Relays({ONE: Line(number=5), TWO: Line(number=6)}, lines=Pins(factory=pins))
    await relays.set(ONE, on=False)
    pin(pins, 6).broken = True
    relays.close()
    assert pin(pins, 5).writes[-1] is False
    assert (pin(pins, 5).function, pin(pins, 6).function) == ("input", "input")
    assert relays.switchable() == frozenset()


async def test_a_relay_whose_line_cannot_be_had_is_told_of_and_its_bay_is_always_on() -> None:
    relays = Relays({ONE: Line(number=5), TWO: Line(number=3, expander="a")}, lines=Pins(factory=WatchedPins()))
    assert relays.switchable() == {ONE}
    assert relays.missing == {TWO: "bay 2: a:3: it is on an expander, expected a line of the header"}
    with pytest.raises(InvariantError, match=r"bay 2: it cannot be switched, expected one of \[1\]"):
        await relays.set(TWO, on=False)


async def test_a_line_that_gives_an_error_may_do_it_later() -> None:
    pins = WatchedPins()
    relays = Relays({ONE: Line(number=5)}, lines=Pins(factory=pins))
    pin(pins, 5).broken = True
    with pytest.raises(TransientError, match=r"bay 1: GPIO5: .*Input/output error") as caught:
        await relays.set(ONE, on=False)
    assert caught.value.reason is Reason.POWER
    pin(pins, 5).broken = False
    await relays.set(ONE, on=False)
    assert pin(pins, 5).state


# --- the lines of a board -----------------------------------------------------------------------------------------


def test_a_line_is_taken_from_whoever_has_it() -> None:
    header, first, second = WatchedPins(), WatchedPins(), WatchedPins()
    lines = BoardLines(
        header=Pins(factory=header),
        expanders={"a": Sub(first), "b": Sub(second)},
    )
    lines.output(Line(number=5)).on()
    lines.output(Line(number=6, expander="b")).on()
    assert (pin(header, 5).state, pin(second, 6).state, len(first.trace)) == (True, True, 0)


@pytest.mark.parametrize("line", [Line(number=5), Line(number=5, expander="c")])
def test_a_line_that_nobody_has_is_none(line: Line) -> None:
    with pytest.raises(LineError, match=f"{line}: expected a line of the header or of an expander that the board has"):
        BoardLines(header=None, expanders={}).output(line)


class Sub:
    """An expander on mock pins."""

    def __init__(self, pins: WatchedPins) -> None:
        self.pins = Pins(factory=pins)

    def output(self, line: Line) -> Output:
        return self.pins.output(Line(number=line.number))
