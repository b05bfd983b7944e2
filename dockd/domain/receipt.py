"""A receipt: the store's signed word that it re-read a clip, that the digest matched, and that it is synced (I2).

Owns what a receipt says, in the canonical form of `jws`, and every check but the signature itself, which an edge makes
over `signing_input`. Knows no keys.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from dockd.domain.canonical import Scalar, b64url, canonical_json
from dockd.domain.jws import parse_jws, signing_input as jws_signing_input
from dockd.domain.model import ClipId, Sha256, StationId

TYPE = "clip-receipt+jwt"
NO_LEAF = "0" * 64
"""The leaf of an upload whose station sent no custody leaf."""

_HEX64 = re.compile(r"[0-9a-f]{64}")
_KID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STORED_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_CLAIMS = frozenset({"aud", "clip_id", "leaf", "length", "meta_sha256", "sha256", "store", "stored_at"})
_OPTIONAL_CLAIMS = frozenset({"checkpoint"})


class Flaw(StrEnum):
    """What is wrong with a receipt, in the words `dockctl clips` shows."""

    FORM = "not a receipt in canonical form"
    KEY = "signed by a key that is not pinned here"
    SIGNATURE = "signature is not valid under the pinned key"
    CLIP = "is for another clip"
    AUDIENCE = "is for another station"
    LENGTH = "length differs from the bytes read from the camera"
    DIGEST = "sha256 differs from the bytes read from the camera"
    METADATA = "covers other metadata than was sent"


class ReceiptError(Exception):
    """A receipt was refused; `flaw` says on which ground."""

    def __init__(self, flaw: Flaw, detail: str) -> None:
        """Keep the ground and the particulars."""
        super().__init__(f"receipt {flaw.value}: {detail}")
        self.flaw = flaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the store says. `stored_at` is RFC 3339 UTC, `leaf` the station's custody leaf hash at upload (64 hex)."""

    clip_id: ClipId
    aud: StationId
    length_bytes: int
    sha256: Sha256
    meta_sha256: Sha256
    stored_at: str
    store: str
    leaf: str
    checkpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt in canonical form, its signature not yet checked."""

    compact: str
    kid: str
    claims: Claims
    signing_input: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What we hold to be true of a clip, from the bytes read off its camera; `metadata` are the digests we accept."""

    clip_id: ClipId
    station: StationId
    length_bytes: int
    sha256: Sha256
    metadata: frozenset[Sha256]


def kid_of(public_key: bytes) -> str:
    """Name an Ed25519 key (32 raw bytes) by its JWK thumbprint.

    Source: RFC 7638 section 3, RFC 8037 appendix A.3.
    """
    jwk = canonical_json({"crv": "Ed25519", "kty": "OKP", "x": b64url(public_key)})
    return b64url(sha256(jwk).digest())


def signing_input(*, kid: str, claims: Claims) -> bytes:
    """Give the bytes a store signs with Ed25519."""
    return jws_signing_input(typ=TYPE, kid=kid, payload=_payload(claims))


def compact(signed: bytes, signature: bytes) -> str:
    """Join a signing input and its signature into the compact JWS that travels in `Clip-Receipt`."""
    return f"{signed.decode('ascii')}.{b64url(signature)}"


def parse_receipt(text: str) -> Receipt:
    """Read a compact JWS, accepting only the one spelling that `signing_input` would write.

    Raises:
        ReceiptError: with `Flaw.FORM`, naming the part that is off.

    """
    try:
        jws = parse_jws(text, typ=TYPE)
    except ValueError as error:
        raise ReceiptError(Flaw.FORM, str(error)) from error
    kid = _text({"kid": jws.kid}, "kid", _KID)
    claims = _claims(jws.payload)
    return Receipt(compact=text, kid=kid, claims=claims, signing_input=jws.signing_input, signature=jws.signature)


def check_claims(claims: Claims, expected: Expected) -> None:
    """Hold a receipt's claims against what was read from the camera (I1).

    Raises:
        ReceiptError: the first claim that differs, with both values.

    """
    pairs: tuple[tuple[Flaw, str | int, str | int], ...] = (
        (Flaw.CLIP, claims.clip_id, expected.clip_id),
        (Flaw.AUDIENCE, claims.aud, expected.station),
        (Flaw.LENGTH, claims.length_bytes, expected.length_bytes),
        (Flaw.DIGEST, claims.sha256, expected.sha256),
    )
    for flaw, said, wanted in pairs:
        if said != wanted:
            # What a store says of itself may hold anything; these words reach logs and terminals.
            shown = said if str(said).isprintable() else ascii(said)
            raise ReceiptError(flaw, f"{shown}, expected {wanted}")
    if claims.meta_sha256 not in expected.metadata:
        raise ReceiptError(Flaw.METADATA, f"{claims.meta_sha256}, expected {' or '.join(sorted(expected.metadata))}")


def _payload(claims: Claims) -> dict[str, Scalar]:
    payload: dict[str, Scalar] = {
        "aud": claims.aud,
        "clip_id": claims.clip_id,
        "leaf": claims.leaf,
        "length": claims.length_bytes,
        "meta_sha256": claims.meta_sha256,
        "sha256": claims.sha256,
        "store": claims.store,
        "stored_at": claims.stored_at,
    }
    if claims.checkpoint is not None:
        payload["checkpoint"] = claims.checkpoint
    return payload


def _claims(payload: Mapping[str, Scalar]) -> Claims:
    missing = _CLAIMS - payload.keys()
    unknown = payload.keys() - _CLAIMS - _OPTIONAL_CLAIMS
    if missing or unknown:
        raise ReceiptError(Flaw.FORM, f"claims missing {sorted(missing)}, unknown {sorted(unknown)}")
    length = payload["length"]
    if not isinstance(length, int) or length < 0:
        raise ReceiptError(Flaw.FORM, f"length {length!r}, expected a whole number of bytes")
    return Claims(
        clip_id=ClipId(_text(payload, "clip_id", _HEX64)),
        aud=StationId(_text(payload, "aud", None)),
        length_bytes=length,
        sha256=Sha256(_text(payload, "sha256", _HEX64)),
        meta_sha256=Sha256(_text(payload, "meta_sha256", _HEX64)),
        stored_at=_text(payload, "stored_at", _STORED_AT),
        store=_text(payload, "store", None),
        leaf=_text(payload, "leaf", _HEX64),
        checkpoint=_text(payload, "checkpoint", None) if "checkpoint" in payload else None,
    )


def _text(fields: Mapping[str, Scalar], name: str, form: re.Pattern[str] | None) -> str:
    value = fields[name]
    if not isinstance(value, str) or (form is not None and not form.fullmatch(value)):
        wanted = form.pattern if form is not None else "text"
        raise ReceiptError(Flaw.FORM, f"{name} {value!r}, expected {wanted}")
    return value
