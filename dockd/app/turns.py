"""Turns on a bus: the job that has the bus, and those set aside because no byte of theirs comes.

Owns which jobs are under way, one at most of a docking, and when one is set aside. Must not know what a job does, nor
how it ends.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from dockd.app.stay import Stay
from dockd.domain.model import ClipKey, DockingId
from dockd.domain.schedule import Job, JobKind

STILL_S = 3.0
"""A card that is read gives news four times a second: one that gave none for so long, or twice that, may hang."""
ASIDE_MOST = 8
"""Each may be a copier that hangs, some 13 MiB of memory; where so many do, the bus waits for one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Underway:
    """What a bus works on now, for people to see."""

    docking: DockingId
    clip: ClipKey
    kind: JobKind
    bytes_done: int


class Turns:
    """The jobs under way on one bus. Between two turns all of them are set aside."""

    def __init__(self, *, over: Callable[[], None]) -> None:
        """Begin with none; `over` hears of every job that ends after it was set aside."""
        self._over = over
        self._tasks: dict[DockingId, asyncio.Task[None]] = {}
        self._shown: dict[DockingId, Underway] = {}

    async def take(self, job: Job, stay: Stay, task: asyncio.Task[None]) -> None:
        """Wait for a job that was just begun until it is over, or is set aside.

        What waits for the disk is never set aside: another copy would only wait for the same disk.
        """
        self._tasks[job.docking] = task
        self._shown[job.docking] = Underway(docking=job.docking, clip=job.clip.key, kind=job.kind, bytes_done=0)
        moves = -1
        while not task.done() and (self._moves(job, stay, since=moves) or len(self._tasks) > ASIDE_MOST):
            moves = stay.moves
            # Only waited for: the end of a stay cancels its job and never the bus.
            await asyncio.wait({task}, timeout=STILL_S)
        if task.done():
            self._forget(job.docking)
        else:
            task.add_done_callback(lambda _: self._back(job.docking))

    async def end(self, docking: DockingId) -> None:
        """Cancel the job of a docking, if there is one, and see it end."""
        task = self._tasks.get(docking)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def progress(self, docking: DockingId, clip: ClipKey, bytes_done: int) -> None:
        """Hear how much of a clip is done; late news is of no job."""
        shown = self._shown.get(docking)
        if shown is not None and shown.clip == clip:
            self._shown[docking] = replace(shown, bytes_done=bytes_done)

    def __contains__(self, docking: DockingId) -> bool:
        """Say whether a job of this docking is under way."""
        return docking in self._tasks

    def __bool__(self) -> bool:
        """Say whether any is."""
        return bool(self._tasks)

    @property
    def erasing(self) -> bool:
        """Say whether any of them erases."""
        return any(shown.kind is JobKind.ERASE for shown in self._shown.values())

    @property
    def underway(self) -> Underway | None:
        """The job that was begun last: the one that has the bus, or else one that was set aside."""
        return next(reversed(self._shown.values()), None)

    def _moves(self, job: Job, stay: Stay, *, since: int) -> bool:
        on_disk = 0 < job.clip.length_bytes <= self._shown[job.docking].bytes_done
        return on_disk or stay.moves != since

    def _back(self, docking: DockingId) -> None:
        self._forget(docking)
        self._over()

    def _forget(self, docking: DockingId) -> None:
        del self._tasks[docking], self._shown[docking]
