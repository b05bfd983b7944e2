"""What refuses to start, in words that say what to do; and what an upgrade leaves behind."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockd.domain.model import ClipKey, ClipState, StationId
from dockd.edges.ledger import views
from dockd.edges.ledger.checkpoint import FILE as CHECKPOINT
from dockd.edges.ledger.lock import LOCK, lock
from dockd.edges.ledger.rows import CLIP_COLUMNS
from dockd.edges.ledger.schema import APPLICATION_ID, DATABASE, migrate, migrations, version_of
from dockd.edges.ledger.start import connect, open_ledger, prepare
from dockd.edges.seal import KEY_FILE
from dockd.errors import InUseError, InvariantError, Reason, StartRefusedError, TransientError
from tests.failing_disk import files_limited_to
from tests.ledger_parts import INSTANCE, STATION, Ticks, bring, clips, docked, file, tampered, threaded

HOLDER = """
import asyncio, sys
from pathlib import Path
from tests.ledger_parts import threaded

async def hold():
    async with await threaded(Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


async def made(folder: Path) -> None:
    """Make a ledger with one receipted clip and close it."""
    async with await threaded(folder) as ledger:
        docking = await docked(ledger, file("A.MP4"), file("B.MP4"))
        (clip,) = await clips(ledger, 1)
        await bring(ledger, clip, ClipState.RECEIPTED)
        await ledger.undock(docking, early=True, left_files=1)


def test_a_full_disk_keeps_nobody_from_taking_a_state_folder(tmp_path: Path) -> None:
    with files_limited_to(0):
        held = lock(tmp_path)
    with held, pytest.raises(InUseError, match="is in use by process unknown"):
        lock(tmp_path)
    with lock(tmp_path):
        assert (tmp_path / LOCK).read_text(encoding="ascii") == f"{os.getpid()}\n"


async def test_a_new_state_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "var" / "dockd"
    async with await threaded(state):
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
        names = (CHECKPOINT, DATABASE, f"{DATABASE}-shm", f"{DATABASE}-wal", LOCK, KEY_FILE)
        assert modes == dict.fromkeys(names, 0o600)
    assert sorted(path.name for path in state.iterdir()) == [CHECKPOINT, DATABASE, LOCK, KEY_FILE]


@pytest.mark.promise("I8")
async def test_a_commit_is_synced_and_foreign_keys_hold(tmp_path: Path) -> None:
    """I8."""
    async with await threaded(tmp_path) as ledger:

        def settings(core: object) -> list[object]:
            connection: sqlite3.Connection = core.connection  # type: ignore[attr-defined] # a LedgerCore
            names = ("journal_mode", "synchronous", "foreign_keys", "application_id", "user_version")
            return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        assert await ledger._runner.run(settings) == ["wal", 2, 1, APPLICATION_ID, len(migrations())]


async def test_a_ledger_is_there_again_after_a_restart(tmp_path: Path) -> None:
    await made(tmp_path)
    async with await threaded(tmp_path) as ledger:
        clip, other = await clips(ledger, 1, 2)
        assert (clip.state, other.state) == (ClipState.RECEIPTED, ClipState.FOUND)


async def test_dockings_that_a_crash_left_open_are_closed_and_said_so(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        docking = await docked(ledger, file("A.MP4"))
    async with await threaded(tmp_path) as ledger:
        ended = await ledger.query(views.docking(docking))
        assert ended is not None
        assert (ended.early, ended.left_files) == (None, None)
        assert ended.ended_utc is not None
        assert await ledger.query(views.bays()) == ()
        last = (await ledger.links(after=0, limit=100))[-1]
        assert b'"cause":"docking-cut"' in last.body


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder `state`, as a first daemon would."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


async def test_a_second_daemon_is_refused_and_told_who_is_first(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """When the first is gone, however it went, the folder is free again."""
    state = tmp_path / "state"
    with pytest.raises(StartRefusedError, match=f"in use by process {holder.pid}: stop that one first"):
        await threaded(state)
    holder.kill()
    holder.wait(10)
    async with await threaded(state):
        assert (state / LOCK).read_text() == f"{os.getpid()}\n"


async def test_a_refused_start_lets_go_of_the_folder(tmp_path: Path) -> None:
    async with await threaded(tmp_path):
        pass
    with pytest.raises(StartRefusedError):
        await threaded(tmp_path, station=StationId("other"))
    async with await threaded(tmp_path):
        pass


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartRefusedError, match="Not a directory: give dockd a folder that it may write to"):
        await threaded(tmp_path / "file" / "state")


async def test_a_database_that_cannot_be_made_is_a_matter_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / DATABASE).mkdir()
    with pytest.raises(TransientError, match="Is a directory") as caught:
        await threaded(tmp_path)
    assert caught.value.reason is Reason.DISK


async def test_a_ledger_of_another_station_is_refused(tmp_path: Path) -> None:
    await made(tmp_path)
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(StartRefusedError, match="belongs to station north-1, this is station south-2: if"):
        await threaded(tmp_path, station=StationId("south-2"))
    assert (tmp_path / DATABASE).read_bytes() == before


async def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    await made(tmp_path)
    tampered(tmp_path, "CREATE TABLE shoes (size)", "PRAGMA user_version = 97")
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(
        StartRefusedError, match=rf"has schema version 97, this dockd knows versions up to {len(migrations())}: install"
    ):
        await threaded(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == before


async def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(StartRefusedError, match="is a database of another program"):
        await threaded(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE custody SET hash = hash WHERE seq = 1", "a custody entry is never changed"),
        ("DELETE FROM custody WHERE seq = 1", "a custody entry is never deleted"),
        ("REPLACE INTO custody SELECT * FROM custody WHERE seq = 1", "goes to the end of the chain"),
        ("INSERT INTO custody SELECT seq + 90, hash, hash, body, clip FROM custody WHERE seq = 1", "to the end"),
        ("INSERT INTO custody SELECT max(seq) + 1, prev, hash, body, clip FROM custody", "to the end of the chain"),
        ("DELETE FROM clips WHERE key = 1", "a clip is never deleted from the ledger"),
        ("DELETE FROM dockings WHERE key = 1", "a docking is never deleted from the ledger"),
        ("UPDATE clips SET path = x'00' WHERE key = 1", "what names a clip never changes"),
        ("UPDATE clips SET receipt = 'x' WHERE key = 1", "a receipt is never replaced"),
        ("UPDATE clips SET receipt = NULL WHERE key = 1", "a receipt is never replaced"),
        ("UPDATE clips SET state = 'uploaded' WHERE key = 1", "CHECK constraint failed"),
        ("UPDATE clips SET docking = 9 WHERE key = 1", "FOREIGN KEY constraint failed"),
    ],
)
async def test_the_schema_itself_refuses_what_must_never_be_done(tmp_path: Path, statement: str, says: str) -> None:
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, file("A.MP4"))
        (clip,) = await clips(ledger, 1)
        await bring(ledger, clip, ClipState.RECEIPTED)
        with pytest.raises(InvariantError, match=says):
            await ledger._runner.run(lambda core: core.connection.execute(statement))
        assert (await ledger.clip(ClipKey(1))).state is ClipState.RECEIPTED


