"""The child process that touches a card: it lists, copies, reads again and unlinks, and knows nothing else.

Runs as `python -I -S -E -X utf8 copier.py CARD_FD SPOOL_FD` with the standard library and two open folders. A card that
hangs takes this process with it, not the daemon. It ends when its stdin does: at once, or within a tick of its work.

One JSON object a line each way, one command at a time; paths are base64, below the card's folder:

    {"do": "list"}                                            -> {"files": [[path, length, mtime_ns], ...]} ... done
    {"do": "copy", path, length, mtime_ns, part, prefix}      -> done: clip_id, sha256, length
    {"do": "reread", path, length}                            -> done: sha256, length, mtime_ns, uncached
    {"do": "unlink", path, length, mtime_ns or null, sha256}  -> done

At work it says {"at": bytes} for the card, {"on": "disk"} for the spool. A command ends with {"done": {...}} or with
{"error": code, "say": words}: gone, listing, missing, unreadable, growing, disk, disk-full, hash, refused, usb.

One file on purpose: it runs by its path, apart from the package.
"""

import binascii
import errno
import hashlib
import json
import mmap
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress

LINE_BYTES = 256 * 1024
BUFFER_BYTES = 256 * 1024
DROP_BYTES = 8 * 1024 * 1024
BATCH_FILES, BATCH_BYTES = 200, 32 * 1024
DEEPEST, MOST_ENTRIES, MOST_EXTENTS = 64, 200_000, 100_000
TICK_S = 0.25

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A name that has become a fifo must not hold the open up; on a plain file O_NONBLOCK means nothing.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})
NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP})
MEMORY = frozenset({b"tmpfs", b"ramfs"})

Message = Mapping[str, object]


class CommandError(Exception):
    """A command that could not be done: a code for the parent, words for people."""

    def __init__(self, code: str, say: str) -> None:
        super().__init__(say)
        self.code = code


