"""What became of one strike, and whether a program that met an error spoke of it as it should.

Owns the form of a verdict and the rules for words. Knows no run.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, Self

from tests.killpoint.family import Ended
from tests.killpoint.faults import ERRORS, Point, Strike

WORDS_OF_A_DISK = re.compile(
    r"Input/output error|No space left on device|disk I/O error|database or disk is full|unable to open database file"
    r"|attempt to write a readonly database"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one strike: whether it hit, how the run ended, what it said, and everything that was wrong."""

    strike: str
    struck: bool
    code: int
    said: str
    wrong: tuple[str, ...]

    def line(self) -> str:
        """Write it as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, line: str) -> Self:
        """Read what `line` wrote."""
        fields = json.loads(line)
        return cls(**{**fields, "wrong": tuple(fields["wrong"])})


class Run(Protocol):
    """A run of two clips that can be struck. Both calls fork: their process has one thread."""

    def points(self) -> Sequence[Point]:
        """Give the points of a run that nothing strikes.

        Raises:
            AssertionError: even that run is wrong.

        """
        ...

    def run_point(self, strike: Strike) -> Verdict:
        """Strike one run, judge what it left, bring it to its end without faults, and judge again."""
        ...


def words_wrong(ended: Ended, strike: Strike | None, *, codes: frozenset[int]) -> Iterator[str]:
    """Say what is wrong with how a program ended that was not killed."""
    if ended.code < 0:
        return
    if "Traceback" in ended.stderr:
        yield f"a traceback: {ended.stderr[-1500:]}"
    if ended.code not in codes:
        yield f"exit code {ended.code}, expected one of {sorted(codes)}: {ended.stderr[-300:]}"
    said = ended.stdout + ended.stderr
    if ended.code and strike is not None and strike.fault in ERRORS and not WORDS_OF_A_DISK.search(said):
        yield f"exit code {ended.code} without a word of the disk: {said[-500:]}"
