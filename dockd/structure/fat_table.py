"""The allocation tables of a FAT filesystem, as pages of 32-bit entries whatever their own width.

Owns the widening of 12- and 16-bit entries, and the comparison of the two copies. The first one counts, as for Linux;
the second must agree with it on every used cluster.

Source: Microsoft, FAT: General Overview of On-Disk Format, 1.03, "FAT Data Structure"; Linux fs/fat/fatent.c.
"""

import struct

from dockd.structure.blocks import Blocks
from dockd.structure.chains import BAD_BELOW_MASK, PAGE_ENTRIES, Chains, differences
from dockd.structure.fat_boot import ENTRY_BITS, FatBoot
from dockd.structure.verdict import Filesystem, Findings, ProblemKind

MASK, ENDS_FROM = 0x0FFFFFFF, 0x0FFFFFF8
HIGHEST_12, HIGHEST_16 = 0xFFF, 0xFFFF


class FatTables:
    """Both copies of a table."""

    def __init__(self, blocks: Blocks, boot: FatBoot, *, findings: Findings) -> None:
        """Take the geometry; reads nothing yet."""
        self._blocks = blocks
        self._boot = boot
        self._filesystem = boot.geometry.filesystem
        self._findings = findings
        self._end = boot.geometry.clusters + 2
        self._apart: set[int] = set()

    def chains(self) -> Chains:
        """Give the chains of the first table."""
        clusters = self._boot.geometry.clusters
        return Chains(self.page, clusters=clusters, mask=MASK, ends_from=ENDS_FROM, findings=self._findings)

    def page(self, number: int) -> bytes:
        """Give a page of the first table, and remember whether the second has another."""
        raw = self._raw(number, 0)
        if self._boot.tables > 1 and self._raw(number, 1) != raw:
            self._apart.add(number)
        return self._wide(raw)

    def compare(self, used: bytearray) -> None:
        """Report a used cluster that the two copies do not agree on. What they say of free ones changes nothing."""
        for number in sorted(self._apart):
            base = number * PAGE_ENTRIES
            one, other = (differences(self._wide(self._raw(number, table)), mask=MASK, ramp=base) for table in (0, 1))
            for cluster in range(base, min(base + PAGE_ENTRIES, self._end)):
                at = 4 * (cluster - base)
                if used[cluster] and one[at : at + 4] != other[at : at + 4]:
                    say = f"its two tables do not agree on cluster {cluster}, which is used"
                    self._findings.add(ProblemKind.TABLES_DIFFER, b"", say)
                    return

    def _raw(self, number: int, table: int) -> bytes:
        boot = self._boot
        if self._filesystem is Filesystem.FAT12:
            start, length = 0, -(-self._end * 3 // 2)
        else:
            width = ENTRY_BITS[self._filesystem] // 8
            start = number * PAGE_ENTRIES * width
            length = min(PAGE_ENTRIES, self._end - number * PAGE_ENTRIES) * width
        return b"".join(self._blocks.pieces(boot.table_at + table * boot.table_bytes + start, length))

    def _wide(self, raw: bytes) -> bytes:
        """Widen the entries of a page; what is special in few bits is special in many."""
        if self._filesystem is Filesystem.FAT32:
            return raw
        if self._filesystem is Filesystem.FAT12:
            words = [int.from_bytes(raw[at * 3 // 2 : at * 3 // 2 + 2], "little") for at in range(self._end)]
            entries = [word >> 4 if at % 2 else word & HIGHEST_12 for at, word in enumerate(words)]
            highest = HIGHEST_12
        else:
            entries, highest = list(struct.unpack(f"<{len(raw) // 2}H", raw)), HIGHEST_16
        # A full card has clusters of numbers as high as one below the mark of a bad one.
        special = highest - BAD_BELOW_MASK
        return struct.pack(
            f"<{len(entries)}I", *[entry | (MASK ^ highest) if entry >= special else entry for entry in entries]
        )
