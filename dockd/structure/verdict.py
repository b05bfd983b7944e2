"""What a check finds: the facts of a filesystem, what is wrong with it, and what is only worth recording.

Owns the kinds of problems, how they are worded for a line of text, and that there are never too many of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

MOST_PROBLEMS = 16
"""After so many the card is wrong enough: reading on would only give a hostile one more of our time."""

FIRST_CLUSTER = 2
"""Clusters are numbered from 2: the first two entries of a table are no clusters."""

MOST_BEHIND = 1000
"""So many different lengths of files with something behind their end are told of, and no more."""

Read = Callable[[int, int], bytes]
"""Gives the bytes at an offset, or fewer at the end. An OSError of it goes through a check untouched."""

Found = Callable[[bytes, int], None]
"""Told each file: its path as Linux lists it in UTF-8, its length in bytes."""


class ProblemKind(StrEnum):
    """What is wrong, in one word."""

    BOOT = "boot"
    TRUNCATED = "truncated"
    CYCLE = "cycle"
    CROSS_LINK = "cross-link"
    SIZE_BEYOND_CHAIN = "size-beyond-chain"
    CHAIN_BEYOND_SIZE = "chain-beyond-size"
    CHAIN_BEYOND_CARD = "chain-beyond-card"
    FREE_CLUSTER = "free-cluster"
    BAD_CLUSTER = "bad-cluster"
    TABLES_DIFFER = "tables-differ"
    DUPLICATE_NAME = "duplicate-name"
    BAD_NAME = "bad-name"
    DIRECTORY_LOOP = "directory-loop"
    DOTS = "dots"
    AFTER_END = "after-end"
    HIDDEN_FILE = "hidden-file"
    ENTRY_SET = "entry-set"
    CHECKSUM = "checksum"
    TOO_DEEP = "too-deep"
    TOO_MANY = "too-many"
    DIRTY = "dirty"
    ORPHAN_NAME = "orphan-name"


class Filesystem(StrEnum):
    """The filesystems that cameras write."""

    FAT12 = "fat12"
    FAT16 = "fat16"
    FAT32 = "fat32"
    EXFAT = "exfat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it should be: `where` is a path (folders end in `/`, the card itself is empty)."""

    kind: ProblemKind
    where: bytes
    say: str

    def __str__(self) -> str:
        """One line for people, no byte of which can harm a terminal."""
        where = f"{ascii(self.where)[1:200]}: " if self.where else ""
        return f"{where}{self.say} ({self.kind.value})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What a boot sector says, as far as everything else needs it.

    The first of `clusters` begins at `heap_bytes`.
    """

    filesystem: Filesystem
    volume_id: str
    label: str
    sector_bytes: int
    cluster_bytes: int
    clusters: int
    heap_bytes: int
    dirty: bool

    def offset(self, cluster: int) -> int:
        """Give where a cluster begins."""
        return self.heap_bytes + (cluster - FIRST_CLUSTER) * self.cluster_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A filesystem as it was found. It is sound if there are no problems; notes are for the record.

    `bytes_` sums the lengths of all files, `valid_bytes` what of them was ever written (less on exFAT alone). `behind`
    holds the lengths of files whose chain goes on behind their end: what lies there, nobody has read.
    """

    geometry: Geometry | None
    folders: int
    files: int
    bytes_: int
    valid_bytes: int
    used_clusters: int
    behind: frozenset[int]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Say whether nothing speaks against believing a listing."""
        return not self.problems


class StopCheckError(Exception):
    """Nothing more can be found out: the card is too wrong, or too much."""


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a check has found so far."""

    problems: list[Problem] = field(default_factory=list)
    notes: dict[ProblemKind, Problem] = field(default_factory=dict)
    files: int = 0
    folders: int = 0
    bytes_: int = 0
    valid_bytes: int = 0
    behind: set[int] = field(default_factory=set)

    def add(self, kind: ProblemKind, where: bytes, say: str) -> None:
        """Take a problem; raises StopCheckError when there are enough."""
        self.problems.append(Problem(kind=kind, where=where, say=say))
        if len(self.problems) >= MOST_PROBLEMS:
            raise StopCheckError

    def stop(self, kind: ProblemKind, where: bytes, say: str) -> StopCheckError:
        """Take a problem that nothing can be checked behind; give what is to be raised."""
        self.problems.append(Problem(kind=kind, where=where, say=say))
        return StopCheckError()

    def note(self, kind: ProblemKind, where: bytes, say: str) -> None:
        """Take what is worth recording: the first of each kind."""
        self.notes.setdefault(kind, Problem(kind=kind, where=where, say=say))