SECOND = "ALTER TABLE clips ADD COLUMN shoe_size INTEGER; UPDATE clips SET shoe_size = 43;"


async def test_an_older_schema_is_brought_up_to_date_and_a_copy_kept(tmp_path: Path) -> None:
    await made(tmp_path)
    database = tmp_path / DATABASE
    connection = connect(database)
    core = prepare(
        connection, database=database, station=STATION, now=Ticks(), instance=INSTANCE,
        scripts=(*migrations(), SECOND),
    )  # fmt: skip
    assert version_of(connection) == len(migrations()) + 1
    assert connection.execute("SELECT shoe_size FROM clips").fetchall() == [(43,), (43,)]
    # A new column comes last, and nobody who reads the old ones notices.
    assert core.clip(ClipKey(1)).state is ClipState.RECEIPTED
    connection.close()
    copy = tmp_path / f"{DATABASE}.v{len(migrations())}"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    kept = sqlite3.connect(copy)
    assert kept.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert version_of(kept) == len(migrations())
    assert kept.execute("SELECT count(*) FROM clips").fetchone() == (2,)
    kept.close()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


async def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    await made(tmp_path)
    connection = connect(tmp_path / DATABASE)
    now = len(migrations())
    words = rf"step to schema version {now + 1} failed .*nothing of it was kept, version {now} "
    with pytest.raises(StartRefusedError, match=words):
        migrate(connection, database=tmp_path / DATABASE, scripts=(*migrations(), SECOND + "SELECT nothing;"))
    assert version_of(connection) == now
    assert "shoe_size" not in [row[1] for row in connection.execute("PRAGMA table_info(clips)")]
    assert not connection.in_transaction
    connection.close()


def test_the_columns_are_read_in_the_order_of_the_schema() -> None:
    connection = sqlite3.connect(":memory:")
    for script in migrations():
        connection.executescript(script)
    columns = tuple(row[1] for row in connection.execute("PRAGMA table_info(clips)"))
    connection.close()
    assert columns == CLIP_COLUMNS


async def test_an_unknown_error_of_the_start_is_told_and_leaves_no_thread(tmp_path: Path) -> None:
    def no_clock() -> object:
        raise LookupError("no clock")

    with pytest.raises(LookupError, match="no clock"):
        await open_ledger(tmp_path, station=STATION, now=no_clock)  # type: ignore[arg-type] # that is the point
    async with await threaded(tmp_path):
        pass


async def test_a_copy_that_an_upgrade_kept_is_not_left_half_made(tmp_path: Path) -> None:
    """An upgrade that was cut while copying starts its copy anew."""
    await made(tmp_path)
    part = tmp_path / f"{DATABASE}.v{len(migrations())}.part"
    part.write_bytes(b"half")
    connection = connect(tmp_path / DATABASE)
    migrate(connection, database=tmp_path / DATABASE, scripts=(*migrations(), SECOND))
    connection.close()
    assert not part.exists()
    kept = sqlite3.connect(tmp_path / f"{DATABASE}.v{len(migrations())}")
    assert kept.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    kept.close()
