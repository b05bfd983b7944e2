"""The calls that change a disk, as the kernel shows them: their names, the file each is about, a write done by half.

Owns the tables of numbers and the reading of arguments from a stopped process. Knows no dockd.
"""

import ctypes
import os
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tests.killpoint.notify import Choice, Stopped, machine

AT_FDCWD = 0xFFFFFF9C
PIDFD_GETFD = 438
MAKES = os.O_CREAT | os.O_TRUNC
STANDARD_STREAMS = 2
"""What is said on stdin, stdout and stderr changes no disk of ours."""

NUMBERS: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "write": 1, "open": 2, "pwrite64": 18, "writev": 20, "msync": 26, "sendfile": 40, "fsync": 74, "fdatasync": 75,
        "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87,
        "symlink": 88, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "utime": 132, "mknod": 133,
        "sync": 162, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "utimes": 235, "openat": 257, "mkdirat": 258,
        "mknodat": 259, "fchownat": 260, "futimesat": 261, "unlinkat": 263, "renameat": 264, "linkat": 265,
        "symlinkat": 266, "fchmodat": 268, "sync_file_range": 277, "utimensat": 280, "fallocate": 285, "pwritev": 296,
        "syncfs": 306, "renameat2": 316, "copy_file_range": 326, "pwritev2": 328, "openat2": 437, "fchmodat2": 452,
    },
    "aarch64": {
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "mknodat": 33, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36,
        "linkat": 37, "renameat": 38, "truncate": 45, "ftruncate": 46, "fallocate": 47, "fchmod": 52, "fchmodat": 53,
        "fchownat": 54, "fchown": 55, "openat": 56, "write": 64, "writev": 66, "pwrite64": 68, "pwritev": 70,
        "sendfile": 71, "sync": 81, "fsync": 82, "fdatasync": 83, "sync_file_range": 84, "utimensat": 88, "msync": 227,
        "syncfs": 267, "renameat2": 276, "copy_file_range": 285, "pwritev2": 287, "openat2": 437, "fchmodat2": 452,
    },
}  # fmt: skip
"""Source: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux."""

