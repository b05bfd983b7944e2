"""The port Lamps: what holds for lamps on pins holds for those of the simulated station."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from dockd.app.ports import Lamps
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId
from dockd.sim.lamps import ShownLamps
from tests.lamp_parts import Rack, lamps_like
from tests.sim.loop import simulate

ONE, TWO = BayId(1), BayId(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Lamps, and an eye that reads one."""

    lamps: Lamps
    shown: Callable[[BayId], Awaitable[Lamp]]


@asynccontextmanager
async def on_pins() -> AsyncIterator[Seen]:
    rack = Rack()

    async def shown(bay: BayId) -> Lamp:
        (lamp,) = lamps_like(await rack.seen(bay))
        return lamp

    async with rack.moving() as lamps:
        yield Seen(lamps=lamps, shown=shown)


@asynccontextmanager
async def simulated() -> AsyncIterator[Seen]:
    lamps = ShownLamps()

    async def shown(bay: BayId) -> Lamp:
        return lamps.shown(bay)

    yield Seen(lamps=lamps, shown=shown)


Made = Callable[[], AbstractAsyncContextManager[Seen]]
both = pytest.mark.parametrize("made", [on_pins, simulated])


@both
def test_a_lamp_is_dark_until_it_is_told_what_to_show(made: Made) -> None:
    async def main() -> None:
        async with made() as seen:
            assert [await seen.shown(ONE), await seen.shown(TWO)] == [Lamp.OFF, Lamp.OFF]

    simulate(main)


@both
@pytest.mark.parametrize("lamp", list(Lamp))
def test_a_lamp_shows_what_it_is_told_and_the_others_what_they_were(made: Made, lamp: Lamp) -> None:
    async def main() -> None:
        async with made() as seen:
            seen.lamps.show(TWO, Lamp.LEAVE)
            seen.lamps.show(ONE, lamp)
            assert [await seen.shown(ONE), await seen.shown(TWO)] == [lamp, Lamp.LEAVE]

    simulate(main)


@both
def test_the_last_word_counts_and_saying_it_twice_changes_nothing(made: Made) -> None:
    async def main() -> None:
        async with made() as seen:
            for lamp in (Lamp.WAIT, Lamp.GO_RECEIPTED, Lamp.OFF, Lamp.GO_COPIED, Lamp.GO_COPIED):
                seen.lamps.show(ONE, lamp)
            assert await seen.shown(ONE) is Lamp.GO_COPIED
            seen.lamps.show(ONE, Lamp.GO_COPIED)
            assert await seen.shown(ONE) is Lamp.GO_COPIED
            seen.lamps.show(ONE, Lamp.OFF)
            assert await seen.shown(ONE) is Lamp.OFF

    simulate(main)


@both
def test_a_bay_that_is_not_there_is_no_error_and_no_light(made: Made) -> None:
    async def main() -> None:
        async with made() as seen:
            seen.lamps.show(BayId(99), Lamp.GO_RECEIPTED)
            assert [await seen.shown(ONE), await seen.shown(TWO)] == [Lamp.OFF, Lamp.OFF]

    simulate(main)
