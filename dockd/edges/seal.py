"""The station's own Ed25519 key: it signs checkpoints of the custody chain and the entries of a recovery.

Owns the key file and the cryptography of the station's own statements. What they say is `domain`'s. The key proves
that this folder's dockd said something; it is no secret from whoever holds the disk, which is what the store's receipts
are for.
"""

import errno
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from dockd.domain.canonical import b64url, b64url_decode
from dockd.domain.receipt import kid_of
from dockd.durable import replace_file
from dockd.errors import Reason, StartRefusedError, TransientError

KEY_FILE = "station-key.pem"
UNREADABLE = "station-key.unreadable"
"""What a key file that holds no key is renamed to: with a number behind it, nothing is ever overwritten."""
MOST_UNREADABLE = 20
PREFIX = "ed25519:"


class Seal:
    """Signs with one key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Take the private key; its names follow from the public one."""
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = f"{PREFIX}{b64url(raw)}"
        self.kid = kid_of(raw)

    @classmethod
    def of(cls, raw: bytes) -> Self:
        """Take a private key as its 32 raw bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(raw))

    def sign(self, signed: bytes) -> bytes:
        """Give the signature over some bytes."""
        return self._key.sign(signed)


def open_seal(state_dir: Path) -> Seal:
    """Load the key of a state folder, or make it: mode 0600, durable before it is used.

    A file that holds no key is kept under another name, and a new key made: the custody chain names every key.

    Raises:
        StartRefusedError: others may read it, or too many unreadable ones are kept already.
        TransientError: DISK or DISK_FULL.

    """
    path = state_dir / KEY_FILE
    try:
        return _loaded(path) or _made(path)
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno == errno.ENOSPC else Reason.DISK
        raise TransientError(reason, f"{path}: {error.strerror}, expected a file of the station's own") from error


def verifies(public_key: str, signed: bytes, signature: bytes) -> bool:
    """Say whether a signature is of a public key (`ed25519:` and base64url); a text that is no key signs nothing."""
    try:
        raw = b64url_decode(public_key.removeprefix(PREFIX))
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, signed)
    except (ValueError, InvalidSignature):
        return False
    return True


def public_key_of(state_dir: Path) -> str:
    """Give the public key of a state folder's key as the custody chain names it; empty where it cannot be had."""
    try:
        seal = _parsed((state_dir / KEY_FILE).read_bytes())
    except OSError:
        return ""
    return seal.public_key if seal is not None else ""


def _loaded(path: Path) -> Seal | None:
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    seal = _parsed(pem)
    if seal is None:
        _keep_unreadable(path)
        return None
    if path.stat().st_mode & 0o077:
        raise StartRefusedError(f"{path}: others may read it, expected mode 0600 (chmod 600 {path})")
    return seal


def _parsed(pem: bytes) -> Seal | None:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return Seal(key) if isinstance(key, Ed25519PrivateKey) else None


def _keep_unreadable(path: Path) -> None:
    for number in range(1, MOST_UNREADABLE + 1):
        kept = path.with_name(f"{UNREADABLE}-{number}")
        if not kept.exists():
            path.rename(kept)
            return
    kept_already = f"{MOST_UNREADABLE} such files are kept beside it"
    raise StartRefusedError(f"{path}: holds no key, and {kept_already}: move them elsewhere")


def _made(path: Path) -> Seal:
    key = Ed25519PrivateKey.generate()
    replace_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Seal(key)
