"""How a ledger is opened: the state folder, its lock, and every check that comes before the first write.

Owns the refusals to start. Knows nothing of clips.
"""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from dockd.domain.custody import BrokenChainError, verify
from dockd.domain.model import StationId, Timestamp
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.faults import is_corruption
from dockd.edges.ledger.group import GroupWriter
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.rows import link_of
from dockd.edges.ledger.runner import InlineRunner, ThreadRunner
from dockd.edges.ledger.schema import DATABASE, migrate, migrations, require_known
from dockd.errors import InUseError, Reason, StartRefusedError, TransientError

LOCK = "lock"

BUSY_TIMEOUT_MS = 5000
"""How long a write waits for another program's: only a person's sqlite3 shell ever holds it."""


async def open_ledger(state_dir: Path, *, station: StationId, now: Callable[[], Timestamp]) -> StationLedger:
    """Open the ledger of a state folder for its one daemon, making both if need be.

    Checks before it writes: lock, application, schema version, structure (quick_check), station, and the whole custody
    chain: about half a second per 100,000 entries (tests/bench/bench_ledger.py), on a thread, the event loop free.

    Raises:
        StartRefusedError: one of them fails; the message says what to do.
        TransientError: DISK or DISK_FULL, the folder cannot be worked on now.

    """
    held = lock(state_dir)
    database = state_dir / DATABASE
    opening = partial(_open_first, database, station=station, now=now, instance=os.urandom(16).hex())
    runner = ThreadRunner(GroupWriter(first=opening, again=partial(_open_again, database)), database=database)
    try:
        await runner.start()
    except BaseException:
        held.close()
        raise
    return StationLedger(runner, now=now, release=held.close)


async def open_inline(
    database: Path | None, *, station: StationId, now: Callable[[], Timestamp], instance: str
) -> StationLedger:
    """Open a ledger without threads, lock or syncing, for a simulated station; None keeps it in memory.

    The same SQL, checks and group commit as the daemon's. Closing it is also how a crash is simulated: what was
    answered is there, and nothing is ever half written.
    """
    opening = partial(_open_simulated, database, station=station, now=now, instance=instance)
    runner = InlineRunner(GroupWriter(first=opening, again=opening))
    await runner.run(_nothing)
    return StationLedger(runner, now=now, release=_released)


