"""The offline check finds every way in which a state folder can say something that did not happen."""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.domain.canonical import canonical_json
from dockd.domain.checkpoint import Checkpoint
from dockd.domain.clip import Change, Move
from dockd.domain.custody import GENESIS, leaf_hash
from dockd.domain.model import ClipKey, ClipState
from dockd.edges.ledger.audit import MAX_FAULTS, Report, verify_state
from dockd.edges.ledger.checkpoint import FILE as CHECKPOINT, keep
from dockd.edges.ledger.schema import DATABASE, migrate, migrations
from dockd.edges.ledger.survey import survey
from dockd.edges.seal import open_seal, public_key_of, verifies
from dockd.errors import Reason, StartRefusedError
from tests.ledger_parts import (
    SIGNER,
    STATION,
    Signer,
    bring,
    docked,
    file,
    listing,
    receipted,
    skip,
    tampered,
    threaded,
)

NOBODY = 65534


def audit(folder: Path, told: Sequence[str] | None = None) -> Report:
    """Check a folder with everything there is to check it by; `told` is what the store lists."""
    return verify_state(folder, SIGNER.pinned().verify, key=public_key_of(folder), check=verifies, store_says=told)


def receipts_of(folder: Path) -> list[str]:
    """Give the receipts of a folder, which are those of the store."""
    connection = sqlite3.connect(folder / DATABASE)
    rows = connection.execute("SELECT receipt FROM clips WHERE receipt IS NOT NULL ORDER BY key").fetchall()
    connection.close()
    return [compact for (compact,) in rows]


def restated(folder: Path) -> None:
    """State the end of a chain anew, as somebody could who has the station's key, and so the disk."""
    end, seal = survey(folder / DATABASE).end, open_seal(folder)
    assert end is not None
    checkpoint = Checkpoint(station=STATION, head=end, utc="2024-05-02T00:00:00.000000Z")
    keep(folder, checkpoint, kid=seal.kid, sign=seal.sign)


async def made(folder: Path, *, signer: Signer = SIGNER) -> None:
    """Make a ledger with clips in every state, one held, one superseded, and close it."""
    async with await threaded(folder) as ledger:
        docking = await docked(ledger, *(file(f"{number}.MP4") for number in range(8)))
        states = (ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED)
        for key, state in enumerate(states, 2):
            clip = await ledger.clip(ClipKey(key))
            if signer is not SIGNER and state is ClipState.RECEIPTED:
                clip = await bring(ledger, clip, ClipState.UPLOADED)
                await ledger.move(clip.key, Move.RECEIPTED, receipted(clip, signer=signer), actor="upload")
            else:
                await bring(ledger, clip, state)
        await ledger.move(ClipKey(7), Move.HELD, Change(reason=Reason.UNREADABLE), actor="offload")
        await ledger.note("looked at", actor="user:kim", clip=ClipKey(3))
        await ledger.undock(docking, early=True, left_files=1)
        docking = await docked(ledger, *(file(f"{number}.MP4") for number in range(1, 8)))
        await ledger.supersede(ClipKey(2), file("1.MP4"), docking=docking)
        await ledger.record_listing(docking, listing(*(file(f"{number}.MP4") for number in range(1, 8))))


async def test_a_ledger_as_it_was_left_is_clean(tmp_path: Path) -> None:
    await made(tmp_path)
    report = audit(tmp_path)
    assert report.faults == ()
    assert report.clean
    assert (report.station, report.clips, report.receipts, report.anchored) == (STATION, 10, 3, 3)
    assert report.entries > 40
    assert report.signatures


