"""Clearing a camera: its lamp says wait from its first erasure until nothing of its card is writable any more (I6).

Owns which camera a bus clears, and when that ends. Must not know how a file is erased, nor which comes next.
"""

from collections.abc import Awaitable, Callable, Container

from dockd.app.ports import Clock, Ledger
from dockd.app.stay import Stay
from dockd.domain.bay import work_of
from dockd.domain.model import DockingId
from dockd.domain.schedule import Job, JobKind
from dockd.errors import Reason, TransientError

LINGER_S = 1.0
"""For so long the next receipt of a camera's clips is waited for: a card is not made writable for each file anew."""


class Clearing:
    """The camera that a bus clears now, if any."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        here: Container[DockingId],
        broke: Callable[[Stay, Reason, str], Awaitable[None]],
    ) -> None:
        """Begin with none. `here` has the stays on the bus; `broke` hears of one whose card cannot be let go of."""
        self._ledger = ledger
        self._clock = clock
        self._here = here
        self._broke = broke
        self._stay: Stay | None = None
        self._until_s: float | None = None

    def begin(self, stay: Stay) -> None:
        """Show a camera as being cleared, until the bus has other work: a lamp that flickers a file says nothing."""
        self._until_s = None
        if stay is not self._stay:
            self._stay = stay
            stay.watch.erasing(stay.docking, opened=True)

    async def make_way(self, job: Job | None) -> bool:
        """End what `job` does not go on with, None for no job; say whether anything ended, which takes its time."""
        stay = self._stay
        if stay is None or (job is not None and job.kind is JobKind.ERASE and job.docking == stay.docking):
            return False
        if job is None and await self._lingers(stay):
            return False
        await self._end(stay)
        return True

    def next_in_s(self, now_s: float) -> float | None:
        """Say in how many seconds it ends; None where nothing waits for that."""
        return None if self._until_s is None else max(0.0, self._until_s - now_s)

    async def _lingers(self, stay: Stay) -> bool:
        now_s = self._clock.monotonic_s()
        if self._until_s is None:
            self._until_s = now_s + LINGER_S
        if now_s >= self._until_s or stay.docking not in self._here:
            return False
        return work_of(await self._ledger.tally(stay.docking)).unreceipted_files > 0

    async def _end(self, stay: Stay) -> None:
        self._stay, self._until_s = None, None
        try:
            await stay.card.rest()
        except TransientError as error:
            # The lamp goes on saying wait until it says leave; of a camera that left meanwhile it says nothing.
            if stay.docking in self._here:
                await self._broke(stay, error.reason, str(error))
        else:
            stay.watch.erasing(stay.docking, opened=False)
