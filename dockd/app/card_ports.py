"""What the app needs of a docked camera, and of its card.

Owns the shapes that cross that border. As for all of `ports`: every call may raise what its docstring says and nothing
else of the outside world, is safe to repeat, and leaves nothing half done where it is cancelled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dockd.domain.erasure import ErasePermit
from dockd.domain.model import BayId, Camera, ClipId, Gap, ListedFile, Listing, Sha256
from dockd.domain.usb import UsbIds


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A camera came into a bay. `source` is what `Cards.open` needs, opaque to the app.

    `device` is what its filesystem lies in, where that can be read: then its structure is checked with every listing.
    """

    bay: BayId
    camera: Camera
    source: str
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A device is in the bay that nobody knows how to treat: what it calls itself, and why. It is left alone."""

    bay: BayId
    ids: UsbIds
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A file that is in the spool: synced, renamed, its folder synced, read back and equal (I5, I8)."""

    clip_id: ClipId
    sha256: Sha256
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAgain:
    """A file's bytes as the camera gives them now; `uncached` says that no cache can have answered."""

    sha256: Sha256
    length_bytes: int
    uncached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """A file of which not every byte could be read, in the spool as `Copied` is, with zeros in the gaps.

    `sha256` is of those bytes, read back from the spool. Without gaps it is the whole file after all.
    """

    clip_id: ClipId
    sha256: Sha256
    length_bytes: int
    gaps: tuple[Gap, ...]


def unheard(done_bytes: int) -> None:
    """Take no note of how a reading goes."""


class Card(Protocol):
    """One open card. All methods raise CameraGoneError once the camera has left, and TransientError(USB) on a hang."""

    async def listing(self) -> Listing:
        """List every file, or raise ListingError (I7): LISTING, STRUCTURE or DUPLICATE_NAME."""
        ...

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        """Copy one file into the spool under its clip id.

        `progress` is told bytes so far, and all of them once only the disk is waited for.

        Raises:
            TransientError: GROWING (length or time changed under the copy), DISK, DISK_FULL or HASH (the spool
                read back otherwise); nothing stays in the spool.
            PermanentError: UNREADABLE (the card gives an error for this file and is still there), or MISSING.

        """
        ...

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        """Copy what can be read of one file into the spool, in small blocks, within a bounded time.

        Raises:
            TransientError: as `copy` does.
            PermanentError: UNREADABLE (not a byte can be read, or the file cannot be opened) or MISSING.

        """
        ...

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        """Read a file once more from the card, past every cache (I3); `progress` is told bytes so far.

        Raises:
            TransientError: GROWING.
            PermanentError: UNREADABLE or MISSING, as for `copy`.

        """
        ...

    async def erase(self, permit: ErasePermit) -> None:
        """Unlink the one file the permit names, sync, and see that it is gone.

        After CameraGoneError and TransientError the file may be there or not: only a complete listing can tell.

        Raises:
            TransientError: USB, and no answer came, or the file was unlinked and is not surely gone.
            PermanentError: REFUSED (the card is read-only or says no, or the file is not the one that was read again);
                the file is still there. MISSING: it was not there to be erased; only a listing may call that erased.

        """
        ...

    async def rest(self) -> None:
        """Let go of what is writable: once this returns nothing of the card is, until the next erasure (I6).

        A call that is cancelled does so all the same before it ends. Of a card that is closed, or whose camera left,
        nothing is writable: this says nothing of it.

        Raises:
            TransientError: USB, letting go of it hangs, and it may be writable still.

        """
        ...

    async def close(self) -> None:
        """Let go of the card; leaves nothing mounted. Never raises, even when the camera is gone."""
        ...


class Cards(Protocol):
    """Opens cards."""

    async def open(self, attached: Attached) -> Card:
        """Open a docked camera's card for reading only (I6).

        Raises:
            CameraGoneError: it left before it was open.
            ListingError: it is no card we may read (structure, filesystem).
            TransientError: USB (opening it hangs) or DISK (the spool cannot be opened).

        """
        ...
