"""Accounting: seen = receipted + pending + quarantined, at both ends, and what does not agree, by name (I18).

Owns the account, the kinds of difference, and the judgement of one receipt that the store lists. Knows neither the
ledger, nor the store, nor when anybody looks; what is said over the wire is `domain.statement`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dockd.domain.clip import SETTLED
from dockd.domain.model import ClipId, ClipKey, ClipState, DockingId, StationId
from dockd.domain.receipt import NO_LEAF, ReceiptError, parse_receipt

MOST_COUNTED = 2**63 - 1
"""What a ledger and a statement can hold: a store may list lengths beyond all reason."""

_FIGURES = re.compile(r"\b[0-9a-f]{64}\b|[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """So many files, of so many bytes together."""

    files: int = 0
    bytes_: int = 0

    def plus(self, other: "Count") -> "Count":
        """Add another count; what comes to more than can be held stays at that."""
        return Count(files=self.files + other.files, bytes_=min(MOST_COUNTED, self.bytes_ + other.bytes_))

    def __str__(self) -> str:
        """Files and bytes, for people."""
        return f"{self.files} files of {self.bytes_} bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where every clip is: `pending` is on its way to the store, `quarantined` waits for somebody to look."""

    seen: Count = field(default_factory=Count)
    receipted: Count = field(default_factory=Count)
    pending: Count = field(default_factory=Count)
    quarantined: Count = field(default_factory=Count)

    @property
    def told(self) -> Count:
        """What receipted, pending and quarantined come to."""
        return self.receipted.plus(self.pending).plus(self.quarantined)

    @property
    def adds_up(self) -> bool:
        """Say whether every clip seen is in one of the three."""
        return self.seen == self.told


class Kind(StrEnum):
    """What a difference is."""

    NOT_AT_STORE = "not-at-store"
    """A receipt for it is here, and the store lists none."""
    UNKNOWN_HERE = "unknown-here"
    """The store lists a receipt for this station, and no such clip was ever on record here."""
    OTHER_RECEIPT = "other-receipt"
    """The store lists another receipt than the one that is here, or one that is not for this clip and station."""
    LEAF_UNKNOWN = "leaf-unknown"
    """The receipt names a custody entry that is not in this chain: the state folder was set back."""
    MISCOUNTED = "miscounted"
    """Counts of the same clips differ."""
    OVERDUE = "overdue"
    """The whole station's account could not be closed for longer than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that does not agree; `clip_id` is None where it is no one clip's, or the clip was never copied.

    Without a clip id `cause` names it: found again with other figures, it is the same difference.
    """

    kind: Kind
    clip_id: ClipId | None = None
    cause: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDifference:
    """A difference on record: found `times` times, first and last when; `acknowledged` says who looked at it."""

    key: int
    difference: Difference
    since_utc: str
    last_utc: str
    times: int
    acknowledged: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One line of the store's list: the receipt that it gave for a clip, and which one that was in its order."""

    seq: int
    clip_id: ClipId
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A line of the list, read; `flaw` says in words why it cannot be the receipt of that clip for this station."""

    seq: int
    clip_id: ClipId
    receipt: str
    leaf: str = NO_LEAF
    store: str = ""
    length_bytes: int = 0
    flaw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is on record here of a listed clip.

    `keys` are its rows, those included that were once taken for it; `holders` are those with a receipt for it, and
    `receipts` what they hold. `leaf_known` says that the listed leaf is a custody entry of a row, and `prior` that this
    very receipt is known from before a recovery.
    """

    keys: tuple[ClipKey, ...] = ()
    holders: tuple[ClipKey, ...] = ()
    receipts: frozenset[str] = frozenset()
    leaf_known: bool = False
    prior: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """An account that was closed: when, on what occasion, and whether it was compared with the store's list."""

    utc: str
    occasion: str
    docking: DockingId | None
    compared: bool
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far the store's list was read, `listed` receipts up to `cursor`, and how things stand.

    `rebuilding` since a recovery was declared and until the list was read whole; `round` is the last whole comparison
    that was begun, `whole_utc` when the last daily one was closed. `store` is the name of the store that was compared
    whole last, and `elsewhere` how many receipts here are of which other store. `differences` are open, nobody has
    looked at `unseen` of them, and `last` is the account that was closed last.
    """

    cursor: int
    listed: Count
    rebuilding: bool
    round: int
    differences: int
    unseen: int
    last: Closed | None
    whole_utc: str | None
    store: str | None
    elsewhere: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FromBefore:
    """A receipt that only the store knows of, after a recovery that is on record."""


def account_of(counts: Mapping[ClipState, Count], *, seen: Count) -> Account:
    """Sum the counts of all states up into an account."""
    receipted = pending = quarantined = Count()
    for state, count in counts.items():
        if state in SETTLED:
            receipted = receipted.plus(count)
        elif state is ClipState.HELD:
            quarantined = quarantined.plus(count)
        else:
            pending = pending.plus(count)
    return Account(seen=seen, receipted=receipted, pending=pending, quarantined=quarantined)


def check(account: Account, *, listed_files: int | None) -> Difference | None:
    """Say what is wrong with an account by itself.

    `listed_files` is how many files the docking's last complete listing had. More clips than that are in order, for
    files go while a camera is docked; fewer mean that a file was listed and has no row. None where that is not known.
    """
    if not account.adds_up:
        parts = f"receipted {account.receipted}, pending {account.pending}, quarantined {account.quarantined}"
        return Difference(kind=Kind.MISCOUNTED, detail=f"seen {account.seen}, but {parts}")
    if listed_files is not None and listed_files > account.seen.files:
        detail = f"{listed_files} files were listed on the camera, and {account.seen.files} are on record"
        return Difference(kind=Kind.MISCOUNTED, detail=detail)
    return None


def read(given: Given, *, station: StationId) -> Listed:
    """Read one line of the store's list."""
    try:
        claims = parse_receipt(given.receipt).claims
    except ReceiptError as error:
        return Listed(seq=given.seq, clip_id=given.clip_id, receipt=given.receipt, flaw=str(error))
    flaw = ""
    if claims.clip_id != given.clip_id:
        flaw = f"the receipt is for clip {claims.clip_id}"
    elif claims.aud != station:
        flaw = f"the receipt is for station {claims.aud!r}, this is {station!r}"
    return Listed(
        seq=given.seq,
        clip_id=given.clip_id,
        receipt=given.receipt,
        leaf=claims.leaf,
        store=claims.store,
        length_bytes=claims.length_bytes,
        flaw=flaw,
    )


