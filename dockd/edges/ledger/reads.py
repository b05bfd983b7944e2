"""The ledger's questions, each one SQL statement and so one snapshot, with the reading of its answer.

Owns the SELECTs and the shape of their answers. Knows no connection: whoever has one executes a query and decodes the
rows, in the daemon by aiosqlite, in the simulation on the one connection there is.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from dockd.domain.bay import Tally
from dockd.domain.custody import Link
from dockd.domain.model import Assurance, Clip, ClipId, ClipKey, ClipState, DockingId
from dockd.domain.schedule import Head
from dockd.edges.ledger.rows import Row, Value, clip_of, link_of
from dockd.errors import InvariantError

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Generic[T_co]):
    """One statement and how to read its rows."""

    sql: str
    parameters: tuple[Value, ...]
    decode: Callable[[Sequence[Row]], T_co]


def clip(key: ClipKey) -> Query[Clip]:
    """One clip; InvariantError where there is none."""
    return Query(
        sql="SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in"
        " WHERE c.key = ?",
        parameters=(key,),
        decode=partial(_known_clip, key),
    )


def recording(of: Clip) -> Query[tuple[Clip, ...]]:
    """What may keep a clip of a recording on its camera: itself, and the first file of it that has no receipt.

    A card may be full of files of one recording, and this is asked for each of them.
    """
    return Query(
        sql="SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in"
        " WHERE c.key IN (SELECT ?1 UNION ALL SELECT * FROM (SELECT key FROM clips"
        " WHERE docking = ?2 AND recording_id = ?3 AND receipted_utc IS NULL ORDER BY key LIMIT 1)) ORDER BY c.key",
        parameters=(of.key, of.docking, of.recording_id),
        decode=clips_of,
    )


def heads(dockings: Sequence[DockingId], *, skip: Collection[ClipKey]) -> Query[tuple[Head, ...]]:
    """The first clip of each kind of bus work for each docking, in the order in which they were asked for."""
    return Query(
        sql=_HEADS,
        parameters=(json.dumps(list(dockings)), json.dumps(list(skip))),
        decode=partial(_heads, tuple(dockings)),
    )


def next_upload(*, skip: Collection[ClipKey], wanted: Assurance) -> Query[Clip | None]:
    """The next clip to bring to the store; `wanted` says what an uploaded clip must have to be left alone."""
    return Query(sql=_NEXT_UPLOAD[wanted], parameters=(json.dumps(list(skip)),), decode=_first_clip)


def next_reclaim(
    *, receipted_before_utc: str, copying: Collection[ClipKey], skip: Collection[ClipKey]
) -> Query[Clip | None]:
    """The longest receipted clip in the spool whose copy nothing open shares, nor any of `copying` may come to share.

    A file that still waits to be copied keeps no copy here: it may be waiting for that copy's room.
    """
    return Query(
        sql=_NEXT_RECLAIM,
        parameters=(receipted_before_utc, json.dumps(sorted(copying)), json.dumps(sorted(skip))),
        decode=_first_clip,
    )


def spooled(copies: Collection[ClipId]) -> Query[frozenset[ClipId]]:
    """Which of these copies a clip has in the spool."""
    return Query(
        sql="SELECT j.value FROM json_each(?) j WHERE EXISTS"
        " (SELECT 1 FROM clips c WHERE c.clip_id = j.value AND c.spooled = 1)",
        parameters=(json.dumps(sorted(copies)),),
        decode=_names,
    )


def tally(docking: DockingId) -> Query[Tally]:
    """The counts of one docking."""
    return Query(
        sql="SELECT state, files, bytes, unconfirmed_files, unconfirmed_bytes FROM tallies"
        " WHERE docking = ? AND parted = 0 AND files > 0",
        parameters=(docking,),
        decode=_tally,
    )


def backlog() -> Query[Tally]:
    """The counts of everything that is not erased."""
    return Query(
        sql="SELECT state, sum(files), sum(bytes), sum(unconfirmed_files), sum(unconfirmed_bytes) FROM tallies"
        " WHERE files > 0 AND state <> 'erased' GROUP BY state",
        parameters=(),
        decode=_tally,
    )


def leaf(key: ClipKey) -> Query[str]:
    """The hash of a clip's latest custody entry; InvariantError where there is none."""
    return Query(
        sql="SELECT hash FROM custody WHERE clip = ? ORDER BY seq DESC LIMIT 1",
        parameters=(key,),
        decode=partial(_known_leaf, key),
    )


