"""What people ask the ledger: dockctl's lists of clips, dockings, receipts and custody entries.

Owns the SELECTs that no decision rests on. Like `reads`, it knows no connection.
"""

from collections.abc import Sequence

from dockd.domain.custody import Link
from dockd.domain.model import Camera, CameraSerial, Clip, ClipId, ClipKey, ClipState, DockingId
from dockd.domain.quarantine import Broken, Held
from dockd.domain.recovery import CAUSE as RECOVERED, continuation
from dockd.edges.ledger.entries import RECOVERY_SEQ, facts_in
from dockd.edges.ledger.reads import Query, clips_of, links_of
from dockd.edges.ledger.rows import Docking, Row, StoredReceipt, clip_of, docking_of, text_in

_CLIPS = "SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in WHERE"


def clips(
    *,
    state: ClipState | None = None,
    serial: CameraSerial | None = None,
    docking: DockingId | None = None,
    after: ClipKey | None = None,
    limit: int,
) -> Query[tuple[Clip, ...]]:
    """Clips that fit every filter given, in the order they were found; `after` is the last key of the page before."""
    conditions = [
        # The plus keeps SQLite from walking over every clip by its key.
        "c.key > ?1" if serial is None and docking is None else "+c.key > ?1",
        *(["c.state = ?2"] if state is not None else []),
        # A clip is only ever listed again by the camera that it was found on.
        *(["c.docking IN (SELECT key FROM dockings WHERE serial = ?3)"] if serial is not None else []),
        *(["c.docking = ?4"] if docking is not None else []),
    ]
    return Query(
        sql=" ".join((_CLIPS, " AND ".join(conditions), "ORDER BY c.key LIMIT ?5")),
        parameters=(
            after or 0,
            None if state is None else state.value,
            None if serial is None else text_in(serial),
            docking,
            limit,
        ),
        decode=clips_of,
    )


def clips_named(clip_id: ClipId) -> Query[tuple[Clip, ...]]:
    """Every row of one clip id: a file that came back after it was erased has a second one."""
    return Query(
        sql="SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in"
        " WHERE c.clip_id = ? ORDER BY c.key",
        parameters=(clip_id,),
        decode=clips_of,
    )


def receipts(
    *, clip_id: ClipId | None = None, after: ClipKey | None = None, limit: int
) -> Query[tuple[StoredReceipt, ...]]:
    """Receipts, of one clip or of all, in the order their clips were found."""
    by_id = (
        "SELECT key, clip_id, sha256, length_bytes, receipted_utc, receipt FROM clips"
        " WHERE key > ?1 AND clip_id = ?2 AND receipt IS NOT NULL ORDER BY key LIMIT ?3"
    )
    every = (
        "SELECT key, clip_id, sha256, length_bytes, receipted_utc, receipt FROM clips"
        " WHERE key > ?1 AND ?2 IS NULL AND receipt IS NOT NULL ORDER BY key LIMIT ?3"
    )
    return Query(sql=every if clip_id is None else by_id, parameters=(after or 0, clip_id, limit), decode=_receipts)


def dockings(*, limit: int, before: DockingId | None = None) -> Query[tuple[Docking, ...]]:
    """Dockings, the latest first; `before` is the last key of the page before."""
    return Query(
        sql="SELECT * FROM dockings WHERE ?1 IS NULL OR key < ?1 ORDER BY key DESC LIMIT ?2",
        parameters=(before, limit),
        decode=_dockings,
    )


def bays() -> Query[tuple[Docking, ...]]:
    """The dockings that are open now, by bay."""
    return Query(
        sql="SELECT * FROM dockings WHERE ended_utc IS NULL ORDER BY bay, key", parameters=(), decode=_dockings
    )


def docking(key: DockingId) -> Query[Docking | None]:
    """One docking."""
    return Query(sql="SELECT * FROM dockings WHERE key = ?", parameters=(key,), decode=_first_docking)


def continues() -> Query[str | None]:
    """Which lost ledger this one continues, in words; None where it is the first."""
    return Query(sql="SELECT body FROM custody WHERE seq = ?", parameters=(RECOVERY_SEQ,), decode=_continues)


def custody_of(key: ClipKey) -> Query[tuple[Link, ...]]:
    """The custody entries of one clip, in order."""
    return Query(
        sql="SELECT seq, prev, hash, body FROM custody WHERE clip = ? ORDER BY seq",
        parameters=(key,),
        decode=links_of,
    )


