"""What SQLite's errors mean to the app.

Owns the words. Must not know what was being written.
"""

import sqlite3

from dockd.errors import DockdError, InvariantError, Reason, TransientError
from dockd.sqlite.faults import is_corruption, reason_of


def told(error: BaseException, doing: str) -> Exception:
    """Say whatever lost a closure such that its caller can take it."""
    match error:
        case sqlite3.Error():
            said = translated(error, doing)
            said.__cause__ = error
            return said
        case Exception():
            return error
        case _:
            lost = InvariantError(f"ledger: {doing}: {error!r}, expected a closure to answer or to fail")
            lost.__cause__ = error
            return lost


def translated(error: sqlite3.Error, doing: str) -> DockdError:
    """Say an error of SQLite in the words of `dockd.errors`."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    message = f"ledger: {doing}: {error} ({name})"
    reason = reason_of(error)
    if reason is Reason.DISK_FULL:
        return TransientError(reason, f"{message}, expected room on the disk of the state folder")
    if reason is not None:
        return TransientError(reason, f"{message}, expected a disk that can be written")
    if is_corruption(error):
        return InvariantError(f"{message}: the database is damaged; the next start sets it aside")
    return InvariantError(f"{message}: the ledger contradicts itself")