async def test_a_running_daemons_ledger_is_checked_beside_it(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        docking = await docked(ledger, file("A.MP4"))
        before = audit(tmp_path)
        (head,) = await ledger.heads([docking], skip=skip())
        assert head.copy is not None
        await bring(ledger, head.copy, ClipState.RECEIPTED)
        after = audit(tmp_path)
    assert (before.clean, before.receipts) == (True, 0)
    assert (after.clean, after.receipts) == (True, 1)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Lay down root's right to read and write anything, where the tests have it."""
    effective = os.geteuid()
    if effective == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(effective)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that nobody, too, can get at: pytest's own is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def test_a_ledger_that_may_only_be_read_is_checked_too(reachable: Path) -> None:
    state = reachable / "state"
    await made(state)
    for name in (DATABASE, CHECKPOINT):
        (state / name).chmod(0o444)
    state.chmod(0o555)
    before = sorted(path.name for path in state.iterdir())
    with as_nobody():
        assert audit(state).clean
    assert sorted(path.name for path in state.iterdir()) == before
    state.chmod(0o755)


async def test_a_ledger_with_its_log_beside_it_is_not_judged_without_the_log(reachable: Path) -> None:
    state = reachable / "state"
    async with await threaded(state) as ledger:
        await docked(ledger, file("A.MP4"))
        copy = reachable / "copy"
        shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*-shm"))
    for path in copy.iterdir():
        path.chmod(0o444)
    copy.chmod(0o555)
    with (
        as_nobody(),
        pytest.raises(StartRefusedError, match="a log lies beside it, so reading it needs leave"),
    ):
        audit(copy)
    copy.chmod(0o755)


async def test_a_folder_that_one_may_not_look_into_is_said_so(reachable: Path) -> None:
    state = reachable / "state"
    await made(state)
    state.chmod(0o000)
    with as_nobody(), pytest.raises(StartRefusedError, match=r"ledger\.db cannot be read: Permission denied"):
        audit(state)
    state.chmod(0o755)


async def test_without_keys_all_but_the_signature_is_checked(tmp_path: Path) -> None:
    forger = Signer(key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    await made(tmp_path, signer=forger)
    assert verify_state(tmp_path, None).clean
    assert not verify_state(tmp_path, None).signatures
    (fault,) = audit(tmp_path).faults
    assert fault.startswith("clip 4: receipt signed by a key that is not pinned here")


def spoilt(folder: Path) -> str:
    """Give clip 4's receipt with another signature, in canonical form."""
    connection = sqlite3.connect(folder / DATABASE)
    (receipt,) = connection.execute("SELECT receipt FROM clips WHERE key = 4").fetchone()
    (other,) = connection.execute("SELECT receipt FROM clips WHERE key = 5").fetchone()
    connection.close()
    return ".".join([*receipt.split(".")[:2], other.split(".")[2]])


async def test_a_receipt_whose_signature_is_anothers_is_found(tmp_path: Path) -> None:
    await made(tmp_path)
    tampered(tmp_path, " ".join(["UPDATE clips SET receipt =", f"'{spoilt(tmp_path)}'", "WHERE key = 4"]))
    faults = audit(tmp_path).faults
    assert any("clip 4: receipt signature is not valid under the pinned key" in fault for fault in faults)
    assert any("clip 4: receipt is " in fault and "its custody entries say" in fault for fault in faults)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE clips SET state = 'erased' WHERE key = 4", "clip 4: state is 'erased', its custody entries say"),
        (
            "UPDATE clips SET state = 'found' WHERE key = 2",
            "clip 2: state is 'found', its custody entries",
        ),
        ("UPDATE clips SET path = CAST('DCIM/9.MP4' AS BLOB) WHERE key = 1", "clip 1: path is 'DCIM/9.MP4'"),
        ("UPDATE clips SET length_bytes = 99 WHERE key = 4", "clip 4: length is '99', its custody entries say '100'"),
        ("UPDATE clips SET length_bytes = 99 WHERE key = 4", "clip 4: receipt length differs"),
        ("UPDATE clips SET sha256 = printf('%064d', 0) WHERE key = 4", "clip 4: receipt sha256 differs"),
        ("UPDATE clips SET sha256 = printf('%064d', 0) WHERE key = 2", "clip 2: clip id is"),
        ("UPDATE clips SET clip_id = printf('%064d', 0) WHERE key = 4", "clip 4: receipt is for another clip"),
        ("UPDATE clips SET meta_sha256 = printf('%064d', 0) WHERE key = 4", "clip 4: receipt covers other metadata"),
        ("UPDATE meta SET station = 'south-2'", "clip 4: receipt is for another station"),
        ("UPDATE clips SET receipt = 'a.b.c' WHERE key = 6", "clip 6: receipt not a receipt in canonical form"),
        ("UPDATE clips SET receipt = (SELECT receipt FROM clips WHERE key = 5) WHERE key = 4", "is for another clip"),
        ("UPDATE dockings SET serial = 'CAM0002'", "clip 4: clip id is"),
        ("DELETE FROM clips WHERE key = 1", "database: row 4 of custody names a row of clips that is not there"),
        ("UPDATE custody SET clip = 1 WHERE seq = 5", "custody entry 5: is filed under clip 1, its body says 2"),
        ("UPDATE custody SET clip = NULL WHERE seq = 5", "custody entry 5: is filed under clip None, its body says 2"),
        ("DELETE FROM custody WHERE seq = 20", "custody entry 20: is missing, found 21 in its place"),
        ("UPDATE custody SET body = CAST('{}' AS BLOB) WHERE seq = 9", "custody entry 9: its body does not hash"),
        ("UPDATE tallies SET files = files + 1 WHERE state = 'held'", "its count says 2 clips of 100 bytes"),
        ("DELETE FROM tallies WHERE state = 'held'", "are held, its count says 0 clips of 0 bytes"),
    ],
)
async def test_a_row_that_the_chain_does_not_explain_is_found(tmp_path: Path, statement: str, fault: str) -> None:
    await made(tmp_path)
    if "held" in statement:
        await _undo_the_redocking(tmp_path)
    tampered(tmp_path, "PRAGMA ignore_check_constraints = ON", statement)
    report = audit(tmp_path)
    assert not report.clean
    assert any(fault in line for line in report.faults), report.faults


