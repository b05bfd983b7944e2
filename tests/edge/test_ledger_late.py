"""What comes late: a copy, a reading or a parting of a stay that is over, when the camera is in another bay already."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dockd.domain.clip import Change, Move
from dockd.domain.model import ClipKey, ClipState
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.ledger import StationLedger
from dockd.errors import Reason, StaleMoveError
from tests.ledger_parts import SIGNER, bring, copied, docked, file, inline

ONE = ClipKey(1)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[StationLedger]:
    async with await inline(tmp_path / "state") as ledger:
        yield ledger


@pytest.mark.promise("I5")
async def test_a_copy_that_is_told_after_its_file_was_found_longer_is_not_taken_for_it(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4", length_bytes=100))
    late = copied(await ledger.clip(ONE))
    await docked(ledger, file("A.MP4", length_bytes=250), bay=2)
    with pytest.raises(StaleMoveError, match="was read in docking 1, and was listed in docking 2 since"):
        await ledger.move(ONE, Move.COPIED, late, actor="offload")
    clip = await ledger.clip(ONE)
    assert (clip.state, clip.length_bytes, clip.sha256) == (ClipState.FOUND, 250, None)


@pytest.mark.promise("I3")
@pytest.mark.parametrize("move", [Move.CONFIRMED, Move.ERASE_BEGUN])
async def test_a_reading_of_a_stay_that_is_over_neither_confirms_nor_erases(ledger: StationLedger, move: Move) -> None:
    first = await docked(ledger, file("A.MP4"))
    await bring(ledger, await ledger.clip(ONE), ClipState.RECEIPTED)
    await docked(ledger, file("A.MP4"), bay=2)
    with pytest.raises(StaleMoveError):
        await ledger.move(ONE, move, Change(verified_in=first), actor="erase")
    clip = await ledger.clip(ONE)
    assert (clip.state, clip.verified_in) == (ClipState.RECEIPTED, None)


@pytest.mark.promise("I3")
async def test_a_file_is_not_parted_from_its_clip_by_a_stay_that_is_over(ledger: StationLedger) -> None:
    first = await docked(ledger, file("A.MP4"))
    await bring(ledger, await ledger.clip(ONE), ClipState.COPIED)
    second = await docked(ledger, file("A.MP4"), bay=2)
    with pytest.raises(StaleMoveError, match="docking 1 was asked for, it was listed in 2 since"):
        await ledger.supersede(ONE, file("A.MP4"), docking=first)
    assert (await ledger.tally(second)).files == {ClipState.COPIED: 1}
    assert (await ledger.tally(first)).files == {}


@pytest.mark.promise("I18")
async def test_a_clip_whose_copy_was_lost_is_not_the_longer_file_that_has_its_name_now(
    ledger: StationLedger, tmp_path: Path
) -> None:
    await docked(ledger, file("A.MP4", length_bytes=100))
    await bring(ledger, await ledger.clip(ONE), ClipState.COPIED)
    await ledger.move(ONE, Move.SPOOL_LOST, Change(), actor="upload")
    await docked(ledger, file("A.MP4", length_bytes=250))
    old, new = await ledger.clip(ONE), await ledger.clip(ClipKey(2))
    assert (old.state, old.reason, old.length_bytes) == (ClipState.HELD, Reason.MISSING, 100)
    assert "its copy here is lost" in old.detail
    assert (new.state, new.length_bytes) == (ClipState.FOUND, 250)
    assert verify_state(tmp_path / "state", SIGNER.pinned().verify).faults == ()