def links(*, after: int, limit: int) -> Query[Sequence[Link]]:
    """The custody chain after an entry."""
    return Query(
        sql="SELECT seq, prev, hash, body FROM custody WHERE seq > ? ORDER BY seq LIMIT ?",
        parameters=(after, limit),
        decode=links_of,
    )


def told() -> Query[int]:
    """The custody entry up to which the world outside knows everything."""
    return Query(sql="SELECT seq FROM told", parameters=(), decode=_only)


def clips_of(rows: Sequence[Row]) -> tuple[Clip, ...]:
    """Read clips."""
    return tuple(map(clip_of, rows))


def links_of(rows: Sequence[Row]) -> tuple[Link, ...]:
    """Read links."""
    return tuple(map(link_of, rows))


# The conditions repeat those of the partial indexes word for word: SQLite uses such an index only then. An empty
# list of clips to skip costs nothing: json_each runs when the first candidate is met, and once. Whether a recording may
# be erased is looked up for the earliest of its candidates alone, for all of them it would be quadratic in its files:
# the others come after it. It is a candidate by the very conditions of the others, and what forbids one forbids all:
# nobody waits behind one that cannot go. It is looked for from the nearest down, as the erased ones lie below it.
_HEADS = """
WITH asked AS MATERIALIZED (SELECT value AS docking FROM json_each(?1)),
waiting AS MATERIALIZED (SELECT value AS key FROM json_each(?2)),
pick (docking, work, key) AS MATERIALIZED (
    SELECT docking, 'copy', (
        SELECT key FROM clips c
        WHERE c.docking = asked.docking AND state = 'found' AND superseded_in IS NOT c.docking
            AND key NOT IN waiting
        ORDER BY urgent DESC, mtime_s, key LIMIT 1
    ) FROM asked
    UNION ALL
    SELECT docking, 'confirm', (
        SELECT key FROM clips c
        WHERE c.docking = asked.docking
            AND verified_in IS NOT c.docking AND superseded_in IS NOT c.docking
            AND (state = 'copied' OR state = 'uploaded' OR state = 'receipted')
            AND key NOT IN waiting
        ORDER BY urgent DESC, mtime_s, key LIMIT 1
    ) FROM asked
    UNION ALL
    SELECT docking, 'erase', (
        SELECT key FROM clips c
        WHERE c.docking = asked.docking AND state = 'receipted' AND superseded_in IS NOT c.docking
            AND key NOT IN waiting
            AND (
                SELECT o.key FROM clips o INDEXED BY clips_recording
                WHERE o.docking = c.docking AND o.recording_id = c.recording_id AND o.key < c.key
                    AND o.state = 'receipted' AND o.superseded_in IS NOT o.docking AND o.key NOT IN waiting
                ORDER BY o.key DESC LIMIT 1
            ) IS NULL
            AND NOT EXISTS (
                SELECT 1 FROM clips o
                WHERE o.docking = c.docking AND o.recording_id = c.recording_id AND o.receipted_utc IS NULL
            )
        ORDER BY urgent DESC, mtime_s, key LIMIT 1
    ) FROM asked
)
SELECT pick.docking, pick.work,
    coalesce((SELECT bytes FROM tallies t WHERE t.docking = pick.docking AND t.parted = 0 AND t.state = 'found'), 0),
    f.serial, f.volume, f.model, f.firmware, c.*
FROM pick LEFT JOIN clips c ON c.key = pick.key LEFT JOIN dockings f ON f.key = c.found_in
"""

# Without being told, SQLite may take the index of all that is unsigned, and walk over what is uploaded.
_NEXT_COPIED = """
SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in
WHERE c.key = (
    SELECT key FROM clips INDEXED BY clips_send
    WHERE state = 'copied' AND (?1 = '[]' OR key NOT IN (SELECT value FROM json_each(?1)))
    ORDER BY urgent DESC, (url IS NULL), copied_seq LIMIT 1
)
"""

