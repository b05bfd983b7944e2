"""Docked cards: the ports `Cards` and `Card`, with a copier child for each open card.

Owns the open descriptors of a card and of the spool, and the translation of what a copier says. A card is worked on by
its folder's descriptor alone, so that whoever opens it - this process by a path, or a helper that mounts it - matters
to nobody else. Never touches the card itself: a card that hangs must not take the daemon with it.
"""

import asyncio
import base64
import logging
import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.gaps import merged
from dockd.domain.listing import listing_of
from dockd.domain.model import Camera, ClipId, Gap, ListedFile, Listing, Sha256, identity_prefix
from dockd.edges.copier_process import (
    At,
    Checked,
    Command,
    CopierLostError,
    CopierProcess,
    Done,
    Failed,
    Found,
    OnDisk,
    Patience,
    Sign,
)
from dockd.edges.opening import FOLDER, closed, open_card, open_device, opened
from dockd.errors import CameraGoneError, DockdError, ListingError, PermanentError, Reason, TransientError

SALVAGE_MOST_S = 300
SALVAGE_BYTES_S = 8_000_000
"""A file that reads with errors may take the bus for as long as a slow card needs to give all of it, at so many bytes a
second, and so long more for the errors, and no longer: what is not read by then is a gap."""

_TRANSIENT = {
    "growing": Reason.GROWING,
    "disk": Reason.DISK,
    "disk-full": Reason.DISK_FULL,
    "hash": Reason.HASH,
    "usb": Reason.USB,
}
_LISTING = {
    "listing": Reason.LISTING,
    "structure": Reason.STRUCTURE,
    "duplicate-name": Reason.DUPLICATE_NAME,
}
_PERMANENT = {"missing": Reason.MISSING, "unreadable": Reason.UNREADABLE, "refused": Reason.REFUSED}

_log = logging.getLogger(__name__)


class FolderCards:
    """Opens cards that are folders here: `Attached.source` is the path."""

    def __init__(self, spool: Path, *, erase: bool, patience: Patience | None = None) -> None:
        """Take the spool's folder; without `erase` no card opened here ever loses a file, whatever permit comes."""
        self._spool = spool
        self._erase = erase
        self._patience = patience or Patience()

    async def open(self, attached: Attached) -> "DescriptorCard":
        """Open a folder as a card.

        Raises:
            CameraGoneError: there is no such folder any more.
            ListingError: it is no folder, or may not be read; or its device is none, or another's.
            TransientError: USB (it hangs) or DISK (the spool cannot be opened).

        """
        stall_s = self._patience.stall_s
        with ExitStack() as on_error:
            card = await open_card(attached.source, stall_s=stall_s)
            on_error.callback(os.close, card)
            device = None
            if attached.device is not None:
                device = await open_device(attached.device, card=card, stall_s=stall_s)
                on_error.callback(os.close, device)
            try:
                spool = await opened(self._spool, FOLDER)
            except OSError as error:
                raise TransientError(Reason.DISK, f"opening the spool {self._spool}: {error.strerror}") from error
            on_error.pop_all()
        return DescriptorCard(
            camera=attached.camera,
            card=card,
            spool=spool,
            device=device,
            erase=self._erase,
            patience=self._patience,
        )


