"""Rows and the values they stand for: how a clip, a docking and a link look in the database.

Owns the column order of schema/. Knows no connection.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from dockd.domain.canonical import canonical_json
from dockd.domain.custody import Link
from dockd.domain.gaps import gaps_in
from dockd.domain.model import (
    Assurance,
    BayId,
    Camera,
    CameraSerial,
    Clip,
    ClipId,
    ClipKey,
    ClipKind,
    ClipState,
    DockingId,
    Facts,
    Sha256,
    Tag,
    VolumeId,
)
from dockd.errors import Reason

Row = tuple[Any, ...]
"""What sqlite3 gives: one value a column."""

Value = str | int | bytes | None
"""What a STRICT table of ours can hold."""

NS_PER_S = 1_000_000_000

CLIP_COLUMNS = (
    "key",
    "found_in",
    "docking",
    "path",
    "length_bytes",
    "mtime_s",
    "mtime_part_ns",
    "state",
    "kind",
    "recording_id",
    "tags",
    "urgent",
    "verified_in",
    "sha256",
    "clip_id",
    "url",
    "assurance",
    "receipt",
    "meta_sha256",
    "spooled",
    "reason",
    "detail",
    "copied_seq",
    "receipted_utc",
    "superseded_in",
    "gaps",
    "acknowledged",
    "facts",
)
"""Columns of `clips`, as `c.*` gives them."""

CAMERA_WIDTH = 4
"""Columns of the camera (serial, volume, model, firmware) that every reader selects before `c.*`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Docking:
    """One stay of a camera in a bay. `early` is None where the service ended before the docking did.

    `reason` and `detail` say why nothing more was done with the camera; `acknowledged` who has looked at that.
    """

    key: DockingId
    bay: BayId
    camera: Camera
    attached_utc: str
    listed_utc: str | None
    listing_sha256: Sha256 | None
    files: int | None
    total_bytes: int | None
    ended_utc: str | None
    early: bool | None
    left_files: int | None
    reason: Reason | None = None
    detail: str = ""
    acknowledged: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReceipt:
    """A receipt as it came from the store (compact JWS), and when it was durable here."""

    clip: ClipKey
    clip_id: ClipId
    sha256: Sha256
    length_bytes: int
    received_utc: str
    compact: str


def text_in(text: str) -> str:
    r"""Write what a camera calls itself as ASCII, other characters escaped: SQLite takes no lone surrogates."""
    return text.encode("unicode_escape").decode("ascii")


def text_out(text: str) -> str:
    """Undo `text_in`."""
    return text if "\\" not in text else text.encode("ascii").decode("unicode_escape")


def words(text: str) -> str:
    """Make words storable: lone surrogates, as in a file name in an error, become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def camera_of(row: Row) -> Camera:
    """Read (serial, volume, model, firmware)."""
    serial, volume, model, firmware = row
    return Camera(
        serial=CameraSerial(text_out(serial)),
        volume=VolumeId(text_out(volume)),
        model=text_out(model),
        firmware=text_out(firmware),
    )


def clip_of(row: Row) -> Clip:
    """Read the camera's four columns and `clips.*`."""
    (
        serial, volume, model, firmware,
        key, _found_in, docking, path, length_bytes, mtime_s, mtime_part_ns, state, kind, recording_id, tags, urgent,
        verified_in, sha256, clip_id, url, assurance, receipt, meta_sha256, spooled, reason, detail, _copied_seq,
        _receipted_utc, _superseded_in, gaps, acknowledged, facts, *_,
    ) = row  # fmt: skip
    return Clip(
        key=key,
        docking=docking,
        camera=camera_of((serial, volume, model, firmware)),
        path=path,
        length_bytes=length_bytes,
        mtime_ns=mtime_s * NS_PER_S + mtime_part_ns,
        state=_STATES[state],
        kind=_KINDS[kind],
        recording_id=recording_id,
        tags=frozenset(map(Tag, tags.split())) if tags else _NO_TAGS,
        urgent=urgent == 1,
        verified_in=verified_in,
        sha256=sha256,
        clip_id=clip_id,
        url=url,
        assurance=_ASSURANCES[assurance],
        receipt=receipt,
        meta_sha256=meta_sha256,
        spooled=spooled == 1,
        reason=None if reason is None else Reason(reason),
        detail=detail,
        gaps=gaps_in(gaps) if gaps else (),
        acknowledged=acknowledged,
        facts=facts_in(facts) if facts else (),
    )


