"""What the app needs of the world, as small protocols; edges and simulated twins implement them.

Owns the shapes that cross the border. Every call may raise what its docstring says and nothing else of the outside
world; each is safe to repeat unless it says otherwise. Cancelling a call leaves nothing half done that a later call
would take for done.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dockd.app.card_ports import Attached, Card, Cards, Copied, ReadAgain, Salvaged, Unknown
from dockd.domain.bay import Tally
from dockd.domain.clip import Change, Move
from dockd.domain.custody import Link
from dockd.domain.event import Event
from dockd.domain.lamps import Lamp
from dockd.domain.model import (
    Assurance,
    BayId,
    Clip,
    ClipId,
    ClipKey,
    DockingId,
    ListedFile,
    Listing,
    Sha256,
    Timestamp,
)
from dockd.domain.quarantine import Broken, Held
from dockd.domain.receipt import Receipt
from dockd.domain.schedule import Head
from dockd.errors import Reason
from dockd.tus.upload import Request, Response

# Whoever knows these ports finds those of a card here, too.
__all__ = ["Attached", "Card", "Cards", "Copied", "ReadAgain", "Salvaged", "Unknown"]

# --- what happens at the bays -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """The bay's camera is gone."""

    bay: BayId


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """A bay was looked at, at start, and holds no camera."""

    bay: BayId


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRead:
    """The battery of the bay's camera, in per cent; None where it cannot be known. `inferred` is not its own word."""

    bay: BayId
    charge_pct: int | None
    inferred: bool = False


FeedEvent = Attached | Detached | Empty | Unknown | ChargeRead


class CameraFeed(Protocol):
    """Tells what is docked. At start every bay is told once (Attached, Empty, Unknown), then every change, in order."""

    def events(self) -> AsyncIterator[FeedEvent]:
        """Give events for ever; an end of the stream means that there will be no more dockings."""
        ...


# --- the spool ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the spool's disk has left."""

    free_bytes: int
    free_files: int


