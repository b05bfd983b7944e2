"""One SQLite file: a thread that commits in groups (`dockd.sqlite`), and a reader thread.

Owns how the connections are opened, and the schema's version. Knows no tables. A write is a whole-transaction closure;
one that fails takes only itself back. Whoever awaits a write learns of it after the commit, never before. After an
error of the disk nothing more is tried on that connection: its group is lost, and the next one gets a connection of
its own (I9).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from dockd.durable import make_private, write_again
from dockd.errors import Reason, StartRefusedError, TransientError
from dockd.sqlite.faults import reason_of
from dockd.sqlite.group import GroupWriter
from dockd.sqlite.thread import WritingThread
from dockd.sqlite.wal import empty_log, make_durable

T = TypeVar("T")

_BUSY_S = 5.0


@dataclass(frozen=True, slots=True)
class _Bare:
    """A connection and nothing in memory: a closure that is taken back leaves nothing to read again."""

    connection: sqlite3.Connection

    def reread(self) -> None:
        """Nothing is held."""


class Database:
    """Opens, migrates and serves one file; to be made outside the event loop, it waits for the disk."""

    def __init__(self, path: Path, *, migrations: Sequence[str]) -> None:
        """Open the file and bring its schema up to `len(migrations)`.

        Raises:
            StartRefusedError: the file is damaged, or was written by a newer version.
            TransientError: DISK_FULL or DISK, it cannot be opened now.

        """
        writer = GroupWriter(first=partial(_open, path, migrations), again=partial(_open_again, path), told=_told)
        writer.open()
        uri = f"{path.resolve().as_uri()}?mode=ro"
        self._reader_db = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        self._reader_db.row_factory = sqlite3.Row
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="index-reader")
        self._writing = WritingThread(writer, name="index")

    async def write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a closure in a transaction; returns after its commit.

        Raises:
            sqlite3.Error: nothing of the closure is there. One exception: after an error at COMMIT itself nobody can
                say before the next write.

        """
        return await self._writing.run(lambda bare: operation(bare.connection))

    async def read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a closure that only reads; it sees every commit made before."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, operation, self._reader_db)

    def close(self) -> None:
        """Finish what waits, then close; call it outside the event loop."""
        self._reader.shutdown()
        self._reader_db.close()
        # The writer closes last: only then does SQLite move the log into the index and remove it.
        self._writing.stop()
        self._writing.join()


def _told(error: BaseException, _doing: str) -> sqlite3.Error:
    """Say in SQLite's terms why a group is lost: want of memory comes as MemoryError, which nobody here expects."""
    if isinstance(error, sqlite3.Error):
        return error
    lost = sqlite3.OperationalError(f"transaction lost: {error!r}")
    lost.__cause__ = error
    return lost


def _open(path: Path, migrations: Sequence[str]) -> _Bare:
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
    return _Bare(db)


def _open_again(path: Path) -> _Bare:
    # A file that is gone must not be made anew: its receipts would be forgotten in silence.
    uri = f"{path.resolve().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    try:
        make_durable(db)
        empty_log(db)
    except BaseException:
        db.close()
        raise
    return _Bare(db)


def _prepare(db: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    try:
        make_durable(db)
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
        reason = reason_of(error)
        if reason is not None:
            wanted = "room on the disk" if reason is Reason.DISK_FULL else "a disk that can be written"
            raise TransientError(reason, f"{path}: {error}, expected {wanted}") from error
        raise StartRefusedError(f"{path}: damaged or not an index: {error}") from error
