"""The spool: a folder by descriptor, where a part becomes a copy under its own name, or nothing of it stays.

Knows no card, and not what is in a copy.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dockd.copier.file import READ, opened
from dockd.copier.pipe import CommandError

WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Spool:
    """The spool's folder. All methods raise CommandError (disk, disk-full), and leave nothing then."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @contextmanager
    def new(self, part: str) -> Iterator[int]:
        """Make a part and give it for writing; an error of the writer discards it."""
        with self._discarding(part, "writing"), opened(os.open(part, WRITE_NEW, 0o600, dir_fd=self._fd)) as target:
            yield target

    def rename(self, part: str, name: str) -> None:
        """Give a part its name."""
        with self._discarding(part, "renaming"):
            os.rename(part, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    @contextmanager
    def renamed(self, name: str) -> Iterator[int]:
        """Sync the folder, and give a copy for reading back; an error of the reader discards it too."""
        with self._discarding(name, "reading back"):
            os.fsync(self._fd)
            with opened(os.open(name, READ, dir_fd=self._fd)) as fd:
                yield fd

    @contextmanager
    def _discarding(self, name: str, doing: str) -> Iterator[None]:
        """Leave nothing of that name in the spool if the work fails; what cannot go now goes at the next start."""
        try:
            yield
        except BaseException as error:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._fd)
                os.fsync(self._fd)
            if isinstance(error, OSError):
                code = "disk-full" if error.errno in FULL else "disk"
                raise CommandError(code, f"{doing} {name} in the spool: {error.strerror}") from error
            raise