def held(
    *, key: ClipKey | None = None, camera: Camera | None = None, after: ClipKey, limit: int
) -> Query[tuple[Held, ...]]:
    """Held clips that fit, in the order they were found, each with the time of the entry that held it."""
    return Query(
        sql="SELECT (SELECT json_extract(CAST(e.body AS TEXT), '$.utc') FROM custody e WHERE e.clip = c.key"
        " AND json_extract(CAST(e.body AS TEXT), '$.to') = 'held' ORDER BY e.seq DESC LIMIT 1),"
        " c.superseded_in IS c.docking, f.serial, f.volume, f.model, f.firmware, c.*"
        " FROM clips c JOIN dockings f ON f.key = c.found_in"
        " WHERE c.state = 'held' AND c.key > ?1 AND (?2 IS NULL OR c.key = ?2)"
        " AND (?4 IS NULL OR (f.serial = ?4 AND f.volume = ?5)) ORDER BY c.key LIMIT ?3",
        parameters=(
            after,
            key,
            limit,
            None if camera is None else text_in(camera.serial),
            None if camera is None else text_in(camera.volume),
        ),
        decode=_held,
    )


def broken() -> Query[tuple[Broken, ...]]:
    """Cameras in quarantine, the latest first: the last docking that broke, and none since that listed and worked."""
    return Query(
        sql="SELECT * FROM dockings d INDEXED BY dockings_broken WHERE d.reason IS NOT NULL AND NOT EXISTS ("
        " SELECT 1 FROM dockings l WHERE l.serial = d.serial AND l.volume = d.volume AND l.key > d.key"
        " AND (l.reason IS NOT NULL OR l.listed_utc IS NOT NULL)) ORDER BY d.key DESC",
        parameters=(),
        decode=_broken,
    )


def alarms() -> Query[tuple[int, int]]:
    """How many clips and how many cameras are in quarantine that nobody has looked at."""
    return Query(
        sql="SELECT (SELECT count(*) FROM clips WHERE state = 'held' AND acknowledged = ''),"
        " (SELECT count(*) FROM dockings d WHERE d.reason IS NOT NULL AND d.acknowledged = '' AND NOT EXISTS ("
        " SELECT 1 FROM dockings l WHERE l.serial = d.serial AND l.volume = d.volume AND l.key > d.key"
        " AND (l.reason IS NOT NULL OR l.listed_utc IS NOT NULL)))",
        parameters=(),
        decode=_pair,
    )


def found(key: ClipKey) -> Query[Clip | None]:
    """One clip, or None where there is no such one."""
    return Query(
        sql="SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in"
        " WHERE c.key = ?",
        parameters=(key,),
        decode=lambda rows: clip_of(rows[0]) if rows else None,
    )


def salvaged_of(clip: Clip) -> Query[tuple[Clip, ...]]:
    """What was salvaged of a clip's file, in any docking of its camera."""
    return Query(
        sql="SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM dockings d JOIN clips c ON c.docking = d.key"
        " JOIN dockings f ON f.key = c.found_in"
        " WHERE d.serial = ?1 AND d.volume = ?2 AND c.recording_id = ?3 AND c.path = ?4 AND c.gaps <> ''"
        " AND c.key <> ?5 ORDER BY c.key",
        parameters=(text_in(clip.camera.serial), text_in(clip.camera.volume), clip.recording_id, clip.path, clip.key),
        decode=clips_of,
    )


def dockings_of(camera: Camera, *, limit: int) -> Query[tuple[Docking, ...]]:
    """The dockings of one camera and volume, the latest first."""
    return Query(
        sql="SELECT * FROM dockings WHERE serial = ? AND volume = ? ORDER BY key DESC LIMIT ?",
        parameters=(text_in(camera.serial), text_in(camera.volume), limit),
        decode=_dockings,
    )


def _held(rows: Sequence[Row]) -> tuple[Held, ...]:
    return tuple(Held(clip=clip_of(tuple(row)), since_utc=since, parted=parted == 1) for since, parted, *row in rows)


def _broken(rows: Sequence[Row]) -> tuple[Broken, ...]:
    return tuple(
        Broken(
            docking=each.key,
            bay=each.bay,
            camera=each.camera,
            since_utc=each.attached_utc,
            reason=each.reason,
            detail=each.detail,
            acknowledged=each.acknowledged,
        )
        for each in map(docking_of, rows)
        if each.reason is not None
    )


def _pair(rows: Sequence[Row]) -> tuple[int, int]:
    ((clips_, cameras),) = rows
    return clips_, cameras


def _continues(rows: Sequence[Row]) -> str | None:
    for (body,) in rows:
        cause, facts = facts_in(body)
        if cause == RECOVERED:
            return continuation(facts)
    return None


def _receipts(rows: Sequence[Row]) -> tuple[StoredReceipt, ...]:
    return tuple(map(_receipt_of, rows))


def _receipt_of(row: Row) -> StoredReceipt:
    key, clip_id, sha256, length_bytes, received_utc, compact = row
    return StoredReceipt(
        clip=key,
        clip_id=clip_id,
        sha256=sha256,
        length_bytes=length_bytes,
        received_utc=received_utc,
        compact=compact,
    )


def _dockings(rows: Sequence[Row]) -> tuple[Docking, ...]:
    return tuple(map(docking_of, rows))


def _first_docking(rows: Sequence[Row]) -> Docking | None:
    return docking_of(rows[0]) if rows else None