class Pipe:
    """Commands in, messages out; notices in mid-work that the parent is gone."""

    def __init__(self, *, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._pending, self._last_s = b"", 0.0
        self._poll = select.poll()
        self._poll.register(commands, select.POLLIN)

    def command(self) -> Message | None:
        """Wait for the next command; None at the end of them."""
        while b"\n" not in self._pending:
            if not self._more():
                return None
        line, _, self._pending = self._pending.partition(b"\n")
        self._last_s = time.monotonic()
        command: Message = json.loads(line)
        return command

    def tell(self, message: Message) -> None:
        """Say something, or end when nobody hears it."""
        self._last_s = time.monotonic()
        line = memoryview(json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n")
        try:
            while line:
                line = line[os.write(self._answers, line) :]
        except BrokenPipeError:
            sys.exit("copier: nobody is listening any more")

    def due(self) -> bool:
        """Say whether it is time for a sign of life."""
        return time.monotonic() - self._last_s >= TICK_S

    def tick(self, message: Message) -> None:
        """Say something if it is time to, or end when the parent closed our stdin, or died."""
        if self.due():
            if self._poll.poll(0) and not self._more():
                sys.exit("copier: nobody gives commands any more")
            self.tell(message)

    def _more(self) -> bool:
        chunk = os.read(self._commands, LINE_BYTES)
        self._pending += chunk
        if len(self._pending) > LINE_BYTES:
            sys.exit(f"copier: a command has more than {LINE_BYTES} bytes")
        return bool(chunk)


class Card:
    """The card's folder, by descriptor: nothing on it is ever reached by an absolute path or through a link."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at_first = os.fstat(fd)

    def there(self) -> bool:
        """Say whether the card is still there. A pulled card still answers stat, and lists as empty; statvfs fails."""
        try:
            os.statvfs(self._fd)
            now, at_first = os.fstat(self._fd), self._at_first
        except OSError:
            return False
        # A folder that was deleted lives on in our descriptor, without a link (some filesystems never count any).
        unlinked = now.st_nlink == 0 < at_first.st_nlink
        return not unlinked and (now.st_dev, now.st_ino) == (at_first.st_dev, at_first.st_ino)

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


class Copier:
    """The four commands; each gives what is to be said of it, or raises CommandError."""

    def __init__(self, *, card: Card, spool: int, pipe: Pipe) -> None:
        self._card, self._spool, self._pipe = card, spool, pipe
        # Anonymous memory is page-aligned: a bytearray of this size costs almost half as much again.
        self._buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))

    def perform(self, command: Message) -> Message:
        """Do one command."""
        match command:
            case {"do": "list"}:
                return self.list()
            case {"do": "copy", "path": str(p), "length": int(n), "mtime_ns": int(t), "part": str(f), "prefix": str(x)}:
                return self.copy(unpacked(p), (n, t), part=f, prefix=bytes.fromhex(x))
            case {"do": "reread", "path": str(p), "length": int(n)}:
                return self.reread(unpacked(p), n)
            case {"do": "unlink", "path": str(p), "length": int(n), "mtime_ns": int() | None as t, "sha256": str()}:
                return self.unlink(unpacked(p), n, t)
            case _:  # whatever another process sends: no closed union
                raise CommandError("usb", f"{command!r:.200} is no command of the copier")

    def list(self) -> Message:
        """Tell every file of the card, in batches."""
        batch: list[tuple[str, int, int]] = []
        path, size = b"", 0
        try:
            for path, status in self._card.files():
                name = binascii.b2a_base64(path, newline=False).decode("ascii")
                batch.append((name, status.st_size, status.st_mtime_ns))
                size += len(path)
                if len(batch) >= BATCH_FILES or size >= BATCH_BYTES or self._pipe.due():
                    self._pipe.tell({"files": batch})
                    batch, size = [], 0
        except OSError as error:
            raise self._card.error("listing", f"the listing failed after {shown(path)}", error) from error
        self._pipe.tell({"files": batch})
        return {}

    def copy(self, path: bytes, listed: tuple[int, int], *, part: str, prefix: bytes) -> Message:
        """Copy one file: data synced, renamed, folder synced, read back and compared (I5, I8)."""
        length = listed[0]
        with self._card.file(path, length) as source:
            same(path, self._card.status(source, path), listed)
            with self._discarding(part, "writing"), self._new(part) as target:
                digest = self.pour(path, source, target, length)
                same(path, self._card.status(source, path), listed)
                self._pipe.tell({"on": "disk"})
                # Once: after an EIO the kernel calls the lost pages clean, and a second try succeeds (I9).
                os.fdatasync(target)
        clip_id = hashlib.sha256(prefix + len(digest).to_bytes(8, "big") + digest).hexdigest()
        name = f"{clip_id}.clip"
        with self._discarding(part, "renaming"):
            os.rename(part, name, src_dir_fd=self._spool, dst_dir_fd=self._spool)
        with self._discarding(name, "reading back"):
            os.fsync(self._spool)
            with opened(os.open(name, READ, dir_fd=self._spool)) as fd:
                advise(fd, os.POSIX_FADV_DONTNEED)
                on_disk = self.hash(fd, {"on": "disk"})
            if on_disk != (digest, length):
                say = f"the spool gave {on_disk[1]} bytes of sha256 {on_disk[0].hex()}"
                raise CommandError("hash", f"{say}, expected {length} bytes of sha256 {digest.hex()}")
        return {"clip_id": clip_id, "sha256": digest.hex(), "length": length}

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

    def _new(self, part: str) -> AbstractContextManager[int]:
        return opened(os.open(part, WRITE_NEW, 0o600, dir_fd=self._spool))

    @contextmanager
    def _discarding(self, name: str, doing: str) -> Iterator[None]:
        """Leave nothing of that name in the spool if the work fails; what cannot go now goes at the next start."""
        try:
            yield
        except BaseException as error:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._spool)
                os.fsync(self._spool)
            if isinstance(error, OSError):
                code = "disk-full" if error.errno in FULL else "disk"
                raise CommandError(code, f"{doing} {name} in the spool: {error.strerror}") from error
            raise


@contextmanager
def opened(fd: int) -> Iterator[int]:
    """Close a descriptor afterwards."""
    try:
        yield fd
    finally:
        os.close(fd)


def same(path: bytes, status: os.stat_result, listed: tuple[int, int]) -> None:
    """Raise CommandError unless a file has the length and time it is known by."""
    if (status.st_size, status.st_mtime_ns) != listed:
        now = f"{status.st_size} bytes, mtime {status.st_mtime_ns} ns"
        raise CommandError("growing", f"{shown(path)} has {now}, expected {listed[0]} and {listed[1]}")


def whole(path: bytes, done: int, length: int) -> None:
    """Raise CommandError unless a file gave as many bytes as it has."""
    if done != length:
        raise CommandError("growing", f"{shown(path)} gave {done} bytes, expected {length}")


def advise(fd: int, advice: int, start: int = 0, end: int = 0) -> None:
    """Advise the kernel about a range of a file (0, 0: all of it); advice that is not taken changes nothing."""
    with suppress(OSError):
        os.posix_fadvise(fd, start, end - start, advice)


def data_bytes(fd: int, length: int) -> int:
    """Count the bytes of a file that lie on the medium: all but its holes. Moves the file's place to 0."""
    total = end = 0
    try:
        for _ in range(MOST_EXTENTS):
            start = os.lseek(fd, end, os.SEEK_DATA)
            end = os.lseek(fd, start, os.SEEK_HOLE)
            total += end - start
    except OSError as error:
        if error.errno == errno.ENXIO:
            return total
    finally:
        os.lseek(fd, 0, os.SEEK_SET)
    return length


def fetched_bytes() -> int:
    """Give the bytes that this process has made the storage layer fetch so far; 0 where nobody counts them."""
    try:
        with open("/proc/self/io", "rb") as lines:  # noqa: PTH123 - pathlib costs more than the rest of this module
            return next(int(line.split()[1]) for line in lines if line.startswith(b"read_bytes:"))
    except (OSError, StopIteration):
        return 0


def in_memory(device: int) -> bool:
    """Say whether a filesystem is memory and nothing else: then its page cache is the medium."""
    number = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as lines:  # noqa: PTH123 - as above
            mounts = [line.split() for line in lines]
    except OSError:
        return False
    kinds = {fields[fields.index(b"-") + 1] for fields in mounts if fields[2] == number}
    return bool(kinds) and kinds <= MEMORY


def shown(path: bytes) -> str:
    """Write a path so that no byte of it can harm a terminal, and not too long."""
    return ascii(path)[1:200]


def unpacked(text: str) -> bytes:
    """Read a path from base64."""
    return binascii.a2b_base64(text, strict_mode=True)


def main(*, card: int, spool: int) -> None:
    """Answer commands until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; when to stop is the parent's to say
    pipe = Pipe(commands=0, answers=1)
    copier = Copier(card=Card(card), spool=spool, pipe=pipe)
    while (command := pipe.command()) is not None:
        try:
            pipe.tell({"done": copier.perform(command)})
        except CommandError as error:
            pipe.tell({"error": error.code, "say": str(error)})


if __name__ == "__main__":
    main(card=int(sys.argv[1]), spool=int(sys.argv[2]))