async def _undo_the_redocking(folder: Path) -> None:
    """Make a folder whose held clip is still in its first docking."""
    for path in folder.iterdir():
        path.unlink()
    async with await threaded(folder) as ledger:
        await docked(ledger, file("A.MP4"))
        await ledger.move(ClipKey(1), Move.HELD, Change(reason=Reason.UNREADABLE), actor="offload")


def rechained(folder: Path, seq: int, **changes: object) -> None:
    """Change an entry and hash the whole chain anew, as somebody who knows how could."""
    connection = sqlite3.connect(folder / DATABASE)
    bodies = [json.loads(body) for (body,) in connection.execute("SELECT body FROM custody ORDER BY seq")]
    connection.close()
    statements, prev = [], GENESIS
    for body in bodies:
        changed = {**body, "prev": prev, **(changes if body["seq"] == seq else {})}
        data = canonical_json(changed)
        values = f"prev = '{prev}', hash = '{leaf_hash(data)}', body = x'{data.hex()}'"
        statements.append(" ".join(["UPDATE custody SET", values, f"WHERE seq = {body['seq']}"]))
        prev = leaf_hash(data)
    tampered(folder, *statements)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"to": "erased"}, "is no lawful move"),
        ({"cause": "invented"}, "invented from 'found' to 'copied' is no lawful move"),
        ({"from": "held"}, "clip 2 leaves 'held', it was 'found'"),
        ({"facts": {"sha256": "0" * 64}}, "clip 2: sha256 is"),
        ({"clip": 3}, "custody entry 12: is filed under clip 2, its body says 3"),
        ({"facts": None}, "custody entry 12: is no entry of ours"),
    ],
)
async def test_a_chain_hashed_anew_over_a_lie_contradicts_itself(
    tmp_path: Path, changes: dict[str, object], fault: str
) -> None:
    await made(tmp_path)
    rechained(tmp_path, 12, **changes)
    report = audit(tmp_path)
    assert any(fault in line for line in report.faults), report.faults


async def test_a_chain_hashed_anew_is_no_longer_the_one_that_the_store_signed(tmp_path: Path) -> None:
    """Consistent within itself, the checkpoint signed anew, but no receipt names an entry of it any more."""
    await made(tmp_path)
    assert audit(tmp_path).anchored == 3
    told = receipts_of(tmp_path)
    assert audit(tmp_path, told).faults == ()
    rechained(tmp_path, 3, utc="2020-01-01T00:00:00.000000Z")
    tampered(tmp_path, "UPDATE dockings SET listed_utc = '2020-01-01T00:00:00.000000Z' WHERE key = 1")
    assert any(fault.startswith("checkpoint: custody entry ") for fault in audit(tmp_path).faults)
    restated(tmp_path)
    report = audit(tmp_path)
    assert (report.faults, report.receipts, report.anchored) == ((), 3, 0)
    assert [fault for fault in audit(tmp_path, told).faults if "was rolled back or forked" in fault] == [
        *audit(tmp_path, told).faults
    ]
    assert len(audit(tmp_path, told).faults) == 3


async def test_a_damaged_page_is_a_fault_not_a_crash(tmp_path: Path) -> None:
    await made(tmp_path)
    whole = bytearray((tmp_path / DATABASE).read_bytes())
    faults: list[str] = []
    for page in range(1, len(whole) // 4096):
        spoiled = whole.copy()
        spoiled[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
        (tmp_path / DATABASE).write_bytes(spoiled)
        report = audit(tmp_path)
        assert not report.clean
        faults += report.faults
    assert any("malformed" in fault for fault in faults)


async def test_faults_beyond_a_hundred_are_counted(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, *(file(f"{number}.MP4") for number in range(150)))
    tampered(tmp_path, "UPDATE clips SET length_bytes = length_bytes + 1")
    report = audit(tmp_path)
    assert len(report.faults) == MAX_FAULTS
    assert report.more > 49


def test_a_folder_without_a_ledger_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StartRefusedError, match=r"ledger\.db is not there, expected the state folder of a dockd"):
        audit(tmp_path)


async def test_a_schema_of_another_version_is_said_so(tmp_path: Path) -> None:
    await made(tmp_path)
    tampered(tmp_path, "CREATE TABLE shoes (size)", "PRAGMA user_version = 97")
    with pytest.raises(StartRefusedError, match="has schema version 97"):
        audit(tmp_path)
    tampered(tmp_path, "PRAGMA user_version = 3")
    with pytest.raises(StartRefusedError, match=f"has schema version 3, expected {len(migrations())}: start"):
        audit(tmp_path)


def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"not a database" * 1000)
    assert audit(tmp_path).faults == ("database: file is not a database",)


async def test_a_ledger_whose_making_was_cut_is_said_so_and_made_whole_by_the_next_start(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
    migrate(connection, database=tmp_path / DATABASE, scripts=migrations())
    connection.close()
    with pytest.raises(StartRefusedError, match="was never opened to the end and holds nothing: start dockd once"):
        audit(tmp_path)
    async with await threaded(tmp_path):
        pass
    assert audit(tmp_path).clean