PLAIN_WRITES = frozenset({"write", "pwrite64"})
VECTOR_WRITES = frozenset({"writev", "pwritev", "pwritev2"})
WRITES = PLAIN_WRITES | VECTOR_WRITES
SYNCS = frozenset({"fsync", "fdatasync"})
OPENS = frozenset({"open", "openat", "openat2", "creat"})
RENAMES = frozenset({"rename", "renameat", "renameat2"})
UNLINKS = frozenset({"unlink", "unlinkat"})
_BY_DESCRIPTOR = WRITES | SYNCS | {
    "sendfile", "ftruncate", "fchmod", "fchown", "fsetxattr", "sync_file_range", "fallocate", "syncfs"
}  # fmt: skip
_NAMELESS = frozenset({"sync", "msync"})
_FIRST_AT: Mapping[str, tuple[int | None, int]] = {
    "openat": (0, 1), "openat2": (0, 1), "mkdirat": (0, 1), "mknodat": (0, 1), "fchownat": (0, 1), "futimesat": (0, 1),
    "unlinkat": (0, 1), "renameat": (0, 1), "renameat2": (0, 1), "linkat": (0, 1), "fchmodat": (0, 1),
    "fchmodat2": (0, 1), "utimensat": (0, 1), "symlinkat": (1, 2), "symlink": (None, 1),
}  # fmt: skip
"""Which arguments name the folder and the path; where none is named here: no folder, and the first argument."""
_SECOND_AT: Mapping[str, tuple[int | None, int]] = {
    "rename": (None, 1), "renameat": (2, 3), "renameat2": (2, 3), "link": (None, 1), "linkat": (2, 3),
}  # fmt: skip
_LONGEST_PATH = 4096
_UNSEEN = re.compile(rb"(?:[^/]|/proc/|/dev/(?:null|zero|tty|pts/))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that changes a disk: its name, who makes it, and the absolute paths that it is about.

    `process` is the process's id, `other` a rename's or link's new name, else empty; `size` the bytes a write wants.
    """

    name: str
    process: int
    path: bytes
    other: bytes
    size: int
    stopped: Stopped


def all_changes() -> list[Choice]:
    """Choose every call that may change a disk."""
    return _choices(NUMBERS[machine()])


def names_only() -> list[Choice]:
    """Choose the calls that give or take names: enough to watch what is erased and what is called whole."""
    numbers = NUMBERS[machine()]
    return _choices({name: numbers[name] for name in RENAMES | UNLINKS if name in numbers})


def _choices(numbers: Mapping[str, int]) -> list[Choice]:
    chosen = []
    for name, number in numbers.items():
        match name:
            case "open":
                chosen.append(Choice(number=number, argument=1, bits=MAKES))
            case "openat":
                chosen.append(Choice(number=number, argument=2, bits=MAKES))
            case "write" | "writev":
                chosen.append(Choice(number=number, argument=0, above=STANDARD_STREAMS))
            case _:
                chosen.append(Choice(number=number))
    return chosen


@lru_cache(maxsize=1)
def _names() -> Mapping[int, str]:
    return {number: name for name, number in NUMBERS[machine()].items()}


def read_call(stopped: Stopped) -> Call | None:
    """Read what a stopped call is about; None for what changes no disk: pipes, sockets, devices.

    Raises:
        OSError: whoever made it is gone.

    """
    name, thread, arguments = _names()[stopped.number], stopped.thread, stopped.arguments
    other, size = b"", 0
    if name in _NAMELESS:
        path = b""
    elif name in _BY_DESCRIPTOR:
        path = _path_of(thread, arguments[0])
        size = _size_of(name, stopped)
    elif name == "copy_file_range":
        path = _path_of(thread, arguments[2])
    else:
        path = _named(stopped, *_FIRST_AT.get(name, (None, 0)))
    if name in _SECOND_AT:
        other = _named(stopped, *_SECOND_AT[name])
    if _UNSEEN.match(path):
        return None
    return Call(name=name, process=_process_of(thread), path=path, other=other, size=size, stopped=stopped)


def write_half(call: Call) -> int:
    """Do the first half of a write in the place of whoever wanted all of it; gives the bytes written, at least one."""
    stopped, (fd, at, length, offset, *_) = call.stopped, call.stopped.arguments
    data = (
        _memory(stopped.thread, at, length)
        if call.name in PLAIN_WRITES
        else b"".join(_memory(stopped.thread, base, size) for base, size in _pieces(stopped))
    )
    half = data[: max(1, len(data) // 2)]
    own = _borrowed(call.process, fd)
    try:
        return os.write(own, half) if call.name in {"write", "writev"} else os.pwrite(own, half, offset)
    finally:
        os.close(own)


def _size_of(name: str, stopped: Stopped) -> int:
    if name in PLAIN_WRITES:
        return stopped.arguments[2]
    if name in VECTOR_WRITES:
        return sum(size for _, size in _pieces(stopped))
    return 0


def _pieces(stopped: Stopped) -> Sequence[tuple[int, int]]:
    raw = _memory(stopped.thread, stopped.arguments[1], 16 * (stopped.arguments[2] & 0xFFFFFFFF))
    return list(struct.iter_unpack("=QQ", raw))


def _borrowed(process: int, fd: int) -> int:
    """Share an open file of another process, its place in the file too."""
    pidfd = os.pidfd_open(process)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        own = int(libc.syscall(PIDFD_GETFD, pidfd, fd & 0xFFFFFFFF, 0))
        if own < 0:
            raise OSError(ctypes.get_errno(), f"pidfd_getfd of {fd} of process {process}")
        return own
    finally:
        os.close(pidfd)


def _process_of(thread: int) -> int:
    with open(f"/proc/{thread}/status", "rb") as lines:  # noqa: PTH123 - thousands of times in a run
        return next(int(line.split()[1]) for line in lines if line.startswith(b"Tgid:"))


def _path_of(thread: int, fd: int) -> bytes:
    return os.readlink(b"/proc/%d/fd/%d" % (thread, fd & 0xFFFFFFFF))  # noqa: PTH115 - names are bytes


def _named(stopped: Stopped, folder_argument: int | None, path_argument: int) -> bytes:
    thread = stopped.thread
    text = _text(thread, stopped.arguments[path_argument])
    if text.startswith(b"/"):
        return text
    base = b"/proc/%d/cwd" % thread
    if folder_argument is not None and (folder := stopped.arguments[folder_argument] & 0xFFFFFFFF) != AT_FDCWD:
        base = b"/proc/%d/fd/%d" % (thread, folder)
    if not text:
        return os.readlink(base)  # noqa: PTH115 - utimensat of a descriptor
    return os.path.join(os.readlink(base), text)  # noqa: PTH115, PTH118 - names are bytes


def _text(thread: int, at: int) -> bytes:
    page = 4096
    text = b""
    while b"\0" not in text and len(text) < _LONGEST_PATH:
        room = page - (at + len(text)) % page  # the next page may not be there
        text += _memory(thread, at + len(text), room)
    return text.partition(b"\0")[0]


def _memory(thread: int, at: int, length: int) -> bytes:
    if not length:
        return b""
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        return os.pread(memory.fileno(), length, at)
