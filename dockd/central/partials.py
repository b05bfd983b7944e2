"""The bytes of unfinished uploads: one file each, in `uploads/`, named by the upload's id.

Owns appending, the disk reserve and discarding. The file's real size is the offset: nothing else counts bytes, so an
offset told is one that a killed process leaves behind. Functions here wait for the disk; call them in a thread.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dockd.durable import is_shortage, write_again
from dockd.errors import InvariantError

_SYNC_EVERY_BYTES = 64 * 1024 * 1024
"""Bounds what is dirty in memory: the last sync of a long upload, and what a power cut costs, stay small."""
_PRIVATE = 0o600


class DiskReserveError(Exception):
    """The write would touch the part of the disk that is kept free."""


class DiskDiedError(Exception):
    """The disk lost what it had taken, or may have: the upload's bytes must not be trusted (I9)."""


class Partials:
    """The folder of unfinished uploads."""

    def __init__(self, folder: Path, *, reserve_bytes: int) -> None:
        """Take the folder, and how much of its disk to leave alone."""
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._inherited = set(self.ids()) if folder.is_dir() else set[str]()

    def path(self, upload_id: str) -> Path:
        """Where an upload's bytes are."""
        return self._folder / upload_id

    def ids(self) -> Iterator[str]:
        """Every upload that has a file."""
        return (entry.name for entry in os.scandir(self._folder))

    def renew(self, upload_id: str) -> None:
        """Write again what an earlier process left of an upload, before it is believed.

        That one may have died on a sync that failed: what is read of such bytes is right, is not on the disk, and no
        later sync writes it (I9).

        Raises:
            DiskDiedError: they cannot be read, written or synced now either.
            OSError: descriptors ran out; the upload is as it was.

        """
        if upload_id in self._inherited:
            try:
                write_again(self.path(upload_id))
            except OSError as error:
                raise error if is_shortage(error) else DiskDiedError(str(error)) from error
            self._inherited.discard(upload_id)

    def size_bytes(self, upload_id: str) -> int | None:
        """Bytes held of an upload; None if it has no file."""
        try:
            return self.path(upload_id).stat().st_size
        except FileNotFoundError:
            return None

    def require_space(self, length_bytes: int) -> None:
        """Check that so many bytes fit above the reserve.

        Raises:
            DiskReserveError: they do not.

        """
        disk = os.statvfs(self._folder)
        free_bytes = disk.f_bavail * disk.f_frsize
        if free_bytes - length_bytes < self._reserve_bytes:
            raise DiskReserveError(
                f"{length_bytes} bytes wanted, {free_bytes} free, expected {self._reserve_bytes} to stay free"
            )

    def append(self, upload_id: str, *, offset_bytes: int, chunks: Sequence[bytes]) -> int:
        """Write chunks at the end of an upload's file, which must be at that offset; returns the new size.

        Raises:
            DiskReserveError: before anything is written.
            DiskDiedError: a sync failed, for whatever reason: the kernel may have dropped bytes and call them clean.
            OSError: the disk refused; what was written before stays.
            InvariantError: the file has another size: two writers.

        """
        total_bytes = sum(len(chunk) for chunk in chunks)
        self.require_space(total_bytes)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path(upload_id), flags, _PRIVATE)
        try:
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes != offset_bytes:
                raise InvariantError(f"upload {upload_id}: {size_bytes} bytes on disk, expected {offset_bytes}")
            _write_all(descriptor, chunks, at=offset_bytes)
            end_bytes = offset_bytes + total_bytes
            if end_bytes // _SYNC_EVERY_BYTES > offset_bytes // _SYNC_EVERY_BYTES:
                _sync(descriptor)
        finally:
            os.close(descriptor)
        return end_bytes

    def discard(self, upload_id: str) -> None:
        """Remove an upload's bytes; none are fine too."""
        self.path(upload_id).unlink(missing_ok=True)
        self._inherited.discard(upload_id)


def _sync(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        raise DiskDiedError(str(error)) from error


def _write_all(descriptor: int, chunks: Sequence[bytes], *, at: int) -> None:
    rest = [memoryview(chunk) for chunk in chunks if chunk]
    while rest:
        written = os.pwritev(descriptor, rest[:512], at)  # the kernel takes at most IOV_MAX (1024) pieces
        at += written
        while rest and written >= len(rest[0]):
            written -= len(rest[0])
            del rest[0]
        if written:
            rest[0] = rest[0][written:]
