"""A checkpoint: the station's signed word of where its custody chain ended at some moment.

Owns what a checkpoint says and what it proves against a chain. Knows no keys and no files; the signature is made and
checked by an edge over `signing_input`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dockd.domain.canonical import Scalar
from dockd.domain.jws import Jws, parse_jws, signing_input
from dockd.domain.model import StationId

TYPE = "custody-checkpoint+jwt"

_HEX = {"hash": re.compile(r"[0-9a-f]{64}"), "instance": re.compile(r"[0-9a-f]{32}")}
_CLAIMS = frozenset({"hash", "instance", "seq", "station", "utc"})


class CheckpointError(Exception):
    """A text is no checkpoint, or not one that can be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An end of a custody chain: the ledger's instance (32 hex), its last entry's seq (from 1) and hash (64 hex)."""

    instance: str
    seq: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What is stated: the chain of this station's ledger ended at `head` at `utc` (RFC 3339, a claim of our clock)."""

    station: StationId
    head: Head
    utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A checkpoint in canonical form, its signature not yet checked."""

    compact: str
    checkpoint: Checkpoint
    jws: Jws


def checkpoint_signing_input(checkpoint: Checkpoint, *, kid: str) -> bytes:
    """Give the bytes that the station signs."""
    return signing_input(typ=TYPE, kid=kid, payload=_payload(checkpoint))


def parse_checkpoint(text: str) -> Stated:
    """Read a compact JWS, accepting only the one spelling that `checkpoint_signing_input` would write.

    Raises:
        CheckpointError: it is no checkpoint; the message says what is off.

    """
    try:
        jws = parse_jws(text, typ=TYPE)
    except ValueError as error:
        raise CheckpointError(f"not a checkpoint: {error}") from error
    return Stated(compact=text, checkpoint=_checkpoint(jws.payload), jws=jws)


def contradiction(checkpoint: Checkpoint, *, end: Head, hash_there: str | None, continues: str | None) -> str:
    """Say in words why a chain is not the one that a checkpoint speaks of, or has lost entries since; empty if it is.

    `hash_there` is the hash of the chain's entry with the checkpoint's seq, None where it has none; `continues` the
    instance of the lost ledger that this one continues, None where it continues none.
    """
    head = checkpoint.head
    if end.instance != head.instance:
        # A recovery that was cut before it stated the new chain's end left the old one's statement.
        if continues == head.instance:
            return ""
        return f"its checkpoint is of ledger {head.instance}, this is ledger {end.instance}"
    if hash_there is None:
        ends = f"the custody chain ends at entry {end.seq}, its checkpoint states entry {head.seq}"
        return f"{ends}: it was cut or rolled back"
    if hash_there != head.hash:
        return f"custody entry {head.seq} has hash {hash_there}, its checkpoint states {head.hash}: it was rewritten"
    return ""


def _payload(checkpoint: Checkpoint) -> dict[str, Scalar]:
    return {
        "hash": checkpoint.head.hash,
        "instance": checkpoint.head.instance,
        "seq": checkpoint.head.seq,
        "station": checkpoint.station,
        "utc": checkpoint.utc,
    }


def _checkpoint(payload: Mapping[str, Scalar]) -> Checkpoint:
    if payload.keys() != _CLAIMS:
        raise CheckpointError(f"claims {sorted(payload)}, expected {sorted(_CLAIMS)}")
    seq = payload["seq"]
    if not isinstance(seq, int) or seq < 1:
        raise CheckpointError(f"seq {seq!r}, expected a whole number from 1")
    return Checkpoint(
        station=StationId(_text(payload, "station")),
        head=Head(instance=_text(payload, "instance"), seq=seq, hash=_text(payload, "hash")),
        utc=_text(payload, "utc"),
    )


def _text(payload: Mapping[str, Scalar], name: str) -> str:
    value, form = payload[name], _HEX.get(name)
    if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
        raise CheckpointError(f"{name} {value!r}, expected {form.pattern if form is not None else 'text'}")
    return value
