"""The custody machine of one clip: found ... erased, or held.

Owns which move is lawful from which state. Knows neither how a move is stored nor why it was asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from dockd.domain.model import Assurance, Clip, ClipId, ClipState, DockingId, Sha256, Tag
from dockd.errors import InvariantError, Reason


class Move(StrEnum):
    """What happened to a clip; the `cause` of its custody entry."""

    FOUND = "found"
    REDOCKED = "redocked"
    GREW = "grew"
    COPIED = "copied"
    CONFIRMED = "confirmed"
    OPENED = "opened"
    SENT = "sent"
    READ_BACK = "read-back"
    RECEIPTED = "receipted"
    SPOOL_LOST = "spool-lost"
    STORE_LOST = "store-lost"
    RECLAIMED = "reclaimed"
    ERASE_BEGUN = "erase-begun"
    ERASED = "erased"
    ERASE_FAILED = "erase-failed"
    HELD = "held"
    RECOPY = "recopy"
    RESUMED = "resumed"


SALVAGED = "salvaged"
"""The cause of the one entry that begins a clip as COPIED: what could be read of a file that does not read whole."""

T = TypeVar("T")

_S = ClipState
_M = Move

TRANSITIONS: Mapping[tuple[ClipState, Move], ClipState] = MappingProxyType(
    {
        # The file was listed before it was copied, in an earlier stay or by an earlier run.
        (_S.FOUND, _M.REDOCKED): _S.FOUND,
        # The camera was still writing it: the same file, longer at the next listing.
        (_S.FOUND, _M.GREW): _S.FOUND,
        (_S.FOUND, _M.COPIED): _S.COPIED,
        (_S.FOUND, _M.HELD): _S.HELD,
        # A candidate: same path and length listed in a new stay; nothing is believed until CONFIRMED by a re-read (I3).
        (_S.COPIED, _M.REDOCKED): _S.COPIED,
        (_S.COPIED, _M.CONFIRMED): _S.COPIED,
        (_S.COPIED, _M.OPENED): _S.COPIED,
        (_S.COPIED, _M.SENT): _S.UPLOADED,
        # A store that held the clip already gives its receipt at once.
        (_S.COPIED, _M.RECEIPTED): _S.RECEIPTED,
        (_S.COPIED, _M.SPOOL_LOST): _S.FOUND,
        # The upload is gone at the store before it was complete: the URL is forgotten, the bytes are still here.
        (_S.COPIED, _M.STORE_LOST): _S.COPIED,
        (_S.COPIED, _M.HELD): _S.HELD,
        (_S.UPLOADED, _M.REDOCKED): _S.UPLOADED,
        (_S.UPLOADED, _M.CONFIRMED): _S.UPLOADED,
        (_S.UPLOADED, _M.READ_BACK): _S.UPLOADED,
        (_S.UPLOADED, _M.RECEIPTED): _S.RECEIPTED,
        # 204, and then the bytes were lost (I2): send them again.
        (_S.UPLOADED, _M.STORE_LOST): _S.COPIED,
        (_S.UPLOADED, _M.SPOOL_LOST): _S.FOUND,
        (_S.UPLOADED, _M.HELD): _S.HELD,
        (_S.RECEIPTED, _M.REDOCKED): _S.RECEIPTED,
        (_S.RECEIPTED, _M.CONFIRMED): _S.RECEIPTED,
        # Only the spool copy of a receipted clip is ever given up, and that moves no custody.
        (_S.RECEIPTED, _M.RECLAIMED): _S.RECEIPTED,
        (_S.RECEIPTED, _M.ERASE_BEGUN): _S.ERASING,
        (_S.ERASING, _M.ERASED): _S.ERASED,
        # The card said no: it stays receipted.
        (_S.ERASING, _M.ERASE_FAILED): _S.RECEIPTED,
        # Power went or the camera was pulled in the window, and the file is still listed.
        (_S.ERASING, _M.REDOCKED): _S.RECEIPTED,
        (_S.ERASING, _M.RECLAIMED): _S.ERASING,
        (_S.ERASED, _M.RECLAIMED): _S.ERASED,
        (_S.HELD, _M.REDOCKED): _S.HELD,
        (_S.HELD, _M.RECOPY): _S.FOUND,
        (_S.HELD, _M.RESUMED): _S.COPIED,
    }
)
"""Every lawful move. A pair that is not listed is a bug or a corrupt ledger."""

ORDER: Mapping[ClipState, int] = MappingProxyType(
    {
        _S.HELD: -1,
        _S.FOUND: 0,
        _S.COPIED: 1,
        _S.UPLOADED: 2,
        _S.RECEIPTED: 3,
        _S.ERASING: 4,
        _S.ERASED: 5,
    }
)
"""How far a state is along the way (I11)."""

SETTLED = frozenset({_S.RECEIPTED, _S.ERASING, _S.ERASED})
"""States in which the store has proved that it holds the clip."""


def after(state: ClipState, move: Move) -> ClipState:
    """Say where a move leads.

    Raises:
        InvariantError: the move is not lawful from that state.

    """
    target = TRANSITIONS.get((state, move))
    if target is None:
        lawful = ", ".join(sorted(known.value for begin, known in TRANSITIONS if begin is state)) or "none"
        message = f"clip in state {state.value}: move {move.value} is not lawful, expected one of {lawful}"
        raise InvariantError(message)
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a move tells of a clip besides its new state; None leaves a fact as it is.

    `facts` are words for the custody entry only.
    """

    docking: DockingId | None = None
    verified_in: DockingId | None = None
    length_bytes: int | None = None
    mtime_ns: int | None = None
    urgent: bool | None = None
    sha256: Sha256 | None = None
    clip_id: ClipId | None = None
    tags: frozenset[Tag] | None = None
    url: str | None = None
    assurance: Assurance | None = None
    receipt: str | None = None
    meta_sha256: Sha256 | None = None
    reason: Reason | None = None
    detail: str = ""
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def advance(clip: Clip, move: Move, change: Change) -> Clip:
    """Give the clip as it is after a move.

    Raises:
        InvariantError: the move is not lawful from the clip's state, or its reading is of a stay that is over.

    """
    if change.verified_in is not None and change.verified_in != _given(change.docking, clip.docking):
        # The camera was lifted and docked again meanwhile: its file may have grown, or be another one.
        message = f"was read in docking {change.verified_in}, and was listed in docking {clip.docking} since"
        raise InvariantError(f"clip {clip.key}: {message}: move {move.value} is late")
    moved = _implied(replace(clip, state=after(clip.state, move)), move)
    # What a clip waits for or is held for is told anew by each move: a clip that moved on waits for nothing old. The
    # end of its copy is no step of the clip: why its file stays on the card is as true as before.
    stays = move is Move.RECLAIMED and change.reason is None
    return replace(
        moved,
        docking=_given(change.docking, moved.docking),
        verified_in=_given(change.verified_in, moved.verified_in),
        length_bytes=_given(change.length_bytes, moved.length_bytes),
        mtime_ns=_given(change.mtime_ns, moved.mtime_ns),
        urgent=_given(change.urgent, moved.urgent),
        sha256=_given(change.sha256, moved.sha256),
        clip_id=_given(change.clip_id, moved.clip_id),
        tags=_given(change.tags, moved.tags),
        url=_given(change.url, moved.url),
        assurance=_given(change.assurance, moved.assurance),
        receipt=_given(change.receipt, moved.receipt),
        meta_sha256=_given(change.meta_sha256, moved.meta_sha256),
        reason=clip.reason if stays else change.reason,
        detail=clip.detail if stays else change.detail,
        acknowledged="",
    )


def _implied(clip: Clip, move: Move) -> Clip:  # noqa: PLR0911 - one arm a move
    """Tell what follows from a move itself, whatever its caller said."""
    match move:
        case Move.REDOCKED | Move.GREW:
            return replace(clip, verified_in=None)
        case Move.COPIED:
            return replace(clip, spooled=True)
        case Move.RECLAIMED:
            return replace(clip, spooled=False)
        case Move.SPOOL_LOST | Move.RECOPY:
            return replace(clip, spooled=False, verified_in=None, url=None, assurance=Assurance.NONE)
        case Move.STORE_LOST:
            return replace(clip, url=None, assurance=Assurance.NONE)
        case Move.RESUMED:
            return replace(clip, verified_in=None, url=None, assurance=Assurance.NONE)
        case _:
            return clip


def _given(new: T | None, old: T) -> T:
    return old if new is None else new
