"""Bays and their station: events in order, lamps that claim nothing early, and what 'settled' means."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TypeVar

import pytest

from dockd.domain.lamps import Lamp
from dockd.errors import Reason
from tests.sim.cameras import SimFile
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy

CLIP = {"A.MP4": b"a" * 900}
T = TypeVar("T")


def late(call: Callable[..., Awaitable[T]], *, seconds: float) -> Callable[..., Awaitable[T]]:
    """Let the answers of a port come late."""

    async def answered(*args: object, **known: object) -> T:
        answer = await call(*args, **known)
        await asyncio.sleep(seconds)
        return answer

    return answered


@pytest.mark.promise("I8")
def test_a_clip_held_while_its_camera_was_being_counted_turns_the_lamp_red() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.plan(Fault.BLACK_HOLE)
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4") and world.clips("A.MP4")[0].state == "copied")
        world.pull(camera)
        await asyncio.sleep(1)
        ledger = world.running.ledger
        tally = ledger.tally
        ledger.tally = late(tally, seconds=200)  # type: ignore[method-assign, assignment]
        world.dock(camera, 1)
        await world.until(lambda: camera.stay in camera.listed)
        world.plan(Fault.BLACK_HOLE, 0)
        world.plan(Fault.FORGED)
        await world.until(lambda: world.clips("A.MP4")[0].state == "held", within_s=150)
        ledger.tally = tally  # type: ignore[method-assign]
        await asyncio.sleep(300)
        assert (await world.bay(1)).lamp is Lamp.LEAVE

    play(scene)


def test_a_docking_of_a_moment_is_on_record_from_its_beginning_to_its_end() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.running.ledger.dock = late(world.running.ledger.dock, seconds=1)  # type: ignore[method-assign, assignment]
        world.dock(camera, 1)
        await asyncio.sleep(0.3)
        world.pull(camera)
        await asyncio.sleep(3)
        dockings = world.books.connection.execute("SELECT ended_utc IS NOT NULL, early FROM dockings").fetchall()
        assert dockings == [(1, 1)]

    play(scene)


def test_a_station_that_says_it_is_done_shows_the_counts_of_the_end() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        ledger = world.running.ledger
        ledger.tally = late(ledger.tally, seconds=1)  # type: ignore[method-assign, assignment]
        await world.until(lambda: world.clips("A.MP4"))
        await world.until(lambda: world.running.station.offloaded and world.running.station.uploaded)
        while world.clips("A.MP4")[0].state != "erased":
            await world.until(lambda: not world.running.station.offloaded)
            await world.until(lambda: world.running.station.offloaded and world.running.station.uploaded)
        assert (await world.bay(1)).work.erased_files == 1

    play(scene)


def test_a_station_is_not_settled_before_an_early_removal_is_on_record() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.rest()
        ledger = world.running.ledger
        ledger.undock = late(ledger.undock, seconds=5)  # type: ignore[method-assign, assignment]
        world.pull(camera)
        world.rack.end()
        await asyncio.sleep(2)
        assert not world.running.station.settled
        await asyncio.sleep(5)
        assert world.running.station.settled

    play(scene)


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


def test_this_one_first_counts_from_the_moment_of_docking_however_long_the_listing_takes() -> None:
    async def scene(world: Scene) -> None:
        world.disk.capacity_bytes = 10**6
        busy = world.camera("busy", {f"{number:02}.MP4": bytes([number]) * 4000 for number in range(60)})
        wanted = world.camera("wanted", {"A.MP4": b"a" * 4000, "B.MP4": b"b" * 4000})
        world.plan(Fault.BLACK_HOLE)
        world.dock(busy, 1)
        await asyncio.sleep(2)
        world.dock(wanted, 2)
        await world.until(lambda: wanted.listed)
        world.pull(wanted)
        await asyncio.sleep(3)
        world.plan(Fault.OPEN_FAILS, 2)
        world.running.station._ports.clock.sleep = late(asyncio.sleep, seconds=6)  # type: ignore[method-assign, assignment]
        world.dock(wanted, 2)
        await world.until(lambda: wanted.stay in wanted.listed)
        await world.until(lambda: world.clips("B.MP4")[0].state == "copied")
        left = sum(row.state == "found" for row in world.auditor.rows())
        assert left > 20

    play(scene)


@pytest.mark.promise("I4")
def test_bytes_lost_here_and_overwritten_on_the_camera_are_held_and_not_taken_for_the_new_ones() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.plan(Fault.BLACK_HOLE)
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4") and world.clips("A.MP4")[0].state == "copied")
        world.pull(camera)
        world.disk.rot()
        camera.files[b"A.MP4"] = SimFile(data=b"z" * 900, mtime_ns=99)
        await asyncio.sleep(1)
        world.dock(camera, 1)
        await world.until(lambda: len(world.clips("A.MP4")) == 2)
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest()
        world.pull(camera)
        await asyncio.sleep(1)
        world.dock(camera, 1)
        await world.rest()
        old, new = world.clips("A.MP4")
        assert (old.state, new.state) == ("held", "erased")
        assert world.custody(old.key)[-2:] == ["spool-lost", "held"]
        clip = await world.running.ledger.clip(old.key)
        assert clip.reason is Reason.MISSING

    play(scene)


@pytest.mark.promise("I4")
def test_a_file_whose_copy_rotted_and_that_now_reads_otherwise_becomes_a_clip_of_its_own() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.plan(Fault.BLACK_HOLE)
        world.plan(Fault.MISREAD, 1)
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4") and world.clips("A.MP4")[0].state == "copied")
        world.disk.rot()
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest()
        old, new = world.clips("A.MP4")
        assert (old.state, new.state) == ("held", "receipted")
        assert new.sha256 == sha256(b"a" * 900).hexdigest()
        world.pull(camera)
        await asyncio.sleep(1)
        world.dock(camera, 1)
        await world.rest()
        assert [row.state for row in world.clips("A.MP4")] == ["held", "erased"]

    play(scene)


@pytest.mark.promise("I13")
def test_room_is_made_whatever_the_wall_clock_says() -> None:
    async def scene(world: Scene) -> None:
        world.clock.ahead_s = 400 * 86_400.0
        world.dock(world.camera("cam", CLIP), 1)
        await world.until(lambda: world.clips("A.MP4") and world.clips("A.MP4")[0].receipt, every_s=0.0005)
        await world.lose_power()
        assert world.disk.seen
        world.clock.ahead_s = 0.0
        world.boot()
        await asyncio.sleep(120)
        assert not world.disk.seen

    play(scene, policy=policy(erase=False))


def test_a_receipted_copy_is_kept_for_its_grace() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        assert world.disk.seen
        await asyncio.sleep(700)
        assert not world.disk.seen

    play(scene, policy=policy(grace_s=600.0))
