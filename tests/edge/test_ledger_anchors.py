"""The store's list of receipts held against a chain: a clip's former name counts where the chain itself says it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dockd.domain.clip import Change, Move
from dockd.domain.model import ClipKey, ClipState
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.schema import DATABASE
from dockd.errors import Reason
from tests.ledger_parts import SIGNER, bring, copied, docked, file, threaded


def faults(folder: Path, *told: str) -> tuple[str, ...]:
    return verify_state(folder, SIGNER.pinned().verify, store_says=told).faults


async def test_a_clip_that_was_copied_again_with_other_bytes_is_still_known_by_its_former_name(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        docking = await docked(ledger, file("A.MP4"))
        clip = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
        leaf = await ledger.leaf(clip.key)
        told = (SIGNER.receipt(clip), SIGNER.receipt(clip, leaf=leaf))
        await ledger.move(clip.key, Move.HELD, Change(reason=Reason.HASH), actor="offload")
        again = await ledger.move(clip.key, Move.RECOPY, Change(), actor="user:it")
        await ledger.move(clip.key, Move.COPIED, copied(again, content="others"), actor="offload")
        await ledger.undock(docking, early=False, left_files=1)
    assert faults(tmp_path, *told) == ()


@pytest.mark.promise("I18")
async def test_a_name_written_into_a_folder_that_was_put_back_hides_no_receipt(tmp_path: Path) -> None:
    """A store that takes no custody leaf gives receipts that name the clip alone."""
    there, back = tmp_path / "there", tmp_path / "back"
    async with await threaded(there) as ledger:
        docking = await docked(ledger, file("A.MP4"))
        await ledger.undock(docking, early=False, left_files=1)
    shutil.copytree(there, back)
    async with await threaded(there) as ledger:
        clip = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
        told = SIGNER.receipt(clip)
    with closing(sqlite3.connect(back / DATABASE, isolation_level=None)) as connection:
        connection.execute("INSERT INTO former (clip_id, clip) VALUES (?, 1)", (clip.clip_id,))
    (fault,) = faults(back, told)
    assert fault.endswith("the state folder was rolled back or forked")
