"""A signed statement, the station's or a store's: a compact JWS of flat JSON in one canonical form, by Ed25519.

Owns the form. Knows neither keys nor what is stated.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from dockd.domain.canonical import Scalar, b64url, b64url_decode, canonical_json

ALGORITHM = "EdDSA"
MAX_COMPACT_CHARS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Jws:
    """A statement in canonical form, its signature not yet checked."""

    kid: str
    payload: Mapping[str, Scalar]
    signing_input: bytes
    signature: bytes


def signing_input(*, typ: str, kid: str, payload: Mapping[str, Scalar]) -> bytes:
    """Give the bytes that are signed: the canonical header and payload.

    Source: RFC 7515 section 5.1, RFC 8037 section 3.1.
    """
    header = canonical_json({"alg": ALGORITHM, "kid": kid, "typ": typ})
    return f"{b64url(header)}.{b64url(canonical_json(payload))}".encode("ascii")


def parse_jws(text: str, *, typ: str) -> Jws:
    """Read a statement, accepting only the one spelling that `signing_input` would write.

    Raises:
        ValueError: it is none, or one of another type; the message says what is off.

    """
    if len(text) > MAX_COMPACT_CHARS:
        message = f"{len(text)} characters, expected at most {MAX_COMPACT_CHARS}"
        raise ValueError(message)
    signed, _, signature = text.rpartition(".")
    first, _, second = signed.partition(".")
    header, payload = (_flat(b64url_decode(part)) for part in (first, second))
    kid = header.get("kid")
    # Writing it again and comparing catches every other spelling at once, and every other header.
    if not isinstance(kid, str) or signing_input(typ=typ, kid=kid, payload=payload) != signed.encode("ascii"):
        message = f"{text[:60]!r} is no {typ} in canonical form"
        raise ValueError(message)
    return Jws(kid=kid, payload=payload, signing_input=signed.encode("ascii"), signature=b64url_decode(signature))


def _flat(data: bytes) -> Mapping[str, Scalar]:
    try:
        value: object = json.loads(data)
    except RecursionError as error:
        message = "nested beyond reason, expected a flat JSON object"
        raise ValueError(message) from error
    if not isinstance(value, dict) or not all(part is None or type(part) in {str, int} for part in value.values()):
        message = f"{data[:40]!r}: expected a flat JSON object of texts and whole numbers"
        raise ValueError(message)
    return value
