"""Ways to run the ledger's writes and reads: one writing thread in the daemon, or inline where no thread may be.

Owns who runs what. Knows no SQL.
"""

import asyncio
import sqlite3
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar, cast
from urllib.parse import quote

import aiosqlite

from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.faults import translated
from dockd.edges.ledger.reads import Query
from dockd.errors import InvariantError
from dockd.sqlite.group import Done, Failed, GroupWriter
from dockd.sqlite.thread import WritingThread

T = TypeVar("T")

Closure = Callable[[LedgerCore], T]
"""A whole transaction's worth of writes: run once, kept or undone as one."""


class Runner(Protocol):
    """Runs closures and queries. What `run` was given happens as a whole or not at all, awaited or not."""

    def run(self, closure: Closure[T]) -> Awaitable[T]:
        """Commit a closure; its answer comes after COMMIT has returned (I8)."""
        ...

    async def fetch(self, query: Query[T]) -> T:
        """Answer a query from what is committed, everything that was answered before included."""
        ...

    async def close(self) -> None:
        """Finish what was given, then let go of the database."""
        ...


class InlineRunner:
    """Runs everything at once on the caller's thread, then lets other tasks have a turn."""

    def __init__(self, writer: GroupWriter[LedgerCore]) -> None:
        """Take a writer of its own."""
        self._writer = writer

    async def run(self, closure: Closure[T]) -> T:
        """Commit a closure alone."""
        (outcome,) = self._writer.commit([closure])
        await asyncio.sleep(0)
        match outcome:
            case Done():
                return cast("T", outcome.value)
            case Failed():
                raise outcome.error

    async def fetch(self, query: Query[T]) -> T:
        """Ask on the writing connection: there is no other."""
        try:
            rows = self._writer.connection.execute(query.sql, query.parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(error, "read") from error
        return query.decode(rows)

    async def close(self) -> None:
        """Close the database."""
        self._writer.close()


class ThreadRunner:
    """One thread owns the writing connection; closures that wait are committed together; reads go by aiosqlite.

    Why reads are not closures: a read behind the writer waits for the COMMIT in progress, milliseconds of fsync, and
    holds up every write behind it; a read-only connection of its own answers in a fifth of a millisecond whatever is
    being synced, and sees every commit that was answered (tests/bench/bench_ledger.py measures both). Each query is
    one statement, which is one hop to aiosqlite's thread.

    Cancelling who awaits `run` neither stops nor undoes the closure. A hung disk stops the daemon's heartbeat.
    """

    def __init__(self, writer: GroupWriter[LedgerCore], *, database: Path) -> None:
        """Start the thread; nothing is opened before `start`."""
        self._writing = WritingThread(writer, name="ledger")
        self._database = database
        self._reader: aiosqlite.Connection | None = None
        self._closed = False

    async def start(self) -> None:
        """Open the database, with every check of its first opening; closes again if it is refused."""
        try:
            await self.run(_nothing)
            uri = f"file:{quote(str(self._database))}?mode=ro"
            self._reader = await aiosqlite.connect(uri, uri=True, isolation_level=None)
            await self._reader.execute_fetchall("PRAGMA busy_timeout = 5000")
        except sqlite3.Error as error:
            await self.close()
            raise translated(error, "open for reading") from error
        except BaseException:
            await self.close()
            raise

    def run(self, closure: Closure[T]) -> asyncio.Future[T]:
        """Queue a closure, in the order of the calls; the future is the loop's own, safe to cancel."""
        return self._writing.run(closure)

    async def fetch(self, query: Query[T]) -> T:
        """Ask on the read-only connection."""
        if self._reader is None:
            raise InvariantError("the ledger is closed, expected no more calls")
        try:
            rows = await self._reader.execute_fetchall(query.sql, query.parameters)
        except sqlite3.Error as error:
            raise translated(error, "read") from error
        return query.decode([tuple(row) for row in rows])

    async def close(self) -> None:
        """Commit what is queued, close both connections and end the thread; again does nothing."""
        if self._closed:
            return
        self._closed = True
        reader, self._reader = self._reader, None
        try:
            if reader is not None:
                await reader.close()
        finally:
            # The writer closes last: only then does SQLite move the log into the database and remove it.
            self._writing.stop()
            try:
                await asyncio.to_thread(self._writing.join)
            finally:
                # Even when cancelled: nobody may take the state folder while this thread can still write to it.
                self._writing.join()

    def __del__(self) -> None:
        """Say that it was left open, and let both threads end."""
        if self._closed:
            return
        warnings.warn(f"ledger {self._database} was dropped without close()", ResourceWarning, stacklevel=1)
        if self._reader is not None:
            # aiosqlite's own thread still knows its connection: nobody else would ever stop it.
            self._reader.stop()
        self._writing.stop()


def _nothing(_: object) -> None:
    return None
