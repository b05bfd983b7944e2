"""Cluster chains: every one that a file has is followed once, and every cluster belongs to one file.

Owns the map of used clusters and the walk along an allocation table. A table comes as pages of 32-bit entries and is
walked by runs of consecutive clusters, so that a file in one piece costs one step, however long it is. Knows no
folders and no names.

Bounds: one byte a cluster, `MOST_PAGES` pages of the table at a time, `MOST_RUNS` steps and a few reads of each page
in all.
"""

import re
from collections.abc import Callable, Iterator

from dockd.structure.verdict import FIRST_CLUSTER, Findings, ProblemKind

PAGE_ENTRIES = 16 * 1024
PAGE_BYTES = 4 * PAGE_ENTRIES
MOST_CLUSTERS = 1 << 25
MOST_PAGES = 128
MOST_RUNS = 1 << 22
READS_A_PAGE = 16
BAD_BELOW_MASK = 8

_LANES = int.from_bytes(b"\1\0\0\0" * PAGE_ENTRIES, "little")
_RAMP = int.from_bytes(b"".join((at + 1).to_bytes(4, "little") for at in range(PAGE_ENTRIES)), "little")
_BREAK = re.compile(rb"[^\0]")

Page = Callable[[int], bytes]
"""Gives page n of a table: entries n * PAGE_ENTRIES and on, 32 bits each, little-endian; the last is shorter."""


class Chains:
    """The chains of one allocation table, and who of all clusters is used."""

    def __init__(self, page: Page, *, clusters: int, mask: int, ends_from: int, findings: Findings) -> None:
        """Take a table: `mask` says which bits of an entry mean anything, entries from `ends_from` on end a chain."""
        self._page = page
        self._end = clusters + 2
        self._mask = mask
        self._ends_from = ends_from
        self._findings = findings
        self._breaks: dict[int, bytes] = {}
        self._runs_left = MOST_RUNS
        self._reads_left = READS_A_PAGE * (self._end // PAGE_ENTRIES + 1)
        self.used = bytearray(self._end)

    def follow(self, first: int, where: bytes) -> int | None:
        """Follow a chain to its end and claim its clusters: how many they are, None after a problem."""
        count, cluster = 0, first
        while True:
            if not FIRST_CLUSTER <= cluster < self._end:
                self._findings.add(*self._nowhere(cluster, where, after=count))
                return None
            self._runs_left -= 1
            if self._runs_left < 0:
                raise self._findings.stop(ProblemKind.TOO_MANY, where, f"files lie in more than {MOST_RUNS} pieces")
            length, following = self._run(cluster)
            hit = self.used.find(1, cluster, cluster + length)
            if hit >= 0:
                self.used[cluster:hit] = b"\1" * (hit - cluster)
                self._met(first, count + hit - cluster, hit, where)
                return None
            self.used[cluster : cluster + length] = b"\1" * length
            count += length
            if following >= self._ends_from:
                return count
            cluster = following

    def claim(self, first: int, count: int, where: bytes) -> bool:
        """Claim clusters in a row that no table speaks of; False after a problem."""
        if not (first >= FIRST_CLUSTER and first + count <= self._end):
            say = f"its {count} clusters from {first} on go beyond the card's {self._end - 2}"
            self._findings.add(ProblemKind.CHAIN_BEYOND_CARD, where, say)
            return False
        hit = self.used.find(1, first, first + count)
        if hit >= 0:
            self._findings.add(ProblemKind.CROSS_LINK, where, f"its cluster {hit} is used twice")
            return False
        self.used[first : first + count] = b"\1" * count
        return True

    def runs(self, first: int, count: int) -> Iterator[tuple[int, int]]:
        """Give a chain of so many clusters again: first cluster and length of each piece."""
        cluster, left = first, count
        while left:
            length, following = self._run(cluster)
            yield cluster, min(length, left)
            left -= min(length, left)
            cluster = following

    def entry(self, cluster: int) -> int:
        """Give one entry of the table."""
        page, at = divmod(cluster, PAGE_ENTRIES)
        word = int.from_bytes(self._broken(page)[4 * at : 4 * at + 4], "little")
        return (word ^ (cluster + 1)) & self._mask

    def _run(self, cluster: int) -> tuple[int, int]:
        """Give how many clusters from one on follow each other, and the entry of the last."""
        start = cluster
        while True:
            page, at = divmod(cluster, PAGE_ENTRIES)
            broken = self._broken(page)
            found = _BREAK.search(broken, 4 * at)
            if found is not None:
                last = page * PAGE_ENTRIES + found.start() // 4
                return last + 1 - start, self.entry(last)
            cluster = page * PAGE_ENTRIES + len(broken) // 4
            if cluster >= self._end:
                return cluster - start, cluster

    def _broken(self, number: int) -> bytes:
        """Give a page with zeros for every entry that leads to the next cluster."""
        broken = self._breaks.get(number)
        if broken is None:
            self._reads_left -= 1
            if len(self._breaks) >= MOST_PAGES:
                del self._breaks[next(iter(self._breaks))]
            broken = self._breaks[number] = differences(self._page(number), mask=self._mask, ramp=number * PAGE_ENTRIES)
            if self._reads_left < 0:
                raise self._findings.stop(ProblemKind.TOO_MANY, b"", "its files lie all over its table")
        return broken

    def _met(self, first: int, count: int, hit: int, where: bytes) -> None:
        """Tell a chain that comes back to itself from one that runs into another."""
        if any(cluster <= hit < cluster + length for cluster, length in self.runs(first, count)):
            self._findings.add(ProblemKind.CYCLE, where, f"its chain comes back to cluster {hit} and never ends")
        else:
            self._findings.add(ProblemKind.CROSS_LINK, where, f"its cluster {hit} is used twice")

    def _nowhere(self, cluster: int, where: bytes, *, after: int) -> tuple[ProblemKind, bytes, str]:
        place = f"after {after} clusters"
        if cluster == 0 and after:
            return ProblemKind.FREE_CLUSTER, where, f"its chain leads {place} into one that the table calls free"
        if cluster == self._mask - BAD_BELOW_MASK:
            return ProblemKind.BAD_CLUSTER, where, f"its chain leads {place} into one that is marked as bad"
        say = f"its chain leads {place} to cluster {cluster}, expected one of 2 to {self._end - 1}"
        return ProblemKind.CHAIN_BEYOND_CARD, where, say


def differences(page: bytes, *, mask: int, ramp: int) -> bytes:
    """Give each entry of a page exclusive-or the number of the next cluster, `ramp` being that of the first."""
    size = 8 * len(page)
    lanes = _LANES & ((1 << size) - 1)
    expected = (_RAMP & ((1 << size) - 1)) + ramp * lanes
    return ((int.from_bytes(page, "little") & (mask * lanes)) ^ expected).to_bytes(len(page), "little")
