"""Cards of real bays: the ports `Cards` and `Card` over mounts that root's helper makes.

Owns the life of a card's one mount. What is believed across mounts, and why (dockd/README.md, ADR 25):

- Nothing is writable but to erase. A card is mounted read-only when it is first asked for something, and writable for
  an erasure; it stays so over what is read again and erased right after that, so that clearing a card costs one mount.
  `rest` ends that, and so does the next listing or copy, and a while in which nothing is asked: then nothing is mounted
  until something is asked.
- No reading crosses a mount. A file that was not read again in the very mount in which it is to be erased is read again
  there, and has to be what the permit names. So neither a card that was changed for another one inside its reader, nor
  times that look otherwise in another mount, can have the wrong file erased.
- A re-read needs no new mount to be uncached: the copier drops the file's pages and then counts what was fetched. On a
  read-only mount no page can be dirty, on a writable one it syncs them first; and one page that stayed would show in
  the count.
- What a listing told of lengths with more behind their end is of the medium: it holds until the next listing.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.model import ListedFile, Listing
from dockd.edges.card import DescriptorCard, require_erasable
from dockd.edges.copier_process import Patience
from dockd.edges.doors import Doors, Plugged
from dockd.edges.opening import FOLDER, opened
from dockd.errors import CameraGoneError, PermanentError, Reason, TransientError

WINDOW_S = 5.0
"""How long a card stays writable though nothing is asked and nobody lets go of it: longer than a bus ever waits."""


class _Need(Enum):
    """What a command needs of the mount."""

    ANY = auto()
    READ_ONLY = auto()
    WRITABLE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mounted:
    """The card as it is mounted now."""

    card: DescriptorCard
    writable: bool

    def serves(self, need: _Need) -> bool:
        """Say whether it will do."""
        return need is _Need.ANY or self.writable is (need is _Need.WRITABLE)


class MountedCards:
    """Opens the cards of bays."""

    def __init__(
        self,
        spool: Path,
        *,
        doors: Doors,
        plugged: Callable[[Attached], Plugged],
        erase: bool,
        patience: Patience | None = None,
        window_s: float = WINDOW_S,
    ) -> None:
        """Take the spool's folder and the doors; without `erase` no card is ever mounted writable.

        `plugged` says what is plugged in of a camera, as it was seen last, or raises CameraGoneError.
        """
        self._spool = spool
        self._doors = doors
        self._plugged = plugged
        self._erase = erase
        self._patience = patience or Patience()
        self._window_s = window_s

    async def open(self, attached: Attached) -> "MountedCard":
        """Mount a docked camera's card for reading.

        Raises:
            CameraGoneError: it left, or another device is in the bay.
            ListingError: it is no card that is ever mounted.
            TransientError: USB (it hangs, or there is no helper) or DISK (the spool cannot be opened).

        """
        card = MountedCard(
            attached=attached,
            plugged=self._plugged,
            doors=self._doors,
            spool=self._spool,
            erase=self._erase,
            patience=self._patience,
            window_s=self._window_s,
        )
        try:
            await card.begin()
        except BaseException:
            await card.close()
            raise
        return card


class MountedCard:
    """The port `Card` over mounts of one camera's card, one after another."""

    def __init__(
        self,
        *,
        attached: Attached,
        plugged: Callable[[Attached], Plugged],
        doors: Doors,
        spool: Path,
        erase: bool,
        patience: Patience,
        window_s: float,
    ) -> None:
        """Mount nothing yet."""
        self._attached = attached
        self._plugged = plugged
        self._doors = doors
        self._spool = spool
        self._erase = erase
        self._patience = patience
        self._window_s = window_s
        self._turn = asyncio.Lock()
        self._closed = False
        self._mounted: _Mounted | None = None
        self._mounting: asyncio.Task[None] | None = None
        self._resting: asyncio.Task[None] | None = None
        self._first: tuple[Plugged, int] | None = None
        self._behind: frozenset[int] = frozenset()
        self._stuck = False

    async def begin(self) -> None:
        """Mount the card for reading; see `MountedCards.open`."""
        async with self._working(_Need.READ_ONLY):
            pass

    async def listing(self) -> Listing:
        """List every file, or raise ListingError (I7)."""
        async with self._working(_Need.READ_ONLY) as card:
            try:
                return await card.listing()
            finally:
                self._behind = card.behind

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        """Copy one file into the spool under its clip id; see the port for what is raised."""
        async with self._working(_Need.READ_ONLY) as card:
            return await card.copy(file, progress=progress)

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        """Copy what can be read of one file into the spool; see the port for what is raised."""
        async with self._working(_Need.READ_ONLY) as card:
            return await card.salvage(file, progress=progress)

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        """Read a file once more from the card, past every cache (I3); see the port for what is raised."""
        async with self._working(_Need.ANY) as card:
            return await card.reread(file, progress=progress)

    async def erase(self, permit: ErasePermit) -> None:
        """Unlink the one file the permit names, sync, and see that it is gone; see the port for what is raised."""
        require_erasable(permit, erase=self._erase, behind=self._behind)
        async with self._working(_Need.WRITABLE) as card:
            if not card.has_read(permit.path):
                await _read_here(card, permit)
            await card.erase(permit)

    async def rest(self) -> None:
        """Let go of a writable mount; see the port for what is raised."""
        await _to_its_end(self._end_window(), name=f"bay {self._attached.bay} rest")

    async def close(self) -> None:
        """Let go of the card, in the middle of a command too; leaves nothing mounted. Never raises."""
        if self._closed:
            return
        self._closed = True
        if self._mounting is not None:
            self._mounting.cancel()
        await _to_its_end(self._end(), name=f"bay {self._attached.bay} close")

    @asynccontextmanager
    async def _working(self, need: _Need) -> AsyncIterator[DescriptorCard]:
        """Give the card, mounted as is needed, for one command at a time."""
        async with self._turn:
            try:
                await self._wake()
                yield await self._card(need)
            except (CameraGoneError, TransientError) as error:
                # A camera that left leaves nothing mounted; one that hung may do better in a new mount.
                if isinstance(error, CameraGoneError) or error.reason is Reason.USB:
                    await self._unmount()
                raise
            finally:
                if self._mounted is not None and self._mounted.writable:
                    self._resting = asyncio.create_task(self._guard(), name=f"bay {self._attached.bay} window")

    async def _card(self, need: _Need) -> DescriptorCard:
        if self._mounted is not None and not self._mounted.serves(need):
            await self._unmount()
        if self._mounted is None:
            await self._mount(writable=need is _Need.WRITABLE)
        if self._closed or self._mounted is None:
            raise CameraGoneError("the card was closed")
        return self._mounted.card

    async def _mount(self, *, writable: bool) -> None:
        """Mount it, unless it is closed meanwhile. What is mounted is kept here at once, whoever is cancelled."""
        if self._closed:
            raise CameraGoneError("the card was closed")
        self._mounting = asyncio.create_task(self._ask(writable=writable), name=f"bay {self._attached.bay} mount")
        try:
            await self._mounting
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise CameraGoneError("the card was closed") from None
        except PermanentError as error:
            if writable:
                raise
            # Not the file's fault: root's helper knows another board, or another user.
            raise TransientError(Reason.USB, str(error)) from error

    async def _ask(self, *, writable: bool) -> None:
        plugged = self._plugged(self._attached)
        if self._first is not None and plugged != self._first[0]:
            raise CameraGoneError(f"bay {self._attached.bay}: the camera was plugged in again")
        with ExitStack() as on_error:
            try:
                spool = await opened(self._spool, FOLDER)
            except OSError as error:
                raise TransientError(Reason.DISK, f"opening the spool {self._spool}: {error.strerror}") from error
            on_error.callback(os.close, spool)
            mount = await self._doors.mount(self._attached.bay, plugged, writable=writable)
            on_error.pop_all()
        self._stuck = False  # a device is mounted once only
        self._mounted = _Mounted(
            card=DescriptorCard(
                camera=self._attached.camera,
                card=mount.folder,
                spool=spool,
                device=mount.device,
                erase=self._erase and writable,
                patience=self._patience,
                behind=self._behind,
            ),
            writable=writable,
        )
        this = (plugged, os.fstat(mount.folder).st_dev)
        self._first = self._first or this
        if this != self._first:
            raise CameraGoneError(f"bay {self._attached.bay}: another volume is in it")

    async def _unmount(self) -> None:
        """Let go of the mount; a call that is cancelled ends once that is done."""
        mounted, self._mounted = self._mounted, None
        if mounted is not None:
            try:
                await _to_its_end(mounted.card.close(), name=f"bay {self._attached.bay} unmount")
            finally:
                self._stuck |= mounted.writable and mounted.card.lingers

    async def _end_window(self) -> None:
        async with self._turn:
            await self._wake()
            if self._mounted is not None and self._mounted.writable:
                await self._unmount()
            if self._stuck and not self._closed:
                raise TransientError(Reason.USB, "letting go of the card hangs, and it may be writable still")

    async def _guard(self) -> None:
        """End a writable mount of which nothing was asked for a while, and that nobody let go of."""
        await asyncio.sleep(self._window_s)
        await self._unmount()

    async def _wake(self) -> None:
        """Stop to rest; a mount that is just ending, ends first."""
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.cancel()
            await asyncio.wait({resting})

    async def _end(self) -> None:
        if self._mounted is not None:
            await self._mounted.card.close()  # whatever command is under way
        async with self._turn:
            await self._wake()
            await self._unmount()


async def _read_here(card: DescriptorCard, permit: ErasePermit) -> None:
    """Read a file again in this mount, and refuse anything but what the permit names."""
    try:
        again = await card.reread_path(permit.path, permit.length_bytes)
    except PermanentError as error:
        if error.reason is Reason.MISSING:
            raise
        raise PermanentError(Reason.REFUSED, str(error)) from error
    if (again.sha256, again.length_bytes, again.uncached) != (permit.sha256, permit.length_bytes, True):
        say = f"{permit.path!r}: read again to be erased, it has {again.length_bytes} bytes with sha256 {again.sha256}"
        raise PermanentError(Reason.REFUSED, f"{say}, expected {permit.length_bytes} with {permit.sha256}, uncached")


async def _to_its_end(work: Coroutine[object, object, None], *, name: str) -> None:
    """Do something to its end, also where the call is cancelled meanwhile; then it is cancelled after that."""
    task = asyncio.create_task(work, name=name)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
