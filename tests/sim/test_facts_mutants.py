"""Planted faults of what a profile reads: it is on record once, told as it is there, and parts no recording."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

import dockd.app.upload
import dockd.domain.listing
import dockd.edges.ledger.core
from dockd.domain.metadata import metadata_of
from dockd.domain.model import Clip, DockingId, Listing, StationId, Timestamp
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.entries import READ, found_facts
from dockd.edges.ledger.rows import facts_text
from tests.sim.cameras import PROFILES, SimFile
from tests.sim.promise import ViolationError
from tests.sim.scene import POLICY, Scene, play
from tests.sim.shift import run

MOST_SEEDS = 60


def caught() -> str:
    """Run seeds until one fails; say how."""
    return next(filter(None, (run(seed).error for seed in range(MOST_SEEDS))), "")


def test_what_the_mutants_are_caught_by_finds_nothing_without_them() -> None:
    assert [run(seed).error for seed in range(10)] == [""] * 10


@pytest.mark.promise("I18")
def test_a_reading_that_is_written_anew_at_the_next_docking_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LedgerCore.record_listing

    def diligent(core: LedgerCore, docking: DockingId, listing: Listing, *, time: Timestamp) -> None:
        whole(core, docking, listing, time=time)
        rule = "SELECT sql FROM sqlite_master WHERE name = 'clips_facts'"
        (made,) = core.connection.execute(rule).fetchone()
        core.connection.execute("DROP TRIGGER clips_facts")
        for file in listing.files:
            facts = facts_text(file.reading.facts if file.reading is not None else ())
            core.connection.execute("UPDATE clips SET facts = ? WHERE path = ?", (facts, file.path))
        core.connection.execute(made)

    monkeypatch.setattr(LedgerCore, "record_listing", diligent)
    assert caught().startswith("ViolationError: I18: clip ")


@pytest.mark.promise("I18")
def test_a_reading_that_its_entry_does_not_tell_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(clip: Clip) -> Mapping[str, str]:
        return {name: fact for name, fact in found_facts(clip).items() if not name.startswith(READ)}

    monkeypatch.setattr(dockd.edges.ledger.core, "found_facts", silent)
    assert caught().startswith("ViolationError: I18: clip ")


@pytest.mark.promise("I1")
def test_a_reading_that_the_store_is_not_told_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(clip: Clip, *, station: StationId) -> dict[str, str]:
        return metadata_of(replace(clip, facts=()), station=station)

    monkeypatch.setattr(dockd.app.upload, "metadata_of", silent)
    assert "what was read is" in caught()


@pytest.mark.promise("I1")
def test_a_recording_that_another_profile_parts_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    play(_sidecar_comes_later, policy=replace(POLICY, erase=False))
    monkeypatch.setattr(dockd.domain.listing, "_joins", lambda *_known: {})
    with pytest.raises(ViolationError, match=r"I1: clip 3 b'DCIM/100/ABCD0001.THM' is of .* beside {"):
        play(_sidecar_comes_later, policy=replace(POLICY, erase=False))


async def _sidecar_comes_later(world: Scene) -> None:
    camera = world.camera("cam", {"DCIM/100/ABCD0001.MP4": b"video", "DCIM/100/ABCD0002.MP4": b"other"})
    camera.profiles = PROFILES
    world.dock(camera, 1)
    await world.rest()
    world.pull(camera)
    await asyncio.sleep(1)
    camera.files[b"DCIM/100/ABCD0001.THM"] = SimFile(data=b"thumb", mtime_ns=3)
    world.dock(camera, 1)
    await world.rest()
    assert [json.loads(row.facts)["profile"] for row in world.auditor.rows()] == ["any", "any", "counted"]
