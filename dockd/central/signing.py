"""The store's receipt key: an Ed25519 key made at the first start, and what it signs.

Owns the key file and signatures; what a receipt says is `domain.receipt`.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from dockd.domain.canonical import b64url
from dockd.domain.receipt import Claims, compact, kid_of, signing_input
from dockd.durable import replace_file
from dockd.errors import StartRefusedError

KEY_FILE = "receipt-key.pem"


class Signer:
    """Signs receipts with one key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Take the private key; its name follows from the public one."""
        self._key = key
        self._public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._kid = kid_of(self._public)

    @property
    def public_key(self) -> str:
        """The public key as stations pin it: `ed25519:` and the 32 raw bytes in base64url."""
        return f"ed25519:{b64url(self._public)}"

    def sign(self, claims: Claims) -> str:
        """Give the compact JWS that says the claims."""
        signed = signing_input(kid=self._kid, claims=claims)
        return compact(signed, self._key.sign(signed))


def open_signer(folder: Path) -> Signer:
    """Load the receipt key of a store's folder, or make it (mode 0600, durable before it is used).

    Raises:
        StartRefusedError: the file is there and holds no Ed25519 key.

    """
    path = folder / KEY_FILE
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        key = Ed25519PrivateKey.generate()
        replace_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Signer(key)
    try:
        loaded = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise StartRefusedError(f"{path}: not a PEM key, expected an Ed25519 private key (PKCS 8): {error}") from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise StartRefusedError(f"{path}: holds a {type(loaded).__name__}, expected an Ed25519 private key")
    if path.stat().st_mode & 0o077:
        raise StartRefusedError(f"{path}: others may read it, expected mode 0600 (chmod 600 {path})")
    return Signer(loaded)
