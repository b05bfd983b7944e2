"""The card: a folder by descriptor, the walk over it, and the way to one of its files.

Owns the telling of one file's error from the loss of the card. Changes nothing on it.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from dockd.copier.device import Device
from dockd.copier.file import FOLDER, READ, opened, same, shown
from dockd.copier.medium import disk_state
from dockd.copier.pipe import CommandError

DEEPEST, MOST_ENTRIES = 64, 200_000
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})
THERE = frozenset({b"running", b"blocked", b"quiesce"})
LOST = frozenset({b"", b"cancel", b"deleted", b"offline", b"transport-offline"})
"""States of a disk; of any other one that it is as it was at first. Source: drivers/scsi/scsi_sysfs.c, sdev_states."""


class Card:
    """The card's folder, by descriptor: nothing on it is ever reached by an absolute path or through a link."""

    def __init__(self, fd: int, *, device: Device | None = None) -> None:
        self._fd, self._device = fd, device
        self._at_first = os.fstat(fd)
        self._disk = disk_state(self._at_first.st_dev)

    def there(self) -> bool:
        """Say whether the card is still there.

        A pulled card still answers stat, on FAT lists as empty without an error, and answers statvfs of what was
        counted before. So its disk is asked for: the kernel, which may not have heard yet, and then the device itself.
        """
        try:
            os.statvfs(self._fd)
            now, at_first = os.fstat(self._fd), self._at_first
        except OSError:
            return False
        # A folder that was deleted lives on in our descriptor, without a link (some filesystems never count any).
        unlinked = now.st_nlink == 0 < at_first.st_nlink
        if unlinked or (now.st_dev, now.st_ino) != (at_first.st_dev, at_first.st_ino):
            return False
        disk = disk_state(now.st_dev)
        if disk in LOST or disk not in {self._disk, *THERE}:
            return False
        return self._device is None or self._device.answers()

    def error(self, code: str, what: str, error: OSError) -> CommandError:
        """Tell an error of one file from the loss of the whole card."""
        if not self.there():
            return CommandError("gone", f"the card left: {error.strerror}")
        missing = error.errno in NOT_THERE and code != "listing"
        return CommandError("missing" if missing else code, f"{what}: {error.strerror}")

    def files(self) -> Iterator[tuple[bytes, os.stat_result]]:
        """Give every file of the card (I7); anything that is neither plain file nor folder raises CommandError."""
        with opened(self._root()) as root:
            for count, file in enumerate(self._below(root, b"", set(), depth=0), start=1):
                if count > MOST_ENTRIES:
                    raise CommandError("listing", f"more than {MOST_ENTRIES} files, expected a card")
                yield file
        if not self.there():
            raise CommandError("gone", "the card left while it was listed")

    def _below(self, fd: int, path: bytes, met: set[int], *, depth: int) -> Iterator[tuple[bytes, os.stat_result]]:
        here = os.fstat(fd)
        if here.st_dev != self._at_first.st_dev:
            raise CommandError("listing", f"{shown(path)} is on another filesystem, expected one card")
        if here.st_ino in met:
            raise CommandError("listing", f"{shown(path)} is met twice, expected folders without a loop")
        if depth > DEEPEST:
            raise CommandError("listing", f"{shown(path)} is deeper than {DEEPEST} folders")
        met.add(here.st_ino)
        folders: list[bytes] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                name, status = os.fsencode(entry.name), entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield path + name, status
                elif stat.S_ISDIR(status.st_mode):
                    folders.append(name)
                    if len(folders) + len(met) > MOST_ENTRIES:
                        raise CommandError("listing", f"more than {MOST_ENTRIES} folders, expected a card")
                else:
                    raise CommandError("listing", f"{shown(path + name)} is not a plain file: it cannot be carried")
        for name in folders:
            with opened(os.open(name, FOLDER, dir_fd=fd)) as inner:
                yield from self._below(inner, path + name + b"/", met, depth=depth + 1)

    @contextmanager
    def folder(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Open the folder of a file, part by part, and give it with the file's own name."""
        *folders, name = parts = path.split(b"/")
        if any(part in {b"", b".", b".."} or b"\0" in part for part in parts):
            raise CommandError("missing", f"{shown(path)} is no path of a listing")
        fd = self._root()
        try:
            for part in folders:
                inner = os.open(part, FOLDER, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd, name
        finally:
            os.close(fd)

    @contextmanager
    def file(self, path: bytes, length: int) -> Iterator[int]:
        """Open a plain file of that length for reading; raises CommandError."""
        try:
            with self.folder(path) as (folder, name):
                fd = os.open(name, READ, dir_fd=folder)
        except OSError as error:
            raise self.error("unreadable", shown(path), error) from error
        with opened(fd):
            status = self.status(fd, path)
            if not stat.S_ISREG(status.st_mode):
                raise CommandError("unreadable", f"{shown(path)} is no longer a plain file")
            same(path, status, (length, status.st_mtime_ns))
            yield fd

    def status(self, fd: int, path: bytes) -> os.stat_result:
        """Look at an open file; raises CommandError."""
        try:
            return os.fstat(fd)
        except OSError as error:
            raise self.error("unreadable", shown(path), error) from error

    def _root(self) -> int:
        # A descriptor that was handed down shares its place in the folder with every other holder: after a child that
        # was killed in mid-listing, the next would begin in the middle, without an error. So a new one each time.
        return os.open(b".", FOLDER, dir_fd=self._fd)
