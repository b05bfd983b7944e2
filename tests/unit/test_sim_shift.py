from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Card, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.model import BayId, ClipKey, DockingId, ListedFile, Listing, StationId, Timestamp
from dockd.errors import InvariantError
from dockd.sim.shift import Shift, simulated_shift

BAYS = (BayId(1), BayId(2), BayId(3))


class StillClock:
    def monotonic_s(self) -> float:
        return 0.0

    def now(self) -> Timestamp:
        return Timestamp(utc="2026-01-01T00:00:00.000000Z", source="simulated", uncertainty_ms=0)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def made(root: Path, *, seed: int) -> Shift:
    return simulated_shift(root=root, cameras=4, bays=BAYS, seed=seed, clock=StillClock())


def test_everything_about_a_shift_follows_from_its_seed(tmp_path: Path) -> None:
    first, again, other = (made(tmp_path / name, seed=seed) for name, seed in (("a", 7), ("b", 7), ("c", 8)))
    assert first.manifest.puts == again.manifest.puts
    assert first.manifest.puts != other.manifest.puts
    assert len({put.clip_id for put in first.manifest.puts}) == len(first.manifest.puts)
    assert {put.camera.serial for put in first.manifest.puts} == {f"DKD-{number:04d}" for number in range(1, 5)}


def test_every_camera_of_a_new_shift_lies_on_the_shelf_with_all_that_was_put_on_it(tmp_path: Path) -> None:
    shift = made(tmp_path, seed=7)
    assert all(shift.rack.holds(put.camera, put.path) for put in shift.manifest.puts)
    assert all(shift.rack.docked(bay) is None for bay in BAYS)


def test_a_shift_that_nobody_watched_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(InvariantError, match="nobody watched"):
        made(tmp_path, seed=7).reckon()


class ErasingCard:
    async def listing(self) -> Listing:
        raise AssertionError

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        raise AssertionError(file, progress)

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        raise AssertionError(file, progress)

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        raise AssertionError(file, progress)

    async def erase(self, permit: ErasePermit) -> None:
        assert permit.path == b"DCIM/100DOCKD/DKD_0001.MP4"

    async def rest(self) -> None:
        raise AssertionError

    async def close(self) -> None:
        raise AssertionError


class ErasingCards:
    async def open(self, attached: Attached) -> Card:
        assert attached.bay == 1
        return ErasingCard()


@pytest.mark.promise("I1")
async def test_an_erasure_while_the_store_does_not_answer_is_one_before_it_held_the_clip(tmp_path: Path) -> None:
    """A witness that could not ask must not say that it saw; it looks on through the cards that a station is given."""
    # Nobody listens on port 1.
    shift = made(tmp_path, seed=7).watched("http://127.0.0.1:1/files/", station=StationId("demo"))
    put = shift.manifest.puts[0]
    docked = shift.rack.dock(put.camera, BayId(1))
    attached = Attached(bay=BayId(1), camera=put.camera, source=str(docked.folder))
    card = await shift.pace(ErasingCards()).open(attached)
    await card.erase(
        ErasePermit(
            clip=ClipKey(1), docking=DockingId(1), path=put.path, length_bytes=put.length_bytes, sha256=put.sha256
        )
    )
    assert shift.witness is not None
    assert [(seen.path, seen.held) for seen in shift.witness.sightings] == [(put.path, False)]
    with pytest.raises(OSError, match="refused"):
        shift.reckon()