def docking_of(row: Row) -> Docking:
    """Read `dockings.*`."""
    (
        key, bay, serial, volume, model, firmware, attached, listed, sha256, files, size, ended, early, left,
        reason, detail, acknowledged, *_,
    ) = row  # fmt: skip
    return Docking(
        key=key,
        bay=bay,
        camera=camera_of((serial, volume, model, firmware)),
        attached_utc=attached,
        listed_utc=listed,
        listing_sha256=sha256,
        files=files,
        total_bytes=size,
        ended_utc=ended,
        early=None if early is None else early == 1,
        left_files=left,
        reason=None if reason is None else Reason(reason),
        detail=detail,
        acknowledged=acknowledged,
    )


def link_of(row: Row) -> Link:
    """Read (seq, prev, hash, body)."""
    seq, prev, digest, body = row[:4]
    return Link(seq=seq, prev=prev, hash=digest, body=body)


def found_row(clip: Clip) -> Row:
    """Write a clip that was just found, in the order in which it is inserted."""
    seconds, part_ns = divmod(clip.mtime_ns, NS_PER_S)
    return (
        clip.key, clip.docking, clip.docking, clip.path, clip.length_bytes, seconds, part_ns, clip.state.value,
        clip.kind.value, clip.recording_id, tags_text(clip.tags), int(clip.urgent), facts_text(clip.facts),
    )  # fmt: skip


def link_row(link: Link, clip: ClipKey | None) -> Row:
    """Write a custody entry as it is inserted."""
    return (link.seq, link.prev, link.hash, link.body, clip)


def changed(before: Clip, after: Clip) -> dict[str, Value]:
    """Give the columns in which two versions of a clip differ, as they are stored."""
    columns: dict[str, Value] = {}
    for store, old, new in zip(_STORES, _mutable(before), _mutable(after), strict=True):
        if old != new:
            columns.update(store(new))
    return columns


def _tags(tags: frozenset[Tag]) -> dict[str, Value]:
    return {"tags": tags_text(tags)}


def tags_text(tags: frozenset[Tag]) -> str:
    """Write tags as they are stored: sorted, spaces between."""
    return " ".join(sorted(tags))


def facts_text(facts: Facts) -> str:
    """Write what a profile read as it is stored: canonical JSON, empty where there was no profile."""
    return canonical_json(dict(facts)).decode("utf-8") if facts else ""


def facts_in(text: str) -> Facts:
    """Read what `facts_text` wrote.

    Raises:
        ValueError: it wrote no such thing.

    """
    read = json.loads(text)
    facts = tuple(sorted(read.items())) if isinstance(read, dict) else ()
    if not all(isinstance(fact, str) for _, fact in facts) or facts_text(facts) != text:
        message = f"{text[:60]!r} is not what a profile reads"
        raise ValueError(message)
    return facts


def _mtime(mtime_ns: int) -> dict[str, Value]:
    seconds, part_ns = divmod(mtime_ns, NS_PER_S)
    return {"mtime_s": seconds, "mtime_part_ns": part_ns}


def _same(name: str) -> Callable[[Any], dict[str, Value]]:
    return lambda value: {name: value}


def _word(name: str) -> Callable[[Any], dict[str, Value]]:
    # The plain text of an enumeration: sqlite3 looks for an adapter for every other type, which takes longer.
    return lambda value: {name: None if value is None else value.value}


def _flag(name: str) -> Callable[[Any], dict[str, Value]]:
    return lambda value: {name: int(value)}


_MUTABLE: dict[str, Callable[[Any], dict[str, Value]]] = {
    "docking": _same("docking"),
    "length_bytes": _same("length_bytes"),
    "mtime_ns": _mtime,
    "state": _word("state"),
    "tags": _tags,
    "urgent": _flag("urgent"),
    "verified_in": _same("verified_in"),
    "sha256": _same("sha256"),
    "clip_id": _same("clip_id"),
    "url": _same("url"),
    "assurance": _word("assurance"),
    "receipt": _same("receipt"),
    "meta_sha256": _same("meta_sha256"),
    "spooled": _flag("spooled"),
    "reason": _word("reason"),
    "detail": _same("detail"),
    "acknowledged": _same("acknowledged"),
}
"""How each field of a clip that may change is stored; what is not named here never changes."""

_STORES = tuple(_MUTABLE.values())
_mutable: Callable[[Clip], tuple[object, ...]] = attrgetter(*_MUTABLE)

# Looking a value up is several times quicker than calling the enumeration, and every clip read pays for it.
_STATES = {state.value: state for state in ClipState}
_KINDS = {kind.value: kind for kind in ClipKind}
_ASSURANCES = {assurance.value: assurance for assurance in Assurance}
_NO_TAGS: frozenset[Tag] = frozenset()
