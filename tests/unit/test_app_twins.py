"""Two cameras that call themselves the same: both are left alone; one that moved is no twin."""

import asyncio

import pytest

from dockd.domain.lamps import Lamp
from dockd.errors import Reason
from tests.late_answers import late
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play

CLIP = {"A.MP4": b"a" * 900}


def test_a_camera_that_moved_to_another_bay_is_not_its_own_twin() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.until(lambda: camera.listed)
        ledger = world.running.ledger
        ledger.undock = late(ledger.undock, seconds=2)  # type: ignore[method-assign, assignment]
        world.rack.rename(camera)
        await asyncio.sleep(0.3)
        world.pull(camera)
        world.dock(camera, 2)
        await asyncio.sleep(10)
        await world.rest()
        assert (await world.bay(2)).phase == "ready"
        assert world.clips("A.MP4")[-1].state == "erased"

    play(scene)


@pytest.mark.promise("I10")
def test_two_cameras_with_one_serial_and_volume_are_both_left_alone() -> None:
    async def scene(world: Scene) -> None:
        first, second = world.camera("cam", CLIP), world.camera("twin", {"B.MP4": b"b" * 50}, serial="cam")
        world.plan(Fault.BLACK_HOLE)
        world.dock(first, 1)
        await asyncio.sleep(3)
        world.dock(second, 2)
        await asyncio.sleep(3)
        for number in (1, 2):
            bay = await world.bay(number)
            assert (bay.lamp, bay.reason) == (Lamp.LEAVE, Reason.DUPLICATE_CAMERA)
        world.plan(Fault.BLACK_HOLE, 0)
        await asyncio.sleep(1000)
        assert first.files
        assert second.files
        world.pull(first)
        world.pull(second)
        await asyncio.sleep(1)
        world.dock(second, 1)
        await world.rest()
        assert (await world.bay(1)).phase == "ready"
        assert not second.files

    play(scene)


def test_twins_that_come_at_the_same_moment_are_both_left_alone() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        world.dock(world.camera("twin", CLIP, serial="cam"), 2)
        await asyncio.sleep(10)
        assert [(await world.bay(number)).reason for number in (1, 2)] == [Reason.DUPLICATE_CAMERA] * 2

    play(scene)


def test_a_twin_whose_docking_is_still_being_written_is_parted_all_the_same() -> None:
    async def scene(world: Scene) -> None:
        ledger = world.running.ledger
        dock = ledger.dock
        first, second = world.camera("cam", CLIP), world.camera("twin", CLIP, serial="cam")
        world.dock(first, 1)
        await world.rest()
        ledger.dock = late(dock, seconds=3)  # type: ignore[method-assign, assignment]
        world.rack.rename(first)
        await asyncio.sleep(0.5)
        ledger.dock = dock  # type: ignore[method-assign]
        world.dock(second, 2)
        await asyncio.sleep(10)
        assert [(await world.bay(number)).reason for number in (1, 2)] == [Reason.DUPLICATE_CAMERA] * 2

    play(scene)


def test_a_camera_that_becomes_a_twin_while_its_card_is_listed_is_not_worked_on() -> None:
    async def scene(world: Scene) -> None:
        first, second = world.camera("cam", CLIP), world.camera("twin", CLIP, serial="cam")
        world.plan(Fault.OPEN_FAILS, 1)
        world.dock(first, 1)
        await asyncio.sleep(1)
        world.dock(second, 2)
        await asyncio.sleep(30)
        assert [(await world.bay(number)).reason for number in (1, 2)] == [Reason.DUPLICATE_CAMERA] * 2
        assert not world.disk.seen

    play(scene)


def test_a_twin_of_a_camera_that_its_bay_has_not_taken_yet_is_found_by_that_bay() -> None:
    async def scene(world: Scene) -> None:
        other = world.camera("other", {"B.MP4": b"b" * 10})
        world.dock(other, 1)
        await world.rest()
        ledger = world.running.ledger
        ledger.undock = late(ledger.undock, seconds=3)  # type: ignore[method-assign, assignment]
        world.pull(other)
        world.dock(world.camera("cam", CLIP), 1)
        world.dock(world.camera("twin", CLIP, serial="cam"), 2)
        await asyncio.sleep(1)
        assert (await world.bay(1)).phase == "empty"
        assert (await world.bay(2)).reason is Reason.DUPLICATE_CAMERA
        await asyncio.sleep(10)
        assert (await world.bay(1)).reason is Reason.DUPLICATE_CAMERA
        assert not world.clips("A.MP4")

    play(scene)
