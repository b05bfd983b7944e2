"""One file or folder, by descriptor: how it is opened, what must not change about it, how its path is shown.

Knows neither the card nor the spool.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dockd.copier.pipe import CommandError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A name that has become a fifo must not hold the open up; on a plain file O_NONBLOCK means nothing.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


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


def shown(path: bytes) -> str:
    """Write a path so that no byte of it can harm a terminal, and not too long."""
    return ascii(path)[1:200]
