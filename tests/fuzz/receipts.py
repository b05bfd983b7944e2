"""A store's genuine receipts, for those who spoil them.

Owns the keys, the receipts and who they are for. Must not know how a station checks one.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.domain.model import ClipId, Sha256, StationId
from dockd.domain.receipt import Expected
from dockd.edges.keys import PREFIX, PinnedKeys
from tests.fuzz.spellings import Pairs, tight

CLIPS = 6
STATIONS = ("north-1", "south-2")

Accepts = Callable[[str, Expected], bool]
"""Says whether a station takes a text for the receipt of what it expects."""


def b64(data: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """Read base64url that we wrote."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, slots=True)
class Signer:
    """A key and the name that its receipts carry."""

    key: Ed25519PrivateKey

    @property
    def raw(self) -> bytes:
        """The public key."""
        return self.key.public_key().public_bytes_raw()

    @property
    def kid(self) -> str:
        """Its thumbprint (RFC 7638)."""
        return thumbprint(self.raw)

    def jws(self, header: bytes, payload: bytes) -> str:
        """Sign two texts as they are."""
        signed = f"{b64(header)}.{b64(payload)}"
        return f"{signed}.{b64(self.key.sign(signed.encode('ascii')))}"


def thumbprint(raw: bytes) -> str:
    """Name a public key."""
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{b64(raw)}"}}'
    return b64(hashlib.sha256(jwk.encode("ascii")).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Genuine:
    """One receipt as the store signed it, and the facts of its clip at its station."""

    expected: Expected
    header: Pairs
    payload: Pairs
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A store with a key that is pinned and an older one that is too, somebody with a key of his own, and receipts."""

    store: Signer
    older: Signer
    rogue: Signer
    pinned: PinnedKeys
    receipts: Sequence[Genuine]
    texts: frozenset[str]


@cache
def world() -> World:
    """Make the store, its keys and its receipts: always the same."""
    store, older, rogue = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2, 3))
    receipts = [_genuine(store, number, station) for number in range(CLIPS) for station in STATIONS]
    return World(
        store=store,
        older=older,
        rogue=rogue,
        pinned=PinnedKeys.read([f"{PREFIX}{b64(signer.raw)}" for signer in (store, older)]),
        receipts=receipts,
        texts=frozenset(genuine.text for genuine in receipts),
    )


def elsewhere(expected: Expected, chance: Random) -> Expected:
    """Give facts of which one differs: a station that must not take the genuine receipt."""
    digest = f"{chance.getrandbits(256):064x}"
    return chance.choice([
        replace(expected, clip_id=ClipId(digest)), replace(expected, station=StationId("west-3")),
        replace(expected, length_bytes=expected.length_bytes + 1), replace(expected, sha256=Sha256(digest)),
        replace(expected, metadata=frozenset({Sha256(digest)})), replace(expected, metadata=frozenset()),
    ])  # fmt: skip


def _genuine(store: Signer, number: int, station: str) -> Genuine:
    def digest(what: str) -> str:
        return hashlib.sha256(f"{what} {number}".encode()).hexdigest()

    expected = Expected(
        clip_id=ClipId(digest("clip")),
        station=StationId(station),
        length_bytes=1000 + number,
        sha256=Sha256(digest("bytes")),
        metadata=frozenset({Sha256(digest(f"metadata {station}"))}),
    )
    header: Pairs = [("alg", "EdDSA"), ("kid", store.kid), ("typ", "clip-receipt+jwt")]
    payload: Pairs = [
        ("aud", station),
        ("clip_id", expected.clip_id),
        ("leaf", digest("leaf")),
        ("length", expected.length_bytes),
        ("meta_sha256", digest(f"metadata {station}")),
        ("sha256", expected.sha256),
        ("store", "store.example"),
        ("stored_at", f"2026-03-01T12:00:0{number}.000001Z"),
    ]
    return Genuine(expected=expected, header=header, payload=payload, text=store.jws(tight(header), tight(payload)))
