"""A filesystem in memory that writes down every operation: `python strictfs.py MOUNTPOINT LOG [FAILING ...]`.

A program of its own, so that whoever works on it can hang or die without it. It only remembers; what a power cut would
have left is `rebuild`'s to say. Whatever is put into the extended attribute `user.claim` of the root is written down in
the order of operations, and changes nothing. `PID COUNT` put into `user.kill` kills that process at the change with
that number from then on, `PID COUNT PATTERN` in the sync with that number of a file whose name fits, which fails:
what it had written then lies in the cache, for whoever comes after it to believe.

FAILING is `NUMBER:PATTERN`: that sync (1 is the first) of a file whose name fits the pattern fails with EIO. What the
file held since its last sync is lost then, although it can still be read and although the next sync succeeds: this is
what Linux does (https://lwn.net/Articles/752063/).
"""

import errno
import os
import re
import signal
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mfusepy

from tests.powercut.oplog import (
    ROOT,
    Claimed,
    Linked,
    Lost,
    Made,
    Record,
    Renamed,
    Synced,
    Timed,
    Truncated,
    Unlinked,
    Writer,
    Wrote,
)

CLAIM, KILL = "user.claim", "user.kill"
BLOCK_BYTES, BLOCKS = 4096, 1 << 20
READY = "mounted\n"


@dataclass(slots=True)
class Node:
    """A file or a folder."""

    ino: int
    mode: int
    mtime_ns: int
    data: bytearray = field(default_factory=bytearray)
    names: dict[str, int] = field(default_factory=dict)
    links: int = 0
    called: str = ""

    @property
    def is_folder(self) -> bool:
        """Say whether it is a folder."""
        return stat.S_ISDIR(self.mode)


@dataclass(slots=True)
class Failing:
    """Which sync of which files fails."""

    number: int
    pattern: re.Pattern[str]
    seen: int = 0

    def hits(self, name: str) -> bool:
        """Count a sync, and say whether it is the one."""
        if not self.pattern.search(name):
            return False
        self.seen += 1
        return self.seen == self.number


def truncate_by_handle(fuse: Any, path: bytes | None, length: int, fip: Any) -> int:  # noqa: ANN401 - pointers of ctypes
    """Truncate an open file, which has no path; in mfusepy's place, which forgets the handle."""
    name = None if path is None else os.fsdecode(path)
    code: int = fuse.operations.truncate(name, length, fip.contents.fh if fip else None)
    return code