class DescriptorCard:
    """The port `Card` over an open folder. Owns both descriptors from here on, and closes them."""

    def __init__(
        self,
        *,
        camera: Camera,
        card: int,
        spool: int,
        device: int | None,
        erase: bool,
        patience: Patience,
        behind: frozenset[int] = frozenset(),
    ) -> None:
        """Start nothing yet. `behind` is what a listing of this card has told before, through other descriptors."""
        self._camera = camera
        self._descriptors = (card, spool) if device is None else (card, spool, device)
        self._spool = spool
        self._erase = erase
        self._kill_s = patience.kill_s
        self._copier = CopierProcess(self._descriptors, patience=patience, abandoned=self._left)
        self._turn = asyncio.Lock()
        self._closed = False
        self._lingers = False
        # A copier that outlives its daemon for a moment must never meet a part of the next one.
        self._parts = secrets.token_hex(8)
        self._copies = 0
        self._read: dict[bytes, int] = {}
        self._behind = behind

    @property
    def copier_pid(self) -> int | None:
        """The process id of the copier, None while none runs."""
        return self._copier.pid

    @property
    def behind(self) -> frozenset[int]:
        """The lengths that have more behind their end, as the last listing told, be it one that failed after that."""
        return self._behind

    @property
    def lingers(self) -> bool:
        """Say whether something of it hung in the kernel when it was closed, and may have it open still."""
        return self._lingers

    def has_read(self, path: bytes) -> bool:
        """Say whether a file was read again here, and nothing was erased under its name since."""
        return path in self._read

    async def listing(self) -> Listing:
        """List every file, or raise ListingError (I7)."""
        files: list[ListedFile] = []
        structure: tuple[tuple[str, str], ...] = ()

        def hear(sign: Sign) -> None:
            nonlocal structure
            if isinstance(sign, Checked):
                structure, self._behind = sign.facts, sign.behind
            if isinstance(sign, Found):
                files.extend(
                    ListedFile(path=base64.b64decode(path), length_bytes=length_bytes, mtime_ns=mtime_ns)
                    for path, length_bytes, mtime_ns in sign.files
                )

        await self._ask({"do": "list"}, hear=hear)
        return replace(await asyncio.to_thread(listing_of, files), structure=structure, behind=self._behind)

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        """Copy one file into the spool under its clip id; see the port for what is raised."""
        done = await self._keep({"do": "copy"}, file, progress=progress)
        return Copied(clip_id=ClipId(done.clip_id), sha256=Sha256(done.sha256), length_bytes=done.length_bytes)

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        """Copy what can be read of one file into the spool; see the port for what is raised."""
        most_s = SALVAGE_MOST_S + file.length_bytes // SALVAGE_BYTES_S
        done = await self._keep({"do": "salvage", "most_s": most_s}, file, progress=progress)
        return Salvaged(
            clip_id=ClipId(done.clip_id),
            sha256=Sha256(done.sha256),
            length_bytes=done.length_bytes,
            gaps=merged(Gap(offset_bytes=offset, length_bytes=length) for offset, length in done.gaps),
        )

    async def _keep(self, what: Command, file: ListedFile, *, progress: Callable[[int], None]) -> Done:
        self._copies += 1
        part = f"{self._parts}-{self._copies}.part"
        prefix = identity_prefix(camera=self._camera, path=file.path, length_bytes=file.length_bytes)
        command: Command = {
            **what,
            "path": _packed(file.path),
            "length": file.length_bytes,
            "mtime_ns": file.mtime_ns,
            "part": part,
            "prefix": prefix.hex(),
        }

        on_disk = False

        def hear(sign: Sign) -> None:
            nonlocal on_disk
            if isinstance(sign, At):
                progress(sign.done_bytes)
            if isinstance(sign, OnDisk) and not on_disk:
                on_disk = True
                progress(file.length_bytes)

        return await self._ask(command, hear=hear, part=part)

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        """Read a file once more from the card, past every cache (I3); see the port for what is raised."""
        return await self.reread_path(file.path, file.length_bytes, progress=progress)

    async def reread_path(
        self, path: bytes, length_bytes: int, *, progress: Callable[[int], None] = unheard
    ) -> ReadAgain:
        """Read a file once more that is known by path and length, as `reread` does."""
        self._read.pop(path, None)

        def hear(sign: Sign) -> None:
            if isinstance(sign, At):
                progress(sign.done_bytes)

        done = await self._ask({"do": "reread", "path": _packed(path), "length": length_bytes}, hear=hear)
        self._read[path] = done.mtime_ns
        return ReadAgain(sha256=Sha256(done.sha256), length_bytes=done.length_bytes, uncached=done.uncached)

    async def erase(self, permit: ErasePermit) -> None:
        """Unlink the one file the permit names, sync, and see that it is gone; see the port for what is raised.

        Refused too: a card that was opened for reading only, a file that was written to after its re-read, and one that
        may have more behind its end.
        """
        require_erasable(permit, erase=self._erase, behind=self._behind)
        command: Command = {
            "do": "unlink",
            "path": _packed(permit.path),
            "length": permit.length_bytes,
            "mtime_ns": self._read.pop(permit.path, None),
            "sha256": permit.sha256,
        }
        await self._ask(command)

    async def rest(self) -> None:
        """Do nothing: whoever opened the descriptors decides what is writable."""

    async def close(self) -> None:
        """Let go of the card, in the middle of a command too. Never raises, even when the camera is gone."""
        if self._closed:
            return
        self._closed = True
        self._copier.kill()
        try:
            async with self._turn:  # a command that was under way must have let go of the descriptors
                await self._copier.end()
        finally:
            self._lingers |= not await closed(*self._descriptors, most_s=self._kill_s)

    def _left(self, pid: int) -> None:
        self._lingers = True
        _log.warning("copier %s outlived its kill by %g s: it hangs in the kernel", pid, self._kill_s)

    async def _ask(self, command: Command, *, hear: Callable[[Sign], None] | None = None, part: str = "") -> Done:
        async with self._turn:
            if self._closed:
                raise CameraGoneError("the card was closed")
            try:
                answer = await self._copier.ask(command, hear=hear or _unheard)
            except CopierLostError as error:
                await self._sweep(part)
                raise self._lost(command, error) from error
            except BaseException:
                await self._sweep(part)
                raise
        match answer:
            case Done():
                return answer
            case Failed():
                raise _error_of(answer)

    def _lost(self, command: Command, error: CopierLostError) -> DockdError:
        if self._closed:
            return CameraGoneError("the card was closed")
        return TransientError(Reason.DISK if error.on_disk else Reason.USB, f"{command['do']}: {error}")

    async def _sweep(self, part: str) -> None:
        """Remove what a copier that was killed could not."""
        if part:
            with suppress(OSError):
                await asyncio.to_thread(os.unlink, part, dir_fd=self._spool)


def require_erasable(permit: ErasePermit, *, erase: bool, behind: frozenset[int]) -> None:
    """Refuse to erase what stays on its card whatever permit comes.

    Raises:
        PermanentError: REFUSED; the card is for reading only, or the file may have more behind its end.

    """
    if not erase:
        raise PermanentError(Reason.REFUSED, f"{permit.path!r}: this card was opened for reading only")
    if permit.length_bytes in behind:
        # Told by length, as names look different from inside a filesystem: in doubt one file more is kept (I4).
        say = f"a file of {permit.length_bytes} bytes has more on the card behind its end, which nobody has read"
        raise PermanentError(Reason.REFUSED, f"{permit.path!r}: kept, as {say}")


def _packed(path: bytes) -> str:
    return base64.b64encode(path).decode("ascii")


def _unheard(sign: Sign) -> None:
    """Take note of no sign."""


def _error_of(failed: Failed) -> DockdError:
    if failed.code == "gone":
        return CameraGoneError(failed.say)
    listing = _LISTING.get(failed.code)
    if listing is not None:
        return ListingError(listing, failed.say)
    permanent = _PERMANENT.get(failed.code)
    if permanent is not None:
        return PermanentError(permanent, failed.say)
    return TransientError(_TRANSIENT.get(failed.code, Reason.USB), failed.say)
