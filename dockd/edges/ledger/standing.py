"""Whether the files that a ledger was opened on still are what lies in its place.

Owns that comparison. A database that is removed or replaced under an open connection takes every commit, and keeps
none: whoever answered for them would lie.
"""

from pathlib import Path

from dockd.errors import InvariantError

Identity = tuple[int, int]


class Standing:
    """The files of one open ledger: the database and its log."""

    def __init__(self, database: Path) -> None:
        """Know nothing yet."""
        self._files = (database, database.with_name(f"{database.name}-wal"))
        self._opened: dict[Path, Identity] = {}

    def opened(self) -> None:
        """Take what lies there now for the ledger: it was just opened."""
        self._opened = {path: identity for path in self._files if (identity := _identity(path)) is not None}

    def __call__(self) -> None:
        """Look again; two calls of the system, and nothing is read.

        Raises:
            InvariantError: one of them is gone, or another file lies in its place.

        """
        for path, opened in self._opened.items():
            if (now := _identity(path)) != opened:
                how = "was removed" if now is None else "was replaced"
                raise InvariantError(
                    f"{path} {how} while it was open, expected nobody to touch it: what was written since counts for"
                    " nothing, and the next start makes a new ledger"
                )


def _identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
