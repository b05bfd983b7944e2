"""The check of the tables: every row is what its custody entries say, and every receipt stands.

Owns what a row is compared with. Knows no keys: whoever calls brings the check of receipts.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from dockd.domain.canonical import sha256_hex
from dockd.domain.clip import SALVAGED, TRANSITIONS, Move
from dockd.domain.model import Clip, ClipKey, ClipState, DockingId, Facts, clip_id_of
from dockd.domain.receipt import Expected, Receipt, ReceiptError, check_claims, parse_receipt
from dockd.edges.ledger.chain_check import Chain, Stay
from dockd.edges.ledger.entries import read_in, row_sha256
from dockd.edges.ledger.findings import Body, Findings, body_of
from dockd.edges.ledger.rows import CAMERA_WIDTH, CLIP_COLUMNS, Docking, Row, clip_of, docking_of, link_of

Verifier = Callable[[str], Receipt]
"""Parses a compact receipt and checks its signature; raises ReceiptError."""

SUPERSEDED = "superseded"
ACKNOWLEDGED = "acknowledged"


@dataclass(slots=True)
class _Told:
    """What a clip's custody entries say of it, folded in order; `row` is None where an old version wrote the last."""

    state: str = ""
    clip_id: str | None = None
    path: str | None = None
    length: str | None = None
    sha256: str | None = None
    receipt_sha256: str | None = None
    row: str | None = None
    found_in: DockingId | None = None
    superseded_in: DockingId | None = None
    copied_seq: int | None = None
    receipted_utc: str | None = None
    acknowledged: str = ""
    read: Facts = ()
    hashes: set[str] = field(default_factory=set)


def check_meta(connection: sqlite3.Connection, chain: Chain, findings: Findings) -> None:
    """Hold what the database calls itself against the chain's first entry."""
    if chain.made is None:
        findings.fault("meta: no custody entry says how the ledger was made")
        return
    asked = "SELECT one, station, instance, created_utc FROM meta"
    one, station, instance, created_utc = connection.execute(asked).fetchone()
    findings.differs("meta: one", one, 1)
    findings.differs("meta: station", station, chain.made.facts.get("station"))
    findings.differs("meta: instance", instance, chain.made.facts.get("instance"))
    findings.differs("meta: created_utc", created_utc, chain.made.utc)


def check_dockings(connection: sqlite3.Connection, chain: Chain, findings: Findings) -> None:
    """Hold each docking against what the chain says of it."""
    left = dict(chain.stays)
    for row in connection.execute("SELECT * FROM dockings ORDER BY key"):
        stay = left.pop(row[0], Stay())
        try:
            docking = docking_of(row)
        except ValueError as error:
            findings.fault(f"docking {row[0]}: holds what no docking can: {error!r}")
            continue
        for what, value, told in _of_docking(docking, stay):
            findings.differs(f"docking {docking.key}: {what}", value, told)
    for key in left:
        findings.fault(f"docking {key}: is in the custody entries, its row is gone")


def _of_docking(docking: Docking, stay: Stay) -> tuple[tuple[str, object, object], ...]:
    camera = docking.camera
    return (
        ("bay", docking.bay, stay.bay),
        ("serial", camera.serial, stay.serial),
        ("volume", camera.volume, stay.volume),
        ("model", camera.model, stay.model),
        ("firmware", camera.firmware, stay.firmware),
        ("attached_utc", docking.attached_utc, stay.attached_utc),
        ("listed_utc", docking.listed_utc, stay.listed_utc),
        ("listing_sha256", docking.listing_sha256, stay.listing_sha256),
        ("files", docking.files, stay.files),
        ("bytes", docking.total_bytes, stay.total_bytes),
        ("ended_utc", docking.ended_utc, stay.ended_utc),
        ("early", docking.early, stay.early),
        ("left_files", docking.left_files, stay.left_files),
        ("reason", docking.reason, stay.reason),
        ("detail", docking.detail, stay.detail),
        ("acknowledged", docking.acknowledged, stay.acknowledged),
    )


def check_clips(connection: sqlite3.Connection, findings: Findings, *, keys_verify: Verifier | None) -> None:
    """Hold each clip, and its receipt, against what the chain says of it."""
    rows = connection.execute(
        "SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in"
        " ORDER BY c.key"
    )
    for row in rows:
        findings.clips += 1
        try:
            clip = clip_of(row)
        except (KeyError, ValueError) as error:
            findings.fault(f"clip {row[CAMERA_WIDTH]}: holds what no clip can: {error!r}")
            continue
        told = _told(connection, clip.key, findings)
        _check_row(clip, told, findings)
        _check_columns(row, told, findings)
        if clip.receipt is not None:
            _check_receipt(clip, clip.receipt, told, findings, keys_verify=keys_verify)


