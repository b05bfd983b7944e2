"""What SQLite's errors mean to the app.

Owns the classification. Must not know what was being written.
"""

import sqlite3
from enum import Enum, auto

from dockd.errors import DockdError, InvariantError, Reason, TransientError


class Damage(Enum):
    """How far an error reaches."""

    STATEMENT = auto()
    """This closure alone: it broke a rule of the schema, or is a bug."""

    CONNECTION = auto()
    """Disk, memory or another program: the whole group is lost, and the connection is not to be trusted."""


_FULL = frozenset({sqlite3.SQLITE_FULL})
_DISK = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


def damage_of(error: sqlite3.Error) -> Damage:
    """Tell whether the rest of a group can still be written after this error."""
    return Damage.CONNECTION if _primary(error) in _FULL | _DISK | _CORRUPT else Damage.STATEMENT


def is_corruption(error: sqlite3.Error) -> bool:
    """Tell whether an error says that the database itself is damaged."""
    return _primary(error) in _CORRUPT


def translated(error: sqlite3.Error, doing: str) -> DockdError:
    """Say an error of SQLite in the words of `dockd.errors`."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    message = f"ledger: {doing}: {error} ({name})"
    primary = _primary(error)
    if primary in _FULL:
        return TransientError(Reason.DISK_FULL, f"{message}, expected room on the disk of the state folder")
    if primary in _DISK:
        return TransientError(Reason.DISK, f"{message}, expected a disk that can be written")
    if primary in _CORRUPT:
        return InvariantError(f"{message}: the database is damaged; the next start sets it aside")
    return InvariantError(f"{message}: the ledger contradicts itself")


def _primary(error: sqlite3.Error) -> int:
    # The low byte of an extended code is its primary code (sqlite.org/rescode.html); errors of the Python module
    # itself carry none.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    return code & 0xFF
