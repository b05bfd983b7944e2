"""What a store and a state folder hold, as third parties see it: HTTP, files on the disk, and the custody chain."""

import base64
import hashlib
import http.client
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dockd.domain.custody import Link, verify

PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One clip at the store; `told` is all that it says of it."""

    clip_id: str
    sha256: str
    length: int
    seq: int
    stations: tuple[str, ...]
    told: Mapping[str, Any] = field(repr=False)


def stored(base: str) -> dict[bytes, Stored]:
    """List every clip of a store by its path on the card; fails where two have one path."""
    found: dict[bytes, Stored] = {}
    with closing(_connect(base)) as connection:
        following: str | None = f"{base}/clips?limit={PAGE}"
        while following is not None:
            page = json.loads(_get(connection, following))
            for clip in page["clips"]:
                path = base64.b64decode(clip["name"], validate=True)
                assert path not in found, f"{path!r}: two objects at the store"
                found[path] = Stored(
                    clip_id=clip["clip_id"],
                    sha256=clip["sha256"],
                    length=clip["length"],
                    seq=clip["seq"],
                    stations=tuple(clip["stations"]),
                    told=clip,
                )
            following = page["next"]
    return found


def contents_digests(base: str, clips: dict[bytes, Stored]) -> dict[bytes, str]:
    """Fetch the bytes of each clip and hash them here."""
    with closing(_connect(base)) as connection:
        return {
            path: hashlib.sha256(_get(connection, f"{base}/clips/{clip.clip_id}/content")).hexdigest()
            for path, clip in clips.items()
        }


def objects(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Give every object on a store's disk: inode, length and time of its last change."""
    found = {}
    for path in (folder / "objects").glob("*/*"):
        status = path.stat()
        found[path.name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _connect(base: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)


def _get(connection: http.client.HTTPConnection, url: str) -> bytes:
    parts = urlsplit(url)
    connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, f"GET {url}: {answer.status} {body[:200]!r}"
    return body


# --- the state folder ---------------------------------------------------------------------------------------------


def clip_rows(state: Path) -> list[dict[str, Any]]:
    """Give every clip of a ledger as its row; none where a kill came before there was a ledger."""
    if not (state / "ledger.db").exists():
        return []
    with closing(_ledger(state)) as database:
        if not database.execute("PRAGMA user_version").fetchone()[0]:
            return []
        return [dict(row) for row in database.execute("SELECT * FROM clips ORDER BY key")]


def entries(state: Path) -> list[dict[str, Any]]:
    """Give the custody entries of a state folder; fails where the chain is broken."""
    with closing(_ledger(state)) as database:
        return [json.loads(link.body) for link in verify(_links(database))]


def moves(state: Path, cause: str) -> Counter[int]:
    """Count how often each clip made a move, by the custody chain."""
    return Counter(entry["clip"] for entry in entries(state) if entry["cause"] == cause and entry["clip"] is not None)


def _ledger(state: Path) -> sqlite3.Connection:
    database = sqlite3.connect(state / "ledger.db", timeout=10)
    database.row_factory = sqlite3.Row
    return database


def _links(database: sqlite3.Connection) -> Iterator[Link]:
    for row in database.execute("SELECT seq, prev, hash, body FROM custody ORDER BY seq"):
        yield Link(seq=row["seq"], prev=row["prev"], hash=row["hash"], body=row["body"])
