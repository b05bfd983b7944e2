"""What a ledger says, read by SQL and hashing of its own.

Owns the shape of a ledger as a judge sees it, and what a chain may hold. Knows no cuts and no claims.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

ORDER = {"found": 0, "held": 0, "copied": 1, "uploaded": 2, "receipted": 3, "erasing": 4, "erased": 5}
MADE = 5
"""The schema version from which on a ledger has everything that is read here."""
BACK = frozenset({"spool-lost", "store-lost", "held", "recopy", "resumed", "erase-failed"})
"""Moves that may lower what was claimed before."""
STILL_THERE = ("redocked", "erasing", "receipted")
"""One more: the camera was pulled, or the power went, in the erase window, and the file is listed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A clip, as the ledger has it."""

    key: int
    camera: str
    path: str
    state: str
    sha256: str | None
    clip_id: str | None
    url: str | None
    receipt: str | None
    spooled: bool
    facts: str
    recording: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What a ledger holds; of its chain the state that it gives each clip, and which clips it took back.

    `found` is what the chain says was read of each clip's file when it was found, and its recording: for good.
    """

    rows: Mapping[int, Row] = field(default_factory=dict)
    states: Mapping[int, str] = field(default_factory=dict)
    lowered: frozenset[int] = frozenset()
    found: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    chain: Sequence[tuple[str, str]] = ()
    """Hash and cause of each entry, in order."""
    dockings: int = 0
    hashes: frozenset[str] = frozenset()


class Reader:
    """Reads ledgers; what it hashed once it does not hash again."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._bodies: dict[bytes, tuple[str, Mapping[str, Any]]] = {}

    def read(self, db: sqlite3.Connection) -> Book:
        """Read a ledger, its chain with own eyes.

        Raises:
            sqlite3.DatabaseError: an entry does not follow the one before, or takes its clip where it must not go.

        """
        chain: list[tuple[str, str]] = []
        states: dict[int, str] = {}
        lowered: set[int] = set()
        found: dict[int, tuple[str, str]] = {}
        before = "0" * 64
        for prev, digest, body in db.execute("SELECT prev, hash, body FROM custody ORDER BY seq"):
            if body not in self._bodies:
                self._bodies[body] = sha256(b"\0" + body).hexdigest(), json.loads(body)
            hashed, entry = self._bodies[body]
            if (prev, digest) != (before, hashed):
                raise sqlite3.DatabaseError(f"entry {len(chain) + 1} of the chain does not follow")
            chain.append((digest, entry["cause"]))
            before = digest
            if entry["to"]:
                states[entry["clip"]] = entry["to"]
                if not entry["from"]:
                    found[entry["clip"]] = _read(entry["facts"]), entry["facts"]["recording"]
                if _goes_back(entry):
                    lowered.add(entry["clip"])
        return Book(
            rows={row.key: row for row in rows(db)},
            states=states,
            lowered=frozenset(lowered),
            found=found,
            chain=tuple(chain),
            hashes=frozenset(digest for digest, _ in chain),
            dockings=db.execute("SELECT coalesce(max(key), 0) FROM dockings").fetchone()[0],
        )


def rows(db: sqlite3.Connection) -> Iterator[Row]:
    """Read every clip."""
    found = db.execute(
        "SELECT c.key, d.serial, c.path, c.state, c.sha256, c.clip_id, c.url, c.receipt, c.spooled, c.facts,"
        " c.recording_id FROM clips c JOIN dockings d ON d.key = c.found_in"
    )
    for key, serial, path, state, digest, clip_id, url, receipt, spooled, facts, recording in found:
        yield Row(
            key=key, camera=serial, path=path.decode(), state=state, sha256=digest, clip_id=clip_id, url=url,
            receipt=receipt, spooled=bool(spooled), facts=facts, recording=recording,
        )  # fmt: skip


def _read(facts: Mapping[str, str]) -> str:
    """Give what was read of a file, as a row has it."""
    read = {name.removeprefix("read_"): fact for name, fact in facts.items() if name.startswith("read_")}
    return json.dumps(read, sort_keys=True, separators=(",", ":")) if read else ""


def _goes_back(entry: Mapping[str, Any]) -> bool:
    """Say whether an entry takes its clip back.

    Raises:
        sqlite3.DatabaseError: it does, and nothing of its kind may.

    """
    begin, end, cause = entry["from"], entry["to"], entry["cause"]
    if not begin or ORDER[end] >= ORDER[begin]:
        return False
    if cause not in BACK and (cause, begin, end) != STILL_THERE:
        raise sqlite3.DatabaseError(f"clip {entry['clip']} went from {begin} to {end} by {cause}")
    return True
