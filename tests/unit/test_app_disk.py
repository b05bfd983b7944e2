"""The station's own disk: what an error on it means to the clips, and to the station."""

import asyncio
import json
from collections.abc import Callable

import pytest

from dockd.app.ports import Copied, Room, Spool
from dockd.domain.model import Clip, ClipId, ClipKey, ListedFile, Sha256
from dockd.domain.recovery import Basis, Lost
from dockd.domain.space import NO_STRAYS, Strays
from dockd.errors import Reason, TransientError
from tests.sim.cameras import SimCamera, SimCard, SimFile
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy

CLIP = {"A.MP4": b"a" * 900}
TWO = {"A.MP4": b"a" * 900, "B.MP4": b"b" * 900}


def _unreadable(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def digest(clip_id: ClipId) -> tuple[Sha256, int] | None:
        raise TransientError(Reason.DISK, f"reading {clip_id}: Too many open files")

    monkeypatch.setattr(spool, "digest", digest)


@pytest.mark.promise("I17")
def test_a_copy_that_cannot_be_looked_at_now_keeps_its_clip_waiting_and_not_the_station(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.GONE, 1)
        _unreadable(world.running.spool, monkeypatch)
        world.dock(world.camera("cam", TWO), 1)
        await world.until(lambda: any(row.state == "erased" for row in world.auditor.rows()))
        view = await world.running.station.view()
        assert view.uplink.reason is None or view.uplink.reason is Reason.DISK
        monkeypatch.undo()
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["erased", "erased"]

    play(scene)


@pytest.mark.promise("I17")
def test_a_copy_that_cannot_be_removed_stays_and_does_not_end_the_station(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ClipId] = []

    async def discard(clip_id: ClipId) -> None:
        asked.append(clip_id)
        raise TransientError(Reason.DISK, f"removing {clip_id}: Input/output error")

    async def scene(world: Scene) -> None:
        monkeypatch.setattr(world.running.spool, "discard", discard)
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        await asyncio.sleep(600)
        assert 1 < len(asked) < 15
        assert len(world.disk.seen) == 1
        monkeypatch.undo()
        await asyncio.sleep(100)
        assert not world.disk.seen

    play(scene, policy=policy(erase=False))


def _card(*, files: int, length: int) -> dict[str, bytes]:
    return {f"{number:03}.MP4": bytes([number]) * length for number in range(files)}


@pytest.mark.promise("I17")
def test_as_soon_as_a_copy_goes_the_next_file_that_found_no_room_is_copied() -> None:
    async def scene(world: Scene) -> None:
        def uncopied() -> int:
            return sum(row.state == "found" for row in world.auditor.rows())

        world.plan(Fault.BLACK_HOLE)
        world.dock(world.camera("cam", _card(files=14, length=5_000)), 1)
        await world.until(lambda: world.running.station.full)
        left = uncopied()
        world.plan(Fault.BLACK_HOLE, 0)
        await world.until(lambda: world.notes("reclaimed"))
        await world.until(lambda: uncopied() < left, within_s=4.0)

    play(scene)


@pytest.mark.promise("I16")
def test_a_full_spool_is_not_asked_for_each_file_of_a_card() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BLACK_HOLE)
        world.dock(world.camera("cam", _card(files=100, length=5_000)), 1)
        await world.until(lambda: world.running.station.full)
        room, asked = world.running.spool.room, []

        async def counted() -> Room:
            asked.append(world.clock.monotonic_s())
            return await room()

        world.running.spool.room = counted  # type: ignore[method-assign] # counts, and asks the same
        await asyncio.sleep(60)
        assert world.running.station.full
        assert not world.running.station.stuck
        assert 1 <= len(asked) <= 21
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest()
        assert {row.state for row in world.auditor.rows()} == {"erased"}

    play(scene)


@pytest.mark.promise("I16")
def test_a_file_too_large_for_the_spool_does_not_keep_smaller_ones_back() -> None:
    async def scene(world: Scene) -> None:
        files = {f"BIG{number}.MP4": bytes([number]) * 70_000 for number in range(5)} | {"SMALL.MP4": b"s" * 500}
        world.dock(world.camera("cam", files), 1)
        await world.until(lambda: [row.state for row in world.clips("SMALL.MP4")] == ["erased"])
        await world.until(lambda: world.running.station.stuck)
        assert {row.state for row in world.auditor.rows()} == {"found", "erased"}
        assert not world.running.station.offloaded

    play(scene)


