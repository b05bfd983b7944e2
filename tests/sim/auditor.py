"""Who looks on and believes nobody: the promises, checked after every commit, every unlink and every change of a lamp.

Owns its own reading of the ledger's tables, the receipts and the chain. Shares no code with what it judges.
"""

import json
import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId, ClipId
from tests.sim.cameras import SimCamera
from tests.sim.copies import judge_leaving
from tests.sim.disk import Disk
from tests.sim.promise import ViolationError, require
from tests.sim.rack import Rack
from tests.sim.rows import ROWS, Row, are_alike, judge_declared, judge_finding
from tests.sim.store import Store

FAR = {"found": 0, "copied": 1, "uploaded": 2, "receipted": 3, "erasing": 4, "erased": 5}
BACKWARD = {
    ("copied", "found"): {"spool-lost"},
    ("uploaded", "found"): {"spool-lost"},
    ("uploaded", "copied"): {"store-lost"},
    ("erasing", "receipted"): {"erase-failed", "redocked"},
    ("found", "held"): {"held"},
    ("copied", "held"): {"held"},
    ("uploaded", "held"): {"held"},
    ("held", "found"): {"recopy"},
    ("held", "copied"): {"resumed"},
    ("held", "held"): {"redocked", "superseded"},
}
EVENTS = {
    *("docked", "undocked", "docking-cut", "receipted", "held", "camera broken", "spool-lost", "store-lost"),
    *("ledger-recovered", "difference"),
}
PROVEN = {"receipted", "erasing", "erased"}
GREEN = {Lamp.GO_RECEIPTED, Lamp.CHARGING_RECEIPTED}
BLUE = {Lamp.GO_COPIED, Lamp.CHARGING_COPIED}
READINGS = 3
"""So many readings in a row that differ from what was copied are a camera that cannot be believed."""
LAG_S = 1.0
"""A lamp may be this late with bad news: counts are read ten times a second, and answers take their time."""


