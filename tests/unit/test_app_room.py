"""Room that a station's own disk owes it: copies that are wrong, and copies that go."""

import asyncio
from collections.abc import Callable

import pytest

from dockd.app.ports import ReadAgain
from dockd.domain.clip import Change, Move
from dockd.domain.model import Clip, ClipId, ClipKey, ListedFile, Sha256
from dockd.errors import Reason, TransientError
from tests.sim.cameras import SimCamera, SimCard, SimFile
from tests.sim.fate import Fault
from tests.sim.promise import ViolationError
from tests.sim.scene import Scene, play, policy

CLIP = {"A.MP4": b"a" * 900}
TWO = {"A.MP4": b"a" * 900, "B.MP4": b"b" * 900}
GIVEN_UP = "copy-wrong"


async def _spoiled(world: Scene, *, spoil: Callable[[], None]) -> SimCamera:
    """Copy one file while the store is away, onto a disk with room for no other; then let its copy come to harm."""
    world.disk.capacity_bytes = 2_000
    world.plan(Fault.BLACK_HOLE)
    camera = world.camera("cam", CLIP)
    world.dock(camera, 1)
    await world.until(lambda: [row.state for row in world.clips("A.MP4")] == ["copied"])
    spoil()
    return camera


@pytest.mark.promise("I17", "I16")
def test_a_rotten_copy_gives_way_to_its_own_file_that_finds_no_room_beside_it() -> None:
    async def scene(world: Scene) -> None:
        await _spoiled(world, spoil=world.disk.rot)
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest(within_s=120.0)
        assert [row.state for row in world.clips("A.MP4")] == ["erased"]
        assert world.notes(GIVEN_UP) == 1
        assert world.custody(1).index("spool-lost") < world.custody(1).index(GIVEN_UP)

    play(scene)


@pytest.mark.promise("I12")
def test_a_rotten_copy_stays_where_there_is_room_for_another() -> None:
    async def scene(world: Scene) -> None:
        await _spoiled(world, spoil=world.disk.rot)
        world.disk.capacity_bytes = 60_000
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest(within_s=120.0)
        assert [row.state for row in world.clips("A.MP4")] == ["erased"]
        assert world.notes(GIVEN_UP) == 0

    play(scene)


@pytest.mark.promise("I12", "I4")
@pytest.mark.parametrize("now", [b"z" * 900, None], ids=["another file", "a file that cannot be read"])
def test_a_rotten_copy_stays_where_its_camera_no_longer_gives_the_clip(now: bytes | None) -> None:
    """It may be all that is left of the clip."""

    async def scene(world: Scene) -> None:
        camera = await _spoiled(world, spoil=world.disk.rot)
        world.pull(camera)
        file = camera.files[b"A.MP4"]
        camera.files[b"A.MP4"] = SimFile(data=now or file.data, mtime_ns=77, unreadable=now is None)
        world.plan(Fault.BLACK_HOLE, 0)
        await world.until(lambda: world.notes("spool-lost") == 1)
        world.dock(camera, 1)
        await asyncio.sleep(600)
        (copy,) = world.disk.seen
        assert copy in world.disk.rotten
        assert world.notes(GIVEN_UP) == 0
        # Whatever waits for room, its camera is not read for ever.
        assert len(camera.read.get((camera.stay, b"A.MP4"), [])) <= 3

    play(scene)


@pytest.mark.promise("I12", "I3")
def test_a_rotten_copy_stays_where_a_cache_may_have_answered_for_the_camera() -> None:
    async def scene(world: Scene) -> None:
        await _spoiled(world, spoil=world.disk.rot)
        world.plan(Fault.CACHED)
        world.plan(Fault.BLACK_HOLE, 0)
        await asyncio.sleep(600)
        assert world.notes(GIVEN_UP) == 0
        assert [row.state for row in world.clips("A.MP4")] == ["found"]

    play(scene)


@pytest.mark.promise("I17", "I5")
def test_a_copy_that_was_only_misread_is_taken_again_and_needs_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        await _spoiled(world, spoil=lambda: None)
        spool, misread = world.running.spool, list[ClipId]()
        digest = spool.digest

        async def once(clip_id: ClipId) -> tuple[Sha256, int] | None:
            if misread:
                return await digest(clip_id)
            misread.append(clip_id)
            return None

        monkeypatch.setattr(spool, "digest", once)
        world.plan(Fault.BLACK_HOLE, 0)
        world.plan(Fault.GONE, 1)
        await world.rest(within_s=600.0)
        assert [row.state for row in world.clips("A.MP4")] == ["erased"]
        assert (world.notes("spool-lost"), world.notes(GIVEN_UP)) == (1, 0)

    play(scene)


@pytest.mark.promise("I12")
def test_a_rotten_copy_that_a_clip_on_record_has_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        await _spoiled(world, spoil=world.disk.rot)
        ledger = world.running.ledger

        async def all_of_them(copies: frozenset[ClipId]) -> frozenset[ClipId]:
            return frozenset(copies)

        monkeypatch.setattr(ledger, "spooled", all_of_them)
        world.plan(Fault.BLACK_HOLE, 0)
        await asyncio.sleep(600)
        assert world.notes(GIVEN_UP) == 0
        assert [row.state for row in world.clips("A.MP4")] == ["found"]

    play(scene)