def lock(state_dir: Path) -> BinaryIO:
    """Take a state folder for this process, making it if need be; it is let go when the file given is closed.

    Raises:
        StartRefusedError: another process has it, or it cannot be made.

    """
    path = state_dir / LOCK
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = open(path, "ab+", buffering=0, opener=_private)  # noqa: SIM115 - it is open as long as the lock is held
    except OSError as error:
        raise StartRefusedError(
            f"state folder {state_dir}: {error.strerror}: give dockd a folder that it may write to"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held.seek(0)
        holder = held.read(32).decode("ascii", "replace").strip() or "unknown"
        held.close()
        raise InUseError(
            f"state folder {state_dir} is in use by process {holder}: stop that one first, or give this one a state"
            " folder of its own"
        ) from error
    held.truncate(0)
    held.write(f"{os.getpid()}\n".encode("ascii"))
    return held


def connect(database: Path | str) -> sqlite3.Connection:
    """Open a database, changing nothing in it."""
    connection = sqlite3.connect(database, isolation_level=None, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return connection


def make_durable(connection: sqlite3.Connection, *, synchronous: str = "FULL") -> None:
    """Set a connection to write: WAL, and every COMMIT synced before it returns (synchronous FULL)."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA foreign_keys = ON")
    # INSERT OR REPLACE would delete a row without asking the triggers.
    connection.execute("PRAGMA recursive_triggers = ON")
    # A big listing leaves a big log: give its room back at the next checkpoint.
    connection.execute("PRAGMA journal_size_limit = 16777216")


def prepare(
    connection: sqlite3.Connection,
    *,
    database: Path | None,
    station: StationId,
    now: Callable[[], Timestamp],
    instance: str,
    scripts: Sequence[str],
    synchronous: str = "FULL",
) -> LedgerCore:
    """Check a database, bring it up to date, close what an earlier run left open; give its writes.

    Raises:
        StartRefusedError: it is not fit to be worked on.

    """
    shown = database or Path(":memory:")
    if require_known(connection, database=shown, newest=len(scripts)):
        _require_sound(connection, shown)
        _require_station(connection, shown, station)
        _require_chain(connection, shown)
    make_durable(connection, synchronous=synchronous)
    migrate(connection, database=database, scripts=scripts)
    core = LedgerCore(connection)
    time = now()
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute("SELECT count(*) FROM meta").fetchone() == (0,):
        connection.execute(
            "INSERT INTO meta (one, station, instance, created_utc) VALUES (1, ?, ?, ?)", (station, instance, time.utc)
        )
        core.note("ledger-made", actor="ledger", time=time, facts={"station": station, "instance": instance})
    core.cut(time)
    connection.execute("COMMIT")
    return core


def _open_first(database: Path, *, station: StationId, now: Callable[[], Timestamp], instance: str) -> LedgerCore:
    try:
        _make(database)
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno == errno.ENOSPC else Reason.DISK
        raise TransientError(reason, f"{database}: {error.strerror}, expected a file to be made") from error
    try:
        with _closed_on_error(connect(database)) as connection:
            return prepare(
                connection, database=database, station=station, now=now, instance=instance, scripts=migrations()
            )
    except sqlite3.DatabaseError as error:
        if is_corruption(error):
            raise StartRefusedError(_damaged(database, str(error))) from error
        raise


def _make(database: Path) -> None:
    # SQLite would give a new file, and its log, the mode of the umask.
    os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    folder = os.open(database.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_again(database: Path) -> LedgerCore:
    with _closed_on_error(connect(database)) as connection:
        make_durable(connection)
        # What a failed COMMIT left in the log must not come back to life at the next power cut, after its callers
        # were told that it failed: move what is committed into the database and empty the log.
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise TransientError(Reason.DISK, f"{database}: a reader holds the log, expected it to be emptied")
        return LedgerCore(connection)


def _open_simulated(
    database: Path | None, *, station: StationId, now: Callable[[], Timestamp], instance: str
) -> LedgerCore:
    with _closed_on_error(connect(database or ":memory:")) as connection:
        return prepare(
            connection,
            database=database,
            station=station,
            now=now,
            instance=instance,
            scripts=migrations(),
            synchronous="OFF",
        )


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _require_sound(connection: sqlite3.Connection, database: Path) -> None:
    problems = [" ".join(row[0].split()) for row in connection.execute("PRAGMA quick_check(5)")]
    if problems != ["ok"]:
        raise StartRefusedError(_damaged(database, "; ".join(problems)))


def _require_station(connection: sqlite3.Connection, database: Path, station: StationId) -> None:
    row = connection.execute("SELECT station FROM meta").fetchone()
    if row is not None and row[0] != station:
        raise StartRefusedError(
            f"{database} belongs to station {row[0]}, this is station {station}: if the disk was moved here, put it"
            " back, or give this station a new state folder"
        )


def _require_chain(connection: sqlite3.Connection, database: Path) -> None:
    links = map(link_of, connection.execute("SELECT seq, prev, hash, body FROM custody ORDER BY seq"))
    try:
        for _ in verify(links):
            pass
    except BrokenChainError as error:
        raise StartRefusedError(
            f"{database}: the custody chain is broken: {error}. Keep the folder as it is for whoever looks into it,"
            " and give dockd a new one; the cameras and the store still hold the clips"
        ) from error


def _damaged(database: Path, problems: str) -> str:
    return (
        f"{database} is damaged: {problems}. Keep it for whoever looks into it, and restore a copy, or give dockd a new"
        " state folder; the cameras and the store still hold the clips"
    )


def _nothing(_: object) -> None:
    return None


def _released() -> None:
    return None
