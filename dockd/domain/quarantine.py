"""What may be done about a held clip: from where it can go on, and what its custody entries say in words.

Owns the decision. Nothing here erases, and nothing here brings a clip nearer to its erasure than it was before it was
held: it goes on as a file to be copied or as a copy to be sent, and earns its receipt as any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from dockd.domain.clip import SALVAGED, Move
from dockd.domain.model import BayId, Camera, Clip, DockingId, Tag
from dockd.errors import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A held clip; `parted` says that the file in its docking proved to be another one."""

    clip: Clip
    since_utc: str
    parted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A camera whose latest docking that came to anything broke; a later one that lists and works ends that."""

    docking: DockingId
    bay: BayId
    camera: Camera
    since_utc: str
    reason: Reason
    detail: str
    acknowledged: str


class Wish(StrEnum):
    """What somebody asks for: to have it tried again, or to let it go having looked at it."""

    RETRY = "retry"
    RELEASE = "release"


class Outcome(StrEnum):
    """What became of it."""

    SENT_ON = "sent on"
    COPIED_AGAIN = "copied again"
    READ_AGAIN = "read again"
    TAKEN_ON = "taken on"
    WAITS = "waits"
    ACKNOWLEDGED = "acknowledged"
    WRONG_STATE = "wrong state"
    FAILED = "failed"
    UNKNOWN = "unknown"


OUTCOMES: Mapping[Outcome, str] = MappingProxyType(
    {
        Outcome.SENT_ON: "goes on to the store from the copy here",
        Outcome.COPIED_AGAIN: "is copied from its camera again",
        Outcome.READ_AGAIN: "its camera is read again from the start, as if it were docked just now",
        Outcome.TAKEN_ON: "its copy here is read now: if that is whole the clip goes on, else it stays in quarantine",
        Outcome.WAITS: "its camera is not docked here now: it is tried again by itself when it is",
        Outcome.ACKNOWLEDGED: "neither the camera nor the spool gives its bytes now: it stays in quarantine and on the"
        " accounts, and alarms no more",
        Outcome.WRONG_STATE: "is not in quarantine",
        Outcome.FAILED: "could not be looked after now: try again",
        Outcome.UNKNOWN: "there is no such number here",
    }
)
"""Each outcome in words."""

DONE = frozenset({Outcome.SENT_ON, Outcome.COPIED_AGAIN, Outcome.READ_AGAIN, Outcome.TAKEN_ON, Outcome.ACKNOWLEDGED})
"""Outcomes that did what was asked for."""

_GONE = frozenset({Reason.UNREADABLE, Reason.MISSING})


def way_on(held: Held, wish: Wish, *, copied: bool, docked: bool) -> Move | None:
    """Say by which move a held clip goes on from where its bytes are; None where they are nowhere in reach.

    `copied` says whether its copy is here and whole, `docked` whether its camera is here and can be worked on. Who
    releases a file that the card does not give has looked at it: only a retry asks the card once more.
    """
    clip = held.clip
    if copied and clip.sha256 is not None:
        return Move.RESUMED
    if not docked or held.parted or Tag.SALVAGED in clip.tags:
        return None
    if wish is Wish.RELEASE and clip.reason in _GONE:
        return None
    return Move.RECOPY


CUSTODY: Mapping[str, str] = MappingProxyType(
    {
        Move.FOUND: "was listed on its camera for the first time",
        Move.REDOCKED: "was listed again at a new docking",
        Move.GREW: "had grown at the next listing",
        Move.COPIED: "was copied, synced and read back",
        Move.CONFIRMED: "was read from the camera again and is the same",
        Move.OPENED: "its upload was opened at the store",
        Move.SENT: "every byte was taken by the store",
        Move.READ_BACK: "was read back from the store and is the same",
        Move.RECEIPTED: "the store gave a signed receipt for it",
        Move.SPOOL_LOST: "its copy here is lost",
        Move.STORE_LOST: "the store lost its upload",
        Move.RECLAIMED: "its copy here was given up: the receipt is here",
        Move.ERASE_BEGUN: "is to be erased from its camera, as its receipt permits",
        Move.ERASED: "is erased from its camera",
        Move.ERASE_FAILED: "its camera did not let it be erased",
        Move.HELD: "went into quarantine",
        Move.RECOPY: "left quarantine, to be copied again",
        Move.RESUMED: "left quarantine, to be sent from its copy here",
        "superseded": "the file on the camera proved to be another one, which is a clip of its own",
        "acknowledged": "was looked at, and stays in quarantine",
        SALVAGED: "is what could be read of a file that gives errors",
    }
)
"""What each cause of a clip's custody entries says, in words."""