@pytest.mark.promise("I13", "I17")
@pytest.mark.parametrize("jump_s", [0.0, -365 * 86_400.0], ids=["in one day", "of a day that has yet to come"])
def test_a_grace_ends_at_once_where_a_file_waits_for_the_room(jump_s: float) -> None:
    """Receipts that the wall clock dates next year, and then is put right, are no reason to keep a disk full."""

    async def scene(world: Scene) -> None:
        world.disk.capacity_bytes = 1000 + 2 * 900
        world.dock(world.camera("early", TWO), 1)
        await world.rest()
        assert len(world.disk.seen) == 2
        world.clock.ahead_s += jump_s
        world.dock(world.camera("late", CLIP), 2)
        await world.until(lambda: len(world.auditor.rows()) == 3)
        await world.until(lambda: world.auditor.rows()[-1].state != "found", within_s=5.0)
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["erased"] * 3
        # One made room enough, and so the other keeps its grace.
        assert world.notes("reclaimed") == 1
        await asyncio.sleep(30)
        assert world.disk.seen.keys() == {row.clip_id for row in world.auditor.rows()[1:]}

    play(scene, policy=policy(grace_s=600.0))


def _replace(camera: SimCamera, path: bytes, data: bytes) -> None:
    camera.files[path] = SimFile(data=data, mtime_ns=77)


async def _dock_again(world: Scene, camera: SimCamera) -> None:
    world.pull(camera)
    await asyncio.sleep(1)
    world.dock(camera, 1)


@pytest.mark.promise("I17")
def test_a_receipted_copy_makes_room_for_the_file_that_took_its_place_on_the_camera() -> None:
    async def scene(world: Scene) -> None:
        world.disk.capacity_bytes = 1000 + 900
        world.plan(Fault.BLACK_HOLE)
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4")[0].state == "copied" if world.clips("A.MP4") else False)
        _replace(camera, b"A.MP4", b"z" * 900)
        await _dock_again(world, camera)
        await world.until(lambda: world.running.station.full)
        assert [row.state for row in world.clips("A.MP4")] == ["copied", "found"]
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest(within_s=300.0)
        assert [row.state for row in world.clips("A.MP4")] == ["receipted", "erased"]
        assert not camera.files

    play(scene)


