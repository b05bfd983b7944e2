"""Lamps on pins: what each line does, for how many wakings and writes, and what an error of one does to the others."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from itertools import combinations, permutations
from typing import TypeVar

import pytest
from gpiozero import OutputDevice

from dockd.domain.board import LampPins, Line
from dockd.domain.lamps import PATTERNS, Lamp
from dockd.domain.model import BayId
from dockd.edges.gpio.lamps import GpioLamps
from dockd.edges.gpio.pins import Pins
from tests.lamp_parts import LOOKS, Rack, Seen, lamps_like, look_of
from tests.sim.loop import simulate

T = TypeVar("T")
ONE, TWO = BayId(1), BayId(2)
DEAD = [frozenset(dead) for size in range(4) for dead in combinations("RGB", size)]
# What a lamp promises whoever reads it: may the camera be taken, is the evidence safe. More is less safe to claim.
TAKE = {"yes": 3, "rather not: charging": 2, "dock here": 1}
SAFE = {"yes, receipted": 2, "copied here, upload goes on": 1}
GREEN = {Lamp.GO_RECEIPTED, Lamp.CHARGING_RECEIPTED}


def on(rack: Rack, main: Callable[[GpioLamps], Coroutine[object, object, T]]) -> T:
    """Run something with the lamps of a rack, in a time of its own."""

    async def moved() -> T:
        async with rack.moving() as lamps:
            return await main(lamps)

    return simulate(moved)


def looked_at(lamp: Lamp) -> Seen:
    rack = Rack()

    async def main(lamps: GpioLamps) -> Seen:
        lamps.show(ONE, lamp)
        return await rack.seen(1)

    return on(rack, main)


@pytest.mark.promise("I8")
@pytest.mark.parametrize("lamp", list(Lamp))
def test_on_its_pins_a_lamp_looks_as_it_should_and_with_dead_channels_never_safer(lamp: Lamp) -> None:
    seen = looked_at(lamp)
    assert seen == look_of(lamp)
    for dead in DEAD:
        like = lamps_like([lit - dead for lit in seen])
        assert like <= {lamp, Lamp.OFF}
        for other in like:
            assert TAKE.get(PATTERNS[other].take, 0) <= TAKE.get(PATTERNS[lamp].take, 0)
            assert SAFE.get(PATTERNS[other].safe, 0) <= SAFE.get(PATTERNS[lamp].safe, 0)


@pytest.mark.promise("I8")
@pytest.mark.parametrize("broken", DEAD[1:], ids=lambda broken: "".join(sorted(broken)))
@pytest.mark.parametrize("lamp", [lamp for lamp in Lamp if lamp is not Lamp.OFF])
def test_a_lamp_with_a_line_that_gives_errors_is_dark_and_the_next_one_is_not(
    lamp: Lamp, broken: frozenset[str]
) -> None:
    rack = Rack()

    async def main(lamps: GpioLamps) -> tuple[Seen, Seen, dict[BayId, str]]:
        for channel in broken:
            rack.pin(1, channel).broken = True
        lamps.show(ONE, lamp)
        lamps.show(TWO, lamp)
        mine, others = await asyncio.gather(rack.seen(1), rack.seen(2))
        return mine, others, dict(lamps.faults)

    mine, others, faults = on(rack, main)
    assert others == look_of(lamp)
    if broken & frozenset(LOOKS[lamp][0]):
        assert lamps_like(mine) == {Lamp.OFF}
        assert set(faults) == {ONE}
        assert faults[ONE].startswith("GPIO")
        assert faults[ONE].endswith("Input/output error")
    else:
        assert mine == look_of(lamp)
        assert not faults


@pytest.mark.promise("I8")
@pytest.mark.parametrize("broken", DEAD[1:-1], ids=lambda broken: "".join(sorted(broken)))
@pytest.mark.parametrize("lamp", [lamp for lamp in Lamp if lamp is not Lamp.OFF])
def test_a_line_that_cannot_be_put_out_any_more_is_no_lamp_that_claims_something(
    lamp: Lamp, broken: frozenset[str]
) -> None:
    """Yellow without its red would be green: what stays lit for an error gets company."""
    rack = Rack(1)

    async def main(lamps: GpioLamps) -> None:
        lamps.show(ONE, lamp)
        await rack.beat()
        stuck = rack.lit(1) & broken
        for channel in broken:
            rack.pin(1, channel).broken = True
        for then in (lamp, Lamp.WAIT, Lamp.LEAVE):
            lamps.show(ONE, then)
            await rack.beat()
            seen = await rack.seen(1)
            assert all(stuck <= lit for lit in seen)
            assert lamps_like(seen) <= {then, Lamp.OFF}, (stuck, then)
            if then is not lamp and stuck and stuck != {"R"}:
                assert all(len(lit) > 1 for lit in seen), (stuck, then)
        for channel in broken:
            rack.pin(1, channel).broken = False
        await asyncio.sleep(10)
        assert set(await rack.seen(1)) == {frozenset("R"), frozenset()}

    on(rack, main)


@pytest.mark.promise("I8")
def test_between_two_lamps_and_within_one_no_other_colour_is_ever_lit() -> None:
    for first, then in permutations(Lamp, 2):
        rack = Rack(1)

        async def main(lamps: GpioLamps, rack: Rack = rack, first: Lamp = first, then: Lamp = then) -> None:
            lamps.show(ONE, first)
            await asyncio.sleep(1.3)
            lamps.show(ONE, then)
            await asyncio.sleep(0.001)
            assert rack.lit(1) == frozenset()
            await asyncio.sleep(2.0)

        on(rack, main)
        names = {id(pin): channel for channel, pin in rack.pins(1)}
        lit: set[str] = set()
        for pin, state in rack.factory.trace:
            (lit.add if state else lit.discard)(names[id(pin)])
            assert any(lit <= set(LOOKS[lamp][0]) for lamp in (first, then))
            assert lit != {"G"} or {first, then} & GREEN


def test_an_hour_of_every_lamp_costs_so_many_writes_and_wakings() -> None:
    rack = Rack(8)

    async def main(lamps: GpioLamps) -> tuple[dict[Lamp, int], int]:
        shown = dict(zip([lamp for lamp in Lamp if lamp is not Lamp.OFF], range(1, 9), strict=True))
        for lamp, bay in shown.items():
            lamps.show(BayId(bay), lamp)
        await rack.beat()
        before, asked = {bay: rack.writes(bay) for bay in shown.values()}, rack.clock.asked
        await asyncio.sleep(3600)
        return {lamp: rack.writes(bay) - before[bay] for lamp, bay in shown.items()}, rack.clock.asked - asked

    writes, wakings = on(rack, main)
    assert writes == {
        Lamp.EMPTY: 4320,  # three channels on and off, every five seconds
        Lamp.WAIT: 14_400,
        Lamp.CHARGING_RECEIPTED: 3600,
        Lamp.CHARGING_COPIED: 1800,
        Lamp.GO_COPIED: 3600,
        Lamp.GO_RECEIPTED: 0,
        Lamp.LEAVE: 7200,
        Lamp.IDENTIFY: 43_200,
    }
    # In ten seconds: every quarter, five dips that begin at 1.8, and two blips that end at 0.1.
    assert wakings == 360 * (40 + 5 + 2)


@pytest.mark.parametrize(
    ("lamp", "wakings"), [(Lamp.EMPTY, 1440), (Lamp.WAIT, 7200), (Lamp.GO_RECEIPTED, 0), (Lamp.OFF, 0)]
)
def test_many_lamps_wake_the_processor_no_oftener_than_one(lamp: Lamp, wakings: int) -> None:
    def counted(bays: int) -> int:
        rack = Rack(bays)

        async def main(lamps: GpioLamps) -> int:
            for bay in rack.wiring:
                lamps.show(bay, lamp)
                if lamp is not Lamp.EMPTY:
                    await asyncio.sleep(0.17)  # they begin one after the other
            await rack.beat()
            asked = rack.clock.asked
            await asyncio.sleep(3600)
            return rack.clock.asked - asked

        return on(rack, main)

    assert counted(1) == counted(8) == wakings


def test_what_is_shown_already_is_not_begun_again() -> None:
    rack = Rack(1)

    async def main(lamps: GpioLamps) -> None:
        lamps.show(ONE, Lamp.GO_RECEIPTED)
        await rack.beat()
        writes = rack.writes(1)
        lamps.show(ONE, Lamp.GO_RECEIPTED)
        await rack.beat()
        assert rack.writes(1) == writes
        assert rack.lit(1) == {"G"}

    on(rack, main)


def test_lamps_are_dark_from_the_start_and_dark_and_let_go_of_at_the_end() -> None:
    rack = Rack()

    async def main(lamps: GpioLamps) -> GpioLamps:
        assert all(pin.function == "output" for bay in (1, 2) for _, pin in rack.pins(bay))
        assert rack.lit(1) | rack.lit(2) == frozenset()
        lamps.show(ONE, Lamp.GO_RECEIPTED)
        lamps.show(BayId(77), Lamp.GO_RECEIPTED)
        await rack.beat()
        assert rack.lit(1) == {"G"}
        assert rack.lit(2) == frozenset(), "nobody knows this bay: it stays dark"
        return lamps

    lamps = on(rack, main)
    assert all(pin.function == "input" for bay in (1, 2) for _, pin in rack.pins(bay))
    assert rack.pin(1, "G").writes[-1] is False
    lamps.show(ONE, Lamp.GO_RECEIPTED)
    lamps.close()


def test_whatever_ends_the_service_leaves_the_lamps_dark() -> None:
    rack = Rack()

    async def main(lamps: GpioLamps) -> None:
        lamps.show(ONE, Lamp.GO_RECEIPTED)
        lamps.show(TWO, Lamp.GO_COPIED)
        await rack.beat()
        raise RuntimeError("the disk is on fire")

    with pytest.raises(ExceptionGroup):
        on(rack, main)
    assert [rack.pin(bay, channel).writes[-1] for bay, channel in ((1, "G"), (2, "B"))] == [False, False]
    assert all(pin.function == "input" for bay in (1, 2) for _, pin in rack.pins(bay))


def test_an_error_of_a_line_is_told_once_and_the_lamp_comes_back_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    rack = Rack()

    async def main(lamps: GpioLamps) -> None:
        lamps.show(ONE, Lamp.WAIT)
        await rack.beat()
        rack.pin(1, "R").broken = True
        await asyncio.sleep(35)
        assert lamps.faults == {ONE: "GPIO2: [Errno 5] Input/output error; it may be lit: red"}
        rack.pin(1, "R").broken = False
        await asyncio.sleep(10)
        assert not lamps.faults
        assert set(await rack.seen(1)) == {frozenset("RG"), frozenset()}

    with caplog.at_level(logging.INFO):
        on(rack, main)
    assert caplog.messages == [
        "lamp of bay 1 cannot be believed: GPIO2: [Errno 5] Input/output error; it may be lit: red"
    ]


def test_a_lamp_of_which_a_line_cannot_be_put_out_is_not_called_dark(caplog: pytest.LogCaptureFixture) -> None:
    rack = Rack(1)

    async def main(lamps: GpioLamps) -> None:
        lamps.show(ONE, Lamp.WAIT)
        await rack.beat()
        rack.pin(1, "G").broken = True
        await asyncio.sleep(1)
        assert lamps.faults == {ONE: "GPIO3: [Errno 5] Input/output error; it may be lit: green"}
        rack.pin(1, "G").broken = False

    with caplog.at_level(logging.INFO):
        on(rack, main)
    assert caplog.messages == [
        "lamp of bay 1 cannot be believed: GPIO3: [Errno 5] Input/output error; it may be lit: green"
    ]


def test_a_line_that_cannot_be_left_dark_is_told(caplog: pytest.LogCaptureFixture) -> None:
    rack = Rack(1)

    async def main(lamps: GpioLamps) -> None:
        lamps.show(ONE, Lamp.GO_RECEIPTED)
        await rack.beat()
        rack.pin(1, "G").broken = True

    with caplog.at_level(logging.INFO):
        on(rack, main)
    assert caplog.messages == ["lamp of bay 1 may not be dark: GPIO3: [Errno 5] Input/output error"]
    assert rack.pin(1, "G").function == "input", "an output no more: its pull makes it dark"


def test_a_line_that_is_in_use_or_not_there_makes_its_own_lamp_dark_only() -> None:
    rack = Rack(3)
    rack.wiring[TWO] = LampPins(red=Line(number=77), green=Line(number=5), blue=Line(number=6))
    rack.wiring[BayId(3)] = LampPins(red=Line(number=8), green=Line(number=9), blue=Line(number=3, expander="lamps"))
    other = OutputDevice(2, pin_factory=rack.factory)

    async def main(lamps: GpioLamps) -> None:
        faults = lamps.faults
        assert "GPIO2 is already in use" in faults[ONE]
        assert faults[TWO] == "GPIO77: 77 is not a valid pin name"
        assert faults[BayId(3)] == "lamps:3: it is on an expander, expected a line of the header"
        lamps.show(ONE, Lamp.GO_RECEIPTED)
        await asyncio.sleep(5)
        assert not any(state for _, state in rack.factory.trace)
        other.close()
        await asyncio.sleep(10)
        assert set(lamps.faults) == {TWO, BayId(3)}
        assert await rack.seen(1) == look_of(Lamp.GO_RECEIPTED)

    on(rack, main)


def test_pins_let_go_of_every_line() -> None:
    rack = Rack(1)
    pins = Pins(factory=rack.factory)
    pins.output(Line(number=17)).on()
    pin = rack.factory.pin(17)
    pins.close()
    assert pin.function == "input"
