"""Whether files that are worked on still are what lies in their place.

Owns that comparison. A database or a folder that is removed or replaced under whoever has it open takes everything that
is written, and keeps nothing: whoever answered for it would lie.
"""

from pathlib import Path

from dockd.errors import InvariantError, Reason, TransientError

Identity = tuple[int, int]


class Standing:
    """Some files or folders that somebody has open, so that no other can have their number meanwhile."""

    def __init__(self, *paths: Path) -> None:
        """Know nothing yet."""
        self._paths = paths
        self._opened: dict[Path, Identity] = {}

    def opened(self) -> None:
        """Take what lies there now for what was just opened; what is not there is not asked for."""
        self._opened = {path: identity for path in self._paths if (identity := _identity(path)) is not None}

    def __call__(self) -> None:
        """Look again: one system call each, and nothing is read.

        Raises:
            InvariantError: one of them is gone, or something else lies in its place.
            TransientError: DISK, nobody can say.

        """
        for path, opened in self._opened.items():
            if (now := _identity(path)) != opened:
                how = "was removed" if now is None else "was replaced"
                raise InvariantError(
                    f"{path} {how} while it was open, expected nobody to touch it: what was written to it since is"
                    " lost, and the next start begins with what is there"
                )


def _identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TransientError(Reason.DISK, f"{path}: {error.strerror}, expected to see whether it is there") from error
    return status.st_dev, status.st_ino
