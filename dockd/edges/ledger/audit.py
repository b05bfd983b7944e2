"""The offline check of a state folder: the custody chain holds, and it explains every row; every receipt stands.

Owns what is compared with what. Reads only, beside a running daemon or without one. Knows no keys: whoever calls brings
the check of signatures.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from dockd.domain.canonical import sha256_hex
from dockd.domain.clip import SALVAGED, TRANSITIONS, Move
from dockd.domain.custody import BrokenChainError, Link, verify
from dockd.domain.model import Clip, ClipKey, ClipState, StationId, clip_id_of
from dockd.domain.receipt import Expected, Receipt, ReceiptError, check_claims, parse_receipt
from dockd.edges.ledger.rows import clip_of, link_of
from dockd.edges.ledger.schema import DATABASE, migrations, require_known
from dockd.errors import StartRefusedError

MAX_FAULTS = 100
"""Faults told one by one; a ruined folder has one for every row."""

Verifier = Callable[[str], Receipt]
"""Parses a compact receipt and checks its signature; raises ReceiptError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was checked and what is wrong; `faults` are lines for people, `more` how many were left out.

    `anchored` counts receipts that name a custody entry of this very chain: up to there it is the store's word, too,
    that the chain is the one it was. `signatures` says whether signatures were checked at all.
    """

    station: StationId
    entries: int
    clips: int
    receipts: int
    anchored: int
    signatures: bool
    faults: tuple[str, ...]
    more: int

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(slots=True)
class _Findings:
    station: StationId
    entries: int = 0
    clips: int = 0
    receipts: int = 0
    anchored: int = 0
    faults: list[str] = field(default_factory=list)
    more: int = 0

    def fault(self, line: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(line)
        else:
            self.more += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """What an entry says, as far as it is compared."""

    clip: ClipKey | None
    clip_id: str | None
    begin: str
    end: str
    cause: str
    facts: Mapping[str, str]


@dataclass(slots=True)
class _Told:
    """What a clip's custody entries say of it, folded in order."""

    state: str = ""
    clip_id: str | None = None
    path: str | None = None
    length: str | None = None
    sha256: str | None = None
    receipt_sha256: str | None = None
    hashes: set[str] = field(default_factory=set)


def verify_state(state_dir: Path, keys_verify: Verifier | None) -> Report:
    """Check a state folder; without `keys_verify` receipts are checked in everything but their signature.

    Raises:
        StartRefusedError: there is no ledger that this version can read.

    """
    database = state_dir / DATABASE
    findings = _Findings(station=StationId(""))
    with closing(opened(database)) as connection:
        try:
            _check(connection, findings, database=database, keys_verify=keys_verify)
        except sqlite3.DatabaseError as error:
            findings.fault(f"database: {error}")
    return Report(
        station=findings.station,
        entries=findings.entries,
        clips=findings.clips,
        receipts=findings.receipts,
        anchored=findings.anchored,
        signatures=keys_verify is not None,
        faults=tuple(findings.faults),
        more=findings.more,
    )


def opened(database: Path) -> sqlite3.Connection:
    """Open a ledger for reading only, beside a daemon, without one, or on a disk that is read-only.

    Raises:
        StartRefusedError: it is not there, or cannot be read without leave to write.

    """
    try:
        there = database.is_file()
    except OSError as error:
        raise StartRefusedError(f"{database} cannot be read: {error.strerror}") from error
    if not there:
        raise StartRefusedError(f"{database} is not there, expected the state folder of a dockd")
    uri = f"file:{quote(str(database))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return connection
        connection.close()
        if database.with_name(f"{database.name}-wal").exists():
            raise StartRefusedError(
                f"{database} cannot be read ({error}): a log lies beside it, so reading it needs leave to write"
            ) from error
        # Nobody writes and all is in the one file: it may be read from a folder, or a disk, that is read-only.
        return sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    except sqlite3.DatabaseError:
        return connection  # what it says will be said again where it is written down
    return connection


def _check(
    connection: sqlite3.Connection, findings: _Findings, *, database: Path, keys_verify: Verifier | None
) -> None:
    newest = len(migrations())
    version = require_known(connection, database=database, newest=newest)
    if version < newest:
        raise StartRefusedError(f"{database} has schema version {version}, expected {newest}: start dockd once")
    connection.execute("BEGIN")  # one snapshot for everything, also while a daemon writes
    row = connection.execute("SELECT station FROM meta").fetchone()
    if row is None:
        raise StartRefusedError(f"{database} was never opened to the end and holds nothing: start dockd once")
    (findings.station,) = row
    _check_structure(connection, findings)
    _check_chain(connection, findings)
    _check_clips(connection, findings, keys_verify=keys_verify)
    _check_tallies(connection, findings)


def _check_structure(connection: sqlite3.Connection, findings: _Findings) -> None:
    for (problem,) in connection.execute(f"PRAGMA integrity_check({MAX_FAULTS})"):
        if problem != "ok":
            findings.fault(f"database: {problem}")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        findings.fault(f"database: row {row} of {table} names a row of {parent} that is not there")


def _check_chain(connection: sqlite3.Connection, findings: _Findings) -> None:
    filed: list[ClipKey | None] = []

    def links() -> Iterator[Link]:
        for row in connection.execute("SELECT seq, prev, hash, body, clip FROM custody ORDER BY seq"):
            filed[:] = [row[4]]
            yield link_of(row)

    try:
        for link in verify(links()):
            findings.entries += 1
            body = _body(link, findings)
            # The column that the index is made of is not hashed: it must say what the body says.
            if body is not None and body.clip != filed[0]:
                findings.fault(f"custody entry {link.seq}: is filed under clip {filed[0]}, its body says {body.clip}")
    except BrokenChainError as error:
        findings.fault(str(error))