def _told(connection: sqlite3.Connection, key: ClipKey, findings: Findings) -> _Told:
    told = _Told()
    entries = connection.execute("SELECT seq, prev, hash, body FROM custody WHERE clip = ? ORDER BY seq", (key,))
    for link in map(link_of, entries):
        told.hashes.add(link.hash)
        body = body_of(link, findings)
        if body is None:
            continue
        if body.cause == ACKNOWLEDGED:
            told.acknowledged = f"{body.actor}: {body.facts.get('why', '')}"
        if not body.end:
            continue
        if body.begin != told.state:
            findings.fault(f"custody entry {link.seq}: clip {key} leaves {body.begin!r}, it was {told.state!r}")
        if not _lawful(body):
            findings.fault(
                f"custody entry {link.seq}: {body.cause} from {body.begin!r} to {body.end!r} is no lawful move"
            )
        _fold(told, body, link.seq)
    return told


def _fold(told: _Told, body: Body, seq: int) -> None:
    facts = body.facts
    told.state, told.clip_id = body.end, body.clip_id
    told.path = facts.get("path", told.path)
    told.length = facts.get("length", told.length)
    told.sha256 = facts.get("sha256", told.sha256)
    told.receipt_sha256 = facts.get("receipt_sha256", told.receipt_sha256)
    if not body.begin:
        told.found_in, told.read = body.docking, read_in(facts)
    if body.cause in {SUPERSEDED, SALVAGED}:
        told.superseded_in = body.docking
    if body.cause == SUPERSEDED:
        return  # the rest of the row stays as it was
    told.row, told.acknowledged = facts.get("row"), ""
    if body.cause in {Move.COPIED, SALVAGED}:
        told.copied_seq = seq
    if body.cause == Move.RECEIPTED:
        told.receipted_utc = body.utc


def _lawful(body: Body) -> bool:
    if body.cause == SUPERSEDED:
        return body.begin == body.end
    if not body.begin:
        return (body.cause, body.end) in {(Move.FOUND, ClipState.FOUND), (SALVAGED, ClipState.COPIED)}
    try:
        return TRANSITIONS.get((ClipState(body.begin), Move(body.cause))) == body.end
    except ValueError:
        return False


def _check_row(clip: Clip, told: _Told, findings: Findings) -> None:
    pairs: tuple[tuple[str, object, object], ...] = (
        ("state", clip.state.value, told.state),
        ("clip id", clip.clip_id, told.clip_id),
        ("path", clip.path.decode("utf-8", "surrogateescape"), told.path),
        ("length", str(clip.length_bytes), told.length),
        ("sha256", clip.sha256, told.sha256),
        ("receipt", None if clip.receipt is None else sha256_hex(clip.receipt.encode("utf-8")), told.receipt_sha256),
        ("acknowledged", clip.acknowledged, told.acknowledged),
        ("facts", clip.facts, told.read),
    )
    before = len(findings.faults)
    for what, row, chain in pairs:
        findings.differs(f"clip {clip.key}: {what}", row, chain)
    if told.row is not None and len(findings.faults) == before and row_sha256(clip) != told.row:
        findings.fault(f"clip {clip.key}: its row is not as its last custody entry left it")
    if clip.sha256 is not None:
        try:
            named = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=clip.length_bytes, sha256=clip.sha256)
        except ValueError as error:
            findings.fault(f"clip {clip.key}: sha256 is {clip.sha256!r}: {error}")
            return
        if clip.clip_id != named:
            findings.fault(f"clip {clip.key}: clip id is {clip.clip_id}, its identity gives {named}")


def _check_columns(row: Row, told: _Told, findings: Findings) -> None:
    """Check the columns that a clip does not show: where the ledger itself keeps track."""
    columns = dict(zip(CLIP_COLUMNS, row[CAMERA_WIDTH:], strict=False))
    for name in ("found_in", "superseded_in", "copied_seq", "receipted_utc"):
        findings.differs(f"clip {columns['key']}: {name}", columns[name], getattr(told, name))


def _check_receipt(
    clip: Clip,
    compact: str,
    told: _Told,
    findings: Findings,
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


def check_tallies(connection: sqlite3.Connection, findings: Findings) -> None:
    """Hold the counts that triggers keep against the clips themselves."""
    counted = (
        "SELECT docking, superseded_in IS docking, state, count(*), sum(length_bytes),"
        " sum(verified_in IS NOT docking), sum(iif(verified_in IS NOT docking, length_bytes, 0))"
        " FROM clips GROUP BY 1, 2, 3"
    )
    kept = (
        "SELECT docking, parted, state, files, bytes, unconfirmed_files, unconfirmed_bytes FROM tallies"
        " WHERE files > 0 OR bytes > 0 OR unconfirmed_files > 0 OR unconfirmed_bytes > 0"
    )
    rows = {(docking, parted, state): tuple(sums) for docking, parted, state, *sums in connection.execute(counted)}
    sums = {(docking, parted, state): tuple(sums) for docking, parted, state, *sums in connection.execute(kept)}
    nothing = (0, 0, 0, 0)
    for docking, parted, state in sorted(rows.keys() | sums.keys()):
        row, kept_row = rows.get((docking, parted, state), nothing), sums.get((docking, parted, state), nothing)
        if row != kept_row:
            findings.fault(f"docking {docking}: {_clips(row)} are {state}, its count says {_clips(kept_row)}")


def _clips(sums: tuple[int, ...]) -> str:
    files, size, unread_files, unread_bytes = sums
    return f"{files} clips of {size} bytes, {unread_files} of {unread_bytes} bytes unread,"
