"""One SQLite file: a writer thread that commits in groups, and a reader thread.

Owns the connections, the transactions and the schema's version. Knows no tables. A write is a whole-transaction
closure; those that wait together share one commit (WAL, synchronous FULL), and one that fails takes only itself back.
Whoever awaits a write learns of it after the commit, never before. After an error of the disk nothing more is tried on
that connection: its group is lost, and the next one gets a connection of its own (I9).
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from dockd.durable import make_private, write_again
from dockd.errors import Reason, StartRefusedError, TransientError

T = TypeVar("T")

_MAX_GROUP = 256
_BUSY_S = 5.0
_FULL = sqlite3.SQLITE_FULL
_DISK = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class _Job(Generic[T]):
    """One closure, its outcome, and who waits for it."""

    def __init__(self, operation: Callable[[sqlite3.Connection], T]) -> None:
        self.future: Future[T] = Future()
        self._operation = operation
        self._deliver: Callable[[], None] = lambda: None

    def claim(self) -> bool:
        """False if whoever asked is gone; from here on nobody can withdraw it."""
        return self.future.set_running_or_notify_cancel()

    def apply(self, db: sqlite3.Connection) -> None:
        db.execute("SAVEPOINT job")
        try:
            result = self._operation(db)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and _reaches_the_connection(error):
                raise
            failure = error  # every other error of a closure belongs to whoever awaits it
            db.execute("ROLLBACK TO job")
            self._deliver = lambda: self.future.set_exception(failure)
        else:
            self._deliver = lambda: self.future.set_result(result)
        db.execute("RELEASE job")

    def deliver(self) -> None:
        self._deliver()

    def fail(self, error: BaseException) -> None:
        self.future.set_exception(error)


class Database:
    """Opens, migrates and serves one file; to be made outside the event loop, it waits for the disk."""

    def __init__(self, path: Path, *, migrations: Sequence[str]) -> None:
        """Open the file and bring its schema up to `len(migrations)`.

        Raises:
            StartRefusedError: the file is damaged, or was written by a newer version.
            TransientError: DISK_FULL or DISK, it cannot be opened now.

        """
        self._path = path
        self._jobs: queue.SimpleQueue[_Job[object] | None] = queue.SimpleQueue()
        self._writer_db: sqlite3.Connection | None = _open(path, migrations)
        uri = f"{path.resolve().as_uri()}?mode=ro"
        self._reader_db = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        self._reader_db.row_factory = sqlite3.Row
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="index-reader")
        self._writer = threading.Thread(target=self._work, name="index-writer")
        self._writer.start()

    async def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a closure in a transaction; returns after its commit.

        Raises:
            sqlite3.Error: nothing of the closure is there. One exception: after an error at COMMIT itself nobody can
                say before the next write.

        """
        job = _Job(operation)
        self._jobs.put(job)  # type: ignore[arg-type]  # a queue of jobs of every kind; each keeps its own type
        return await asyncio.wrap_future(job.future)

    async def read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a closure that only reads; it sees every commit made before."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, operation, self._reader_db)

    def close(self) -> None:
        """Finish what waits, then close; call it outside the event loop."""
        self._jobs.put(None)
        self._writer.join()
        self._reader.shutdown()
        self._reader_db.close()
        self._drop()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group = [job]
            last = False
            while len(group) < _MAX_GROUP and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    last = True
                    break
                group.append(job)
            self._commit([job for job in group if job.claim()])
            if last:
                return

    def _commit(self, group: Sequence[_Job[object]]) -> None:
        try:
            db = self._ready()
            db.execute("BEGIN IMMEDIATE")
            for job in group:
                job.apply(db)
            db.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - this thread ends for nobody: all who come later wait for it
            # The disk failed us, perhaps in COMMIT. Nothing is tried again on this connection, no ROLLBACK either (I9).
            self._drop()
            for job in group:
                job.fail(_lost(error))
            return
        for job in group:
            job.deliver()

    def _ready(self) -> sqlite3.Connection:
        if self._writer_db is None:
            self._writer_db = _open_again(self._path)
        return self._writer_db

    def _drop(self) -> None:
        db, self._writer_db = self._writer_db, None
        if db is not None:
            with suppress(sqlite3.Error):  # closed is all it can be
                db.close()


def _reaches_the_connection(error: sqlite3.Error) -> bool:
    """Tell an error of the disk or of memory from one of a statement, which takes back its closure alone."""
    primary = _primary(error)
    return primary == _FULL or primary in _DISK | _CORRUPT


def _primary(error: sqlite3.Error) -> int:
    # The low byte of an extended code is its primary code (sqlite.org/rescode.html); errors of the Python module
    # itself carry none.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    return code & 0xFF


def _lost(error: BaseException) -> sqlite3.Error:
    """Say in SQLite's terms why a group is lost: want of memory comes as MemoryError, which nobody here expects."""
    if isinstance(error, sqlite3.Error):
        return error
    lost = sqlite3.OperationalError(f"transaction lost: {error!r}")
    lost.__cause__ = error
    return lost


def _open(path: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    # Nobody was told of a receipt that was not synced; from here on everybody would be.
    write_again(path.with_name(f"{path.name}-wal"))
    make_private(path)  # SQLite gives its other files the mode of this one
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    try:
        _prepare(db, path, migrations)
    except BaseException:
        db.close()
        raise
    return db


def _open_again(path: Path) -> sqlite3.Connection:
    # A file that is gone must not be made anew: its receipts would be forgotten in silence.
    uri = f"{path.resolve().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    try:
        _make_durable(db)
        # What a failed COMMIT left in the log must not come back to life at the next power cut, after its callers
        # were told that it failed: move what is committed into the database and empty the log.
        (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except BaseException:
        db.close()
        raise
    if busy:
        db.close()
        raise sqlite3.OperationalError(f"{path}: a reader holds the log, expected it to be emptied")
    return db


def _make_durable(db: sqlite3.Connection) -> None:
    # Fetched: the switch commits after its row was given, and only whoever asks for more hears that the disk failed.
    # Unheard, the log would be written beside an index that knows of none, and go with the next start.
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")


def _prepare(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    try:
        _make_durable(db)
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(migrations):
            raise StartRefusedError(
                f"{path}: schema version {version}, expected at most {len(migrations)}: written by a newer dockd"
            )
        damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise StartRefusedError(f"{path}: damaged: {damage}")
        for number, script in enumerate(migrations[version:], start=version + 1):
            db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
    except sqlite3.DatabaseError as error:
        primary = _primary(error)
        if primary == _FULL:
            raise TransientError(Reason.DISK_FULL, f"{path}: {error}, expected room on the disk") from error
        if primary in _DISK:
            raise TransientError(Reason.DISK, f"{path}: {error}, expected a disk that can be written") from error
        raise StartRefusedError(f"{path}: damaged or not an index: {error}") from error
