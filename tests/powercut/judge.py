"""What must hold after a power cut, judged by code of its own: own SQL, own hashing, own check of receipts.

Owns the meaning of the claims and of the promises. Of the code under test it uses what has to work after a cut, the
opening of a ledger and its offline check, and believes neither more than its own eyes.
"""

import asyncio
import json
import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dockd.domain.model import StationId, Timestamp
from dockd.domain.receipt import Receipt
from dockd.edges.keys import PinnedKeys
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.start import open_ledger
from dockd.errors import DockdError
from tests.powercut.book import MADE, ORDER, Book, Reader, Row, rows
from tests.powercut.rebuild import Wreck

STATION = "north-1"
SPOOLED = frozenset({"copied", "uploaded"})
PROVEN = frozenset({"receipted", "erasing", "erased"})
GREEN = frozenset({"go-receipted", "charging-receipted"})
BLUE = frozenset({"go-copied", "charging-copied"})
AT_START = frozenset({"ledger-made", "station-key", "docking-cut"})
"""What opening a ledger may add to its chain, and nothing else."""
LEDGER, INDEX = "ledger.db", "index.sqlite3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A clip, as the store has it."""

    key: str
    sha256: str
    length: int


class Judge:
    """Judges what cuts of one log left; keeps in mind what need not be looked at twice, such as claims."""

    def __init__(self, scratch: Path) -> None:
        """Take a folder for itself, in memory."""
        self._scratch = scratch
        self._digests: dict[int, tuple[bytes, str]] = {}
        self._claimed: list[Mapping[str, Any]] = []
        self._verified: dict[tuple[str, str], Receipt] = {}
        self._reader = Reader()
        self._ledgers: dict[tuple[tuple[str, str], ...], tuple[Book, Sequence[str]]] = {}
        self._signed: dict[tuple[str, str], Mapping[str, Any] | None] = {}

    def faults(self, wreck: Wreck) -> Iterator[str]:
        """Give whatever does not hold, in words that name the promise."""
        self._claimed.extend(json.loads(text) for text in wreck.claims[len(self._claimed) :])
        claims = self._claimed[: len(wreck.claims)]
        keys = [claim["public"] for claim in claims if claim["what"] == "key"]
        try:
            book, found = self._ledger(wreck, keys)
        except sqlite3.Error as error:
            yield f"I8: the ledger is damaged after a mere power cut: {error!r}"
            return
        yield from found
        try:
            objects = self._objects(wreck)
        except sqlite3.Error as error:
            yield f"I2: the store's index does not open after a mere power cut: {error!r}"
            return
        stored = {clip_id: self._stored(wreck, clip_id, objects) for clip_id in objects}
        for row in book.rows.values():
            if row.state != book.states.get(row.key):
                yield f"I11: {_name(row)} is {row.state}, the chain made it {book.states.get(row.key)}"
            if (row.facts, row.recording) != book.found.get(row.key):
                yield f"I18: {_name(row)} has {row.facts} of {row.recording}, it was found as {book.found.get(row.key)}"
            if not row.facts:
                yield f"I18: {_name(row)} is on record without what its profile read"
            yield from self._row(row, wreck, stored, keys)
        yield from self._claims(claims, book, stored, keys)
        yield from self._erased(claims, book, wreck)
        yield from self._cameras(claims, book, wreck, stored)

    def lost(self, wreck: Wreck) -> Iterator[str]:
        """Give every clip that is neither on its camera nor at the store, whatever became of the station (I4)."""
        objects = self._objects(wreck)
        stored = {self._stored(wreck, clip_id, objects) for clip_id in objects}
        for claim in map(json.loads, wreck.claims):
            if claim["what"] == "laid":
                leaf = wreck.files.get(f"cameras/{claim['camera']}/{claim['path']}")
                there = leaf is not None and self._sha256(leaf.data) == claim["sha256"]
                if not there and claim["sha256"] not in stored:
                    yield f"I4: {claim['camera']} {claim['path']} is gone, and the store has no {claim['sha256']}"

    @staticmethod
    def rows(state: Path) -> Sequence[Row]:
        """Read every clip of a state folder."""
        with closing(sqlite3.connect(f"file:{state / LEDGER}?mode=ro", uri=True)) as db:
            return tuple(rows(db))

    # --- the ledger ---------------------------------------------------------------------------------------------------

    def _ledger(self, wreck: Wreck, keys: Sequence[str]) -> tuple[Book, Sequence[str]]:
        """Read the ledger, and say what is wrong with it; the very same state folder is looked at once."""
        there = tuple(
            (path, self._sha256(leaf.data)) for path, leaf in sorted(wreck.files.items()) if path.startswith("station/")
        )
        key = (("key", keys[0] if keys else ""), *there)
        if key not in self._ledgers:
            book = self._book(wreck)
            self._ledgers[key] = book, tuple(self._opened(wreck, book, keys))
        return self._ledgers[key]

    def _book(self, wreck: Wreck) -> Book:
        """Lay the state folder out and read it by SQLite alone, in a copy of its own."""
        state = self._scratch / "own"
        state.mkdir(exist_ok=True)
        _lay(state, wreck, "station/")
        database = state / LEDGER
        if not database.exists() or not database.stat().st_size:
            return Book()
        with closing(sqlite3.connect(database)) as db:
            if db.execute("PRAGMA user_version").fetchone() < (MADE,):
                return Book()  # still in its making: its steps are transactions of their own, and no clip is there yet
            (damage,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if damage != "ok":
                raise sqlite3.DatabaseError(damage)
            return self._reader.read(db)

    def _opened(self, wreck: Wreck, book: Book, keys: Sequence[str]) -> Iterator[str]:
        """Open it as dockd does: it must open, and be what it was; then have it checked."""
        state = self._scratch / "station"
        state.mkdir(exist_ok=True)
        _lay(state, wreck, "station/")
        try:
            asyncio.run(_open(state))
        except (sqlite3.Error, DockdError) as error:
            yield f"I8: the ledger does not open after a mere power cut: {error!r}"
            return
        with closing(sqlite3.connect(f"file:{state / LEDGER}?mode=ro", uri=True)) as db:
            after = self._reader.read(db)
        grown = after.chain[len(book.chain) :]
        if after.chain[: len(book.chain)] != book.chain or {cause for _, cause in grown} - AT_START:
            yield f"I8: opening the ledger changed its chain of {len(book.chain)}: {grown}"
        if dict(after.rows) != dict(book.rows):
            yield "I8: opening the ledger changed clips"
        report = verify_state(state, partial(self._verify, keys[0]) if keys else None)
        if not report.clean:
            yield f"I11: dockctl verify: {report.faults}"

    def _verify(self, key: str, compact: str) -> Receipt:
        """Check a receipt as dockd does, once."""
        if (key, compact) not in self._verified:
            self._verified[key, compact] = PinnedKeys.read([key], setting="key").verify(compact)
        return self._verified[key, compact]

    def _row(self, row: Row, wreck: Wreck, stored: Mapping[str, str], keys: Sequence[str]) -> Iterator[str]:
        spool = wreck.files.get(f"station/spool/{row.clip_id}.clip")
        held = spool and self._sha256(spool.data)
        if row.state in SPOOLED and row.spooled and held != row.sha256:
            yield f"I5 I8: {_name(row)} is {row.state}, its copy in the spool is {held}"
        if spool and row.state in PROVEN and held != row.sha256:
            yield f"I5: {_name(row)} is {row.state}, its copy in the spool is {held}"
        if row.state in PROVEN:
            said = self._receipt(row.receipt or "", keys)
            if said != {"clip_id": row.clip_id, "sha256": row.sha256, "aud": STATION}:
                yield f"I1: {_name(row)} is {row.state}, its receipt says {said}"
            if stored.get(row.clip_id or "") != row.sha256:
                yield f"I2: {_name(row)} is {row.state}, the store has {stored.get(row.clip_id or '')}"

    # --- the store ----------------------------------------------------------------------------------------------------

    def _objects(self, wreck: Wreck) -> Mapping[str, Object]:
        """Read the index of the store: by clip id."""
        database = self._scratch / INDEX
        for ending in ("", "-wal", "-shm", "-journal"):
            (self._scratch / f"{INDEX}{ending}").unlink(missing_ok=True)
            if leaf := wreck.files.get(f"store/{INDEX}{ending}"):
                (self._scratch / f"{INDEX}{ending}").write_bytes(leaf.data)
        if not database.exists():
            return {}
        with closing(sqlite3.connect(database)) as db:
            (damage,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if damage != "ok":
                raise sqlite3.DatabaseError(damage)
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                return {}
            rows = db.execute("SELECT clip_id, key, sha256, length_bytes FROM object").fetchall()
        return {clip_id: Object(key=key, sha256=digest, length=length) for clip_id, key, digest, length in rows}

    def _stored(self, wreck: Wreck, clip_id: str, objects: Mapping[str, Object]) -> str:
        """Give the digest of an object as it is now; empty where there is none."""
        known = objects[clip_id]
        leaf = wreck.files.get(f"store/objects/{known.key[:2]}/{known.key}")
        return "" if leaf is None else self._sha256(leaf.data)

    def _receipt(self, jws: str, keys: Sequence[str]) -> Mapping[str, Any] | None:
        """Check a receipt by hand, and give what it says; None for one that nobody signed."""
        key = keys[0] if keys else ""
        if (jws, key) not in self._signed:
            self._signed[jws, key] = _read_receipt(jws, key)
        return self._signed[jws, key]

    # --- what was told ------------------------------------------------------------------------------------------------

    def _claims(  # noqa: C901 - one arm a claim
        self,
        claims: Iterable[Mapping[str, Any]],
        book: Book,
        stored: Mapping[str, str],
        keys: Sequence[str],
    ) -> Iterator[str]:
        told: dict[int, str] = {}
        laid: dict[tuple[str, str], str] = {}
        for claim in claims:
            match claim["what"]:
                case "laid":
                    laid[claim["camera"], claim["path"]] = claim["sha256"]
                case "moved":
                    told[claim["key"]] = claim["state"]
                    if claim["leaf"] not in book.hashes:
                        yield f"I8: clip {claim['key']} {claim['move']} was answered, its entry is not in the chain"
                case "receipt":
                    said = self._receipt(claim["jws"], keys) or {"clip_id": "", "sha256": "signed by nobody"}
                    if stored.get(said["clip_id"]) != said["sha256"]:
                        yield f"I2: the store gave a receipt {said}, and has {stored.get(said['clip_id'])}"
                case "lamp":
                    yield from self._lamp(claim, book, laid)
                case "docked" if claim["docking"] > book.dockings:
                    yield f"I8: docking {claim['docking']} was answered, and is not on record"
                case _:
                    pass
        for key, state in told.items():
            row = book.rows.get(key)
            # What came after the last answer may be there too, and may be a step back.
            if row is None or (ORDER[row.state] < ORDER[state] and key not in book.lowered):
                yield f"I8: clip {key} was told to be {state}, and is {row and row.state}"

    def _erased(self, claims: Iterable[Mapping[str, Any]], book: Book, wreck: Wreck) -> Iterator[str]:
        erased: dict[tuple[str, str], str] = {}
        for claim in claims:
            if claim["what"] == "laying":
                # The counter began anew: what comes to lie there is no old file come back, equal as it may be.
                erased.pop((claim["camera"], claim["path"]), None)
            if claim.get("state") == "erased" and (row := book.rows.get(claim["key"])):
                erased[row.camera, row.path] = claim["sha256"]
        for (camera, path), digest in erased.items():
            leaf = wreck.files.get(f"cameras/{camera}/{path}")
            if leaf is not None and self._sha256(leaf.data) == digest:
                yield f"I8: {camera} {path} was told to be erased, and came back"

    def _lamp(self, claim: Mapping[str, Any], book: Book, laid: Mapping[tuple[str, str], str]) -> Iterator[str]:
        good = PROVEN if claim["lamp"] in GREEN else PROVEN | SPOOLED if claim["lamp"] in BLUE else None
        if good is None:
            return
        safe = {(row.camera, row.path, row.sha256) for row in book.rows.values() if row.state in good}
        for (camera, path), digest in laid.items():
            if camera == claim["camera"] and (camera, path, digest) not in safe:
                yield f"I8: {camera} showed {claim['lamp']}, and {path} is not in {sorted(good)}"

    # --- the cameras --------------------------------------------------------------------------------------------------

    def _cameras(
        self, claims: Iterable[Mapping[str, Any]], book: Book, wreck: Wreck, stored: Mapping[str, str]
    ) -> Iterator[str]:
        """See that every clip that ever lay on a camera lies there still, or is proven and stored (I1, I2, I4)."""
        proven = {(row.camera, row.path, row.sha256) for row in book.rows.values() if row.state in PROVEN}
        ever: dict[str, set[str]] = {}
        laid: set[tuple[str, str, str]] = set()
        for claim in claims:
            if claim["what"] in {"laying", "laid"}:
                ever.setdefault(f"cameras/{claim['camera']}/{claim['path']}", set()).add(claim["sha256"])
            if claim["what"] == "laid":
                laid.add((claim["camera"], claim["path"], claim["sha256"]))
        for camera, path, digest in sorted(laid):
            leaf = wreck.files.get(f"cameras/{camera}/{path}")
            if leaf is not None and self._sha256(leaf.data) == digest:
                continue
            if (camera, path, digest) not in proven:
                yield f"I1 I4: {camera} {path} is gone, and no receipt of {digest} is on record"
            if digest not in stored.values():
                yield f"I4: {camera} {path} is gone, and the store has no {digest}"
        half = claims_end(claims)
        for path, leaf in wreck.files.items():
            if path in ever and path != half and self._sha256(leaf.data) not in ever[path]:
                yield f"I5: {path} was altered"

    def _sha256(self, data: bytes) -> str:
        # By identity: what was not touched between two cuts is the same object.
        known = self._digests.get(id(data))
        if known is None or known[0] is not data:
            known = self._digests[id(data)] = (data, sha256(data).hexdigest())
        return known[1]


def claims_end(claims: Iterable[Mapping[str, Any]]) -> str:
    """Name the file that was being laid when the power went, if one was."""
    half = ""
    for claim in claims:
        if claim["what"] in {"laying", "laid"}:
            half = f"cameras/{claim['camera']}/{claim['path']}" if claim["what"] == "laying" else ""
    return half


def _lay(folder: Path, wreck: Wreck, prefix: str) -> None:
    """Lay a folder out: its own files, and of those in folders below the names, which are judged where they are."""
    for old in folder.iterdir():
        if old.is_dir():
            rmtree(old)
        else:
            old.unlink()
    for path, leaf in wreck.files.items():
        name = path.removeprefix(prefix)
        if name != path:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch(mode=0o600)
            if "/" not in name:
                (folder / name).write_bytes(leaf.data)


async def _open(state: Path) -> None:
    ledger = await open_ledger(state, station=StationId(STATION), now=_now)
    await ledger.close()


def _now() -> Timestamp:
    return Timestamp(utc="2024-05-01T00:00:00.000000Z", source="simulated", uncertainty_ms=7)


def _read_receipt(jws: str, key: str) -> Mapping[str, Any] | None:
    try:
        header, payload, signature = jws.split(".")
        public = Ed25519PublicKey.from_public_bytes(_decode(key.removeprefix("ed25519:")))
        public.verify(_decode(signature), f"{header}.{payload}".encode("ascii"))
        claims = json.loads(_decode(payload))
    except (ValueError, InvalidSignature):
        return None
    return {name: claims[name] for name in ("clip_id", "sha256", "aud")}


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _name(row: Row) -> str:
    return f"clip {row.key} ({row.camera} {row.path})"
