"""What a store needs of the system before it can serve: the folder to itself, an address, certificates, tokens.

Owns each of these steps and the words for its failure; their order is `main`'s.
"""

import fcntl
import logging
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dockd.central.access import Credential, parse_tokens
from dockd.central.options import CentralOptions, check
from dockd.errors import ConfigError, Problem, StartRefusedError

_log = logging.getLogger(__name__)


class InUseError(StartRefusedError):
    """Another process serves this folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the kernel lets go when it ends, however it ends.

    Raises:
        InUseError: another process holds it.

    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(f"{folder}: in use by another dockd central, expected one at a time") from error
        yield
    finally:
        os.close(descriptor)


def listen(options: CentralOptions) -> socket.socket:
    """Bind the address.

    Raises:
        ConfigError: a name of loopback that does not mean loopback here.
        OSError: naming the address.

    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # `localhost` is only a name: what it means is for this machine's resolver to say.
    check(replace(options, host=str(address[0])))
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Handed on to every connection: a reader that stops reading is cut by the kernel, as a sender is by `stall_s`.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(options.stall_s * 1000))
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"--listen {options.host}:{options.port}: {error.strerror}") from error
    listener.setblocking(False)  # noqa: FBT003 - the socket module takes it by position only
    return listener


def tls_context(options: CentralOptions) -> ssl.SSLContext | None:
    """Make what TLS needs; None without a certificate.

    Raises:
        ConfigError: a file cannot be used.

    """
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
        if options.client_ca is not None:
            context.load_verify_locations(options.client_ca)
            # With tokens too, a client may show either.
            context.verify_mode = ssl.CERT_REQUIRED if options.token_file is None else ssl.CERT_OPTIONAL
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(str(path) for path in (options.tls_cert, options.tls_key, options.client_ca) if path)
        raise ConfigError([Problem(path="--tls-cert", value=files, expected=f"readable PEM files: {error}")]) from error
    return context


def read_credentials(path: Path | None) -> Sequence[Credential]:
    """Read the token file; a warning if others may read it too.

    Raises:
        ConfigError: it cannot be read, others may write it, or a line is wrong.

    """
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            [Problem(path="--token-file", value=str(path), expected=f"a readable file: {error}")]
        ) from error
    mode = path.stat().st_mode
    if mode & 0o022:
        expected = f"a file that only its owner may write (chmod 600 {path}): a line in it opens the store"
        raise ConfigError([Problem(path="--token-file", value=f"{path}, mode {mode & 0o777:04o}", expected=expected)])
    if mode & 0o077:
        _log.warning("token file %s: others may read it, expected mode 0600", path)
    return parse_tokens(text, source=str(path))