class Spool(Protocol):
    """Verified copies, one file a clip, named by clip id. Never counts as safe (I4)."""

    def path(self, clip_id: ClipId) -> Path:
        """Say where a clip's copy lies, or would lie. Raises InvariantError for what is no clip id."""
        ...

    async def room(self) -> Room:
        """Measure the disk. Raises TransientError(DISK)."""
        ...

    async def digest(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        """Hash the copy as it is on disk now; None where there is none, or the disk no longer gives it back (I9).

        Raises:
            TransientError: DISK, it cannot be looked at now.

        """
        ...

    async def has_header(self, clip_id: ClipId) -> bool:
        """Say whether a container file (MP4, MOV) has its header; True for what is no container.

        Raises:
            TransientError: DISK, there is no copy or it cannot be read.

        """
        ...

    async def copies(self) -> Mapping[ClipId, int]:
        """Give every copy there is, with its length in bytes. Raises TransientError(DISK)."""
        ...

    async def settle(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        """Make durable a copy that an earlier run made, then read it back as `digest` does.

        None where there is none, or its sync failed: that copy is dead (I9).

        Raises:
            TransientError: DISK, it cannot be looked at now.

        """
        ...

    async def discard(self, clip_id: ClipId) -> None:
        """Remove a copy durably; fine where there is none. Raises TransientError(DISK)."""
        ...


# --- the ledger ---------------------------------------------------------------------------------------------------


class Ledger(Protocol):
    """Durable state: every answer is committed and synced before it is given (I8).

    Raises InvariantError when the database contradicts itself, TransientError(DISK or DISK_FULL) when its disk fails.
    """

    async def dock(self, attached: Attached) -> DockingId:
        """Open a docking: a row and a custody entry."""
        ...

    async def undock(self, docking: DockingId, *, early: bool, left_files: int) -> None:
        """Close a docking, once; later calls change nothing."""
        ...

    async def record_listing(self, docking: DockingId, listing: Listing) -> None:
        """Write down a complete listing in one transaction: `domain.listing.reconcile` on what is known."""
        ...

    async def move(self, key: ClipKey, move: Move, change: Change, *, actor: str) -> Clip:
        """Move one clip and append its custody entry, in one transaction; give the clip as it is then.

        Raises:
            StaleMoveError: the move is not lawful from the state the clip is in now, or rests on a reading of a stay
                that is over; nothing is written.

        """
        ...

    async def supersede(self, key: ClipKey, file: ListedFile, *, docking: DockingId) -> Clip:
        """Part a clip from a file that proved to be another one: a new FOUND row for the file, the old row stays.

        Raises:
            StaleMoveError: the clip was listed in another docking since.

        """
        ...

    async def salvage(self, key: ClipKey, salvaged: Salvaged, *, docking: DockingId) -> Clip:
        """Write down what was salvaged of a clip's file: a COPIED row of its own, apart from this docking's work.

        Raises:
            StaleMoveError: the clip was listed in another docking since.

        """
        ...

    async def broke(self, docking: DockingId, reason: Reason, detail: str) -> None:
        """Write down why nothing more is done with a camera in this docking, with a custody entry; the first stands."""
        ...

    async def acknowledge_clip(self, key: ClipKey, *, actor: str, why: str) -> Clip:
        """Write down who lets a held clip be, and why, with a custody entry; it stays held.

        Raises:
            StaleMoveError: it is not held.

        """
        ...

    async def acknowledge_docking(self, docking: DockingId, *, actor: str, why: str) -> None:
        """Write down who has looked at a camera that broke, and what they say, with a custody entry.

        Raises:
            StaleMoveError: it did not break in that docking.

        """
        ...

    async def held(self, *, key: ClipKey | None = None, after: ClipKey, limit: int) -> Sequence[Held]:
        """Give held clips in the order in which they were found, or that one."""
        ...

    async def broken(self) -> Sequence[Broken]:
        """Give every camera that is in quarantine, the latest first."""
        ...

    async def find(self, key: ClipKey) -> Clip | None:
        """Read one clip, if there is such a one."""
        ...

    async def note(
        self,
        cause: str,
        *,
        actor: str,
        bay: BayId | None = None,
        docking: DockingId | None = None,
        clip: ClipKey | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Append a custody entry that moves no clip."""
        ...

    async def annotate(self, key: ClipKey, change: Change) -> None:
        """Set what a clip waits for (`reason`, `detail`) without moving it; no custody entry."""
        ...

    async def clip(self, key: ClipKey) -> Clip:
        """Read one clip."""
        ...

    async def heads(self, dockings: Sequence[DockingId], *, skip: frozenset[ClipKey]) -> tuple[Head, ...]:
        """Give the next work of each docking, urgent first, then oldest; `skip` names clips that wait for something.

        copy: FOUND; confirm: COPIED, UPLOADED or RECEIPTED and not yet read in its docking; erase: RECEIPTED, with
        every clip of its recording in this docking settled.
        """
        ...

    async def next_upload(self, *, skip: frozenset[ClipKey], wanted: Assurance) -> Clip | None:
        """Give the next clip to bring to the store: COPIED, or UPLOADED with less assurance than `wanted`.

        Urgent first, then begun uploads, then in the order of copying.
        """
        ...

    async def spooled(self, copies: Collection[ClipId]) -> frozenset[ClipId]:
        """Say which of these copies a clip on record has in the spool."""
        ...

    async def next_reclaim(
        self, *, receipted_before_utc: str, copying: frozenset[ClipKey], skip: frozenset[ClipKey]
    ) -> Clip | None:
        """Give a spooled clip whose receipt is durable since before that time, and whose copy no open clip shares.

        `copying` names the clips that are being copied: none of them may turn out to be this one, come back. `skip`
        names clips whose copy is left alone for now.
        """
        ...

    async def recording(self, clip: Clip) -> tuple[Clip, ...]:
        """Give a clip as it is on record, and the first of its recording in its docking that has no receipt."""
        ...

    async def tally(self, docking: DockingId) -> Tally:
        """Count a docking's clips."""
        ...

    async def backlog(self) -> Tally:
        """Count every clip of this station that is not erased."""
        ...

    async def leaf(self, key: ClipKey) -> str:
        """Give the hash of the latest custody entry of a clip (64 hex)."""
        ...

    async def links(self, *, after: int, limit: int) -> Sequence[Link]:
        """Read the custody chain, in order."""
        ...

    async def told(self) -> int:
        """Give the custody entry up to which the world outside knows everything."""
        ...

    async def record_told(self, seq: int) -> None:
        """Write down that it knows everything up to this entry."""
        ...


# --- the store ----------------------------------------------------------------------------------------------------


class Wire(Protocol):
    """Carries tus requests to the store and its answers back; follows no redirect, retries nothing."""

    async def exchange(self, request: Request, *, source: Path | None, progress: Callable[[int], None]) -> Response:
        """Perform one request; a body is a range of the file `source`, `progress` is told bytes sent.

        Raises:
            TransientError: AUTH (the token cannot be read), DNS, TLS, CLOCK or NETWORK: no whole answer came. STORE:
                what came is no HTTP. DISK: the source cannot be read, or is shorter than the range.
            InvariantError: the URL is not at the store's endpoint (I14), or a body comes without a source.

        """
        ...

    async def digest(self, url: str) -> tuple[Sha256, int]:
        """Read a stored clip back and hash it: digest and length.

        Raises:
            TransientError: as `exchange`; AUTH or STORE also when the store answers and does not give the bytes.
            InvariantError: the URL is not at the store's endpoint (I14).

        """
        ...

    async def close(self) -> None:
        """End every connection."""
        ...


class Keys(Protocol):
    """The store's receipt keys, pinned at provisioning apart from TLS."""

    def verify(self, compact: str) -> Receipt:
        """Parse a receipt and check its signature under the pinned key that its kid names.

        Raises:
            ReceiptError: form, key or signature.

        """
        ...

    def pinned(self) -> bool:
        """Say whether any key is pinned; without one no receipt can be believed."""
        ...


# --- who is told --------------------------------------------------------------------------------------------------


class Broker(Protocol):
    """Takes events; may be away, slow or unwilling for as long as it likes."""

    async def publish(self, event: Event) -> None:
        """Give an event, and return once it was acknowledged; giving it again does no harm, it is known by its id.

        Raises:
            TransientError: MQTT, or as for a connection that fails; nobody knows whether it was taken.
            PermanentError: MQTT, the broker answered that it does not take this event; it would say so again.

        """
        ...


# --- the rest -----------------------------------------------------------------------------------------------------


class Lamps(Protocol):
    """One lamp a bay."""

    def show(self, bay: BayId, lamp: Lamp) -> None:
        """Show a lamp until told otherwise; never blocks, never raises."""
        ...


class Clock(Protocol):
    """Time. Decisions use `monotonic_s` only (I13)."""

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        ...

    def now(self) -> Timestamp:
        """Give the wall time for the record, with its source and uncertainty."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Chance(Protocol):
    """Randomness, for jitter only."""

    def jitter(self) -> float:
        """Give a number in [0, 1)."""
        ...
