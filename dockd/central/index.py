"""What the store knows of uploads, objects and receipts: the rows, and the statements that read and move them.

Owns the schema and every statement. Each function takes a connection and belongs inside one transaction of
`database.Database`. An object's row and the first receipt over it come into being together, never one without the
other.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dockd.domain.model import ClipId, Sha256, StationId

MIGRATIONS: Sequence[str] = (
    """
    CREATE TABLE object (
        seq          INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which clips became safe here
        key          TEXT NOT NULL UNIQUE,              -- the file's name under objects/
        clip_id      TEXT NOT NULL,
        recomputed   INTEGER NOT NULL,                  -- 1: the clip id follows from the facts; 0: a station's word
        length_bytes INTEGER NOT NULL,
        sha256       TEXT NOT NULL,
        stored_at    TEXT NOT NULL,
        camera       TEXT NOT NULL,
        recording_id TEXT,
        kind         TEXT,
        name         TEXT                               -- base64 of the path on the card
    ) STRICT;
    CREATE INDEX object_clip ON object (clip_id, recomputed DESC, seq);
    CREATE INDEX object_camera ON object (camera, seq);
    CREATE INDEX object_recording ON object (recording_id, seq);
    CREATE TABLE upload (
        id           TEXT PRIMARY KEY,                  -- one for each station and clip
        object_key   TEXT NOT NULL,
        station      TEXT NOT NULL,
        clip_id      TEXT NOT NULL,
        recomputed   INTEGER NOT NULL,
        length_bytes INTEGER NOT NULL,
        sha256       TEXT NOT NULL,
        metadata     TEXT NOT NULL,                     -- canonical Upload-Metadata: what the receipt covers
        leaf         TEXT NOT NULL,
        touched_s    INTEGER NOT NULL,                  -- UTC seconds of the last sign of life; expiry counts from it
        object_seq   INTEGER REFERENCES object (seq),
        receipt      TEXT,
        CHECK ((object_seq IS NULL) = (receipt IS NULL))
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX upload_unfinished ON upload (touched_s) WHERE receipt IS NULL;
    CREATE INDEX upload_object ON upload (object_seq, station);
    CREATE INDEX upload_station ON upload (station, object_seq);
    """,
    """
    CREATE TABLE given (
        seq          INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which receipts were given; none is used twice
        station      TEXT NOT NULL,
        upload       TEXT NOT NULL UNIQUE REFERENCES upload (id),
        object_seq   INTEGER NOT NULL REFERENCES object (seq),
        length_bytes INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX given_station ON given (station, seq, length_bytes);
    CREATE TABLE given_total (
        station TEXT PRIMARY KEY,
        files   INTEGER NOT NULL,                       -- as given has them: counted with every change of it
        bytes   INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER given_counted AFTER INSERT ON given BEGIN
        INSERT INTO given_total (station, files, bytes) VALUES (NEW.station, 1, NEW.length_bytes)
        ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER given_discounted AFTER DELETE ON given BEGIN
        UPDATE given_total SET files = files - 1, bytes = bytes - OLD.length_bytes WHERE station = OLD.station;
    END;
    INSERT INTO given (station, upload, object_seq, length_bytes)
    SELECT station, id, object_seq, length_bytes FROM upload WHERE receipt IS NOT NULL ORDER BY object_seq, id;
    CREATE TRIGGER upload_given AFTER UPDATE OF receipt ON upload
    WHEN OLD.receipt IS NULL AND NEW.receipt IS NOT NULL BEGIN
        INSERT INTO given (station, upload, object_seq, length_bytes)
        VALUES (NEW.station, NEW.id, NEW.object_seq, NEW.length_bytes);
    END;
    CREATE TABLE account (
        seq         INTEGER PRIMARY KEY AUTOINCREMENT,
        station     TEXT NOT NULL,
        instance    TEXT NOT NULL,                     -- which database of the station
        about       TEXT NOT NULL,                     -- `docking KEY` or `daily DAY`
        figures     TEXT NOT NULL,                     -- digest of docking and account: other figures are another row
        statement   TEXT NOT NULL,                     -- canonical JSON, as it was heard last
        entries     INTEGER NOT NULL,                  -- of the station's custody chain, and the hash of the last
        head        TEXT NOT NULL,
        heard_at    TEXT NOT NULL,                     -- last
        verdict     TEXT NOT NULL                      -- JSON, as it was answered last
    ) STRICT;
    CREATE UNIQUE INDEX account_once ON account (station, instance, about, figures);
    CREATE INDEX account_chain ON account (station, instance, entries);
    CREATE INDEX account_station ON account (station, seq);
    """,
)

_UPLOAD = "id, object_key, station, clip_id, recomputed, length_bytes, sha256, metadata, leaf, touched_s, receipt"
_OBJECT = (
    "object.seq, key, clip_id, recomputed, object.length_bytes, sha256, stored_at, camera, recording_id, kind, name"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One station's upload of one clip. `metadata` is the canonical header, `receipt` the compact JWS once stored."""

    id: str
    object_key: str
    station: StationId
    clip_id: ClipId
    recomputed: bool
    length_bytes: int
    sha256: Sha256
    metadata: str
    leaf: str
    touched_s: int
    receipt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredClip:
    """One object as `GET /clips` tells it. `camera` and `name` are spelled as in the metadata."""

    seq: int
    key: str
    clip_id: ClipId
    recomputed: bool
    length_bytes: int
    sha256: Sha256
    stored_at: str
    camera: str
    recording_id: str | None
    kind: str | None
    name: str | None
    stations: tuple[StationId, ...]
    declared: str
    """The canonical metadata of one station, of several that which names the least as unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What of the metadata can be asked for later."""

    camera: str
    recording_id: str | None
    kind: str | None
    name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which clips: those after a sequence number, at most `limit`, and only those that fit every filter given.

    With a station, the sequence is that of the receipts it was given; without, that of the objects.
    """

    after: int
    limit: int
    station: str | None = None
    camera: str | None = None
    recording_id: str | None = None


def find_upload(db: sqlite3.Connection, upload_id: str) -> Upload | None:
    """Look an upload up by its id."""
    row = db.execute(f"SELECT {_UPLOAD} FROM upload WHERE id = ?", (upload_id,)).fetchone()  # noqa: S608 - a constant
    return None if row is None else _upload(row)


def insert_upload(db: sqlite3.Connection, upload: Upload) -> None:
    """Add an upload that has no receipt yet."""
    db.execute(
        "INSERT INTO upload"
        " (id, object_key, station, clip_id, recomputed, length_bytes, sha256, metadata, leaf, touched_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            upload.id,
            upload.object_key,
            upload.station,
            upload.clip_id,
            int(upload.recomputed),
            upload.length_bytes,
            upload.sha256,
            upload.metadata,
            upload.leaf,
            upload.touched_s,
        ),
    )


def touch(db: sqlite3.Connection, upload_id: str, *, now_s: int, leaf: str) -> None:
    """Note a sign of life of an unfinished upload, and the custody leaf it came with."""
    db.execute("UPDATE upload SET touched_s = ?, leaf = ? WHERE id = ? AND receipt IS NULL", (now_s, leaf, upload_id))


def delete_unfinished(db: sqlite3.Connection, upload_id: str) -> None:
    """Forget an upload that has no receipt; one that has stays."""
    db.execute("DELETE FROM upload WHERE id = ? AND receipt IS NULL", (upload_id,))


def unfinished(db: sqlite3.Connection) -> Iterator[Upload]:
    """Give the uploads without a receipt one by one: there may be very many."""
    rows = db.execute(f"SELECT {_UPLOAD} FROM upload WHERE receipt IS NULL ORDER BY touched_s")  # noqa: S608 - a constant
    return (_upload(row) for row in rows)


def is_unfinished(db: sqlite3.Connection, upload_id: str) -> bool:
    """Whether there is an upload of this name without a receipt."""
    return db.execute("SELECT 1 FROM upload WHERE id = ? AND receipt IS NULL", (upload_id,)).fetchone() is not None


def stale(db: sqlite3.Connection, *, touched_before_s: int, limit: int) -> list[Upload]:
    """List uploads without a receipt whose last sign of life is older, the oldest first."""
    rows = db.execute(
        f"SELECT {_UPLOAD} FROM upload WHERE receipt IS NULL AND touched_s < ? ORDER BY touched_s LIMIT ?",  # noqa: S608 - a constant
        (touched_before_s, limit),
    )
    return [_upload(row) for row in rows]


def has_unfinished(db: sqlite3.Connection, station: StationId, *, most: int) -> bool:
    """Whether a station has at least so many uploads without a receipt."""
    rows = "SELECT 1 FROM upload WHERE station = ? AND object_seq IS NULL LIMIT ?"
    return bool(db.execute(f"SELECT count(*) >= ? FROM ({rows})", (most, station, most)).fetchone()[0])  # noqa: S608 - a constant


def has_object(db: sqlite3.Connection, key: str) -> bool:
    """Whether an object is indexed, so verified and synced."""
    return db.execute("SELECT 1 FROM object WHERE key = ?", (key,)).fetchone() is not None


def record_stored(
    db: sqlite3.Connection, upload: Upload, *, facts: Facts, stored_at: str, receipt: str
) -> Upload | None:
    """Index an object (once, however many stations bring it) and give the upload its receipt; a first receipt stays.

    None if the upload is no longer in the index: then nothing is written.
    """
    if find_upload(db, upload.id) is None:
        return None
    db.execute(
        "INSERT INTO object"
        " (key, clip_id, recomputed, length_bytes, sha256, stored_at, camera, recording_id, kind, name)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        (
            upload.object_key,
            upload.clip_id,
            int(upload.recomputed),
            upload.length_bytes,
            upload.sha256,
            stored_at,
            facts.camera,
            facts.recording_id,
            facts.kind,
            facts.name,
        ),
    )
    db.execute(
        "UPDATE upload SET object_seq = (SELECT seq FROM object WHERE key = ?), receipt = ?, leaf = ?"
        " WHERE id = ? AND receipt IS NULL",
        (upload.object_key, receipt, upload.leaf, upload.id),
    )
    return find_upload(db, upload.id)


def find_clip(db: sqlite3.Connection, clip_id: str) -> StoredClip | None:
    """Look a stored clip up; if a cut name let several objects claim one id, the proved one, then the first."""
    row = db.execute(
        f"SELECT seq AS place, {_OBJECT} FROM object WHERE clip_id = ? ORDER BY recomputed DESC, seq LIMIT 1",  # noqa: S608 - a constant
        (clip_id,),
    ).fetchone()
    return None if row is None else _clip(db, row)


def list_clips(db: sqlite3.Connection, query: Query) -> list[StoredClip]:
    """List clips in the order in which they became safe, or in which the station's receipts were given.

    Pages are stable, for a new clip always comes last.

    One clip more than `limit` is given where there is one, so that the caller knows of a next page.
    """
    filters = {
        "camera = ?": query.camera,
        "recording_id = ?": query.recording_id,
        "given.station = ?": query.station,
    }
    asked = {clause: value for clause, value in filters.items() if value is not None}
    place, source = "object.seq", "object"
    if query.station is not None:
        place, source = "given.seq", "given JOIN object ON object.seq = given.object_seq"
    where = " AND ".join((f"{place} > ?", *asked))
    rows = db.execute(
        f"SELECT {place} AS place, {_OBJECT} FROM {source} WHERE {where} ORDER BY {place} LIMIT ?",  # noqa: S608 - constants; values are bound
        (query.after, *asked.values(), query.limit + 1),
    )
    return [_clip(db, row) for row in rows.fetchall()]


def _upload(row: sqlite3.Row) -> Upload:
    return Upload(
        id=row["id"],
        object_key=row["object_key"],
        station=row["station"],
        clip_id=row["clip_id"],
        recomputed=bool(row["recomputed"]),
        length_bytes=row["length_bytes"],
        sha256=row["sha256"],
        metadata=row["metadata"],
        leaf=row["leaf"],
        touched_s=row["touched_s"],
        receipt=row["receipt"],
    )


def _clip(db: sqlite3.Connection, row: sqlite3.Row) -> StoredClip:
    of_it = "SELECT station, metadata FROM upload WHERE object_seq = ? ORDER BY station"
    uploads = db.execute(of_it, (row["seq"],)).fetchall()
    return StoredClip(
        seq=row["place"],
        key=row["key"],
        clip_id=row["clip_id"],
        recomputed=bool(row["recomputed"]),
        length_bytes=row["length_bytes"],
        sha256=row["sha256"],
        stored_at=row["stored_at"],
        camera=row["camera"],
        recording_id=row["recording_id"],
        kind=row["kind"],
        name=row["name"],
        stations=tuple(upload["station"] for upload in uploads),
        declared=min((upload["metadata"] for upload in uploads), key=_gaps_length),
    )


def _gaps_length(metadata: str) -> int:
    _, _, gaps = metadata.partition(",unreadable ")
    return len(gaps.partition(",")[0])
