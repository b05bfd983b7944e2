"""What a filesystem was asked to do, in order: the records that a power cut is rebuilt from.

Owns the form of a log. Knows neither FUSE nor what survives.
"""

import marshal
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

ROOT = 1
"""The inode of the root folder: it needs no name to be found."""


@dataclass(frozen=True, slots=True)
class Made:
    """A new inode, not yet under any name."""

    ino: int
    folder: bool


@dataclass(frozen=True, slots=True)
class Linked:
    """A name in a folder now means this inode."""

    parent: int
    name: str
    ino: int


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A name is gone from a folder."""

    parent: int
    name: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """An inode went from one name to another, in one step."""

    parent: int
    name: str
    to_parent: int
    to_name: str
    ino: int


@dataclass(frozen=True, slots=True)
class Wrote:
    """Bytes of a file at an offset."""

    ino: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    """A file's new size."""

    ino: int
    size: int


@dataclass(frozen=True, slots=True)
class Timed:
    """A file's mtime was set."""

    ino: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file or a folder was synced, and that succeeded."""

    ino: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A file was synced, and that failed: what was written before is not on the disk, and never will be."""

    ino: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """Something was told to the world outside, in JSON."""

    text: bytes


Record = Made | Linked | Unlinked | Renamed | Wrote | Truncated | Timed | Synced | Lost | Claimed
KINDS = (Made, Linked, Unlinked, Renamed, Wrote, Truncated, Timed, Synced, Lost, Claimed)


class Writer:
    """Appends records to a file."""

    def __init__(self, file: BinaryIO) -> None:
        """Take an open file, to be closed by whoever opened it."""
        self._file = file

    def append(self, record: Record) -> None:
        """Add one record."""
        fields = (getattr(record, name) for name in record.__slots__)
        marshal.dump((KINDS.index(type(record)), *fields), self._file)


def read(path: Path) -> Iterator[Record]:
    """Give every record of a log."""
    file = BytesIO(path.read_bytes())
    while True:
        try:
            kind, *fields = marshal.load(file)  # noqa: S302 - our own file, written a moment ago
        except EOFError:
            return
        yield KINDS[kind](*fields)