class StrictFs:
    """The operations; their names and the order of their arguments are libfuse's."""

    use_ns = True
    # Files are known by their inode once they are open: unlinked ones too.
    flag_nopath = True
    flag_nullpath_ok = True

    def __init__(self, log: Writer, failing: Sequence[Failing]) -> None:
        self._log, self._failing = log, failing
        self._nodes = {ROOT: Node(ino=ROOT, mode=stat.S_IFDIR | 0o755, mtime_ns=time.time_ns())}
        self._next = ROOT + 1
        self._victim, self._lives = -1, 0
        self._before_sync_of: re.Pattern[str] | None = None

    def init(self, _path: str) -> None:
        sys.stdout.write(READY)
        sys.stdout.flush()

    # --- names --------------------------------------------------------------------------------------------------------

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, Any]:
        node = self._nodes[fh] if fh is not None else self._at(path)
        return {
            "st_ino": node.ino,
            "st_mode": node.mode,
            "st_nlink": 2 if node.is_folder else node.links,
            "st_size": len(node.data),
            "st_blocks": (len(node.data) + 511) // 512,
            "st_mtime": node.mtime_ns,
            "st_ctime": node.mtime_ns,
            "st_atime": node.mtime_ns,
        }

    def readdir(self, _path: str | None, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        for name in (".", ".."):
            yield name, {"st_mode": stat.S_IFDIR, "st_ino": fh}, 0
        for name, ino in list(self._nodes[fh].names.items()):
            yield name, {"st_mode": self._nodes[ino].mode, "st_ino": ino}, 0

    def opendir(self, path: str) -> int:
        return self._at(path).ino

    def mkdir(self, path: str, mode: int) -> int:
        self._make(path, stat.S_IFDIR | mode)
        return 0

    def create(self, path: str, mode: int) -> int:
        return self._make(path, stat.S_IFREG | mode).ino

    def open(self, path: str, _flags: int) -> int:
        return self._at(path).ino

    def unlink(self, path: str) -> int:
        parent, name = self._parent(path)
        if name not in parent.names:
            raise mfusepy.FuseOSError(errno.ENOENT)
        self._say(Unlinked(parent.ino, name))
        self._drop(parent.names.pop(name))
        return 0

    def rmdir(self, path: str) -> int:
        if self._at(path).names:
            raise mfusepy.FuseOSError(errno.ENOTEMPTY)
        return self.unlink(path)

    def rename(self, old: str, new: str) -> int:
        (parent, name), (to_parent, to_name) = self._parent(old), self._parent(new)
        ino = self._at(old).ino
        self._say(Renamed(parent.ino, name, to_parent.ino, to_name, ino))
        del parent.names[name]
        replaced = to_parent.names.get(to_name)
        to_parent.names[to_name] = ino
        self._nodes[ino].called = to_name
        if replaced is not None:
            self._drop(replaced)
        return 0

    # --- contents -----------------------------------------------------------------------------------------------------

    def read(self, _path: str | None, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._nodes[fh].data[offset : offset + size])

    def write(self, _path: str | None, data: bytes, offset: int, fh: int) -> int:
        node = self._nodes[fh]
        self._say(Wrote(fh, offset, data))
        if len(node.data) < offset:
            node.data.extend(bytes(offset - len(node.data)))
        node.data[offset : offset + len(data)] = data
        node.mtime_ns = time.time_ns()
        return len(data)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> int:
        node = self._nodes[fh] if fh is not None else self._at(path)
        self._say(Truncated(node.ino, length))
        del node.data[length:]
        node.data.extend(bytes(length - len(node.data)))
        node.mtime_ns = time.time_ns()
        return 0

    def utimens(self, path: str | None, times: tuple[int, int] | None = None) -> int:
        node = self._at(path)
        node.mtime_ns = times[1] if times else time.time_ns()
        self._say(Timed(node.ino, node.mtime_ns))
        return 0

    def chmod(self, path: str | None, mode: int) -> int:
        node = self._at(path)
        node.mode = stat.S_IFMT(node.mode) | mode
        return 0

    def chown(self, _path: str | None, _uid: int, _gid: int) -> int:
        return 0

    def fsync(self, _path: str | None, _datasync: int, fh: int) -> int:
        if self._before_sync_of and self._before_sync_of.search(self._nodes[fh].called) and self._strike():
            self._say(Lost(fh))  # it failed, and nobody is there to hear that
            raise mfusepy.FuseOSError(errno.EIO)
        hits = [failing.hits(self._nodes[fh].called) for failing in self._failing]
        if any(hits):
            self._say(Lost(fh))
            raise mfusepy.FuseOSError(errno.EIO)
        self._say(Synced(fh))
        return 0

    def fsyncdir(self, path: str | None, datasync: int, fh: int) -> int:
        return self.fsync(path, datasync, fh)

    # --- the rest -----------------------------------------------------------------------------------------------------

    def statfs(self, _path: str) -> dict[str, int]:
        return {
            "f_bsize": BLOCK_BYTES, "f_frsize": BLOCK_BYTES, "f_blocks": BLOCKS, "f_bfree": BLOCKS, "f_bavail": BLOCKS,
            "f_files": BLOCKS, "f_ffree": BLOCKS, "f_favail": BLOCKS, "f_namemax": 255,
        }  # fmt: skip

    def setxattr(self, _path: str, name: str, value: bytes, _options: int) -> int:
        if name == CLAIM:
            self._log.append(Claimed(value))
        elif name == KILL:
            pid, count, *pattern = value.decode("ascii").split(" ", 2)
            self._aim(int(pid), int(count), before_sync_of=pattern[0] if pattern else None)
        else:
            raise mfusepy.FuseOSError(errno.EOPNOTSUPP)
        return 0

    def _say(self, record: Record) -> None:
        self._log.append(record)
        if self._before_sync_of is None:
            self._strike()

    def _strike(self) -> bool:
        """Count down, and kill at the end; say whether it was the end."""
        self._lives -= 1
        if self._lives or self._victim < 0:
            return False
        try:
            signal.pidfd_send_signal(self._victim, signal.SIGKILL)
        except ProcessLookupError:
            return False  # it ended before: the sync is another's, and must not fail for it
        return True

    def _aim(self, pid: int, lives: int, *, before_sync_of: str | None) -> None:
        if self._victim >= 0:
            os.close(self._victim)
        # By descriptor: a number may be another's by the time.
        self._victim, self._lives = os.pidfd_open(pid), lives
        self._before_sync_of = None if before_sync_of is None else re.compile(before_sync_of)

    def _parent(self, path: str) -> tuple[Node, str]:
        folder, _, name = path.rpartition("/")
        return self._at(folder or "/"), name

    def _at(self, path: str | None) -> Node:
        if path is None:
            raise mfusepy.FuseOSError(errno.EOPNOTSUPP)
        node = self._nodes[ROOT]
        for name in filter(None, path.split("/")):
            if name not in node.names:
                raise mfusepy.FuseOSError(errno.ENOENT)
            node = self._nodes[node.names[name]]
        return node

    def _make(self, path: str, mode: int) -> Node:
        parent, name = self._parent(path)
        node = Node(ino=self._next, mode=mode, mtime_ns=time.time_ns(), links=1, called=name)
        self._next += 1
        self._nodes[node.ino] = node
        self._say(Made(node.ino, node.is_folder))
        self._say(Linked(parent.ino, name, node.ino))
        parent.names[name] = node.ino
        return node

    def _drop(self, ino: int) -> None:
        self._nodes[ino].links -= 1  # its bytes stay: somebody may have it open


def main(mountpoint: str, log: Path, failing: Sequence[str]) -> None:
    """Serve until unmounted."""
    rules = [Failing(int(number), re.compile(what)) for number, _, what in (rule.partition(":") for rule in failing)]
    with log.open("wb", buffering=1 << 20) as file:
        mfusepy.FUSE.truncate_fuse_3 = truncate_by_handle
        mfusepy.FUSE(
            StrictFs(Writer(file), rules),
            mountpoint,
            foreground=True,
            nothreads=True,
            fsname="strictfs",
            default_permissions=True,
            allow_other=True,
            use_ino=True,
            hard_remove=True,
            kernel_cache=True,
        )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