@pytest.mark.promise("I12")
def test_a_wrong_copy_does_not_go_once_its_camera_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives copies up was busy meanwhile: what the camera has then is not known any more."""

    async def scene(world: Scene) -> None:
        camera = await _spoiled(world, spoil=world.disk.rot)
        ledger, asked, late = world.running.ledger, asyncio.Event(), asyncio.Event()
        next_reclaim = ledger.next_reclaim

        async def slow(
            *, receipted_before_utc: str, copying: frozenset[ClipKey], skip: frozenset[ClipKey]
        ) -> Clip | None:
            asked.set()
            await late.wait()
            return await next_reclaim(receipted_before_utc=receipted_before_utc, copying=copying, skip=skip)

        monkeypatch.setattr(ledger, "next_reclaim", slow)
        await asyncio.wait_for(asked.wait(), 100)
        world.plan(Fault.BLACK_HOLE, 0)
        await world.until(lambda: world.notes("spool-lost") == 1 and world.running.station.full)
        await asyncio.sleep(5)
        world.pull(camera)
        await asyncio.sleep(1)
        late.set()
        await asyncio.sleep(200)
        assert world.disk.seen.keys() == world.disk.rotten
        world.dock(camera, 1)
        await world.rest(within_s=120.0)
        assert [row.state for row in world.clips("A.MP4")] == ["erased"]
        # It was judged once in either docking.
        assert world.notes(GIVEN_UP) == 2

    play(scene)


@pytest.mark.promise("I17")
def test_a_wrong_copy_that_cannot_be_removed_is_judged_anew_before_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(world: Scene) -> None:
        camera = await _spoiled(world, spoil=world.disk.rot)
        spool, asked = world.running.spool, list[ClipId]()

        async def discard(clip_id: ClipId) -> None:
            asked.append(clip_id)
            raise TransientError(Reason.DISK, f"removing {clip_id}: Input/output error")

        monkeypatch.setattr(spool, "discard", discard)
        world.plan(Fault.BLACK_HOLE, 0)
        await world.until(lambda: len(asked) == 3)
        assert len(camera.read[camera.stay, b"A.MP4"]) == 1 + 3
        # Each time it is on record why, before it is tried.
        assert world.notes(GIVEN_UP) == 3
        monkeypatch.undo()
        await world.rest(within_s=200.0)
        assert [row.state for row in world.clips("A.MP4")] == ["erased"]

    play(scene)


@pytest.mark.promise("I12", "I17")
def test_a_rotten_copy_of_a_lost_ledger_gives_way_as_well() -> None:
    async def scene(world: Scene) -> None:
        await _spoiled(world, spoil=world.disk.rot)
        await world.stop()
        world.books.lose(None)
        world.auditor.begin_anew(world.books.connection)
        world.forgotten = True
        world.plan(Fault.BLACK_HOLE, 0)
        world.boot()
        await world.rest(within_s=200.0)
        assert [row.state for row in world.clips("A.MP4")] == ["erased"]
        assert world.notes(GIVEN_UP) == 1

    play(scene)


@pytest.mark.promise("I17")
def test_a_copy_that_cannot_be_removed_keeps_no_other_from_going(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        world.disk.capacity_bytes = 1000 + 2 * 900
        spool, bad = world.running.spool, list[ClipId]()
        discard = spool.discard

        async def but_one(clip_id: ClipId) -> None:
            bad[:] = bad or [clip_id]
            if clip_id in bad:
                raise TransientError(Reason.DISK, f"removing {clip_id}: Input/output error")
            await discard(clip_id)

        monkeypatch.setattr(spool, "discard", but_one)
        world.dock(world.camera("early", TWO), 1)
        world.dock(world.camera("late", {f"{name}.MP4": name.encode() * 900 for name in "CDEF"}), 2)
        await world.rest(within_s=50.0)
        assert [row.state for row in world.auditor.rows()] == ["erased"] * 6
        assert world.disk.seen.keys() == set(bad)
        monkeypatch.undo()
        await asyncio.sleep(70)
        assert not world.disk.seen

    play(scene)


@pytest.mark.promise("I17")
def test_room_is_told_of_though_it_is_not_on_record_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        world.disk.capacity_bytes = 1000 + 900
        ledger, failed = world.running.ledger, list[ClipKey]()
        move = ledger.move

        async def not_now(key: ClipKey, it: Move, change: Change, *, actor: str) -> Clip:
            if it is Move.RECLAIMED and not failed:
                failed.append(key)
                raise TransientError(Reason.DISK_FULL, "the ledger: database or disk is full")
            return await move(key, it, change, actor=actor)

        monkeypatch.setattr(ledger, "move", not_now)
        world.dock(world.camera("cam", TWO), 1)
        await world.until(lambda: bool(failed))
        await world.rest(within_s=20.0)
        assert [row.state for row in world.auditor.rows()] == ["erased", "erased"]
        await asyncio.sleep(100)
        assert world.notes("reclaimed") == 2

    play(scene, policy=policy())


@pytest.mark.promise("I12")
def test_a_rotten_copy_given_up_without_a_look_at_the_camera_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault."""

    async def believed(card: SimCard, file: ListedFile, *, progress: Callable[[int], None]) -> ReadAgain:
        progress(file.length_bytes)
        return ReadAgain(sha256=digest[0], length_bytes=file.length_bytes, uncached=True)

    digest: list[Sha256] = []

    async def scene(world: Scene) -> None:
        camera = await _spoiled(world, spoil=world.disk.rot)
        world.pull(camera)
        digest.extend(Sha256(row.sha256 or "") for row in world.clips("A.MP4"))
        camera.files[b"A.MP4"] = SimFile(data=b"z" * 900, mtime_ns=77)
        world.plan(Fault.BLACK_HOLE, 0)
        await world.until(lambda: world.notes("spool-lost") == 1)
        monkeypatch.setattr(SimCard, "reread", believed)
        world.dock(camera, 1)
        await asyncio.sleep(200)

    with pytest.raises(ViolationError, match=r"I12: the copy .* may be all that is left"):
        play(scene)
