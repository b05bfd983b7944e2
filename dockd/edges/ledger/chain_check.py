"""The check of the chain itself: unbroken, filed under the right clips, signed where it has to be, at its full length.

Owns what the chain alone can be held to, its own signed statements included. Knows no keys: whoever calls brings the
check of signatures.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from dockd.domain.checkpoint import Head, contradiction
from dockd.domain.custody import BrokenChainError, Link, verify
from dockd.domain.model import ClipKey, DockingId
from dockd.domain.recovery import CAUSE as RECOVERED, continuation, continued, recovery_signing_input, signature_of
from dockd.edges.ledger.checkpoint import Check, Kept, is_signed
from dockd.edges.ledger.entries import MADE, NEW_KEY, UNSTATED
from dockd.edges.ledger.findings import Body, Findings, body_of
from dockd.edges.ledger.rows import link_of


@dataclass(slots=True)
class Stay:
    """What the chain says of a docking: each column of its row, folded in order."""

    bay: int | None = None
    serial: str | None = None
    volume: str = ""
    model: str = ""
    firmware: str = ""
    attached_utc: str = ""
    listed_utc: str | None = None
    listing_sha256: str | None = None
    files: int | None = None
    total_bytes: int | None = None
    ended_utc: str | None = None
    early: bool | None = None
    left_files: int | None = None
    reason: str | None = None
    detail: str = ""
    acknowledged: str = ""


@dataclass(slots=True)
class Chain:
    """What a pass over the whole chain gives."""

    end: Head | None = None
    stays: dict[DockingId, Stay] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    made: Body | None = None
    worked: bool = False
    continues: str | None = None
    marked: str | None = None
    """The hash of the entry that the checkpoint states."""


def check_chain(
    connection: sqlite3.Connection, findings: Findings, *, statement: Kept, key: str, check: Check | None
) -> Chain:
    """Check every entry, in order, and then the checkpoint; `key` is the public key of the folder's own key file.

    Without `check` statements are held against the chain, and their signatures against nothing.
    """
    chain, filed = Chain(), list[ClipKey | None]()
    mark = 0 if statement.stated is None else statement.stated.checkpoint.head.seq

    def links() -> Iterator[Link]:
        for row in connection.execute("SELECT seq, prev, hash, body, clip FROM custody ORDER BY seq"):
            filed[:] = [row[4]]
            yield link_of(row)

    try:
        for link in verify(links()):
            findings.entries += 1
            chain.end = Head(instance=findings.instance, seq=link.seq, hash=link.hash)
            if link.seq == mark:
                chain.marked = link.hash
            body = body_of(link, findings)
            if body is None:
                continue
            # The column that the index is made of is not hashed: it must say what the body says.
            if body.clip != filed[0]:
                findings.fault(f"custody entry {link.seq}: is filed under clip {filed[0]}, its body says {body.clip}")
            _fold(link, body, chain, findings, check=check)
    except BrokenChainError as error:
        findings.fault(str(error))
    if key and chain.keys and key != chain.keys[-1]:
        findings.fault(f"the station's key is {key}, its custody entries name {chain.keys[-1]}")
    _check_checkpoint(chain, findings, statement=statement, check=check)
    return chain


def _fold(link: Link, body: Body, chain: Chain, findings: Findings, *, check: Check | None) -> None:
    chain.worked = chain.worked or bool(chain.keys and body.actor != "ledger")
    if body.clip is None and body.docking is not None:
        _fold_stay(body, chain.stays.setdefault(body.docking, Stay()), link, findings)
    if body.cause == MADE:
        chain.made = body
    if body.cause in {MADE, NEW_KEY} and "key" in body.facts:
        chain.keys.append(body.facts["key"])
    if body.cause == UNSTATED:
        # In a chain that was found as it was: no fault of it, and on record for ever.
        findings.unstated = f"custody entry {link.seq}: {body.facts.get('why', '')}; entries before it may be missing"
    if body.cause == RECOVERED:
        _check_recovery(link, body, chain, findings, check=check)


def _fold_stay(body: Body, stay: Stay, link: Link, findings: Findings) -> None:
    facts = body.facts
    try:
        match body.cause:
            case "docked":
                stay.bay, stay.serial, stay.attached_utc = body.bay, body.camera, body.utc
                stay.volume, stay.model, stay.firmware = (
                    facts.get(name, "") for name in ("volume", "model", "firmware")
                )
            case "listed":
                stay.listed_utc, stay.listing_sha256 = body.utc, facts["sha256"]
                stay.files, stay.total_bytes = int(facts["files"]), int(facts["bytes"])
            case "undocked":
                stay.ended_utc, stay.early = body.utc, facts["early"] == "yes"
                stay.left_files = int(facts["left_files"])
            case "docking-cut":
                stay.ended_utc = body.utc
            case "camera broken" if "reason" in facts:
                stay.reason, stay.detail = facts["reason"], facts["why"]
            case "acknowledged":
                stay.acknowledged = f"{body.actor}: {facts['why']}"
            case _:  # entries that change nothing of a docking: no closed union
                pass
    except (KeyError, ValueError) as error:
        findings.fault(f"custody entry {link.seq}: is no entry of ours: {error!r}")


def _check_recovery(link: Link, body: Body, chain: Chain, findings: Findings, *, check: Check | None) -> None:
    facts = body.facts
    head = continued(facts)
    chain.continues = head.instance if head is not None else None
    findings.continues = continuation(facts)
    if (facts.get("station"), facts.get("instance")) != (findings.station, findings.instance):
        findings.fault(f"custody entry {link.seq}: is a recovery of another ledger")
    signed = recovery_signing_input(facts)
    if check is not None and not any(check(key, signed, signature_of(facts)) for key in chain.keys):
        findings.fault(f"custody entry {link.seq}: is a recovery without a signature of the station's key")


def _check_checkpoint(chain: Chain, findings: Findings, *, statement: Kept, check: Check | None) -> None:
    stated = statement.stated
    if stated is None:
        # A start that was cut leaves none; a ledger that was worked with has one.
        if statement.flaw or chain.worked:
            findings.fault(f"checkpoint: {statement.flaw or 'is not there, expected one beside a ledger in use'}")
        return
    if check is not None and not is_signed(stated, keys=chain.keys, check=check):
        findings.fault("checkpoint: bears no signature of a key that the custody chain names")
        return
    if stated.checkpoint.station != findings.station:
        findings.fault(f"checkpoint: is of station {stated.checkpoint.station}, expected {findings.station}")
        return
    end = chain.end or Head(instance=findings.instance, seq=0, hash="")
    why = contradiction(stated.checkpoint, end=end, hash_there=chain.marked, continues=chain.continues)
    if why:
        findings.fault(f"checkpoint: {why}")
    elif end.instance == stated.checkpoint.head.instance:
        findings.checkpoint = stated.checkpoint.head.seq
