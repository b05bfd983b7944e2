"""The stored objects: `objects/ab/<key>`, each verified from the disk before it gets its name.

Owns the order of sync, re-read, compare, rename and folder sync (I2, I8). Knows no HTTP and no index. Functions here
wait for the disk; call them in a thread.
"""

import mmap
import os
import threading
from hashlib import sha256
from itertools import chain, count
from pathlib import Path

from dockd.central.index import Upload
from dockd.durable import is_shortage, sync_folder

_BUFFER_BYTES = 256 * 1024
"""Page-aligned (anonymous mmap), so that reads cost less than into a bytearray of this size."""
_PRIVATE = 0o600


class DigestMismatchError(Exception):
    """What is on the disk, in the file `path`, is not what the station declared."""

    def __init__(self, path: Path, message: str) -> None:
        """Keep which file it was: the upload's own, or an object that was there before."""
        super().__init__(message)
        self.path = path


class DeadCopyError(Exception):
    """The disk failed while this copy was synced or read: it is never to be trusted again (I9)."""


class StoppedError(Exception):
    """The store is shutting down; the upload is verified at its next start."""


class Evidence:
    """The folder of stored objects."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; `prepare` makes it."""
        self._folder = folder
        self._stop = threading.Event()

    def prepare(self) -> None:
        """Make the 256 folders and make them durable, so that storing a clip has one folder to sync."""
        self._folder.mkdir(exist_ok=True)
        missing = [folder for number in range(256) if not (folder := self._folder / f"{number:02x}").is_dir()]
        for folder in missing:
            folder.mkdir()
        if missing:
            sync_folder(self._folder)

    def path(self, key: str) -> Path:
        """Where an object is, or will be."""
        return self._folder / key[:2] / key

    def has(self, key: str) -> bool:
        """Whether there is a file of that name; only the index says whether it is verified."""
        return self.path(key).is_file()

    def stop(self) -> None:
        """End re-reads under way: they raise StoppedError."""
        self._stop.set()

    def settle(self, partial: Path, upload: Upload) -> None:
        """Sync a finished upload, re-read it from the disk, compare, and give it its name among the objects.

        An upload that a crash left between its rename and the index is found under its object's name, and goes the
        same way again. When this returns, bytes and name are durable.

        Raises:
            DigestMismatchError: length or digest are not those declared; nothing was moved.
            DeadCopyError: the disk failed on sync or read.
            StoppedError: `stop` was called.
            OSError: anything else; the upload is as it was.

        """
        target = self.path(upload.object_key)
        if upload.length_bytes == 0:
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))
        source = partial if partial.exists() or not target.exists() else target
        self._verify(source, upload)
        if source != target:
            source.rename(target)
        try:
            sync_folder(target.parent)
        except OSError as error:
            raise _dead(target.parent, error) from error

    def set_aside(self, key: str) -> None:
        """Take a stored object that has rotted out of the way, so that the next station's bytes can take its place.

        One that rotted before stays as it is: of two damaged copies more can be read than of one.
        """
        target = self.path(key)
        names = chain([f"{key}.damaged"], (f"{key}.damaged-{number}" for number in count(2)))
        target.rename(next(aside for name in names if not (aside := target.with_name(name)).exists()))
        sync_folder(target.parent)

    def _verify(self, path: Path, upload: Upload) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.fsync(descriptor)
            # Clean pages only can be dropped, hence after the sync: the bytes hashed are those the disk gives back.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            length_bytes, digest = self._hash(descriptor)
        except OSError as error:
            raise _dead(path, error) from error
        finally:
            os.close(descriptor)
        if length_bytes != upload.length_bytes:
            raise DigestMismatchError(path, f"{length_bytes} bytes on disk, expected {upload.length_bytes} as declared")
        if digest != upload.sha256:
            raise DigestMismatchError(path, f"sha256 on disk is {digest}, expected {upload.sha256} as declared")

    def _hash(self, descriptor: int) -> tuple[int, str]:
        hasher = sha256()
        length_bytes = 0
        with mmap.mmap(-1, _BUFFER_BYTES) as buffer, memoryview(buffer) as view:
            while count := os.readv(descriptor, [view]):
                hasher.update(view[:count])
                length_bytes += count
                if self._stop.is_set():
                    raise StoppedError
        return length_bytes, hasher.hexdigest()


def _dead(path: Path, error: OSError) -> Exception:
    return error if is_shortage(error) else DeadCopyError(f"{path}: {error}")