_NEXT_UNREAD = """
SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in
WHERE c.key = (
    SELECT key FROM (
        SELECT * FROM (
            SELECT key, urgent, (url IS NULL) AS fresh, copied_seq FROM clips INDEXED BY clips_send
            WHERE state = 'copied' AND (?1 = '[]' OR key NOT IN (SELECT value FROM json_each(?1)))
            ORDER BY urgent DESC, (url IS NULL), copied_seq LIMIT 1
        )
        UNION ALL
        SELECT * FROM (
            SELECT key, urgent, 0, copied_seq FROM clips
            WHERE state = 'uploaded' AND assurance <> 'readback'
                AND (?1 = '[]' OR key NOT IN (SELECT value FROM json_each(?1)))
            ORDER BY urgent DESC, copied_seq LIMIT 1
        )
    ) ORDER BY urgent DESC, fresh, copied_seq LIMIT 1
)
"""

_NEXT_UNSIGNED = """
SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in
WHERE c.key = (
    SELECT key FROM clips
    WHERE (state = 'copied' OR state = 'uploaded') AND (?1 = '[]' OR key NOT IN (SELECT value FROM json_each(?1)))
    ORDER BY urgent DESC, (url IS NULL), copied_seq LIMIT 1
)
"""

_NEXT_UPLOAD = {
    Assurance.NONE: _NEXT_COPIED,
    Assurance.ACCEPTED: _NEXT_COPIED,  # what is uploaded was accepted
    Assurance.READBACK: _NEXT_UNREAD,
    Assurance.SIGNED: _NEXT_UNSIGNED,
}
"""One statement for each assurance that may be wanted."""

# A file of the same path and length that is being copied may turn out to be this very clip, come back after it was
# erased: then its new copy lies where this one does. A file that is only found has no copy, though it had one and a
# clip id with it.
_NEXT_RECLAIM = """
SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in
WHERE c.key = (
    SELECT key FROM clips s
    WHERE s.spooled = 1 AND s.receipted_utc IS NOT NULL AND s.receipted_utc < ?1
        AND NOT EXISTS (
            SELECT 1 FROM clips o WHERE o.clip_id = s.clip_id AND o.receipted_utc IS NULL AND o.state <> 'found'
        )
        AND NOT EXISTS (
            SELECT 1 FROM clips o
            WHERE o.state = 'found' AND o.path = s.path AND o.length_bytes = s.length_bytes
                AND o.key IN (SELECT value FROM json_each(?2))
        )
        AND (?3 = '[]' OR s.key NOT IN (SELECT value FROM json_each(?3)))
    ORDER BY s.receipted_utc LIMIT 1
)
"""


def _first_clip(rows: Sequence[Row]) -> Clip | None:
    return clip_of(rows[0]) if rows else None


def _known_clip(key: ClipKey, rows: Sequence[Row]) -> Clip:
    if not rows:
        raise InvariantError(f"clip {key} is not in the ledger, expected a known clip")
    return clip_of(rows[0])


def _known_leaf(key: ClipKey, rows: Sequence[Row]) -> str:
    if not rows:
        raise InvariantError(f"clip {key} has no custody entry, expected at least its first listing")
    digest: str = rows[0][0]
    return digest


def _names(rows: Sequence[Row]) -> frozenset[ClipId]:
    return frozenset(ClipId(name) for (name,) in rows)


def _only(rows: Sequence[Row]) -> int:
    ((value,),) = rows
    return int(value)


def _heads(dockings: Sequence[DockingId], rows: Sequence[Row]) -> tuple[Head, ...]:
    picks: dict[tuple[DockingId, str], Clip | None] = {}
    uncopied_bytes: dict[DockingId, int] = {}
    for docking, work, size, *row in rows:
        picks[docking, work] = clip_of(tuple(row)) if row[_KEY] is not None else None
        uncopied_bytes[docking] = size
    return tuple(
        Head(
            docking=docking,
            uncopied_bytes=uncopied_bytes[docking],
            copy=picks[docking, "copy"],
            confirm=picks[docking, "confirm"],
            erase=picks[docking, "erase"],
        )
        for docking in dockings
    )


_KEY = 4
"""Where `clips.key` stands, after the four columns of the camera."""

_CONFIRMABLE = frozenset({ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED})


def _tally(rows: Sequence[Row]) -> Tally:
    counts = {ClipState(state): count for state, *count in rows}
    confirmable = [count for state, count in counts.items() if state in _CONFIRMABLE]
    return Tally(
        files={state: files for state, (files, *_) in counts.items()},
        bytes_={state: size for state, (_, size, *_) in counts.items()},
        unconfirmed_files=sum(files for _, _, files, _ in confirmable),
        unconfirmed_bytes=sum(size for _, _, _, size in confirmable),
    )
