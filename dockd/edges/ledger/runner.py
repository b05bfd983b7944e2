"""Ways to run the ledger's writes and reads: one writing thread in the daemon, or inline where no thread may be.

Owns threads and futures. Knows no SQL.
"""

import asyncio
import sqlite3
import threading
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import quote

import aiosqlite

from dockd.edges.ledger.faults import translated
from dockd.edges.ledger.group import Closure, Done, Failed, GroupWriter, Outcome
from dockd.edges.ledger.reads import Query
from dockd.errors import InvariantError

T = TypeVar("T")

MAX_GROUP = 512
"""Closures in one COMMIT: bounds how long the first of them waits for the last."""


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

    def __init__(self, writer: GroupWriter) -> None:
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


@dataclass(frozen=True, slots=True)
class _Job:
    closure: Closure[Any]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Stop:
    ended: asyncio.Future[None] | None


class ThreadRunner:
    """One thread owns the writing connection; closures that wait are committed together; reads go by aiosqlite.

    Why reads are not closures: a read behind the writer waits for the COMMIT in progress, milliseconds of fsync, and
    holds up every write behind it; a read-only connection of its own answers in a fifth of a millisecond whatever is
    being synced, and sees every commit that was answered (tests/bench/bench_ledger.py measures both). Each query is
    one statement, which is one hop to aiosqlite's thread.

    Cancelling who awaits `run` neither stops nor undoes the closure. No deadline is put on it either: giving up on a
    commit that may still happen would be a lie, and a hung disk stops the daemon's heartbeat instead.
    """

    def __init__(self, writer: GroupWriter, *, database: Path) -> None:
        """Start the thread; nothing is opened before `start`."""
        self._queue: SimpleQueue[_Job | _Stop] = SimpleQueue()
        self._database = database
        self._reader: aiosqlite.Connection | None = None
        self._closed = False
        # The thread must not hold on to this object, or nobody would ever notice that it was dropped open.
        self._thread = threading.Thread(target=_write, args=(writer, self._queue), name="ledger", daemon=True)
        self._thread.start()

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
        if self._closed:
            raise InvariantError("the ledger is closed, expected no more calls")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Job(closure, answer))
        return answer

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
            await self._end()

    async def _end(self) -> None:
        ended = asyncio.get_running_loop().create_future()
        self._queue.put(_Stop(ended))
        try:
            await ended
        finally:
            # Even when cancelled: nobody may take the state folder while this thread can still write to it.
            self._thread.join()

    def __del__(self) -> None:
        """Say that it was left open, and let both threads end."""
        if self._closed:
            return
        warnings.warn(f"ledger {self._database} was dropped without close()", ResourceWarning, stacklevel=1)
        if self._reader is not None:
            # aiosqlite's own thread still knows its connection: nobody else would ever stop it.
            self._reader.stop()
        self._queue.put(_Stop(None))


def _nothing(_: object) -> None:
    return None


def _write(writer: GroupWriter, queue: SimpleQueue[_Job | _Stop]) -> None:
    """Commit groups until told to stop."""
    stop: _Stop | None = None
    while stop is None:
        group, stop = _waiting(queue)
        if group:
            _answer(group, writer.commit([job.closure for job in group]))
    try:
        writer.close()
    finally:
        if stop.ended is not None:
            _call(stop.ended.get_loop(), partial(_set, stop.ended))


def _waiting(queue: SimpleQueue[_Job | _Stop]) -> tuple[list[_Job], _Stop | None]:
    """Wait for a job, then take all that wait with it."""
    group: list[_Job] = []
    item = queue.get()
    while isinstance(item, _Job):
        group.append(item)
        if len(group) == MAX_GROUP or queue.empty():
            return group, None
        item = queue.get()
    return group, item


def _answer(group: Sequence[_Job], outcomes: Sequence[Outcome]) -> None:
    """Wake each loop once for the whole group."""
    for loop in {job.answer.get_loop() for job in group}:
        pairs = [
            (job.answer, outcome) for job, outcome in zip(group, outcomes, strict=True) if job.answer.get_loop() is loop
        ]
        _call(loop, partial(_settle, pairs))


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    # A loop that is closed has nobody left who waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _settle(pairs: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for answer, outcome in pairs:
        if answer.done():
            continue  # whoever asked was cancelled
        match outcome:
            case Done():
                answer.set_result(outcome.value)
            case Failed():
                answer.set_exception(outcome.error)
