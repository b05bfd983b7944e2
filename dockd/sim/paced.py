"""Cards on a bus of a given speed, for a demonstration that can be watched.

Owns how long reading and erasing take. What is read and erased is the business of the cards behind.
"""

from collections.abc import Callable
from itertools import pairwise

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Card, Cards, Clock, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.model import ListedFile, Listing
from dockd.tus.pace import Pace, book

STEPS = 8
"""Progress is told so many times in a file."""
ERASE_BYTES = 100_000
"""An unlink with its sync takes as long on the bus as reading this."""


class PacedBus:
    """One bus that all cards share. `bytes_s` None is a bus that takes no time."""

    def __init__(self, *, clock: Clock, bytes_s: int | None) -> None:
        """Begin idle."""
        self._clock = clock
        self._pace = Pace(limit_bytes_s=bytes_s)

    async def carry(self, length_bytes: int) -> None:
        """Take as long as so many bytes take; who comes first is carried first."""
        self._pace, wait_s = book(self._pace, length_bytes=length_bytes, now_s=self._clock.monotonic_s())
        if wait_s > 0:
            await self._clock.sleep(wait_s)


class PacedCards:
    """Implements the port Cards over other cards."""

    def __init__(self, inner: Cards, *, bus: PacedBus) -> None:
        """Take the cards and the bus they are on."""
        self._inner = inner
        self._bus = bus

    async def open(self, attached: Attached) -> Card:
        """Open a card."""
        return PacedCard(await self._inner.open(attached), bus=self._bus)


class PacedCard:
    """Implements the port Card over another card."""

    def __init__(self, inner: Card, *, bus: PacedBus) -> None:
        """Take the card and its bus."""
        self._inner = inner
        self._bus = bus

    async def listing(self) -> Listing:
        """List every file."""
        return await self._inner.listing()

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        """Copy one file: half its time goes by before the copy and half after, so that a pull in the middle cuts it."""
        marks = [file.length_bytes * step // STEPS for step in range(STEPS + 1)]
        await self._pass(marks[: STEPS // 2 + 1], progress)
        copied = await self._inner.copy(file, progress=unheard)
        await self._pass(marks[STEPS // 2 :], progress)
        return copied

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        """Copy what can be read of one file."""
        await self._bus.carry(file.length_bytes)
        return await self._inner.salvage(file, progress=progress)

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        """Read a file once more."""
        await self._bus.carry(file.length_bytes)
        return await self._inner.reread(file, progress=progress)

    async def erase(self, permit: ErasePermit) -> None:
        """Unlink the one file the permit names."""
        await self._bus.carry(ERASE_BYTES)
        await self._inner.erase(permit)

    async def rest(self) -> None:
        """Let go of what is writable."""
        await self._inner.rest()

    async def close(self) -> None:
        """Let go of the card."""
        await self._inner.close()

    async def _pass(self, marks: list[int], progress: Callable[[int], None]) -> None:
        for before, mark in pairwise(marks):
            await self._bus.carry(mark - before)
            progress(mark)
