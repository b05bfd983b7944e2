"""The settings of a store: the command line, checked, as one frozen value.

Owns names, defaults and the form of each option. Opens nothing.
"""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from dockd.central import access
from dockd.errors import ConfigError, Problem

DEFAULT_LISTEN = "127.0.0.1:1080"
DEFAULT_NAME = "dockd-central"
_DAY_S = 86400
_MIB = 1024 * 1024
_NAME = re.compile(r"[!-~]{1,64}")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+):([0-9]{1,5})")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralOptions:
    """How a store runs; each field says its unit, and the defaults are those of the command line."""

    dir: Path
    """Where everything is kept: objects, unfinished uploads, index, receipt key, access log."""
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any free port."""
    name: str = DEFAULT_NAME
    """What receipts say in `store`."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    """Client certificates under this CA are credentials: common name = station, or organisational unit `read`."""
    token_file: Path | None = None
    """Lines of `role name sha256hex-of-token`, role `upload` or `read`."""
    show_key: bool = False
    reserve_bytes: int = 256 * _MIB
    """Disk space that uploads leave free, for the index and the log: 507 beyond it."""
    max_bytes: int = 1 << 40
    """The longest clip: 413 beyond it. A day of the highest bit rate fits; a typing error does not."""
    expire_s: int = 14 * _DAY_S
    """An unfinished upload lives so long after its last sign of life: longer than any outage to be survived."""
    stall_s: float = 60.0
    """A client that sends nothing for so long is cut; what it sent is kept."""
    takeover_s: float = 2.0
    """A request silent for so long makes way for the next request for the same upload."""
    sweep_s: float = 3600.0
    """How often expired uploads are looked for."""
    most_connections: int | None = None
    """Connections at once; a further one is closed. None: half of the open files that the process may have."""
    most_unfinished: int = 20_000
    """A station's uploads without a receipt: more than a night of dockings leaves, fewer than fill the index."""
    most_writers: int = 256
    """Bodies taken at once; each holds less than 1 MiB of memory. 503 beyond it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `dockd central`."""
    add = parser.add_argument
    add("--dir", required=True, metavar="DIR", help="folder of the store; made if it is not there")
    add("--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help="where to listen (default %(default)s)")
    add("--name", default=DEFAULT_NAME, metavar="NAME", help="the store's name in receipts (default %(default)s)")
    add("--tls-cert", metavar="FILE", help="server certificate chain, PEM")
    add("--tls-key", metavar="FILE", help="its private key, PEM")
    add(
        "--client-ca", metavar="FILE", help="accept client certificates under this CA: CN = station, OU 'read' = reader"
    )
    add(
        "--token-file",
        metavar="FILE",
        help="lines of 'role name sha256hex-of-token'; role upload (name = station) or read",
    )
    add("--reserve", default="256", metavar="MIB", help="MiB of the disk to leave free (default %(default)s)")
    add("--expire", default="14", metavar="DAYS", help="days an unfinished upload is kept (default %(default)s)")
    add("--stall", default="60", metavar="SECONDS", help="cut a client silent for so long (default %(default)s)")
    add("--show-key", action="store_true", help="print the public receipt key, as stations pin it, and exit")


def options_from(namespace: argparse.Namespace) -> CentralOptions:
    """Check what argparse read.

    Raises:
        ConfigError: every option that is wrong.

    """
    problems: list[Problem] = []
    host, port = _listen(namespace.listen, problems)
    if not _NAME.fullmatch(namespace.name):
        problems.append(
            Problem(path="--name", value=repr(namespace.name), expected="1 to 64 ASCII characters, no space")
        )
    options = CentralOptions(
        dir=Path(namespace.dir),
        host=host,
        port=port,
        name=namespace.name,
        tls_cert=_path(namespace.tls_cert),
        tls_key=_path(namespace.tls_key),
        client_ca=_path(namespace.client_ca),
        token_file=_path(namespace.token_file),
        show_key=namespace.show_key,
        reserve_bytes=_number("--reserve", namespace.reserve, "MiB", problems, least=0) * _MIB,
        expire_s=_number("--expire", namespace.expire, "days", problems, least=1) * _DAY_S,
        stall_s=float(_number("--stall", namespace.stall, "seconds", problems, least=1)),
    )
    if problems:
        raise ConfigError(problems)
    return options


def check(options: CentralOptions) -> None:
    """Check that the options fit together: no listening beyond loopback without TLS and credentials.

    Raises:
        ConfigError: naming the options that are missing.

    """
    if (options.tls_cert is None) != (options.tls_key is None):
        given, missing = ("--tls-cert", "--tls-key") if options.tls_key is None else ("--tls-key", "--tls-cert")
        raise ConfigError([Problem(path=missing, value="(missing)", expected=f"a file, for {given} is given")])
    if options.client_ca is not None and options.tls_cert is None:
        expected = "a file, for --client-ca is given and certificates are shown in TLS only"
        raise ConfigError([Problem(path="--tls-cert", value="(missing)", expected=expected)])
    credentials = options.token_file is not None or options.client_ca is not None
    access.check_exposure(options.host, tls=options.tls_cert is not None, credentials=credentials)


def _listen(text: str, problems: list[Problem]) -> tuple[str, int]:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[2]) > _MAX_PORT:
        expected = "HOST:PORT, as 127.0.0.1:1080 or [::1]:1080; port 0 takes any free one"
        problems.append(Problem(path="--listen", value=repr(text), expected=expected))
        return "127.0.0.1", 0
    return match[1].strip("[]"), int(match[2])


def _number(path: str, text: str, unit: str, problems: list[Problem], *, least: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
        problems.append(Problem(path=path, value=repr(text), expected=f"a whole number of {unit}, at least {least}"))
        return least
    return int(text)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
