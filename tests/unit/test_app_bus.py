"""One bus: what it does next, and what every failure on it means."""

import asyncio
from collections.abc import Callable

import pytest

from dockd.app.ports import Copied
from dockd.domain.clip import Change, Move
from dockd.domain.lamps import Lamp
from dockd.domain.model import ClipKey, ListedFile, Sha256
from dockd.errors import InvariantError, Reason, TransientError
from tests.sim.cameras import SimCard, SimFile
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy

CLIP = {"A.MP4": b"a" * 900}
TWO = {"A.MP4": b"a" * 900, "B.MP4": b"b" * 900}


def test_a_clip_put_off_on_a_stay_that_ended_does_not_make_the_bus_spin() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.plan(Fault.DISK_FULL)
        world.dock(camera, 1)
        await asyncio.sleep(2)
        world.pull(camera)
        await asyncio.sleep(60)  # the simulated loop fails on a spin
        assert world.running.station.offloaded

    play(scene)


def test_a_disk_that_was_full_does_not_make_a_bus_without_cameras_spin() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {f"{number}.MP4": b"x" * 100 for number in range(8)})
        world.plan(Fault.DISK_FULL)
        world.dock(camera, 1)
        await world.until(lambda: world.planned.injected[Fault.DISK_FULL] >= 3)
        world.pull(camera)
        await asyncio.sleep(60)  # the simulated loop fails on a spin
        assert world.running.station.offloaded

    play(scene)


def test_what_was_put_off_for_ever_in_one_stay_is_tried_again_in_the_next() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        camera.read_only = True
        world.dock(camera, 1)
        await world.rest()
        assert world.clips("A.MP4")[0].state == "receipted"
        world.pull(camera)
        await asyncio.sleep(1)
        camera.read_only = False
        world.dock(camera, 1)
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"
        assert not camera.files

    play(scene)


@pytest.mark.promise("I11")
def test_a_camera_that_is_pulled_is_not_called_broken() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {f"{number}.MP4": b"x" * 800 for number in range(6)})
        world.dock(camera, 1)
        await asyncio.sleep(0.6)
        # The reads fail at once, the news of the removal comes some tenths of a second later.
        bay, camera.bay = camera.bay, None
        await asyncio.sleep(0.7)
        camera.bay = bay
        world.pull(camera)
        await asyncio.sleep(5)
        assert world.notes("camera broken") == 0
        assert Lamp.LEAVE.value not in "".join(world.fate.lines)

    play(scene)


def test_one_file_that_hangs_does_not_keep_the_others_from_being_copied() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", TWO)
        world.dock(camera, 1)
        await world.until(lambda: camera.listed)
        world.plan(Fault.HANG, 1)
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["erased", "erased"]

    play(scene)


def test_a_camera_that_hangs_three_times_in_a_row_is_broken_and_says_usb() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", TWO)
        world.dock(camera, 1)
        await world.until(lambda: camera.listed)
        world.plan(Fault.HANG)
        await world.rest()
        bay = await world.bay(1)
        assert (bay.phase, bay.lamp, bay.reason) == ("fault", Lamp.LEAVE, Reason.USB)
        assert world.notes("camera broken") == 1
        assert len(camera.files) == 2

    play(scene)


def test_a_growing_file_is_copied_once_it_stands_still_and_nothing_else_is_read_twice() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", TWO | {"C.MP4": b"c" * 300})
        camera.files[b"C.MP4"].grows = 2
        world.dock(camera, 1)
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["receipted"] * 3
        (grown,) = world.clips("C.MP4")
        assert grown.length_bytes > 300
        assert world.custody(grown.key).count("grew") == 2
        (still,) = world.clips("A.MP4")
        assert "confirmed" not in world.custody(still.key)
        assert "redocked" not in world.custody(still.key)

    play(scene, policy=policy(erase=False))


def test_a_file_that_vanishes_while_another_grows_does_not_stop_the_station() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", TWO | {"C.MP4": b"c" * 300})
        world.dock(camera, 1)
        await world.rest()
        world.pull(camera)
        await asyncio.sleep(1)
        camera.files[b"D.MP4"] = SimFile(data=b"d" * 300, mtime_ns=9, grows=1)
        world.dock(camera, 1)
        await world.until(lambda: world.planned.injected[Fault.GROWING])
        del camera.files[b"A.MP4"]
        await world.rest()
        assert world.clips("D.MP4")[0].state == "receipted"

    play(scene, policy=policy(erase=False, growing_wait_s=0.0))


