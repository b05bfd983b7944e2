"""Points and faults: which call of a run is struck, and by what.

Owns their names, which are the same from run to run: who calls, what, of which file, for which time. Knows no run.
"""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.killpoint.calls import SYNCS, WRITES


class Fault(StrEnum):
    """What happens to a call instead of what was asked for."""

    KILL = "kill"
    """The process dies before it."""

    POWER = "power"
    """The whole family dies before it: where a child calls, KILL leaves its parent alive."""

    TORN = "torn"
    """Half of the write is done, then the family dies."""

    EIO = "eio"
    ENOSPC = "enospc"

    LOST = "lost"
    """A sync fails with EIO, and what was written since the last one reads as zeros: the kernel gave those pages up."""

    SHORT = "short"
    """Half of the write is done, and the count says so."""


ERRORS = {Fault.EIO: errno.EIO, Fault.ENOSPC: errno.ENOSPC, Fault.LOST: errno.EIO}
DEADLY = frozenset({Fault.KILL, Fault.POWER, Fault.TORN})
PARENT, CHILD = "parent", "child"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Point:
    """One call of a run: `nth` counts calls of that name, by that process's role, on that file."""

    who: str
    call: str
    what: str
    nth: int

    def __str__(self) -> str:
        """Words that find it again."""
        return f"{self.who}:{self.call}:{self.what}:{self.nth}"

    @classmethod
    def of(cls, text: str) -> "Point":
        """Read what `str` wrote."""
        who, call, rest = text.split(":", 2)
        what, _, nth = rest.rpartition(":")
        return cls(who=who, call=call, what=what, nth=int(nth))


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A fault at a point."""

    point: Point
    fault: Fault

    def __str__(self) -> str:
        """Words that find it again."""
        return f"{self.fault}@{self.point}"

    @classmethod
    def of(cls, text: str) -> "Strike":
        """Read what `str` wrote."""
        fault, _, point = text.partition("@")
        return cls(point=Point.of(point), fault=Fault(fault))


def strikes(points: Sequence[Point], faults: Sequence[Fault]) -> Iterator[Strike]:
    """Give every fault at every point that it can strike."""
    for point in points:
        for fault in faults:
            if fits(fault, point):
                yield Strike(point=point, fault=fault)


def fits(fault: Fault, point: Point) -> bool:
    """Say whether a fault means anything at a point."""
    match fault:
        case Fault.SHORT | Fault.TORN:
            return point.call in WRITES
        case Fault.LOST:
            # A camera's own files were not written by us: nothing of them waits to be synced.
            return point.call in SYNCS and not point.what.endswith("/") and not point.what.startswith("card/")
        case Fault.POWER:
            return point.who == CHILD
        case Fault.KILL | Fault.EIO | Fault.ENOSPC:
            return True


_HEX = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[0-9a-f]{16}-[0-9]+\.part")
_OBJECTS = re.compile(r"objects/[0-9a-f]{2}(?=/|$)")


def plain(path: bytes, root: Path) -> str:
    """Name a file the same in every run: below the run's root, what is random or a digest replaced by what it is."""
    place = Path(os.fsdecode(path))
    if root.is_relative_to(place):
        return "../" * (len(root.parts) - len(place.parts)) or "./"
    text = str(place).removeprefix(f"{root}/").encode("utf-8", "surrogateescape").decode("ascii", "backslashreplace")
    text = _OBJECTS.sub("objects/..", _PART.sub("PART", _HEX.sub("ID", text)))
    return f"{text}/" if place.is_dir() else text
