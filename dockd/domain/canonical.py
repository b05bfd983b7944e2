"""One way to write a value as bytes, so that a hash or a signature over it means something.

Owns canonical JSON, strict base64url and length prefixes. Knows nothing of what is encoded.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from hashlib import sha256

Scalar = str | int | None

# Made once: every custody entry and receipt is written by it, and making one costs as much as using it.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_json(value: Mapping[str, Scalar | Mapping[str, Scalar]]) -> bytes:
    """Sorted keys, no spaces, ASCII only: the one form whose hash we take.

    Source: the ASCII subset of RFC 8785, without floats, which no record of ours holds.
    """
    return _ENCODER.encode(value).encode("ascii")


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode the one canonical base64url spelling of some bytes.

    Raises:
        ValueError: padding, an odd alphabet, or stray bits in the last character.

    """
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        message = f"not base64url: {text[:40]!r}"
        raise ValueError(message) from error
    # Stray low bits, '+' and '/' decode to the same bytes: only the spelling we would write is accepted.
    if b64url(data) != text:
        message = f"not canonical base64url: {text[:40]!r}"
        raise ValueError(message)
    return data


def length_prefixed(*parts: bytes) -> bytes:
    """Join parts so that no two lists of parts give the same bytes: 8 bytes big-endian length before each."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 lower-case hex digits."""
    return sha256(data).hexdigest()
