"""The commands: list, copy, salvage, read again, unlink.

Owns the order of their steps, which is what makes a copy or an erasure hold. Knows no clips, receipts or permits: what
a command names, it does.
"""

import binascii
import errno
import hashlib
import mmap
import os
import stat
from contextlib import suppress

from dockd.copier.card import Card
from dockd.copier.device import Device, compare
from dockd.copier.file import same, shown, whole
from dockd.copier.medium import advise, data_bytes, fetched_bytes, in_memory
from dockd.copier.pipe import CommandError, Message, Pipe
from dockd.copier.salvage import Salvage
from dockd.copier.spool import Spool
from dockd.structure import Structure

BUFFER_BYTES = 256 * 1024
DROP_BYTES = 8 * 1024 * 1024
BATCH_FILES, BATCH_BYTES = 200, 32 * 1024
NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class Copier:
    """The five commands; each gives what is to be said of it, or raises CommandError."""

    def __init__(self, *, card: Card, spool: Spool, pipe: Pipe, device: Device | None = None) -> None:
        self._card, self._spool, self._pipe, self._device = card, spool, pipe, device
        # Anonymous memory is page-aligned: a bytearray of this size costs almost half as much again.
        self._buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))

    def perform(self, command: Message) -> Message:
        """Do one command."""
        match command:
            case {"do": "list"}:
                return self.list()
            case {"do": "copy", "path": str(p), "length": int(n), "mtime_ns": int(t), "part": str(f), "prefix": str(x)}:
                return self.copy(unpacked(p), (n, t), part=f, prefix=bytes.fromhex(x))
            case {"do": "salvage", "path": str(p), "length": int(n), "mtime_ns": int(t), "part": str(f),
                  "prefix": str(x), "most_s": int(s)}:  # fmt: skip
                return self.salvage(unpacked(p), (n, t), part=f, prefix=bytes.fromhex(x), most_s=s)
            case {"do": "reread", "path": str(p), "length": int(n)}:
                return self.reread(unpacked(p), n)
            case {"do": "unlink", "path": str(p), "length": int(n), "mtime_ns": int() | None as t, "sha256": str()}:
                return self.unlink(unpacked(p), n, t)
            case _:  # whatever another process sends: no closed union
                raise CommandError("usb", f"{command!r:.200} is no command of the copier")

    def list(self) -> Message:
        """Tell every file of the card, in batches, once its structure holds."""
        try:
            return self._listed()
        except CommandError as error:
            # What was found wrong on a card that was pulled meanwhile is none of its faults.
            if error.code == "gone" or self._card.there():
                raise
            raise CommandError("gone", "the card left while it was listed") from error

    def _listed(self) -> Message:
        structure = self._checked()
        batch: list[tuple[str, int, int]] = []
        path, size = b"", 0
        files = bytes_ = 0
        try:
            for path, status in self._card.files():
                name = binascii.b2a_base64(path, newline=False).decode("ascii")
                batch.append((name, status.st_size, status.st_mtime_ns))
                size += len(path)
                files, bytes_ = files + 1, bytes_ + status.st_size
                if len(batch) >= BATCH_FILES or size >= BATCH_BYTES or self._pipe.due():
                    self._pipe.tell({"files": batch})
                    batch, size = [], 0
        except OSError as error:
            raise self._card.error("listing", f"the listing failed after {shown(path)}", error) from error
        if structure:
            compare(structure, files=files, bytes_=bytes_)
        self._pipe.tell({"files": batch})
        return {}

    def copy(self, path: bytes, listed: tuple[int, int], *, part: str, prefix: bytes) -> Message:
        """Copy one file: data synced, renamed, folder synced, read back and compared (I5, I8)."""
        length = listed[0]
        with self._card.file(path, length) as source:
            same(path, self._card.status(source, path), listed)
            with self._spool.new(part) as target:
                digest = self.pour(path, source, target, length)
                same(path, self._card.status(source, path), listed)
                self._pipe.tell({"on": "disk"})
                # Once: after an EIO the kernel calls the lost pages clean, and a second try succeeds (I9).
                os.fdatasync(target)
        return {"clip_id": self.keep(part, digest, length, prefix), "sha256": digest.hex(), "length": length}

    def salvage(self, path: bytes, listed: tuple[int, int], *, part: str, prefix: bytes, most_s: int) -> Message:
        """Copy what can be read of one file: synced, renamed and read back as any copy, zeros in its gaps."""
        length = listed[0]
        with self._card.file(path, length) as source:
            same(path, self._card.status(source, path), listed)
            with self._spool.new(part) as target:
                salvage = Salvage(self._card, source, path, length=length, most_s=most_s)
                digest = salvage.pour(target, self._pipe)
                same(path, self._card.status(source, path), listed)
                self._pipe.tell({"on": "disk"})
                os.fdatasync(target)
        clip_id = self.keep(part, digest, length, prefix)
        return {"clip_id": clip_id, "sha256": digest.hex(), "length": length, "gaps": salvage.gaps}

    def keep(self, part: str, digest: bytes, length: int, prefix: bytes) -> str:
        """Give a synced part its name, sync the folder, read it back and compare; give the clip id."""
        clip_id = hashlib.sha256(prefix + len(digest).to_bytes(8, "big") + digest).hexdigest()
        name = f"{clip_id}.clip"
        self._spool.rename(part, name)
        with self._spool.renamed(name) as fd:
            advise(fd, os.POSIX_FADV_DONTNEED)
            on_disk = self.hash(fd, {"on": "disk"})
            if on_disk != (digest, length):
                say = f"the spool gave {on_disk[1]} bytes of sha256 {on_disk[0].hex()}"
                raise CommandError("hash", f"{say}, expected {length} bytes of sha256 {digest.hex()}")
        return clip_id

    def pour(self, path: bytes, source: int, target: int, length: int) -> bytes:
        """Copy and hash an open file into another in one pass; give the digest."""
        buffer, digest, done, dropped = self._buffer, hashlib.sha256(), 0, 0
        advise(source, os.POSIX_FADV_SEQUENTIAL)
        while done <= length:
            try:
                count = os.readv(source, [buffer])
            except OSError as error:
                raise self._card.error("unreadable", shown(path), error) from error
            if count == 0:
                break
            chunk = buffer[:count]
            digest.update(chunk)
            while chunk:
                chunk = chunk[os.write(target, chunk) :]
            done += count
            if done - dropped >= 2 * DROP_BYTES:
                # Of a file being written this starts the writeback too, so that the sync at the end is short; what
                # was started a step ago has landed by now and leaves the cache.
                advise(target, os.POSIX_FADV_DONTNEED, dropped, done)
                advise(source, os.POSIX_FADV_DONTNEED, dropped, done)
                dropped = done - DROP_BYTES
            self._pipe.tick({"at": done})
        advise(source, os.POSIX_FADV_DONTNEED)
        whole(path, done, length)
        return digest.digest()

    def hash(self, fd: int, sign: Message | None = None) -> tuple[bytes, int]:
        """Hash an open file to its end, leaving nothing of it in the cache: digest and length."""
        buffer, digest, done, dropped = self._buffer, hashlib.sha256(), 0, 0
        while count := os.readv(fd, [buffer]):
            digest.update(buffer[:count])
            done += count
            if done - dropped >= DROP_BYTES:
                advise(fd, os.POSIX_FADV_DONTNEED, dropped, done)
                dropped = done
            self._pipe.tick(sign or {"at": done})
        advise(fd, os.POSIX_FADV_DONTNEED)
        return digest.digest(), done

    def reread(self, path: bytes, length: int) -> Message:
        """Read one file again, past the page cache (I3).

        `uncached` is claimed when the kernel counts, for this process, at least as many bytes fetched from the
        storage layer as the file has data; or when the filesystem is memory, with nothing slower behind it. What a
        camera caches inside itself nobody outside can know. Source: proc(5), /proc/pid/io, read_bytes.
        """
        with self._card.file(path, length) as fd:
            before = self._card.status(fd, path)
            try:
                if not os.fstatvfs(fd).f_flag & os.ST_RDONLY:
                    os.fdatasync(fd)  # a folder written a moment ago: dirty pages cannot be dropped
                needed = data_bytes(fd, length)
                advise(fd, os.POSIX_FADV_DONTNEED)
                fetched = fetched_bytes()
                digest, done = self.hash(fd)
                uncached = fetched_bytes() - fetched >= needed or in_memory(before.st_dev)
            except OSError as error:
                raise self._card.error("unreadable", shown(path), error) from error
            same(path, self._card.status(fd, path), (length, before.st_mtime_ns))
            whole(path, done, length)
        if not self._card.there():
            raise CommandError("gone", "the card left while a file was read again")
        return {"sha256": digest.hex(), "length": done, "mtime_ns": before.st_mtime_ns, "uncached": uncached}

    def unlink(self, path: bytes, length: int, mtime_ns: int | None) -> Message:
        """Unlink one plain file of that length, sync its folder, and see that it is gone."""
        try:
            with self._card.folder(path) as (folder, name):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode) or status.st_size != length:
                    raise CommandError("refused", f"{shown(path)} has {status.st_size} bytes, the permit {length}")
                if mtime_ns not in {None, status.st_mtime_ns}:
                    raise CommandError("refused", f"{shown(path)} was written to after it was read again")
                os.unlink(name, dir_fd=folder)
                self._see_gone(path, folder, name)
        except OSError as error:
            raise self._card.error("refused", shown(path), error) from error
        return {}

    def _checked(self) -> Structure | None:
        if self._device is None:
            return None
        try:
            return self._device.checked()
        except OSError as error:
            raise self._card.error("listing", "its device gives no answer to a read", error) from error

    def _see_gone(self, path: bytes, folder: int, name: bytes) -> None:
        try:
            try:
                os.fsync(folder)
            except OSError as error:
                if error.errno not in NO_FOLDER_SYNC:
                    raise
                os.sync()
            with suppress(FileNotFoundError):
                os.stat(name, dir_fd=folder, follow_symlinks=False)
                raise CommandError("refused", f"{shown(path)} is still there after its unlink")
        except OSError as error:
            raise self._card.error("usb", f"{shown(path)} is unlinked, but not surely gone", error) from error
        if not self._card.there():
            raise CommandError("gone", "the card left while a file was unlinked: the next listing shows how it ended")


def unpacked(text: str) -> bytes:
    """Read a path from base64."""
    return binascii.a2b_base64(text, strict_mode=True)
