"""A folder seen through FUSE, in which reads of chosen bytes fail with EIO.

A program, run until it is unmounted: `python tests/torn_fs.py FOLDER MOUNT NAME:OFFSET+LENGTH ...`.
"""

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mfusepy


class TornFs(mfusepy.Operations):  # type: ignore[misc]  # it ships no types
    """The operations; names of methods and arguments are libfuse's."""

    use_ns = True

    def __init__(self, folder: Path, bad: Sequence[str]) -> None:
        self._folder = folder
        self._bad: list[tuple[str, int, int]] = []
        for each in bad:
            name, _, told = each.rpartition(":")
            offset, _, length = told.partition("+")
            self._bad.append((name, int(offset), int(offset) + int(length)))

    def init(self, path: str) -> None:
        sys.stdout.write("mounted\n")
        sys.stdout.flush()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        status = (self._folder / path[1:]).lstat()
        return {
            "st_mode": status.st_mode,
            "st_nlink": status.st_nlink,
            "st_size": status.st_size,
            "st_mtime": status.st_mtime_ns,
            "st_ctime": status.st_ctime_ns,
            "st_atime": status.st_atime_ns,
        }

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        yield from (".", "..", *(entry.name for entry in (self._folder / path[1:]).iterdir()))

    def open(self, path: str, flags: int) -> int:
        return os.open(self._folder / path[1:], os.O_RDONLY)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        for name, begin, end in self._bad:
            if name == path[1:] and offset < end and begin < offset + size:
                raise mfusepy.FuseOSError(errno.EIO)
        return os.pread(fh, size, offset)

    def unlink(self, path: str) -> int:
        (self._folder / path[1:]).unlink()
        return 0


def main(folder: Path, mount: str, bad: Sequence[str]) -> None:
    """Serve until unmounted."""
    mfusepy.FUSE(TornFs(folder, bad), mount, foreground=True, nothreads=True, fsname="torn-card")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
