"""The one thread that writes: closures that wait are committed together, and answered on the loops that asked.

Owns the thread and its queue. Knows no SQL.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from dockd.errors import InvariantError
from dockd.sqlite.group import C, Done, Failed, GroupWriter, Outcome

T = TypeVar("T")

MAX_GROUP = 512
"""Closures in one COMMIT: bounds how long the first of them waits for the last."""


@dataclass(frozen=True, slots=True)
class Job:
    """A closure, and who waits for it."""

    closure: Callable[[Any], Any]
    answer: asyncio.Future[Any]


Jobs = SimpleQueue[Job | None]
"""What waits, in order; None ends the thread."""


class WritingThread(Generic[C]):
    """Owns a writer and, in it, the writing connection.

    Cancelling who awaits `run` neither stops nor undoes the closure. No deadline is put on it either: giving up on a
    commit that may still happen would be a lie.
    """

    def __init__(self, writer: GroupWriter[C], *, name: str) -> None:
        """Start the thread; the writer opens the database when it sees fit."""
        self._name = name
        self._jobs: Jobs = SimpleQueue()
        self._stopped = False
        # The thread must not hold on to this object, or nobody would ever notice that it was dropped open.
        self._thread = threading.Thread(target=_write, args=(writer, self._jobs), name=name, daemon=True)
        self._thread.start()

    def run(self, closure: Callable[[C], T]) -> asyncio.Future[T]:
        """Queue a closure, in the order of the calls; the future is the loop's own, safe to cancel."""
        if self._stopped:
            raise InvariantError(f"the {self._name} is closed, expected no more calls")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(Job(closure, answer))
        return answer

    def stop(self) -> None:
        """Take nothing more; the thread commits what waits, closes the connection and ends."""
        if not self._stopped:
            self._stopped = True
            self._jobs.put(None)

    def join(self) -> None:
        """Wait for the end of the thread; to be called outside the event loop."""
        self._thread.join()


def _write(writer: GroupWriter[Any], jobs: Jobs) -> None:
    """Commit groups until told to stop."""
    stopped = False
    while not stopped:
        group, stopped = _waiting(jobs)
        if group:
            _answer(group, _committed(writer, [job.closure for job in group]))
    writer.close()


def _waiting(jobs: Jobs) -> tuple[list[Job], bool]:
    """Wait for a job, then take all that wait with it; and whether that was the end."""
    group: list[Job] = []
    job = jobs.get()
    while job is not None:
        group.append(job)
        if len(group) == MAX_GROUP or jobs.empty():
            return group, False
        job = jobs.get()
    return group, True


def _committed(writer: GroupWriter[Any], closures: Sequence[Callable[[Any], Any]]) -> list[Outcome]:
    try:
        return writer.commit(closures)
    except BaseException as error:  # noqa: BLE001 - this thread ends for nobody: all who come later wait for it
        return [writer.failed(error, "write") for _ in closures]


def _answer(group: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
    """Wake each loop once for the whole group."""
    for loop in {job.answer.get_loop() for job in group}:
        pairs = [
            (job.answer, outcome) for job, outcome in zip(group, outcomes, strict=True) if job.answer.get_loop() is loop
        ]
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(partial(_settle, pairs))


def _settle(pairs: Sequence[tuple[asyncio.Future[Any], Outcome]]) -> None:
    for answer, outcome in pairs:
        if answer.done():
            continue  # whoever asked was cancelled
        match outcome:
            case Done():
                answer.set_result(outcome.value)
            case Failed():
                answer.set_exception(outcome.error)
