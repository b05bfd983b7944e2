"""A lost ledger, and the signed custody entry by which a new one continues it.

Owns what that entry says and what of it is signed. Knows neither keys nor files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dockd.domain.canonical import b64url, b64url_decode
from dockd.domain.checkpoint import Head
from dockd.domain.jws import signing_input
from dockd.domain.space import NO_STRAYS, Strays

CAUSE = "ledger-recovered"
TYPE = "ledger-recovered+jwt"
MAX_WHY_CHARS = 500
_LEFT = ("copies", "copies_bytes")


class Basis(StrEnum):
    """What the last known head of the old chain was taken from."""

    DATABASE = "database"
    """The longest sound beginning of the chain that could still be read."""
    CHECKPOINT = "checkpoint"
    """The station's own signed checkpoint, which knows more than what could be read."""
    NONE = "none"
    """Nothing was left that says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A ledger that cannot be gone on with: why, how far its chain is known to have come, where its remains are.

    `set_aside` is a folder in the state folder, empty where nothing remained; `checkpoint` the compact JWS of the last
    checkpoint found, empty where there was none; `strays` what lies in the spool, which no clip names from here on.
    """

    why: str
    head: Head | None = None
    basis: Basis = Basis.NONE
    set_aside: str = ""
    checkpoint: str = ""
    strays: Strays = NO_STRAYS


def recovery_facts(lost: Lost, *, station: str, instance: str, kid: str) -> dict[str, str]:
    """Give the facts that are signed; `instance` is the new ledger's, so that no other ledger can bear the entry."""
    facts = {
        "basis": lost.basis.value,
        "checkpoint": lost.checkpoint,
        "instance": instance,
        "kid": kid,
        "set_aside": lost.set_aside,
        "station": station,
        "why": lost.why[:MAX_WHY_CHARS],
    }
    if lost.head is not None:
        facts |= {"old_head": lost.head.hash, "old_instance": lost.head.instance, "old_seq": str(lost.head.seq)}
    if lost.strays.copies:
        facts |= {"copies": str(lost.strays.copies), "copies_bytes": str(lost.strays.bytes_)}
    return {name: fact for name, fact in facts.items() if fact}


def recovery_signing_input(facts: Mapping[str, str]) -> bytes:
    """Give the bytes that are signed: those of a JWS whose payload is every fact but the signature itself."""
    signed = {name: fact for name, fact in facts.items() if name != "signature"}
    return signing_input(typ=TYPE, kid=signed.get("kid", ""), payload=signed)


def with_signature(facts: Mapping[str, str], signature: bytes) -> dict[str, str]:
    """Give the facts as the entry bears them."""
    return {**facts, "signature": b64url(signature)}


def signature_of(facts: Mapping[str, str]) -> bytes:
    """Read the signature of an entry's facts; empty where there is none that can be read."""
    try:
        return b64url_decode(facts.get("signature", ""))
    except ValueError:
        return b""


def continuation(facts: Mapping[str, str]) -> str:
    """Say in words which ledger a recovery continues, where its remains are, and why."""
    head = continued(facts)
    old = "a ledger of which nothing is known" if head is None else f"ledger {head.instance} up to entry {head.seq}"
    where = f", kept in {facts['set_aside']}" if "set_aside" in facts else ""
    left = f"; it left {facts['copies']} copies of {facts['copies_bytes']} bytes" if {*_LEFT} <= facts.keys() else ""
    return f"{old}{where}: {facts.get('why', '')}{left}"


def continued(facts: Mapping[str, str]) -> Head | None:
    """Read which head a recovery continues; None where it knew none, or does not say so properly."""
    instance, seq, digest = (facts.get(name, "") for name in ("old_instance", "old_seq", "old_head"))
    if not (instance and seq.isascii() and seq.isdigit() and digest):
        return None
    return Head(instance=instance, seq=int(seq), hash=digest)