class Auditor:
    """One run's judge."""

    def __init__(
        self, *, connection: sqlite3.Connection, disk: Disk, store: Store, rack: Rack, now_s: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._changes = -1
        self._rows: list[Row] = []
        self._by_key: dict[int, Row] = {}
        self._by_file: dict[tuple[str, str, bytes], list[Row]] = {}
        self._disk = disk
        self._store = store
        self._rack = rack
        self._now_s = now_s
        self._seq = 0
        self._hash = "0" * 64
        self._states: dict[int, str] = {}
        self._salvaged: set[int] = set()
        self._found: dict[int, tuple[str, str]] = {}
        self._lamps: dict[BayId, Lamp] = {}
        self._doubtful_since_s: dict[BayId, float] = {}
        self._checked_receipts: set[str] = set()
        self.unlinked: list[tuple[SimCamera, bytes, str]] = []
        self._before: list[tuple[SimCamera, bytes, str]] = []
        self._anew = False
        self._twins: set[tuple[str, int]] = set()
        self._ids: dict[tuple[object, ...], str | None] = {}
        self._identities: dict[str | None, tuple[object, ...]] = {}

    def begin_anew(self, connection: sqlite3.Connection) -> None:
        """Believe another ledger from now on, as it is; what was unlinked before it must be at the store all the same.

        The chain that was checked so far ends here, and the new one begins where the new ledger ends.
        """
        self._connection, self._changes, self._anew = connection, -1, True
        ((self._seq, self._hash),) = connection.execute(
            "SELECT seq, hash FROM custody UNION ALL SELECT 0, ? ORDER BY seq DESC LIMIT 1", ("0" * 64,)
        )
        self._states = {row.key: row.state for row in self.rows()}
        self._found = {row.key: (row.facts, row.recording) for row in self.rows()}
        causes = "SELECT clip FROM custody WHERE json_extract(body, '$.cause') = 'salvaged'"
        self._salvaged = {key for (key,) in connection.execute(causes)}
        self._before, self.unlinked = self._before + self.unlinked, []
        self.dark()

    # --- what is called by the simulated ports ---

    def committed(self) -> None:
        """Check everything that this commit made durable."""
        links = self._connection.execute(
            "SELECT seq, prev, hash, body FROM custody WHERE seq > ? ORDER BY seq", (self._seq,)
        ).fetchall()
        touched: set[int] = set()
        for seq, prev, digest, body in links:
            self._link(seq, prev, digest, body)
            entry = json.loads(body)
            if entry["clip"] is not None:
                touched.add(entry["clip"])
                self._moved(entry)
            elif entry["cause"] == "listed":
                self._listed(BayId(entry["bay"]))
        for key in sorted(touched):
            self._row(self._one(key))
        for row in self._read():
            told = self._states.get(row.key)
            if row.state != told:
                raise ViolationError(f"I11: clip {row.key} is {row.state}, and its log says {told}")
            if (row.facts, row.recording) != self._found[row.key]:
                raise ViolationError(f"I18: clip {row.key} was found with {self._found[row.key]}, has {row.facts!r}")
        self.look_at_lamps()

    def shown(self, bay: BayId, lamp: Lamp) -> None:
        """Judge what a lamp begins to say."""
        self._lamps[bay] = lamp
        self._doubtful_since_s.pop(bay, None)
        told = self._rack.told[bay]
        if told is not None:
            self._writable(bay, *told)
        why = self._unjustified(bay, readings=None)
        # A receipt is never taken back, so green is never early; blue may cross the news that a clip was held.
        require(why is None or lamp in BLUE, f"I8: bay {bay} turned {lamp.value}: {why}")
        self.look_at_lamps()

    def dark(self) -> None:
        """Hear that the program ended: lamps say nothing any more."""
        self._lamps.clear()
        self._doubtful_since_s.clear()

    def opened(self, camera: SimCamera) -> None:
        """Judge what the lamp of a camera says as its card becomes writable (I6)."""
        if camera.bay is not None:
            self._writable(camera.bay, camera, camera.stay)

    def unlinking(self, camera: SimCamera, path: bytes) -> None:
        """Judge an unlink before it happens (I1, I3, I7)."""
        data = camera.files[path].data
        digest, what = sha256(data).hexdigest(), f"{camera.name} {path!r}"
        rows = [row for row in self._rows_of(camera, path) if row.state == "erasing" and row.sha256 == digest]
        require(bool(rows), f"I1: {what} goes, and no clip of these bytes is on record as being erased")
        self._receipt(rows[-1])
        require(camera.stay in camera.listed, f"I7: {what} goes, and its card was not listed completely in this stay")
        names = [file.path for file in camera.listed[camera.stay].files]
        require(len(names) == len(set(names)), f"I7: {what} goes, and its card was listed with two equal names")
        read = camera.fresh.get((camera.stay, path))
        require(read == digest, f"I3: {what} goes, last read again in this stay as {read}, is {digest}")
        siblings = [row for row in self._siblings(rows[-1]) if row.state not in PROVEN]
        require(not siblings, f"I1: {what} goes before {[row.path for row in siblings]} of its recording")
        self.unlinked.append((camera, path, digest))

    def listed(self, camera: SimCamera) -> None:
        """Note whose card was listed to its end, the last time, while the station knew of its twin in another bay."""
        docked = [told[0] for told in self._rack.told.values() if told is not None]
        beside = any(other is not camera and other.identity == camera.identity for other in docked)
        # Once its twin is taken out, it is listed anew where it lies.
        (self._twins.add if beside else self._twins.discard)((camera.name, camera.stay))

    def discarding(self, clip_id: str) -> None:
        """Judge the end of a copy in the spool (I12)."""
        states = [(row.key, row.state) for row in self.rows() if row.clip_id == clip_id]
        cameras = self._rack.cameras.values()
        judge_leaving(clip_id, states, disk=self._disk, cameras=cameras)

    # --- what is asked at the end ---

    def final(self) -> None:
        """Check once more that nothing is lost: what was unlinked is proven, at the store and in the ledger (I4)."""
        proven = {claims["sha256"] for claims in self._store.genuine.values() if claims["aud"] == "station-1"} & {
            sha256(data).hexdigest() for data in self._store.objects.values()
        }
        for camera, path, digest in self._before + self.unlinked:
            require(digest in proven, f"I4: {camera.name} {path!r} is gone, and not at the store with a receipt for us")
        for camera, path, digest in self.unlinked:
            kept = any(
                row.state in PROVEN and row.sha256 == digest and row.receipt in self._store.genuine
                for row in self._rows_of(camera, path)
            )
            require(kept, f"I4: {camera.name} {path!r} is gone, and no receipt of it is on record")

    def told(self, taken: Mapping[str, bytes]) -> None:
        """Check that the broker was told of everything that is an event, and of no file's name (I14)."""
        links = self._connection.execute("SELECT hash, body FROM custody ORDER BY seq").fetchall()
        events = {digest for digest, body in links if json.loads(body)["cause"] in EVENTS}
        require(events <= taken.keys(), f"I8: the broker was never told of {sorted(events - taken.keys())[:3]}")
        for body in taken.values():
            require(b"DCIM" not in body and b"ABCD" not in body, f"I14: the broker was told a file's name: {body!r}")

    def accounts(self, *, forgotten: bool) -> None:
        """Check that the accounts are closed, and that nothing differs in the end (I18).

        A ledger that was set back behind our back, or lost without a trace, must differ where the store knows more.
        """
        differences = self._connection.execute("SELECT kind, clip_id, detail FROM differences").fetchall()
        require(forgotten or not differences, f"I18: at the end the accounts differ: {differences}")
        open_ = self._connection.execute("SELECT docking FROM accounts WHERE declared_utc IS NULL").fetchall()
        require(not open_, f"I18: the accounts of dockings {open_} were never closed")

    def noticed(self) -> int:
        """Check that the accounts name every receipt of a chain that is not this one; count them (I18)."""
        hashes = {digest for (digest,) in self._connection.execute("SELECT hash FROM custody")}
        named = {clip_id for (clip_id,) in self._connection.execute("SELECT clip_id FROM differences")}
        other = {claims["clip_id"] for claims in self._store.genuine.values() if claims["leaf"] not in hashes}
        require(
            other <= named, f"I18: receipts of another chain for {sorted(map(str, other - named))} were not noticed"
        )
        return len(other)

    def rows(self) -> list[Row]:
        """Every clip."""
        return [*self._read()]

    def rows_of(self, camera: SimCamera) -> list[Row]:
        """Every clip of a camera's serial and volume."""
        mine = (camera.identity.serial, camera.identity.volume)
        return [row for row in self._read() if (row.serial, row.volume) == mine]

    # --- custody (I11) ---

    def _link(self, seq: int, prev: str, digest: str, body: bytes) -> None:
        require(seq == self._seq + 1, f"I11: entry {seq} follows {self._seq}")
        require(prev == self._hash, f"I11: entry {seq} names {prev} before it, expected {self._hash}")
        require(digest == sha256(b"\0" + body).hexdigest(), f"I11: entry {seq} does not hash to its hash")
        self._seq, self._hash = seq, digest

    def _moved(self, entry: Mapping[str, Any]) -> None:
        key, before, after, cause = entry["clip"], entry["from"], entry["to"], entry["cause"]
        if not after:
            return  # a note that moves nothing
        known = self._states.get(key, "")
        require(before == known, f"I11: clip {key} moves from {before!r}, was {known!r} ({cause})")
        if before and (before, after) in BACKWARD:
            require(cause in BACKWARD[before, after], f"I11: clip {key} goes {before} -> {after} because of {cause}")
        elif before:
            forward = before != "held" and after != "held" and FAR[after] in {FAR[before], FAR[before] + 1}
            skip = (before, after) == ("copied", "receipted")
            require(forward or skip, f"I11: clip {key} goes {before} -> {after} ({cause})")
        else:
            begun = "copied" if cause == "salvaged" else "found"
            require(after == begun, f"I11: clip {key} begins as {after} ({cause})")
            self._found[key] = judge_finding(entry, self._one(key), self._read())
        self._states[key] = after
        if cause == "salvaged":
            self._salvaged.add(key)
        require(
            key not in self._salvaged or after in {"copied", "uploaded", "receipted", "held"},
            f"I1: clip {key} is what was salvaged of a file, and becomes {after}",
        )
        if cause in {"copied", "salvaged"}:
            self._copied(self._one(key))
        if cause == "erased":
            self._erased(self._one(key), bay=BayId(entry["bay"]))

    def _listed(self, bay: BayId) -> None:
        """Judge a listing at the commit that draws its conclusions: of twins, nobody knows whose files are missing."""
        camera, stay = self._rack.latest[bay]
        require((camera.name, stay) not in self._twins, f"I10: {camera.name} is on record as listed beside its twin")

    def _row(self, row: Row) -> None:
        require(row.state == self._states[row.key], f"I11: clip {row.key} is {row.state}, its log says otherwise")
        match row.state:
            case "uploaded":
                require(row.url in self._store.claimed_full, f"I8: clip {row.key} uploaded, the store never said so")
            case "receipted" | "erasing" | "erased":
                self._receipt(row)
            case _:
                pass

    def _copied(self, row: Row) -> None:
        """Judge a copy at the commit that claims it (I8, I5), and its name, also over a lost ledger (I10)."""
        identity = (row.serial, row.volume, row.path, row.length_bytes, row.sha256)
        named = self._ids.setdefault(identity, row.clip_id), self._identities.setdefault(row.clip_id, identity)
        require(named == (row.clip_id, identity), f"I10: clip {row.key}, {identity}, is {row.clip_id}, {named} before")
        data = self._disk.synced.get(ClipId(row.clip_id or ""))
        if data is None and row.clip_id in self._disk.taken:
            return  # it was synced, and the whole disk went while the record was on its way
        require(data is not None, f"I8: clip {row.key} is on record as copied, and no synced copy is in the spool")
        digest = sha256(data or b"").hexdigest()
        rotten = row.clip_id in self._disk.rotten
        require(
            digest == row.sha256 or rotten, f"I5: clip {row.key} is on record as {row.sha256}, the spool has {digest}"
        )

    def _erased(self, row: Row, *, bay: BayId) -> None:
        """Judge an erasure at the commit that claims it: only a file that came back by itself may be there."""
        same = [camera for camera in self._rack.cameras.values() if camera.identity.serial == row.serial]
        meant, _ = self._rack.latest[bay]
        for camera in same:
            # Of twins, only the one in that bay was meant: the other may be docked while the record is on its way.
            if (len(same) > 1 and camera is not meant) or row.path in camera.returned:
                continue
            file = camera.files.get(row.path)
            there = file is not None and sha256(file.data).hexdigest() == row.sha256
            require(not there, f"I11: clip {row.key} is on record as erased, {camera.name} has {row.path!r}")

    def _receipt(self, row: Row) -> None:
        """Read a receipt by hand, and hold it against the store's own books (I1, I2)."""
        text = row.receipt or ""
        claims = self._store.genuine.get(text)
        require(claims is not None, f"I1: clip {row.key} is {row.state} on a receipt that the store never gave")
        if text not in self._checked_receipts:
            header, payload, signature = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in text.split("."))
            key = Ed25519PublicKey.from_public_bytes(self._store.key.private.public_key().public_bytes_raw())
            key.verify(signature, text.rpartition(".")[0].encode("ascii"))
            require(json.loads(payload) == claims, f"I1: clip {row.key}: its receipt says {payload!r}")
            require(json.loads(header)["alg"] == "EdDSA", f"I1: clip {row.key}: signed by {header!r}")
            self._checked_receipts.add(text)
        declared = [upload.metadata for upload in self._store.uploads.values() if upload.receipt == text]
        # A ledger that was lost may have declared what another one reads.
        for metadata in declared if not self._anew else ():
            judge_declared(row, metadata, self._read())
        said = {name: (claims or {}).get(name) for name in ("clip_id", "sha256", "length", "aud")}
        wanted = {"clip_id": row.clip_id, "sha256": row.sha256, "length": row.length_bytes, "aud": "station-1"}
        require(said == wanted, f"I1: clip {row.key}: its receipt says {said}, expected {wanted}")
        stored = self._store.objects.get(row.clip_id or "")
        require(
            stored is not None and sha256(stored).hexdigest() == row.sha256,
            f"I2: clip {row.key} is {row.state}, the store does not hold its bytes",
        )

    # --- lamps (I3, I6, I8) ---

    def _writable(self, bay: BayId, camera: SimCamera, stay: int) -> None:
        lamp = self._lamps.get(bay)
        going = lamp in GREEN | BLUE and stay in camera.writable
        require(not going, f"I6: bay {bay} says {lamp} while the card of {camera.name} is writable")

    def look_at_lamps(self) -> None:
        """Judge what every lamp goes on saying."""
        for bay in self._lamps:
            why = self._unjustified(bay, readings=READINGS)
            if why is None:
                self._doubtful_since_s.pop(bay, None)
                continue
            since_s = self._doubtful_since_s.setdefault(bay, self._now_s())
            late_s = self._now_s() - since_s
            require(late_s <= LAG_S, f"I8: bay {bay} says {self._lamps[bay].value} for {late_s:.1f} s: {why}")

    def _unjustified(self, bay: BayId, *, readings: int | None) -> str | None:  # noqa: PLR0911 - a ladder of reasons
        lamp = self._lamps[bay]
        if lamp not in GREEN | BLUE:
            return None
        told = self._rack.told[bay]
        if told is None:
            return "no camera is there"
        camera, stay = told
        listing = camera.listed.get(stay)
        if listing is None:
            return f"{camera.name} was not listed in this stay"
        for file in listing.files:
            read = camera.read.get((stay, file.path))
            if read is None:
                return f"{camera.name} {file.path!r} was not read in this stay"
            said = read if readings is None else read[-readings:]
            good = PROVEN if lamp in GREEN else PROVEN | {"copied", "uploaded"}
            rows = [row for row in self._rows_of(camera, file.path) if row.sha256 in said]
            if not any(row.state in good for row in rows):
                return f"{camera.name} {file.path!r} is {[row.state for row in rows]}"
            if lamp in GREEN and not any(row.receipt in self._store.genuine for row in rows):
                return f"{camera.name} {file.path!r} has no receipt"
        return None

    # --- reading the ledger ---

    def _rows_of(self, camera: SimCamera, path: bytes) -> list[Row]:
        self._read()
        return self._by_file.get((camera.identity.serial, camera.identity.volume, path), [])

    def _siblings(self, row: Row) -> list[Row]:
        together = [other for other in self._read() if other.recording == row.recording or are_alike(other, row)]
        return [other for other in together if other.docking == row.docking]

    def _one(self, key: int) -> Row:
        self._read()
        return self._by_key[key]

    def _read(self) -> list[Row]:
        """Read every clip, again after whatever was written by anybody: SQLite counts each row that is."""
        if self._connection.total_changes != self._changes:
            self._changes = self._connection.total_changes
            self._rows = [*map(Row._make, self._connection.execute(ROWS))]
            self._by_key = {row.key: row for row in self._rows}
            self._by_file = {}
            for row in self._rows:
                self._by_file.setdefault((row.serial, row.volume, row.path), []).append(row)
        return self._rows
