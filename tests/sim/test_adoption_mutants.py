"""Planted faults of taking copies that a lost ledger left: what lies in a spool must not pass for a camera's file.

Without a ledger nobody knows how a copy came here: whether it was synced, whether it rotted, whose file it is by now.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

import dockd.app.bus
from dockd.app.offload import _kept
from dockd.app.ports import Copied, Ledger, Spool
from dockd.app.stay import Stay
from dockd.app.strays import StrayCopies
from dockd.domain.model import Clip, ClipId, Sha256, clip_id_of
from dockd.domain.recovery import Basis, Lost
from tests.sim.cameras import SimCamera, SimFile
from tests.sim.disk import SimSpool
from tests.sim.fate import Fault
from tests.sim.promise import ViolationError, require
from tests.sim.scene import Scene, play

FILES = {"A.MP4": b"a" * 900, "B.MP4": b"b" * 700}
ADOPTED = (
    "SELECT c.clip_id FROM custody JOIN clips c ON c.key = custody.clip"
    " WHERE json_extract(body, '$.facts.adopted') = 'yes'"
)


async def _synced(world: Scene, camera: SimCamera) -> None:
    """Let the copies be as they were left."""


async def _unsynced(world: Scene, camera: SimCamera) -> None:
    world.disk.synced.clear()


async def _rotten(world: Scene, camera: SimCamera) -> None:
    for _ in range(20):
        world.disk.rot()
    assert world.disk.rotten == world.disk.seen.keys()


async def _another_file(world: Scene, camera: SimCamera) -> None:
    """Let the camera have other files of the same names and lengths."""
    camera.files = {
        path: SimFile(data=bytes(len(file.data)), mtime_ns=file.mtime_ns) for path, file in camera.files.items()
    }


async def _gone_from_the_camera(world: Scene, camera: SimCamera) -> None:
    camera.files = {}


def _caught(befalls: Callable[[Scene, SimCamera], Awaitable[None]], *, adopted: int = 0) -> str:
    """Copy two clips while the store is away, lose the ledger, let something befall them, and see what becomes of it.

    Gives the first promise that was broken; without one, so many copies were taken for their clips.
    """

    async def scene(world: Scene) -> None:
        world.plan(Fault.BLACK_HOLE)
        camera = world.camera("cam", FILES)
        world.dock(camera, 1)
        await world.until(lambda: len(world.disk.synced) == len(FILES))
        await asyncio.sleep(5)
        await world.stop()
        world.books.lose(Lost(why="a page is torn", head=world.books.heads()[-1], basis=Basis.DATABASE, set_aside="x"))
        world.auditor.begin_anew(world.books.connection)
        world.plan(Fault.BLACK_HOLE, 0)
        left = dict(world.disk.seen)
        await befalls(world, camera)
        camera.read.clear()  # the auditor is to believe no reading of before the loss
        rotten = set(world.disk.rotten)
        world.boot()
        await world.rest()
        took = {clip_id for (clip_id,) in world.books.connection.execute(ADOPTED)}
        require(not took & rotten, f"I5: clips took {sorted(took & rotten)}, which had rotted before")
        receipted = {row.clip_id for row in world.auditor.rows() if row.receipt}
        missing = left.keys() - world.disk.seen.keys() - receipted
        require(not missing, f"I12: the copies {sorted(missing)} went without a receipt")
        assert len(took) == adopted, took

    try:
        play(scene)
    except (ViolationError, ExceptionGroup) as caught:
        error: BaseException = caught
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return str(error)
    return ""


def test_without_a_planted_fault_nothing_is_caught_and_copies_are_taken_where_they_are_the_clips_own() -> None:
    assert _caught(_synced, adopted=2) == ""
    assert _caught(_unsynced, adopted=2) == ""
    assert _caught(_rotten) == ""
    assert _caught(_another_file) == ""
    assert _caught(_gone_from_the_camera) == ""


@pytest.mark.promise("I8")
def test_a_copy_without_a_clip_that_is_taken_before_it_is_synced_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(spool: SimSpool, clip_id: ClipId) -> tuple[Sha256, int] | None:
        return await spool.digest(clip_id)

    monkeypatch.setattr(SimSpool, "settle", careless)
    assert "I8" in _caught(_unsynced)


@pytest.mark.promise("I5")
def test_a_copy_without_a_clip_that_is_taken_without_being_read_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, strays: StrayCopies) -> Clip | None:
        file = stay.file(clip)
        again = await stay.card.reread(file)
        clip_id = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=again.length_bytes, sha256=again.sha256)
        if clip_id not in strays or await spool.settle(clip_id) is None:
            return None
        copied = Copied(clip_id=clip_id, sha256=again.sha256, length_bytes=again.length_bytes)
        return await _kept(clip, file, copied, stay, ledger=ledger, spool=spool, facts={"adopted": "yes"})

    monkeypatch.setattr(dockd.app.bus, "adopt_clip", careless)
    assert "I5" in _caught(_rotten)


@pytest.mark.promise("I5")
def test_a_copy_without_a_clip_that_is_taken_without_reading_the_camera_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def careless(clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, strays: StrayCopies) -> Clip | None:
        for there in await spool.copies():
            found = await spool.settle(there)
            if found is None or there not in strays:
                continue
            sha256, length_bytes = found
            if there == clip_id_of(camera=clip.camera, path=clip.path, length_bytes=length_bytes, sha256=sha256):
                copied = Copied(clip_id=there, sha256=sha256, length_bytes=length_bytes)
                facts = {"adopted": "yes"}
                return await _kept(clip, stay.file(clip), copied, stay, ledger=ledger, spool=spool, facts=facts)
        return None

    monkeypatch.setattr(dockd.app.bus, "adopt_clip", careless)
    assert "was not read in this stay" in _caught(_another_file)


@pytest.mark.promise("I12")
def test_a_copy_without_a_clip_that_is_given_up_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tidy(strays: StrayCopies) -> None:
        for clip_id in await strays._without_clip(await strays._spool.copies()):
            await strays._spool.discard(clip_id)

    monkeypatch.setattr(StrayCopies, "look", tidy)
    assert "I12" in _caught(_gone_from_the_camera)
