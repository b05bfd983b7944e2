"""Who the store must prove to be, and how we prove who we are: certificates and a token, from files.

Owns TLS contexts and reading the token. The files may be replaced while dockd runs: the token is read for every
request, certificates when their files have changed. Must not know requests or sockets.
"""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from dockd.errors import Reason, TransientError

_MAX_TOKEN_CHARS = 4096
_NOT_YET_VALID = 9
"""X509_V_ERR_CERT_NOT_YET_VALID. Source: openssl/x509_vfy.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFiles:
    """Paths of PEM files and of the token; `ca` None trusts the system's authorities, the others None show nothing."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token: Path | None = None


class Trust:
    """The credentials as the files hold them now."""

    def __init__(self, files: TrustFiles) -> None:
        """Read nothing yet: a missing file is said when it is needed, and may come back."""
        self._files = files
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[object, ...] = ()

    def context(self) -> ssl.SSLContext:
        """Give the TLS context; the same one as long as its files stay as they were.

        Raises:
            TransientError: TLS, naming the file that cannot be used.

        """
        paths = [path for path in (self._files.ca, self._files.cert, self._files.key) if path is not None]
        seen = tuple(self._stamp(path) for path in paths)
        if self._context is None or seen != self._seen:
            self._context, self._seen = self._build(), seen
        return self._context

    def authorization(self) -> tuple[tuple[str, str], ...]:
        """Give the header that shows the token, if there is one to show.

        Raises:
            TransientError: AUTH, naming the file.

        """
        path = self._files.token
        if path is None:
            return ()
        try:
            with path.open("rb") as file:
                text = file.readline(_MAX_TOKEN_CHARS + 1).strip().decode("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise TransientError(Reason.AUTH, f"token file {path}: {error}") from error
        if not text or len(text) > _MAX_TOKEN_CHARS or not text.isprintable() or " " in text:
            expected = f"a first line of 1 to {_MAX_TOKEN_CHARS} visible ASCII characters"
            raise TransientError(Reason.AUTH, f"token file {path}: expected {expected}")
        return (("Authorization", f"Bearer {text}"),)

    def _build(self) -> ssl.SSLContext:
        files = self._files
        try:
            context = ssl.create_default_context(cafile=files.ca)
        except (OSError, ssl.SSLError) as error:
            raise TransientError(Reason.TLS, f"certificate authorities {files.ca}: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # What Python 3.13 does by itself: a CA that is fit there must be fit everywhere, and the other way round.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags.VERIFY_X509_STRICT
        if files.cert is not None:
            try:
                context.load_cert_chain(files.cert, files.key, password=_no_passphrase)
            except (OSError, ssl.SSLError, ValueError) as error:
                raise TransientError(Reason.TLS, f"certificate {files.cert}, key {files.key}: {error}") from error
        return context

    @staticmethod
    def _stamp(path: Path) -> tuple[object, ...]:
        try:
            status = os.stat(path)  # noqa: PTH116 - Path.stat does the same at twice the cost, on every request
        except OSError as error:
            raise TransientError(Reason.TLS, f"{path}: {error}") from error
        return (path, status.st_ino, status.st_mtime_ns, status.st_size)


def tls_trouble(error: ssl.SSLError) -> TransientError:
    """Say what is wrong between us and a peer, for people; a certificate from the future means that our clock is off.

    Source: RFC 8446 section 6.2 for what a peer may complain of.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = Reason.CLOCK if error.verify_code == _NOT_YET_VALID else Reason.TLS
        hint = ": is this station's clock right?" if reason is Reason.CLOCK else ""
        return TransientError(reason, f"the store's certificate is refused: {error.verify_message}{hint}")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return TransientError(Reason.NETWORK, "the store broke off the TLS connection")
    return TransientError(Reason.TLS, f"no TLS with the store: {error.reason or error}")


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase, expected one without")
