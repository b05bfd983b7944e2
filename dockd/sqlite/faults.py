"""What an error of SQLite means: how far it reaches, and whether it may pass.

Owns the classification. Must not know what was being written.
"""

import sqlite3

from dockd.errors import Reason

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


def reaches_the_connection(error: sqlite3.Error) -> bool:
    """Tell an error of disk, memory or another program, which loses the whole group, from one of a statement.

    That one takes back its closure alone: it broke a rule of the schema, or is a bug.
    """
    return _primary(error) in _FULL | _DISK | _CORRUPT


def is_corruption(error: sqlite3.Error) -> bool:
    """Tell whether an error says that the database itself is damaged."""
    return _primary(error) in _CORRUPT


def reason_of(error: sqlite3.Error) -> Reason | None:
    """Give DISK_FULL or DISK for an error that may pass, None for one that will not."""
    primary = _primary(error)
    if primary in _FULL:
        return Reason.DISK_FULL
    return Reason.DISK if primary in _DISK else None


def _primary(error: sqlite3.Error) -> int:
    # The low byte of an extended code is its primary code (sqlite.org/rescode.html); errors of the Python module
    # itself carry none.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    return code & 0xFF
