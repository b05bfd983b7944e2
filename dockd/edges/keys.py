"""The store's receipt keys: reading them as people write them, and checking signatures under them.

Owns the cryptography of receipts. What a receipt must look like and say is `dockd.domain.receipt`'s to decide.
"""

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dockd.domain.canonical import b64url, b64url_decode
from dockd.domain.receipt import Flaw, Receipt, ReceiptError, kid_of, parse_receipt
from dockd.durable import replace_file
from dockd.errors import ConfigError, Problem, Reason, TransientError

PREFIX = "ed25519:"
KEY_BYTES = 32
REMEMBERED = "receipt-keys"
MOST_FILE_BYTES = 64 * 1024

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----", re.DOTALL)
SMALL_ORDER = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
"""Points under which anybody can sign anything; a key of zeros, the usual placeholder, is one.

Source: libsodium, ge25519_has_small_order; compared without the sign, which is the highest bit.
"""


@dataclass(frozen=True, slots=True)
class PinnedKeys:
    """The pinned keys by their kid; implements the port Keys."""

    keys: Mapping[str, Ed25519PublicKey]

    @classmethod
    def read(cls, texts: Sequence[str], *, setting: str = "store.receipt_keys") -> Self:
        """Pin keys, each given as `ed25519:` and base64url, or as a file of such lines, `#` comments and PEM keys.

        `setting` is what the problems call the place that the texts come from.

        Raises:
            ConfigError: every text that holds no key, or one that proves nothing.

        """
        keys: dict[str, Ed25519PublicKey] = {}
        problems: list[Problem] = []
        for index, text in enumerate(texts):
            path = f"{setting}[{index}]" if len(texts) > 1 else setting
            for found in _found(text, path):
                if isinstance(found, Problem):
                    problems.append(found)
                else:
                    keys[kid_of(found)] = Ed25519PublicKey.from_public_bytes(found)
        if problems:
            raise ConfigError(problems)
        return cls(keys)

    def verify(self, compact: str) -> Receipt:
        """Parse a receipt and check its signature under the pinned key that its kid names.

        Raises:
            ReceiptError: FORM, KEY or SIGNATURE.

        """
        receipt = parse_receipt(compact)
        key = self.keys.get(receipt.kid)
        if key is None:
            raise ReceiptError(Flaw.KEY, f"kid {receipt.kid}, pinned here: {', '.join(self.keys) or 'none'}")
        try:
            key.verify(receipt.signature, receipt.signing_input)
        except InvalidSignature as error:
            raise ReceiptError(Flaw.SIGNATURE, f"kid {receipt.kid}") from error
        return receipt

    def pinned(self) -> bool:
        """Say whether any key is pinned."""
        return bool(self.keys)


def _found(text: str, path: str) -> Iterator[bytes | Problem]:
    if text.startswith(PREFIX):
        yield _of_line(text, path)
        return
    expected = "a file of receipt keys, or 'ed25519:' and 43 characters of base64url"
    try:
        with Path(text).open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1).decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: a path with a zero in it, or a file that is no text
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        yield Problem(path=path, value=f"{text!r}: {why}", expected=expected)
        return
    lines = (line.partition("#")[0].strip() for line in _PEM.sub("", content).splitlines())
    found = [_of_pem(pem, f"{path}: {text}") for pem in _PEM.findall(content)]
    found += [_of_line(line, f"{path}: {text}") for line in lines if line]
    if not found or len(content) > MOST_FILE_BYTES:
        yield Problem(path=path, value=f"{text!r}: {len(content)} characters and {len(found)} keys", expected=expected)
        return
    yield from found


def _of_line(line: str, path: str) -> bytes | Problem:
    try:
        raw = b64url_decode(line.removeprefix(PREFIX)) if line.startswith(PREFIX) else b""
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        expected = "'ed25519:' and 32 bytes as base64url: 43 characters, no padding"
        return Problem(path=path, value=repr(line[:80]), expected=expected)
    return _strong(raw, path)


def _of_pem(pem: str, path: str) -> bytes | Problem:
    label = pem.partition("\n")[0]
    try:
        key = load_pem_public_key(pem.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        hint = "from a private key: openssl pkey -pubout" if "PRIVATE" in label else ""
        return Problem(path=path, value=label, expected="a PEM public key of Ed25519", hint=hint)
    return _strong(key.public_bytes_raw(), path)


def _strong(raw: bytes, path: str) -> bytes | Problem:
    if raw[:-1] + bytes([raw[-1] & 0x7F]) not in SMALL_ORDER:
        return raw
    expected = "the key of a store: under this one anybody can sign anything"
    return Problem(path=path, value=f"{PREFIX}{b64url(raw)}", expected=expected)


# --- which keys a state folder was last worked on with --------------------------------------------------------------


def remember(state_dir: Path, keys: PinnedKeys) -> None:
    """Leave the pinned keys in the state folder, so that it can be verified alone; nothing is erased on their word.

    Raises:
        TransientError: DISK or DISK_FULL.

    """
    lines = [f"{PREFIX}{b64url(key.public_bytes_raw())}\n" for key in keys.keys.values()]
    try:
        replace_file(state_dir / REMEMBERED, "".join(lines).encode("ascii"))
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno == errno.ENOSPC else Reason.DISK
        message = f"{state_dir / REMEMBERED}: {error.strerror}, expected it to be written"
        raise TransientError(reason, message) from error


def remembered(state_dir: Path) -> tuple[str, ...]:
    """Give the keys that `remember` left, as texts for `PinnedKeys.read`; none where it never ran.

    Raises:
        ConfigError: the file cannot be read, or is not what was left.

    """
    path = state_dir / REMEMBERED
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
        texts = tuple(content.decode("ascii").split())
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not ASCII"
        raise ConfigError([_spoilt(path, why)]) from error
    # A text that names no key would be taken for the name of a file of keys, wherever that may lie.
    if len(content) > MOST_FILE_BYTES or not all(text.startswith(PREFIX) for text in texts):
        raise ConfigError([_spoilt(path, f"{len(content)} bytes that are not only keys")])
    return texts


def _spoilt(path: Path, why: str | None) -> Problem:
    expected = "the keys that dockd left there, one a line; --store-key names others"
    return Problem(path=str(path), value=why or "cannot be read", expected=expected)