def _check_clips(connection: sqlite3.Connection, findings: _Findings, *, keys_verify: Verifier | None) -> None:
    rows = connection.execute(
        "SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in"
        " ORDER BY c.key"
    )
    for clip in map(clip_of, rows):
        findings.clips += 1
        told = _told(connection, clip.key, findings)
        _check_row(clip, told, findings)
        if clip.receipt is not None:
            _check_receipt(clip, clip.receipt, told, findings, keys_verify=keys_verify)


def _told(connection: sqlite3.Connection, key: ClipKey, findings: _Findings) -> _Told:
    told = _Told()
    entries = connection.execute("SELECT seq, prev, hash, body FROM custody WHERE clip = ? ORDER BY seq", (key,))
    for link in map(link_of, entries):
        told.hashes.add(link.hash)
        body = _body(link, findings)
        if body is None or not body.end:
            continue
        if body.begin != told.state:
            findings.fault(f"custody entry {link.seq}: clip {key} leaves {body.begin!r}, it was {told.state!r}")
        if not _lawful(body):
            findings.fault(
                f"custody entry {link.seq}: {body.cause} from {body.begin!r} to {body.end!r} is no lawful move"
            )
        told.state = body.end
        told.clip_id = body.clip_id
        told.path = body.facts.get("path", told.path)
        told.length = body.facts.get("length", told.length)
        told.sha256 = body.facts.get("sha256", told.sha256)
        told.receipt_sha256 = body.facts.get("receipt_sha256", told.receipt_sha256)
    return told


def _lawful(body: _Body) -> bool:
    if body.cause == "superseded":
        return body.begin == body.end
    if not body.begin:
        return (body.cause, body.end) in {(Move.FOUND, ClipState.FOUND), (SALVAGED, ClipState.COPIED)}
    try:
        return TRANSITIONS.get((ClipState(body.begin), Move(body.cause))) == body.end
    except ValueError:
        return False


def _check_row(clip: Clip, told: _Told, findings: _Findings) -> None:
    receipt_sha256 = None if clip.receipt is None else sha256_hex(clip.receipt.encode("utf-8"))
    pairs: tuple[tuple[str, object, object], ...] = (
        ("state", clip.state.value, told.state),
        ("clip id", clip.clip_id, told.clip_id),
        ("path", clip.path.decode("utf-8", "surrogateescape"), told.path),
        ("length", str(clip.length_bytes), told.length),
        ("sha256", clip.sha256, told.sha256),
        ("receipt", receipt_sha256, told.receipt_sha256),
    )
    for what, row, chain in pairs:
        if row != chain:
            findings.fault(f"clip {clip.key}: {what} is {row!r}, its custody entries say {chain!r}")
    if clip.sha256 is not None:
        named = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=clip.length_bytes, sha256=clip.sha256)
        if clip.clip_id != named:
            findings.fault(f"clip {clip.key}: clip id is {clip.clip_id}, its identity gives {named}")


def _check_receipt(
    clip: Clip,
    compact: str,
    told: _Told,
    findings: _Findings,
    *,
    keys_verify: Verifier | None,
) -> None:
    findings.receipts += 1
    if clip.clip_id is None or clip.sha256 is None or clip.meta_sha256 is None:
        findings.fault(f"clip {clip.key}: has a receipt and was never copied")
        return
    expected = Expected(
        clip_id=clip.clip_id,
        station=findings.station,
        length_bytes=clip.length_bytes,
        sha256=clip.sha256,
        metadata=frozenset({clip.meta_sha256}),
    )
    try:
        receipt = parse_receipt(compact) if keys_verify is None else keys_verify(compact)
        check_claims(receipt.claims, expected)
    except ReceiptError as error:
        findings.fault(f"clip {clip.key}: {error}")
        return
    if receipt.claims.leaf in told.hashes:
        findings.anchored += 1


def _check_tallies(connection: sqlite3.Connection, findings: _Findings) -> None:
    counted = "SELECT docking, superseded_in IS docking, state, count(*), sum(length_bytes) FROM clips GROUP BY 1, 2, 3"
    kept = "SELECT docking, parted, state, files, bytes FROM tallies WHERE files > 0 OR bytes > 0"
    rows = {(docking, parted, state): tuple(sums) for docking, parted, state, *sums in connection.execute(counted)}
    sums = {(docking, parted, state): tuple(sums) for docking, parted, state, *sums in connection.execute(kept)}
    for docking, parted, state in sorted(rows.keys() | sums.keys()):
        row, kept_row = rows.get((docking, parted, state), (0, 0)), sums.get((docking, parted, state), (0, 0))
        if row != kept_row:
            findings.fault(
                f"docking {docking}: {row[0]} clips of {row[1]} bytes are {state}, its count says {kept_row[0]} of"
                f" {kept_row[1]} bytes"
            )


def _body(link: Link, findings: _Findings) -> _Body | None:
    try:
        body = json.loads(link.body)
        return _Body(
            clip=body["clip"],
            clip_id=body["clip_id"],
            begin=body["from"],
            end=body["to"],
            cause=body["cause"],
            facts=dict(body["facts"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        findings.fault(f"custody entry {link.seq}: is no entry of ours: {error!r}")
        return None
