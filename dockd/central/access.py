"""Who may do what at the store: pure decisions, and the reading of a token file's text.

Owns roles, tokens and the rule about listening beyond loopback. Knows no HTTP, no TLS and no files. Tokens are kept as
SHA-256 only and compared in constant time.
"""

import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from dockd.domain.model import StationId
from dockd.errors import ConfigError, Problem


class Role(StrEnum):
    """What a credential is good for."""

    UPLOAD = "upload"
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anyone:
    """Who asks a store without credentials; it listens on loopback only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploader:
    """A station: may upload as itself, and see its own uploads."""

    station: StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who may list and read evidence, and upload none."""

    name: str


Principal = Anyone | Uploader | Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One line of a token file: a role, whose it is, and the SHA-256 of the token in hex."""

    role: Role
    name: str
    token_sha256: str


_HEX64 = re.compile(r"[0-9a-f]{64}")
_FIELDS = 3


def parse_tokens(text: str, *, source: str) -> tuple[Credential, ...]:
    """Read a token file: lines of `role name sha256hex-of-token`; empty lines and lines from '#' on are skipped.

    Raises:
        ConfigError: every line that is not one, with its number; the hash is never shown.

    """
    found: list[Credential] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != _FIELDS or fields[0] not in set(Role) or not _HEX64.fullmatch(fields[2]):
            problems.append(
                Problem(
                    path=f"{source}:{number}",
                    value=" ".join(fields[:2]),
                    expected="'upload STATION SHA256' or 'read NAME SHA256', the hash of the token in lower-case hex",
                )
            )
            continue
        found.append(Credential(role=Role(fields[0]), name=fields[1], token_sha256=fields[2]))
    if not found and not problems:
        problems.append(Problem(path=source, value="no credentials", expected="at least one line 'role name sha256'"))
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def principal_of_token(credentials: Sequence[Credential], token: str) -> Principal | None:
    """Find whose token it is; None if it is nobody's. Every credential is compared, whichever matches."""
    presented = sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
    matches = [known for known in credentials if hmac.compare_digest(known.token_sha256, presented)]
    if not matches:
        return None
    return _principal(matches[0].role, matches[0].name)


def principal_of_subject(subject: Mapping[str, Sequence[str]]) -> Principal | None:
    """Find who a verified client certificate speaks for: the common name, a reader if its unit is `read`."""
    names = subject.get("commonName", ())
    if len(names) != 1 or not names[0]:
        return None
    units = subject.get("organizationalUnitName", ())
    return _principal(Role.READ if Role.READ.value in units else Role.UPLOAD, names[0])


def may_upload(principal: Principal, station: StationId) -> bool:
    """Whether the principal may create, continue or look at uploads of the station."""
    match principal:
        case Anyone():
            return True
        case Uploader():
            return principal.station == station
        case Reader():
            return False


def may_read(principal: Principal) -> bool:
    """Whether the principal may list and read evidence."""
    match principal:
        case Anyone() | Reader():
            return True
        case Uploader():
            return False


def name_of(principal: Principal) -> str:
    """Name the principal for the access log."""
    match principal:
        case Anyone():
            return "anyone on loopback"
        case Uploader():
            return f"station {principal.station}"
        case Reader():
            return f"reader {principal.name}"


def is_loopback(host: str) -> bool:
    """Whether an address to listen on, or a Host header's name, can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, *, tls: bool, credentials: bool) -> None:
    """Refuse to listen beyond loopback without TLS and credentials.

    Raises:
        ConfigError: naming what is missing.

    """
    missing = [name for name, given in (("TLS", tls), ("credentials", credentials)) if not given]
    if is_loopback(host) or not missing:
        return
    expected = "a loopback address, or --tls-cert and --tls-key with --token-file or --client-ca"
    raise ConfigError(
        [
            Problem(
                path="--listen",
                value=f"{host} is beyond loopback and there is no {' and no '.join(missing)}",
                expected=expected,
            )
        ]
    )


def _principal(role: Role, name: str) -> Principal:
    match role:
        case Role.UPLOAD:
            return Uploader(station=StationId(name))
        case Role.READ:
            return Reader(name=name)
