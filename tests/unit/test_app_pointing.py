"""Pointing at a bay: white for as long as was asked, then what the bay shows by then; nothing else changes."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from dockd.app.pointing import Pointing
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId
from tests.lamp_parts import LoopClock
from tests.sim.loop import simulate
from tests.sim.scene import Scene, play

ONE, TWO = BayId(1), BayId(2)


class Told:
    """Lamps that keep every word they are told."""

    def __init__(self) -> None:
        self.words: list[tuple[int, Lamp]] = []

    def show(self, bay: BayId, lamp: Lamp) -> None:
        self.words.append((bay, lamp))


def pointed(main: Callable[[Pointing], Coroutine[object, object, None]]) -> list[tuple[int, Lamp]]:
    """Run something, and give what the lamps were told before its end."""
    told = Told()
    words: list[tuple[int, Lamp]] = []

    async def running() -> None:
        pointing = Pointing(told, bays=[ONE, TWO], clock=LoopClock())
        work = asyncio.create_task(pointing.run(), name="pointing")
        await main(pointing)
        words.extend(told.words)
        work.cancel()
        await asyncio.wait({work})

    simulate(running)
    return words


def test_a_bay_blinks_for_as_long_as_was_asked_and_then_shows_its_own_again() -> None:
    async def main(pointing: Pointing) -> None:
        pointing.show(ONE, Lamp.WAIT)
        assert pointing.begin(ONE, for_s=60)
        await asyncio.sleep(59)
        pointing.show(TWO, Lamp.EMPTY)
        pointing.show(ONE, Lamp.GO_COPIED)
        await asyncio.sleep(0.9)
        pointing.show(ONE, Lamp.GO_RECEIPTED)
        await asyncio.sleep(0.2)
        pointing.show(ONE, Lamp.EMPTY)

    assert pointed(main) == [
        (1, Lamp.WAIT), (1, Lamp.IDENTIFY), (2, Lamp.EMPTY), (1, Lamp.GO_RECEIPTED), (1, Lamp.EMPTY),
    ]  # fmt: skip


def test_a_stop_ends_it_early_and_harms_nobody_who_is_not_pointed_at() -> None:
    async def main(pointing: Pointing) -> None:
        pointing.show(ONE, Lamp.LEAVE)
        assert pointing.begin(ONE, for_s=60)
        assert pointing.begin(TWO, for_s=10)
        await asyncio.sleep(5)
        assert pointing.end(ONE)
        assert pointing.end(ONE)
        await asyncio.sleep(60)

    assert pointed(main) == [
        (1, Lamp.LEAVE), (1, Lamp.IDENTIFY), (2, Lamp.IDENTIFY), (1, Lamp.LEAVE), (2, Lamp.OFF),
    ]  # fmt: skip


def test_the_last_word_says_for_how_long() -> None:
    async def main(pointing: Pointing) -> None:
        pointing.begin(ONE, for_s=600)
        await asyncio.sleep(1)
        pointing.begin(ONE, for_s=5)
        await asyncio.sleep(4)
        pointing.begin(ONE, for_s=5)
        await asyncio.sleep(4.9)
        pointing.show(ONE, Lamp.WAIT)
        await asyncio.sleep(0.2)

    assert pointed(main) == [(1, Lamp.IDENTIFY)] * 3 + [(1, Lamp.WAIT)]


def test_a_bay_that_is_not_there_is_not_pointed_at() -> None:
    async def main(pointing: Pointing) -> None:
        assert not pointing.begin(BayId(3), for_s=60)
        assert not pointing.end(BayId(3))
        await asyncio.sleep(100)

    assert pointed(main) == []


@pytest.mark.promise("I8")
def test_at_the_end_every_light_is_dark_and_nobody_lights_it_again() -> None:
    told = Told()

    async def ended() -> None:
        pointing = Pointing(told, bays=[ONE, TWO], clock=LoopClock())
        work = asyncio.create_task(pointing.run(), name="pointing")
        pointing.show(ONE, Lamp.GO_RECEIPTED)
        await asyncio.sleep(1)
        pointing.begin(TWO, for_s=60)
        work.cancel()
        await asyncio.wait({work})
        pointing.show(ONE, Lamp.GO_RECEIPTED)
        pointing.begin(TWO, for_s=60)
        pointing.end(TWO)

    simulate(ended)
    assert told.words[-2:] == [(1, Lamp.OFF), (2, Lamp.OFF)]


def test_at_a_running_station_only_the_light_changes_and_work_goes_on() -> None:
    async def script(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": b"a" * 900})
        assert world.running.station.pointing.begin(ONE, for_s=30)
        world.dock(camera, 1)
        await world.rest()
        bay = await world.bay(1)
        assert bay.lamp is Lamp.GO_RECEIPTED, "who asks is told what the bay shows"
        assert [row.state for row in world.clips("A.MP4")] == ["erased"]

    play(script)
