"""Planted faults of salvaging: what could be read of a file must never pass for the file."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

import dockd.app.bus
import dockd.app.erase
import dockd.app.offload
import dockd.edges.ledger.core
from dockd.app.offload import _kept
from dockd.app.ports import Ledger, Spool
from dockd.app.stay import Stay
from dockd.domain.erasure import ErasePermit
from dockd.domain.listing import Reconciled, reconcile
from dockd.domain.model import Clip, DockingId, Listing
from tests.sim.fate import Fault
from tests.sim.promise import ViolationError
from tests.sim.scene import Scene, play

DATA = bytes(range(1, 251)) * 8


async def _torn_card(world: Scene) -> None:
    world.plan(Fault.PARTLY_READABLE, 2)
    world.dock(world.camera("cam", {"A.MP4": DATA}), 1)
    await world.rest()


async def _torn_card_twice(world: Scene) -> None:
    await _torn_card(world)
    world.pull(world.rack.cameras["cam"])
    await asyncio.sleep(1)
    world.dock(world.rack.cameras["cam"], 1)
    await world.rest()


def _caught(*, again: bool = False) -> str:
    try:
        play(_torn_card_twice if again else _torn_card)
    except (ViolationError, ExceptionGroup) as caught:
        error: BaseException = caught
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return str(error)
    return ""


def test_without_a_planted_fault_nothing_is_caught() -> None:
    assert _caught() == ""
    assert _caught(again=True) == ""


@pytest.mark.promise("I5")
def test_a_salvaged_copy_taken_for_the_clips_own_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(
        clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, progress: Callable[[int], None]
    ) -> Clip:
        file = stay.file(clip)
        salvaged = await stay.card.salvage(file, progress=progress)
        return await _kept(clip, file, salvaged, stay, ledger=ledger, spool=spool)

    monkeypatch.setattr(dockd.app.bus, "salvage_clip", careless)
    assert "A.MP4' was not read in this stay" in _caught()


@pytest.mark.promise("I1")
def test_a_salvaged_clip_taken_for_its_file_may_still_erase_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate, confirmed unread and permitted unasked: the schema refuses, and the station ends."""

    def forgetful(listing: Listing, *, docking: DockingId, known: Sequence[Clip]) -> Reconciled:
        return reconcile(listing, docking=docking, known=[replace(clip, tags=frozenset()) for clip in known])

    def permit(*, clip: Clip, **_known: object) -> ErasePermit:
        assert clip.sha256 is not None
        return ErasePermit(
            clip=clip.key, docking=clip.docking, path=clip.path, length_bytes=clip.length_bytes, sha256=clip.sha256
        )

    monkeypatch.setattr(dockd.edges.ledger.core, "reconcile", forgetful)
    monkeypatch.setattr(dockd.app.erase, "may_erase", permit)
    monkeypatch.setattr(dockd.app.erase, "matches", lambda _clip, _again: True)
    monkeypatch.setattr(dockd.app.offload, "matches", lambda _clip, _again: True)
    assert "nothing is erased from a camera on the word of a salvaged copy" in _caught(again=True)
