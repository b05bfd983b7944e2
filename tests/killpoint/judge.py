"""What stands on the disks, by somebody who shares no code with dockd: own SQL, own hashes, PyJWT for receipts.

Owns the questions after a fault and at the end: is a clip lost, altered, erased early; does a record claim what is not.
"""

import base64
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Row = Mapping[str, Any]
GENESIS = "0" * 64
PROVEN = frozenset({"receipted", "erasing", "erased"})
GONE = frozenset({"erasing", "erased"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One run's places, and what was on its card; `key` is the store's public key as stations pin it."""

    root: Path
    store: Path
    key: str
    station: str
    serial: str
    originals: Mapping[bytes, bytes]

    @property
    def card(self) -> Path:
        """The camera's folder."""
        return self.root / "card"

    @property
    def state(self) -> Path:
        """The station's folder."""
        return self.root / "state"

    @property
    def spool(self) -> Path:
        """The station's copies."""
        return self.state / "spool"

    @property
    def ledger(self) -> Path:
        """The station's database."""
        return self.state / "ledger.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """A ledger as it stands: its rows and the custody log, each in order, and what SQLite says of the file."""

    rows: tuple[Row, ...] = ()
    custody: tuple[Row, ...] = ()
    sound: str = "ok"

    @property
    def clips(self) -> Mapping[bytes, Row]:
        """The clip of each path: of two rows the later one is the file that is there."""
        return {row["path"]: row for row in self.rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A store as it stands: what it signed for this camera's clips, and the objects it counts."""

    receipts: Mapping[str, Row]
    objects: tuple[Row, ...]


def sha256(data: bytes) -> str:
    """Hash."""
    return hashlib.sha256(data).hexdigest()


# --- reading --------------------------------------------------------------------------------------------------------


@contextmanager
def copied(database: Path, *, log_bytes: int | None = None) -> Iterator[sqlite3.Connection | None]:
    """Open a copy of a database and its log, the log cut at `log_bytes`; None where there is nothing yet."""
    if not database.exists() or (not database.stat().st_size and not log_of(database).exists()):
        yield None
        return
    with tempfile.TemporaryDirectory(dir=database.parent.parent) as folder:
        copy = Path(folder) / "copy"
        for source in (database, log_of(database), database.with_name(f"{database.name}-journal")):
            if source.exists():
                shutil.copyfile(source, copy.with_name(source.name.replace(database.name, "copy")))
        if log_bytes is not None and log_of(copy).exists():
            os.truncate(log_of(copy), log_bytes)
        with closing(sqlite3.connect(copy)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection


def log_of(database: Path) -> Path:
    """Name a database's write-ahead log."""
    return database.with_name(f"{database.name}-wal")


def books(scene: Scene, *, log_bytes: int | None = None) -> Books:
    """Read the ledger; with `log_bytes` only what stands in so much of its log."""
    with copied(scene.ledger, log_bytes=log_bytes) as connection:
        if connection is None or not _has(connection, "clips"):
            return Books()
        (sound,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        rows = tuple(dict(row) for row in connection.execute("SELECT * FROM clips ORDER BY key"))
        links = tuple(dict(row) for row in connection.execute("SELECT * FROM custody ORDER BY seq"))
    return Books(rows=rows, custody=links, sound=sound)


def shelf(scene: Scene) -> Shelf:
    """Read the store's index, what concerns this camera."""
    with copied(scene.store / "index.sqlite3") as connection:
        if connection is None or not _has(connection, "object"):
            return Shelf(receipts={}, objects=())
        objects = [dict(row) for row in connection.execute("SELECT * FROM object WHERE camera = ?", (scene.serial,))]
        uploads = connection.execute(
            "SELECT u.*, o.key AS object FROM upload u JOIN object o ON o.seq = u.object_seq"
            " WHERE u.receipt IS NOT NULL AND o.camera = ?",
            (scene.serial,),
        )
        receipts = {row["clip_id"]: dict(row) for row in uploads}
    return Shelf(receipts=receipts, objects=tuple(objects))


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


# --- the questions --------------------------------------------------------------------------------------------------


def after_a_fault(scene: Scene) -> Iterator[str]:
    """Say what is wrong now, whatever happened: nothing may be, at any instant (I1, I2, I4, I5, I8)."""
    held, shelved = books(scene), shelf(scene)
    if held.sound != "ok":
        yield f"the ledger is damaged: {held.sound}"
    yield from chain_faults(held)
    yield from shelf_faults(scene, shelved)
    for path, data in scene.originals.items():
        row, file = held.clips.get(path), on_card(scene, path)
        if file is None:
            yield from why_gone(scene, path, row, shelved)
        elif file.read_bytes() != data:
            yield f"{path!r}: ALTERED on the card"
        if row is not None and row["state"] in PROVEN:
            yield from receipt_faults(scene, path, row, shelved)
        if row is not None and row["state"] in {"copied", "uploaded"}:
            yield from copy_faults(scene, path, row)
    yield from stray_copies(scene)


def without_receipt(scene: Scene) -> Iterator[str]:
    """Say which clips have no receipt on record: none, where a station says that it is done."""
    clips = books(scene).clips
    for path in scene.originals:
        row = clips.get(path)
        if row is None or row["state"] not in PROVEN:
            yield f"{path!r}: {'unknown' if row is None else row['state']} where all is done, expected a receipt"


def in_the_end(scene: Scene) -> Iterator[str]:
    """Say what is missing once a run without faults has come to its end: all is receipted, erased and cleared away."""
    yield from after_a_fault(scene)
    yield from without_receipt(scene)
    held, shelved = books(scene), shelf(scene)
    for path, data in scene.originals.items():
        row = held.clips.get(path)
        if row is not None and (row["state"] != "erased" or on_card(scene, path) is not None):
            yield f"{path!r}: in the end {row['state']}, expected it to be erased"
        if row is not None and row["sha256"] != sha256(data):
            yield f"{path!r}: on record with sha256 {row['sha256']}, expected {sha256(data)}"
    names = sorted(base64.b64decode(row["name"]) for row in shelved.objects)
    if names != sorted(scene.originals):
        yield f"the store counts {names} of this camera, expected each of {sorted(scene.originals)} once"
    left = sorted(path.name for path in scene.spool.iterdir()) if scene.spool.exists() else []
    if left:
        yield f"left in the spool: {left}"


def why_gone(scene: Scene, path: bytes, row: Row | None, shelved: Shelf) -> Iterator[str]:
    """Say what is wrong with a clip's absence from its card (I1, I4)."""
    if row is None or row["receipt"] is None:
        yield f"{path!r}: LOST: not on the card, and the ledger says {'nothing' if row is None else row['state']}"
        return
    if row["state"] not in GONE:
        yield f"{path!r}: ERASED EARLY: not on the card, and the ledger says {row['state']}"
    yield from receipt_faults(scene, path, row, shelved)


def receipt_faults(scene: Scene, path: bytes, row: Row, shelved: Shelf) -> Iterator[str]:
    """Say what is wrong with a clip's receipt: signature, claims, and what the store holds (I1, I2)."""
    data = scene.originals[path]
    try:
        claims = jwt.decode(
            row["receipt"], public_key(scene.key), algorithms=["EdDSA"], audience=scene.station, issuer=None
        )
    except (jwt.PyJWTError, TypeError) as error:
        yield f"{path!r}: {row['state']} on a receipt that is none: {error}"
        return
    said = (claims["sha256"], claims["length"], claims["clip_id"])
    if said != (sha256(data), len(data), row["clip_id"]):
        yield f"{path!r}: {row['state']} on a receipt for {said}"
    stored = shelved.receipts.get(row["clip_id"])
    if stored is None:
        yield f"{path!r}: {row['state']}, and the store knows no receipt for it"
    elif object_sha256(scene, stored["object"]) != sha256(data):
        yield f"{path!r}: {row['state']}, and the store's object is another or none"


def shelf_faults(scene: Scene, shelved: Shelf) -> Iterator[str]:
    """Say which receipts of the store have no whole object (I2)."""
    for row in shelved.receipts.values():
        digest = object_sha256(scene, row["object"])
        if digest != row["sha256"]:
            yield f"the store signed for {row['clip_id']} and holds {digest or 'nothing'}, expected {row['sha256']}"
    if len({row["clip_id"] for row in shelved.objects}) != len(shelved.objects):
        yield "the store counts one clip twice"


def object_sha256(scene: Scene, key: str) -> str | None:
    """Hash an object; None where there is none."""
    path = scene.store / "objects" / key[:2] / key
    return sha256(path.read_bytes()) if path.exists() else None


def copy_faults(scene: Scene, path: bytes, row: Row) -> Iterator[str]:
    """Say what is wrong with a copy that the ledger claims (I5, I8)."""
    copy = scene.spool / f"{row['clip_id']}.clip"
    if not row["spooled"]:
        yield f"{path!r}: {row['state']} without a copy"
    elif not copy.exists() or copy.read_bytes() != scene.originals[path]:
        yield f"{path!r}: {row['state']}, and its copy in the spool is another or none"


def stray_copies(scene: Scene) -> Iterator[str]:
    """Say which whole-looking copies in the spool are none."""
    whole = set(scene.originals.values())
    for copy in scene.spool.glob("*.clip"):
        if copy.read_bytes() not in whole:
            yield f"{copy.name} has a copy's name and {copy.stat().st_size} bytes of no clip"


def chain_faults(held: Books) -> Iterator[str]:
    """Say where the custody log breaks, and which rows it does not explain (I11, I18)."""
    before, states = GENESIS, dict[int, str]()
    for seq, link in enumerate(held.custody, start=1):
        body = json.loads(link["body"])
        if (link["seq"], link["prev"], link["hash"]) != (seq, before, sha256(b"\0" + link["body"])):
            yield f"custody entry {seq}: the chain breaks"
            return
        before = link["hash"]
        if body["to"]:
            if body["from"] != states.get(body["clip"], ""):
                yield f"custody entry {seq}: from {body['from']!r}, and it was {states.get(body['clip'])!r}"
            states[body["clip"]] = body["to"]
    rows = {row["key"]: row["state"] for row in held.rows}
    for key in sorted(rows.keys() | states.keys()):
        if rows.get(key) != states.get(key):
            yield f"clip {key}: the ledger says {rows.get(key)}, the custody log {states.get(key)}"


def on_card(scene: Scene, path: bytes) -> Path | None:
    """Find an original on the card."""
    file = scene.card / os.fsdecode(path)
    return file if file.exists() else None


def public_key(text: str) -> Ed25519PublicKey:
    """Read a pinned key."""
    raw = text.removeprefix("ed25519:")
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
