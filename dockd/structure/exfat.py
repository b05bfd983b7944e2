"""An exFAT filesystem, as the walk over its folders needs it.

Owns what stands in the root beside files: the bitmap of clusters in use, and the table by which names are folded.

Source: Microsoft, exFAT file system specification, sections 4.1 (FAT), 7.1 (allocation bitmap), 7.2 (up-case table),
7.3 (volume label); Linux fs/exfat/balloc.c, fs/exfat/nls.c: bitmap and table are read as clusters in a
row, whatever chain they have.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from dockd.structure.blocks import Blocks
from dockd.structure.chains import MOST_CLUSTERS, PAGE_BYTES, PAGE_ENTRIES, Chains
from dockd.structure.exfat_boot import read_boot
from dockd.structure.exfat_folder import BITMAP, LABEL, UPCASE, entries_of, slots_of
from dockd.structure.names import Entry
from dockd.structure.tree import Folder
from dockd.structure.verdict import Findings, ProblemKind, StopCheckError

MASK = ENDS_FROM = 0xFFFFFFFF
MOST_UPCASE_BYTES = 2 * 65_536
MOST_BITMAP_BYTES = MOST_CLUSTERS // 8
"""A bitmap may be longer than its clusters need: Linux takes it, and some formatters write one."""
SKIP = 0xFFFF
SECOND_BITMAP = 1

# TableChecksum FirstCluster DataLength
_SYSTEM = struct.Struct("<4xI12xIQ")


class ExfatVolume:
    """exFAT; raises StopCheckError where there is none to walk over."""

    most_folder_bytes = 256 << 20

    def __init__(self, blocks: Blocks, *, findings: Findings) -> None:
        """Read the boot region."""
        self._blocks, self._findings = blocks, findings
        self._boot = read_boot(blocks, findings=findings)
        self.geometry = self._boot.geometry
        clusters = self.geometry.clusters
        self.chains = Chains(self._page, clusters=clusters, mask=MASK, ends_from=ENDS_FROM, findings=findings)
        self._bitmap = b""
        self._upper: Mapping[int, int] = {}

    def root(self) -> Folder:
        """Claim the root folder, the bitmap and the up-case table, and read both."""
        first = self._boot.root_cluster
        clusters = self.chains.follow(first, b"(root)")
        if clusters is None:
            raise StopCheckError
        root = Folder(parent=None, name=b"", first=first, clusters=clusters, contiguous=False, depth=0)
        met: dict[int, bytes] = {}
        for slot in slots_of(self.pieces(root), root, self._findings):
            if slot[0] in {BITMAP, UPCASE, LABEL} and not (slot[0] == BITMAP and slot[1] & SECOND_BITMAP):
                if slot[0] in met:
                    raise self._findings.stop(ProblemKind.ENTRY_SET, b"", f"its root has two entries {slot[0]:#x}")
                met[slot[0]] = slot
        if not {BITMAP, UPCASE} <= met.keys():
            raise self._findings.stop(ProblemKind.ENTRY_SET, b"", "its root has no allocation bitmap or up-case table")
        if LABEL in met:
            label = met[LABEL][2 : 2 + 2 * min(met[LABEL][1], 11)].decode("utf-16-le", "replace")
            self.geometry = replace(self.geometry, label=label)
        self._bitmap = self._system(met[BITMAP], b"(allocation bitmap)", most=MOST_BITMAP_BYTES)
        if len(self._bitmap) * 8 < self.geometry.clusters:
            say = f"it has {len(self._bitmap)} bytes for {self.geometry.clusters} clusters"
            raise self._findings.stop(ProblemKind.SIZE_BEYOND_CHAIN, b"(allocation bitmap)", say)
        self._upper = self._upcase(met[UPCASE])
        for begin, count in self.chains.runs(first, clusters):
            self._see_allocated(begin, count, b"(root)")
        return root

    def pieces(self, folder: Folder) -> Iterator[bytes]:
        """Give the bytes of a folder."""
        row = [(folder.first, folder.clusters)]
        runs = row if folder.contiguous else self.chains.runs(folder.first, folder.clusters)
        for first, count in runs:
            yield from self._blocks.pieces(self.geometry.offset(first), count * self.geometry.cluster_bytes)

    def entries(self, folder: Folder, pieces: Iterable[bytes]) -> Iterator[Entry]:
        """Read a folder's bytes."""
        return entries_of(folder, pieces, fold=self.fold, findings=self._findings)

    def fold(self, name: str) -> str:
        """Make names the same that the card's own table folds into one."""
        return name.translate(self._upper)

    def allocated(self, first: int, count: int) -> bool:
        """Say whether the bitmap has all of these clusters in use."""
        at, end = first - 2, first - 2 + count
        whole, last = -(-at // 8), end // 8
        if whole >= last:
            return all(self._bitmap[bit // 8] >> bit % 8 & 1 for bit in range(at, end))
        edges = (*range(at, whole * 8), *range(last * 8, end))
        full = self._bitmap.count(b"\xff", whole, last) == last - whole
        return full and all(self._bitmap[bit // 8] >> bit % 8 & 1 for bit in edges)

    def finish(self) -> None:
        """Check nothing more: clusters that are in use for nobody lose nothing."""

    def _page(self, number: int) -> bytes:
        entries = min(PAGE_ENTRIES, self.geometry.clusters + 2 - number * PAGE_ENTRIES)
        return b"".join(self._blocks.pieces(self._boot.table_at + number * PAGE_BYTES, 4 * entries))

    def _see_allocated(self, first: int, count: int, where: bytes) -> None:
        if not self.allocated(first, count):
            self._findings.add(ProblemKind.FREE_CLUSTER, where, "some of its clusters are marked as free")

    def _system(self, slot: bytes, where: bytes, *, most: int) -> bytes:
        """Claim and read what a system entry names."""
        _, first, length = _SYSTEM.unpack(slot)
        needed = -(-length // self.geometry.cluster_bytes)
        if not 0 < length <= most:
            raise self._findings.stop(ProblemKind.SIZE_BEYOND_CHAIN, where, f"it has {length} bytes, expected {most}")
        if not self.chains.claim(first, needed, where):
            raise StopCheckError
        data = b"".join(self._blocks.pieces(self.geometry.offset(first), length))
        if self._bitmap:
            self._see_allocated(first, needed, where)
        return data

    def _upcase(self, slot: bytes) -> Mapping[int, int]:
        """Read the up-case table: runs of characters that stand for themselves are left out of it."""
        where = b"(up-case table)"
        data = self._system(slot, where, most=MOST_UPCASE_BYTES)
        total = 0
        for byte in data:
            total = ((total << 31 | total >> 1) + byte) & 0xFFFFFFFF
        if total != _SYSTEM.unpack(slot)[0]:
            self._findings.add(ProblemKind.CHECKSUM, where, "it does not have the sum that it says")
        upper: dict[int, int] = {}
        at = 0
        units = iter(struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2]))
        for unit in units:
            if unit == SKIP:
                at += next(units, 0)
                continue
            if unit != at:
                upper[at] = unit
            at += 1
        return upper