def store_of(receipt: str) -> str | None:
    """Name the store that gave a receipt; None where the text does not say."""
    try:
        return parse_receipt(receipt).claims.store
    except ReceiptError:
        return None


def cause_of(words: str) -> str:
    """Take the figures out of what a store says: said again with others, it is the same."""
    return _FIGURES.sub("#", words)


def judge(listed: Listed, known: Known, *, rebuilding: bool) -> Difference | FromBefore | None:
    """Compare a receipt that the store lists with what is on record here; None where nothing is wrong.

    A clip may have a receipt at the store and none here yet: the answer was lost, and the clip is asked for again.
    `rebuilding` is the time after a recovery in which receipts of the lost chain are taken for what they are.
    """
    if listed.flaw:
        return Difference(kind=Kind.OTHER_RECEIPT, clip_id=listed.clip_id, detail=listed.flaw)
    if known.receipts - {listed.receipt}:
        detail = f"the store's receipt {listed.seq} is not the one that is here"
        return Difference(kind=Kind.OTHER_RECEIPT, clip_id=listed.clip_id, detail=detail)
    ours = bool(known.keys) and (known.leaf_known or listed.leaf == NO_LEAF)
    if ours or known.prior:
        return None
    return FromBefore() if rebuilding else _foreign(listed, known)


def _foreign(listed: Listed, known: Known) -> Difference:
    if not known.keys:
        detail = f"the store gave receipt {listed.seq} for it"
        return Difference(kind=Kind.UNKNOWN_HERE, clip_id=listed.clip_id, detail=detail)
    detail = f"the store's receipt {listed.seq} names custody entry {listed.leaf}, which is not in this chain"
    return Difference(kind=Kind.LEAF_UNKNOWN, clip_id=listed.clip_id, detail=detail)
