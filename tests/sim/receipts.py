"""The store's keys, and receipts as a store and its enemies write them: built by hand from the specification.

Owns the private keys. Knows nothing of dockd's own reading of a receipt but the one call by which the station checks.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.domain.receipt import Flaw, Receipt, ReceiptError, parse_receipt


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def canonical(value: Mapping[str, str | int]) -> bytes:
    """Sorted, without spaces, ASCII."""
    return json.dumps(dict(sorted(value.items())), separators=(",", ":")).encode("ascii")


@dataclass(frozen=True, slots=True)
class StoreKey:
    """One Ed25519 key and its name (RFC 7638)."""

    private: Ed25519PrivateKey

    @classmethod
    @cache
    def of(cls, seed: bytes) -> "StoreKey":
        """Make a key from 32 bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def kid(self) -> str:
        """The thumbprint."""
        x = b64(self.private.public_key().public_bytes_raw())
        return b64(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode("ascii")).digest())

    def sign(self, payload: Mapping[str, str | int], *, spoil: bytes | None = None, kid: str | None = None) -> str:
        """Write a receipt; `spoil` is the payload's text where it is not the canonical one."""
        header = canonical({"alg": "EdDSA", "kid": kid or self.kid, "typ": "clip-receipt+jwt"})
        signed = f"{b64(header)}.{b64(canonical(payload) if spoil is None else spoil)}"
        return f"{signed}.{b64(self.private.sign(signed.encode('ascii')))}"


class SimKeys:
    """The port Keys: the pinned keys of a station."""

    def __init__(self, *pinned: StoreKey) -> None:
        self._pinned = {key.kid: key.private.public_key() for key in pinned}
        self._genuine: set[str] = set()

    def verify(self, compact: str) -> Receipt:
        """Parse, find the key, check the signature."""
        receipt = parse_receipt(compact)
        if receipt.kid not in self._pinned:
            raise ReceiptError(Flaw.KEY, receipt.kid)
        if compact in self._genuine:
            return receipt  # the very text whose signature was found to be good under a key that is still pinned
        try:
            self._pinned[receipt.kid].verify(receipt.signature, receipt.signing_input)
            self._genuine.add(compact)
        except InvalidSignature as error:
            raise ReceiptError(Flaw.SIGNATURE, receipt.kid) from error
        return receipt

    def pinned(self) -> bool:
        """Whether there is any."""
        return bool(self._pinned)