@pytest.mark.promise("I17")
def test_a_clip_that_is_held_already_when_its_copy_fails_does_not_end_the_station() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", TWO)
        camera.files[b"A.MP4"].unreadable = True
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4"))
        change = Change(reason=Reason.MISSING)
        await world.running.ledger.move(ClipKey(world.clips("A.MP4")[0].key), Move.HELD, change, actor="offload")
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["held", "erased"]

    play(scene)


def test_trouble_that_passes_is_tried_again_a_second_later(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = SimCard.copy
    tries: list[float] = []

    async def weak(card: SimCard, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        tries.append(card._camera.stay)
        if len(tries) < 5:
            raise TransientError(Reason.POWER, "undervoltage: copying pauses")
        return await copy(card, file, progress=progress)

    monkeypatch.setattr(SimCard, "copy", weak)

    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.until(lambda: tries)
        clip = await world.running.ledger.clip(ClipKey(1))
        await asyncio.sleep(0.1)
        clip = await world.running.ledger.clip(ClipKey(1))
        assert clip.reason is Reason.POWER
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"
        assert len(tries) == 5

    play(scene)


@pytest.mark.promise("I5")
def test_a_spool_that_reads_back_otherwise_three_times_holds_the_clip() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.SPOOL_MISREAD)
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.state, clip.reason) == ("held", Reason.HASH)
        assert world.planned.injected[Fault.SPOOL_MISREAD] == 3
        assert (await world.bay(1)).lamp is Lamp.LEAVE

    play(scene)


@pytest.mark.promise("I7")
def test_a_listing_that_fails_when_a_file_grew_breaks_the_camera_and_erases_nothing() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", TWO)
        camera.files[b"A.MP4"].grows = 1
        world.dock(camera, 1)
        await world.until(lambda: world.planned.injected[Fault.GROWING])
        world.plan(Fault.LISTING_ERROR)
        world.plan(Fault.BLACK_HOLE)
        await asyncio.sleep(20)
        bay = await world.bay(1)
        assert (bay.lamp, bay.reason) == (Lamp.LEAVE, Reason.LISTING)
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest()
        assert len(camera.files) == 2

    play(scene)


def test_a_clip_that_was_moved_under_the_bus_is_looked_at_anew() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", TWO)
        world.plan(Fault.BLACK_HOLE)
        world.dock(camera, 1)
        await world.until(lambda: world.running.station._buses["a"].underway)
        # A person holds the clip while it is being copied.
        key = ClipKey(1)
        await world.running.ledger.move(key, Move.HELD, Change(reason=Reason.REFUSED), actor="user:IT")
        await world.rest_of_bus("a")
        assert [row.state for row in world.auditor.rows()] == ["held", "copied"]

    play(scene)


@pytest.mark.promise("I8")
def test_a_copier_that_kept_something_else_than_was_asked_for_stops_the_station(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = SimCard.copy

    async def lying(card: SimCard, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        copied = await copy(card, file, progress=progress)
        return Copied(clip_id=copied.clip_id, sha256=Sha256("0" * 64), length_bytes=copied.length_bytes)

    monkeypatch.setattr(SimCard, "copy", lying)

    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await asyncio.wait({world.running.task}, timeout=10)
        with pytest.raises(ExceptionGroup) as caught:
            world.running.task.result()
        assert caught.group_contains(InvariantError, match="clip 1: the copier kept 900 bytes as")
        world.run = None

    play(scene)


def test_late_news_of_a_copy_that_is_over_is_of_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = SimCard.copy
    heard: list[Callable[[int], None]] = []

    async def listened(card: SimCard, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        heard.append(progress)
        return await copy(card, file, progress=progress)

    monkeypatch.setattr(SimCard, "copy", listened)

    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        heard[0](5)
        assert (await world.bay(1)).underway is None

    play(scene)


def test_a_copy_that_took_no_time_says_nothing_of_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        monkeypatch.setattr(world.clock, "monotonic_s", lambda: 5.0)
        world.dock(world.camera("cam", CLIP), 1)
        await world.until(lambda: world.clips("A.MP4") and world.clips("A.MP4")[0].sha256)
        assert world.running.station._buses["a"].rate_bytes_s == 0.0

    play(scene)


@pytest.mark.promise("I9")
def test_a_copy_whose_sync_failed_is_made_again_from_the_camera() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.FSYNC, 2)
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"
        assert world.custody(1).count("copied") == 1

    play(scene)
