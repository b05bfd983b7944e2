"""The station's own disk: what an error on it means to the clips, and to the station."""

import asyncio

import pytest

from dockd.app.ports import Room, Spool
from dockd.domain.model import ClipId, Sha256
from dockd.errors import Reason, TransientError
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
