"""Bays and their station: events in order, lamps that claim nothing early, and what 'settled' means."""

import asyncio
import json
from hashlib import sha256

import pytest

from dockd.app.ports import Detached, Empty, Unknown
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId
from dockd.domain.usb import UsbIds
from dockd.errors import InvariantError, Reason
from tests.late_answers import late
from tests.sim.cameras import SimFile
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy

CLIP = {"A.MP4": b"a" * 900}


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


def test_an_event_of_a_bay_that_does_not_exist_stops_the_station() -> None:
    async def scene(world: Scene) -> None:
        world.running.feed.queue.put_nowait(Empty(bay=BayId(9)))
        await asyncio.wait({world.running.task}, timeout=10)
        with pytest.raises(ExceptionGroup) as caught:
            world.running.task.result()
        assert caught.group_contains(InvariantError, match="bay 9: an event came for it")
        world.run = None

    play(scene)


def test_an_unknown_device_is_left_alone_and_said_by_lamp_reason_and_event() -> None:
    async def scene(world: Scene) -> None:
        ids = UsbIds(vendor="dead", product="beef", serial="../../<script>")
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.rest()
        world.running.feed.queue.put_nowait(Unknown(bay=BayId(1), ids=ids, why="no profile is of such a device"))
        await asyncio.sleep(1)
        bay = await world.bay(1)
        assert (bay.lamp, bay.reason, bay.camera, bay.docking) == (Lamp.LEAVE, Reason.UNKNOWN_DEVICE, None, None)
        assert bay.detail == "dead:beef ../../<script>: no profile is of such a device"
        await world.until(world.books.all_told, within_s=600.0, every_s=1.0)
        told = sorted((json.loads(body) for body in world.broker.taken.values()), key=lambda event: event["seq"])
        (fault,) = [event for event in told if event["type"] == "fault"]
        assert fault["bay"] == 1
        said = {"vendor": "dead", "product": "beef", "serial": "../../<script>"}
        assert fault["facts"] == {"reason": "unknown-device", **said}
        assert [event["type"] for event in told][-2:] == ["undocked", "fault"]
        world.running.feed.queue.put_nowait(Detached(bay=BayId(1)))
        await asyncio.sleep(1)
        assert (await world.bay(1)).lamp is Lamp.EMPTY
        world.pull(camera)

    play(scene)


def test_undocking_all_ends_every_stay_on_record() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.until(lambda: world.running.station.docking(BayId(1)))
        assert world.running.station.docking(BayId(1)) == 1
        assert world.running.station.docking(BayId(2)) is None
        await world.running.station.undock_all()
        assert world.running.station.docking(BayId(1)) is None
        (open_dockings,) = world.books.connection.execute(
            "SELECT count(*) FROM dockings WHERE ended_utc IS NULL"
        ).fetchone()
        assert open_dockings == 0

    play(scene)


def test_late_news_of_a_stay_that_is_over_is_not_for_the_camera_that_came_after() -> None:
    async def scene(world: Scene) -> None:
        first, second = world.camera("first", CLIP), world.camera("second", {"B.MP4": b"b" * 100})
        world.dock(first, 1)
        await world.rest()
        keeper = world.running.station._keepers[BayId(1)]
        old = keeper.bay.docking
        assert old is not None
        world.pull(first)
        await asyncio.sleep(1)
        world.dock(second, 1)
        await world.rest()
        before = keeper.bay
        keeper.touched(old)
        keeper.erasing(old, opened=True)
        keeper.broke(old, Reason.USB, "gone")
        assert keeper.bay == before
        assert keeper.quiet

    play(scene)


@pytest.mark.parametrize("fault", [Fault.OPEN_FAILS, Fault.HANG], ids=lambda fault: fault.value)
def test_a_card_that_opens_at_the_third_try_is_worked_on_and_one_that_does_not_is_broken(fault: Fault) -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.plan(fault, 2)
        world.dock(camera, 1)
        await asyncio.sleep(100)
        await world.rest()
        assert not camera.files
        world.pull(camera)
        await asyncio.sleep(1)
        world.plan(fault, 3)
        world.dock(camera, 1)
        await asyncio.sleep(100)
        assert ((await world.bay(1)).phase, (await world.bay(1)).reason) == ("fault", Reason.USB)

    play(scene)


@pytest.mark.promise("I7")
def test_a_card_that_cannot_be_listed_is_left_alone_and_says_so() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.plan(Fault.DUPLICATE_NAME, 1)
        world.dock(camera, 1)
        await asyncio.sleep(5)
        bay = await world.bay(1)
        assert (bay.lamp, bay.reason, bay.minutes) == (Lamp.LEAVE, Reason.DUPLICATE_NAME, None)
        assert not world.auditor.rows()

    play(scene)


def test_the_view_says_minutes_and_what_is_under_way() -> None:
    async def scene(world: Scene) -> None:
        world.disk.capacity_bytes = 10**6
        files = {f"{number:02}.MP4": bytes([number]) * 4000 for number in range(40)}
        world.dock(world.camera("cam", files), 1)
        await asyncio.sleep(5)
        bay = await world.bay(1)
        assert bay.minutes is not None
        assert bay.minutes >= 1
        assert bay.underway is not None
        assert bay.underway.kind == "copy"
        assert (await world.bay(2)).minutes is None
        view = await world.running.station.view()
        assert view.station == "station-1"
        assert view.backlog.files

    play(scene)


def test_counts_of_a_stay_that_ended_while_they_were_read_are_not_shown() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4"))
        ledger = world.running.ledger
        ledger.tally = late(ledger.tally, seconds=2)  # type: ignore[method-assign, assignment]
        await world.until(lambda: world.running.station.docking(BayId(1)))
        await asyncio.sleep(0.5)
        world.pull(camera)
        await asyncio.sleep(10)
        bay = await world.bay(1)
        assert (bay.phase, bay.work.files, bay.lamp) == ("empty", 0, Lamp.EMPTY)

    play(scene)
