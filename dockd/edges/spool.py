"""The spool on a disk: verified copies, `<clip_id>.clip` in one folder, made by the copier and read here.

Owns that folder. Blocking work runs in threads, so that a slow disk never holds the loop up. Knows no ledger.
"""

import asyncio
import errno
import mmap
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Self

from dockd.app.ports import Room
from dockd.domain.container import has_header
from dockd.domain.model import ClipId, Sha256
from dockd.durable import sync_folder
from dockd.edges.copies import copies_in
from dockd.edges.standing import Standing
from dockd.errors import InvariantError, Reason, TransientError

BUFFER_BYTES = 256 * 1024
DROP_BYTES = 8 * 1024 * 1024
UNCOUNTED_FILES = -1
"""What `Room.free_files` says where the filesystem has no limit on inodes."""

_CLIP_ID = re.compile(r"[0-9a-f]{64}")


class DiskSpool:
    """The port `Spool` over one folder; make it with `open`."""

    def __init__(self, folder: Path, standing: Standing) -> None:
        self._folder = folder
        self._standing = standing

    @classmethod
    async def open(cls, folder: Path) -> Self:
        """Make the folder if need be, and sweep the parts that copies cut short have left in it.

        Only the one daemon that holds the state folder may call this: a part of a living copy would go too.

        Raises:
            TransientError: DISK.

        """
        standing = Standing(folder)
        await asyncio.to_thread(_prepare, folder, standing)
        return cls(folder, standing)

    async def stand(self) -> None:
        """See that the folder still is what lies in its place. Raises InvariantError."""
        await asyncio.to_thread(self._standing)

    def path(self, clip_id: ClipId) -> Path:
        """Say where a clip's copy lies, or would lie.

        Raises:
            InvariantError: the id is not 64 lower-case hex digits: it would name another file, or another folder.

        """
        if not _CLIP_ID.fullmatch(clip_id):
            raise InvariantError(f"clip id {clip_id!r:.100}: expected 64 lower-case hex digits")
        return self._folder / f"{clip_id}.clip"

    async def room(self) -> Room:
        """Measure the disk, as far as this user may fill it.

        Raises:
            TransientError: DISK.
            InvariantError: the folder was taken away: what is copied now would go into nothing.

        """
        await self.stand()
        return await asyncio.to_thread(_room, self._folder)

    async def digest(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        """Hash the copy as it is on disk now; None where there is none, or the disk no longer gives it back (I9).

        Raises:
            TransientError: DISK, it cannot be looked at now.

        """
        stop = threading.Event()
        try:
            return await asyncio.to_thread(_digest, self.path(clip_id), stop)
        finally:
            stop.set()  # a cancelled call must not leave a thread hashing for minutes

    async def has_header(self, clip_id: ClipId) -> bool:
        """Say whether a container file has its header; True for what is no container. Raises TransientError(DISK)."""
        return await asyncio.to_thread(_has_header, self.path(clip_id))

    async def copies(self) -> Mapping[ClipId, int]:
        """Give every copy there is, with its length in bytes. Raises TransientError(DISK)."""
        return await asyncio.to_thread(_copies, self._folder)

    async def settle(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        """Make durable a copy that an earlier run made, then read it back; None where it is dead, or none (I9).

        Raises:
            TransientError: DISK, it cannot be looked at now.

        """
        if not await asyncio.to_thread(_settle, self.path(clip_id)):
            return None
        return await self.digest(clip_id)

    async def discard(self, clip_id: ClipId) -> None:
        """Remove a copy durably; fine where there is none. Raises TransientError(DISK)."""
        await asyncio.to_thread(_discard, self.path(clip_id))


@contextmanager
def _disk(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransientError(Reason.DISK, f"{doing} {path}: {error.strerror}") from error


def _prepare(folder: Path, standing: Standing) -> None:
    with _disk("preparing the spool", folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in folder.glob("*.part"):
            part.unlink()
        sync_folder(folder)
        standing.opened()
        # Its own name too, even when it was there: the one who made it may have died before that was synced.
        sync_folder(folder.parent)


def _room(folder: Path) -> Room:
    with _disk("measuring the disk of", folder):
        disk = os.statvfs(folder)
    # btrfs, FAT and others count no inodes and say 0 of 0.
    free_files = disk.f_favail if disk.f_files else UNCOUNTED_FILES
    return Room(free_bytes=disk.f_bavail * disk.f_frsize, free_files=free_files)


def _digest(path: Path, stop: threading.Event) -> tuple[Sha256, int] | None:
    with _disk("reading", path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            return _hash(fd, stop)
        except OSError as error:
            if error.errno == errno.EIO:
                return None  # a bad sector: that copy is dead, the next one lies elsewhere
            raise
        finally:
            os.close(fd)


def _hash(fd: int, stop: threading.Event) -> tuple[Sha256, int] | None:
    buffer, digest, done, dropped = memoryview(mmap.mmap(-1, BUFFER_BYTES)), sha256(), 0, 0
    # What the cache holds is what was written; what is asked for is what the disk holds.
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    while count := os.readv(fd, [buffer]):
        digest.update(buffer[:count])
        done += count
        if done - dropped >= DROP_BYTES:
            os.posix_fadvise(fd, dropped, done - dropped, os.POSIX_FADV_DONTNEED)
            dropped = done
        if stop.is_set():
            return None
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return Sha256(digest.hexdigest()), done


def _has_header(path: Path) -> bool:
    with _disk("reading", path), path.open("rb", buffering=0) as file:
        fd = file.fileno()
        return has_header(partial(_read_at, fd), os.fstat(fd).st_size)


def _read_at(fd: int, offset: int, length: int) -> bytes:
    return os.pread(fd, length, offset)


def _copies(folder: Path) -> Mapping[ClipId, int]:
    with _disk("listing", folder):
        return copies_in(folder)


def _settle(path: Path) -> bool:
    with _disk("opening", path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
    try:
        os.fsync(fd)
        sync_folder(path.parent)
    except OSError:
        return False  # never synced again, nor believed: it is copied anew
    finally:
        os.close(fd)
    return True


def _discard(path: Path) -> None:
    with _disk("removing", path):
        path.unlink(missing_ok=True)
        # Even when it was gone: the one who removed it may have died before the folder was synced.
        sync_folder(path.parent)
