"""Every database that a released version wrote still opens, verifies and goes on."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from dockd.domain.clip import Move
from dockd.domain.model import Assurance, ClipKey, ClipKind, ClipState, Tag
from dockd.edges.ledger import views
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.schema import DATABASE, migrations
from dockd.errors import Reason
from tests.ledger_parts import SIGNER, bring, copied, docked, file, threaded

FOLDER = Path(__file__).parent.parent / "databases"
VERSIONS = sorted(path.name for path in FOLDER.glob("v*"))


RELEASED = ("v1", "v4", "v5")


def test_there_is_a_database_of_every_released_version() -> None:
    assert set(RELEASED) <= set(VERSIONS) <= {f"v{number}" for number in range(1, len(migrations()) + 1)}


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_old_database_opens_verifies_and_goes_on(tmp_path: Path, version: str) -> None:
    state = tmp_path / "state"
    shutil.copytree(FOLDER / version, state)
    async with await threaded(state) as ledger:
        every = await ledger.query(views.clips(limit=100))
        assert {clip.state for clip in every} == set(ClipState)
        assert len(await ledger.query(views.receipts(limit=100))) == 4
        odd = next(clip for clip in every if clip.path == b"new\nline \xff\xfe.MP4")
        assert (odd.camera.serial, odd.length_bytes, odd.mtime_ns) == ("caf\xe9\udcff", 5 * 2**30, -1)
        moved = await ledger.move(odd.key, Move.COPIED, copied(odd), actor="offload")
        await bring(ledger, moved, ClipState.ERASED)
        await docked(ledger, file("NEW.MP4"))
    report = verify_state(state, SIGNER.pinned().verify)
    assert report.clean, report.faults
    assert report.receipts == 5


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_clip_of_an_old_database_is_as_it_was(tmp_path: Path, version: str) -> None:
    state = tmp_path / "state"
    shutil.copytree(FOLDER / version, state)
    async with await threaded(state) as ledger:
        clip = await ledger.clip(ClipKey(4))
        assert (clip.state, clip.path, clip.camera.model) == (ClipState.RECEIPTED, b"DCIM/A3.MP4", "BWC-9")
        assert clip.receipt is not None
        assert SIGNER.pinned().verify(clip.receipt).claims.clip_id == clip.clip_id


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_old_database_brought_up_to_date_has_the_schema_of_a_new_one(tmp_path: Path, version: str) -> None:
    """A script that was edited after its version was released would show here."""
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(FOLDER / version, old)
    schemas = []
    for folder in (old, new):
        async with await threaded(folder):
            pass
        connection = sqlite3.connect(folder / DATABASE)
        schemas.append(connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall())
        connection.close()
    assert schemas[0] == schemas[1]


WORDS = {
    5: "accepted audio auth clock copied disk disk-full dns duplicate-camera duplicate-name empty erased erasing found"
    " growing hash header-missing held image listing missing mqtt network none other over-4-gib power readback receipt"
    " receipted refused salvaged sidecar signed store structure tls unknown-device unknown-type unreadable uploaded usb"
    " video",
}
"""By schema version, every word that a row may hold."""


def test_a_word_that_a_row_may_hold_comes_with_a_schema_version_of_its_own() -> None:
    """An older dockd refuses a newer schema; an unknown word in one that it knows it takes for damage, and recovers."""
    words = {word.value for kind in (Assurance, ClipKind, ClipState, Reason, Tag) for word in kind}
    assert " ".join(sorted(words)) == WORDS[len(migrations())]
