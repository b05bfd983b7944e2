"""Cards in simulated bays: the station's own cards, that leave in the middle of a call when the camera is pulled.

Owns what a pull does to work under way, and when an impatient officer pulls. Reads and writes no card itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Card, Cards, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.model import ListedFile, Listing
from dockd.errors import CameraGoneError
from dockd.sim.rack import Docked, Rack


class DockedCards:
    """Implements the port Cards over other cards."""

    def __init__(self, inner: Cards, *, rack: Rack) -> None:
        """Take the cards, and the rack that knows what is docked."""
        self._inner = inner
        self._rack = rack

    async def open(self, attached: Attached) -> Card:
        """Open a card whose camera is still where it was attached."""
        docked = self._rack.docked(attached.bay)
        if docked is None or str(docked.folder) != attached.source:
            raise CameraGoneError(f"bay {attached.bay}: camera {attached.camera.serial} was taken out")
        async with _while_docked(docked):
            return DockedCard(await self._inner.open(attached), docked=docked, rack=self._rack)


class DockedCard:
    """Implements the port Card over another card."""

    def __init__(self, inner: Card, *, docked: Docked, rack: Rack) -> None:
        """Take the card and the stay that it belongs to."""
        self._inner = inner
        self._docked = docked
        self._rack = rack

    async def listing(self) -> Listing:
        """List every file."""
        async with _while_docked(self._docked):
            return await self._inner.listing()

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        """Copy one file; half-way through the one that the plan names, the camera is pulled."""
        docked = self._docked
        docked.copies += 1
        pull_now = docked.copies == docked.pull_at

        def seen(done_bytes: int) -> None:
            progress(done_bytes)
            if pull_now and not docked.gone and done_bytes >= file.length_bytes // 2:
                self._rack.pull(docked.bay)

        async with _while_docked(docked):
            return await self._inner.copy(file, progress=seen)

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        """Copy what can be read of one file."""
        async with _while_docked(self._docked):
            return await self._inner.salvage(file, progress=progress)

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        """Read a file once more."""
        async with _while_docked(self._docked):
            return await self._inner.reread(file, progress=progress)

    async def erase(self, permit: ErasePermit) -> None:
        """Unlink the one file the permit names."""
        async with _while_docked(self._docked):
            await self._inner.erase(permit)

    async def rest(self) -> None:
        """Let go of what is writable."""
        await self._inner.rest()

    async def close(self) -> None:
        """Let go of the card."""
        await self._inner.close()


@asynccontextmanager
async def _while_docked(docked: Docked) -> AsyncIterator[None]:
    """End the block with CameraGoneError at the moment the camera is taken out."""
    message = f"bay {docked.bay}: camera {docked.camera.serial} was taken out"
    if docked.gone:
        raise CameraGoneError(message)
    scope = asyncio.timeout(None)
    try:
        async with scope:
            loop = asyncio.get_running_loop()
            with docked.calling(lambda: scope.reschedule(loop.time())):
                yield
    except TimeoutError as error:
        if not scope.expired():
            raise
        raise CameraGoneError(message) from error
