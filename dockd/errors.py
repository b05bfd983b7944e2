"""The tree of errors, and the reason codes that people see.

DockdError
├── TransientError      it may work later; carries a Reason and, if the peer said so, when
├── PermanentError      it will not work by waiting; carries a Reason
├── CameraGoneError     the camera was pulled: an event of the day, not a fault
├── ListingError        a card could not be listed completely; carries a Reason
├── InvariantError      the ledger or the code contradicts itself: stop, lose nothing
│   └── StaleMoveError  a conditional move hit no row: somebody else moved the clip first
├── StartRefusedError   the state folder is not fit to be worked on (newer, broken, of another station)
│   └── InUseError      another process works on it
├── OutputError         what was to be said on standard output cannot be written there
└── ConfigError         every wrong setting at once

Only adapters classify; only `domain.schedule` decides when to try again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why something is stuck, in one word that IT can search for."""

    AUTH = "auth"
    DNS = "dns"
    TLS = "tls"
    CLOCK = "clock"
    DISK = "disk"
    DISK_FULL = "disk-full"
    HASH = "hash"
    USB = "usb"
    POWER = "power"
    STORE = "store"
    NETWORK = "network"
    RECEIPT = "receipt"
    REFUSED = "refused"
    LISTING = "listing"
    STRUCTURE = "structure"
    DUPLICATE_NAME = "duplicate-name"
    DUPLICATE_CAMERA = "duplicate-camera"
    GROWING = "growing"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    MQTT = "mqtt"
    UNKNOWN_DEVICE = "unknown-device"


class DockdError(Exception):
    """Anything that dockd itself raises."""


class TransientError(DockdError):
    """It may work later. `retry_after_s` is what the peer asked for, if it did."""

    def __init__(self, reason: Reason, message: str, *, retry_after_s: float | None = None) -> None:
        """Keep the code for machines and the message for people."""
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class PermanentError(DockdError):
    """Waiting will not help: somebody has to look at it."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Keep the code for machines and the message for people."""
        super().__init__(message)
        self.reason = reason


class CameraGoneError(DockdError):
    """The camera left its bay while we worked on it."""


class ListingError(DockdError):
    """A card was not listed completely, so nothing on it may be erased (I7)."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Keep the code for machines and the message for people."""
        super().__init__(message)
        self.reason = reason


class InvariantError(DockdError):
    """State that must never be: stop the daemon rather than go on."""


class StaleMoveError(InvariantError):
    """A conditional move found the clip in another state than its caller believed."""


class StartRefusedError(DockdError):
    """The state folder must not be worked on; the message says why and what to do."""


class InUseError(StartRefusedError):
    """Another process has the state folder: stop that one, or come back later."""


class OutputError(DockdError):
    """Standard output takes no more words: the disk behind it is full, or it was closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One wrong setting: `path` in the TOML, the value as written, what was expected, a hint, and the file it is in."""

    path: str
    value: str
    expected: str
    hint: str = ""
    where: str = ""

    def __str__(self) -> str:
        """One line for people."""
        where = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.path}: {self.value}: expected {self.expected}{hint}"


class ConfigError(DockdError):
    """Every problem of a configuration, so that one run shows them all."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take all problems found."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