async def _erased_and_kept(world: Scene, monkeypatch: pytest.MonkeyPatch) -> SimCamera:
    """Erase a file whose copy here cannot be removed yet; then the file comes back."""

    async def discard(clip_id: ClipId) -> None:
        raise TransientError(Reason.DISK, f"removing {clip_id}: Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(world.running.spool, "discard", discard)
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.until(lambda: [row.state for row in world.clips("A.MP4")] == ["erased"])
        await asyncio.sleep(1)
    _replace(camera, b"A.MP4", CLIP["A.MP4"])
    return camera


@pytest.mark.promise("I8", "I12")
def test_a_copy_does_not_go_while_it_is_made_anew_for_a_file_that_came_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        camera = await _erased_and_kept(world, monkeypatch)
        copy, made = SimCard.copy, asyncio.Event()

        async def slow(card: SimCard, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
            copied = await copy(card, file, progress=progress)
            made.set()
            await asyncio.sleep(300)  # the copier's answer is long on its way
            return copied

        ledger, asked = world.running.ledger, list[frozenset[ClipKey]]()
        next_reclaim = ledger.next_reclaim

        async def counted(
            *, receipted_before_utc: str, copying: frozenset[ClipKey], skip: frozenset[ClipKey]
        ) -> Clip | None:
            asked.append(copying)
            return await next_reclaim(receipted_before_utc=receipted_before_utc, copying=copying, skip=skip)

        monkeypatch.setattr(SimCard, "copy", slow)
        monkeypatch.setattr(ledger, "next_reclaim", counted)
        await _dock_again(world, camera)
        await made.wait()
        await asyncio.sleep(200)
        assert 1 <= len(asked) <= 5
        assert [row.state for row in world.clips("A.MP4")] == ["erased", "found"]
        assert (len(world.disk.seen), world.notes("reclaimed")) == (1, 0)
        await world.rest()
        await asyncio.sleep(100)
        assert [row.state for row in world.clips("A.MP4")] == ["erased", "erased"]
        assert (world.disk.seen, world.notes("reclaimed")) == ({}, 2)

    play(scene)


@pytest.mark.promise("I8", "I12")
def test_an_answer_older_than_the_copy_that_is_made_anew_gives_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        camera = await _erased_and_kept(world, monkeypatch)
        world.plan(Fault.BLACK_HOLE)
        ledger, asked, late = world.running.ledger, asyncio.Event(), asyncio.Event()
        next_reclaim = ledger.next_reclaim

        async def slow(
            *, receipted_before_utc: str, copying: frozenset[ClipKey], skip: frozenset[ClipKey]
        ) -> Clip | None:
            clip = await next_reclaim(receipted_before_utc=receipted_before_utc, copying=copying, skip=skip)
            if clip is not None and not asked.is_set():
                asked.set()
                await late.wait()
            return clip

        monkeypatch.setattr(ledger, "next_reclaim", slow)
        await asked.wait()
        await _dock_again(world, camera)
        await world.until(lambda: [row.state for row in world.clips("A.MP4")] == ["erased", "copied"])
        late.set()
        await asyncio.sleep(100)
        assert (len(world.disk.seen), world.notes("reclaimed")) == (1, 0)
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest()
        await asyncio.sleep(1)
        assert (world.disk.seen, world.notes("reclaimed")) == ({}, 2)

    play(scene)


@pytest.mark.promise("I8", "I12")
def test_a_file_that_came_back_is_copied_once_its_old_copy_is_gone_and_others_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(world: Scene) -> None:
        camera = await _erased_and_kept(world, monkeypatch)
        spool, asked, gone = world.running.spool, asyncio.Event(), asyncio.Event()
        discard = spool.discard

        async def slow(clip_id: ClipId) -> None:
            asked.set()
            await gone.wait()
            await discard(clip_id)

        monkeypatch.setattr(spool, "discard", slow)
        await asked.wait()
        await _dock_again(world, camera)
        world.dock(world.camera("other", {"A.MP4": b"o" * 901}), 2)
        await world.until(
            lambda: any(row.length_bytes == 901 and row.state == "erased" for row in world.auditor.rows())
        )
        assert [row.state for row in world.clips("A.MP4")] == ["erased", "found", "erased"]
        gone.set()
        await world.rest()
        assert {row.state for row in world.auditor.rows()} == {"erased"}
        assert not world.disk.seen

    play(scene, buses={1: "a", 2: "b"})


def _forget(world: Scene) -> None:
    """Lose the ledger, and keep the copies."""
    lost = Lost(why="a page is torn", head=world.books.heads()[-1], basis=Basis.DATABASE, set_aside="set-aside-1")
    world.books.lose(lost)
    world.auditor.begin_anew(world.books.connection)


async def _copied_and_forgotten(world: Scene, files: dict[str, bytes]) -> SimCamera:
    """Copy a camera while the store is away, and lose the ledger; its copies fill the disk."""
    world.plan(Fault.BLACK_HOLE)
    camera = world.camera("cam", files)
    world.dock(camera, 1)
    await world.until(lambda: len(world.disk.synced) == len(files))
    await asyncio.sleep(5)
    await world.stop()
    _forget(world)
    world.plan(Fault.BLACK_HOLE, 0)
    world.disk.capacity_bytes = 1000 + sum(map(len, files.values())) + 100
    return camera


def _adopted(world: Scene) -> list[str | None]:
    links = world.books.connection.execute("SELECT body FROM custody ORDER BY seq")
    entries = [json.loads(body) for (body,) in links]
    return [entry["facts"].get("adopted") for entry in entries if entry["cause"] == "copied"]


@pytest.mark.promise("I12", "I16", "I17")
def test_copies_of_a_lost_ledger_are_taken_for_their_clips_and_need_no_room_again() -> None:
    async def scene(world: Scene) -> None:
        await _copied_and_forgotten(world, TWO)
        world.boot()
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["erased", "erased"]
        assert _adopted(world) == ["yes", "yes"]
        view = await world.running.station.view()
        assert (view.strays, world.disk.seen) == (NO_STRAYS, {})

    play(scene)


@pytest.mark.promise("I5", "I12")
def test_a_copy_that_rotted_without_a_clip_is_taken_for_none_and_the_file_copied_anew() -> None:
    async def scene(world: Scene) -> None:
        await _copied_and_forgotten(world, CLIP)
        world.disk.capacity_bytes = 60_000
        world.disk.rot()
        world.boot()
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["erased"]
        assert _adopted(world) == [None]

    play(scene)


@pytest.mark.promise("I5")
def test_another_file_of_the_same_length_takes_no_copy_and_is_compared_three_times_at_most() -> None:
    async def scene(world: Scene) -> None:
        camera = await _copied_and_forgotten(world, CLIP)
        old = camera.files[b"A.MP4"]
        camera.files[b"A.MP4"] = SimFile(data=b"z" * 900, mtime_ns=old.mtime_ns)
        world.boot()
        await asyncio.sleep(1200)
        assert [row.state for row in world.auditor.rows()] == ["found"]
        assert len(camera.read[camera.stay, b"A.MP4"]) == 1 + 3
        assert (await world.running.station.view()).strays == Strays(copies=1, bytes_=900)
        assert world.running.station.full

    play(scene)


@pytest.mark.promise("I9")
@pytest.mark.parametrize("fault", [Fault.FSYNC, Fault.SPOOL_SICK])
def test_a_copy_whose_sync_fails_or_that_cannot_be_looked_at_is_not_taken(fault: Fault) -> None:
    async def scene(world: Scene) -> None:
        await _copied_and_forgotten(world, CLIP)
        world.disk.capacity_bytes = 60_000
        world.plan(fault, 1)
        world.boot()
        await world.rest()
        assert [row.state for row in world.auditor.rows()] == ["erased"]
        assert _adopted(world) == [None]

    play(scene)


def test_copies_that_people_moved_are_counted_no_more() -> None:
    async def scene(world: Scene) -> None:
        camera = await _copied_and_forgotten(world, TWO)
        world.pull(camera)
        world.boot()
        await asyncio.sleep(1)
        assert (await world.running.station.view()).strays.words == "2 copies without a clip, 1800 bytes"
        world.disk.vanish()
        assert (await world.running.station.view()).strays.words == ""

    play(scene)
