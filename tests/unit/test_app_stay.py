"""A stay writes down what it listed, unless the same camera seems to be in another bay by then."""

import asyncio

import pytest

from dockd.errors import Reason
from tests.late_answers import late
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play


@pytest.mark.promise("I10")
@pytest.mark.promise("I18")
def test_a_listing_that_ends_beside_a_twin_marks_no_file_of_the_twin_as_missing() -> None:
    async def scene(world: Scene) -> None:
        first = world.camera("cam", {"A.MP4": b"a" * 50})
        second = world.camera("twin", {"B.MP4": b"b" * 50}, serial="cam")
        world.plan(Fault.DISK_FULL)
        world.dock(first, 1)
        await world.until(lambda: world.clips("A.MP4"))
        world.pull(first)
        await asyncio.sleep(1)
        world.plan(Fault.OPEN_FAILS, 1)
        world.dock(second, 2)
        await asyncio.sleep(1)
        assert not second.listed
        world.dock(first, 1)
        await asyncio.sleep(10)
        assert [(await world.bay(number)).reason for number in (1, 2)] == [Reason.DUPLICATE_CAMERA] * 2
        assert [row.state for row in world.clips("A.MP4")] == ["found"]
        assert world.clips("B.MP4") == []

    play(scene)


@pytest.mark.promise("I10")
def test_a_camera_whose_twin_comes_while_its_listing_is_written_is_not_worked_on() -> None:
    async def scene(world: Scene) -> None:
        first = world.camera("cam", {"A.MP4": b"a" * 50})
        second = world.camera("twin", {"B.MP4": b"b" * 50}, serial="cam")
        ledger = world.running.ledger
        ledger.tally = late(ledger.tally, seconds=2)  # type: ignore[method-assign, assignment]
        world.dock(first, 1)
        await world.until(lambda: world.clips("A.MP4"))
        world.dock(second, 2)
        await asyncio.sleep(30)
        assert [(await world.bay(number)).reason for number in (1, 2)] == [Reason.DUPLICATE_CAMERA] * 2
        assert [row.state for row in world.clips("A.MP4")] == ["found"]
        assert not world.disk.seen

    play(scene)
