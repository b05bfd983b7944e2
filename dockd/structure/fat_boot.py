"""The boot sector of a FAT filesystem, and which of the three it is.

Where Linux and the specification differ, this is what Linux does, as its listing is what is to be believed: FAT32 is
what has no table size of 16 bits, however few its clusters.

Source: Microsoft, FAT: General Overview of On-Disk Format, 1.03, "Boot Sector and BPB"; Linux fs/fat/inode.c
(fat_fill_super, fat_read_bpb).
"""

import struct
from dataclasses import dataclass

from dockd.structure.blocks import Blocks
from dockd.structure.chains import MOST_CLUSTERS
from dockd.structure.verdict import Filesystem, Findings, Geometry, ProblemKind

BOOT_BYTES = 512
SLOT_BYTES = 32
MOST_FAT12_CLUSTERS, MOST_FAT16_CLUSTERS = 4084, 65_524
SECTOR_BYTES = frozenset({512, 1024, 2048, 4096})
MOST_CLUSTER_SECTORS = 128
ENTRY_BITS = {Filesystem.FAT12: 12, Filesystem.FAT16: 16, Filesystem.FAT32: 32}
WELL_16, WELL_32 = 0xC000, 0x0C000000
"""Bits of entry 1: put away well, and no error of the medium. A FAT12 has none."""
ONE_TABLE = 0x80
"""Of ExtFlags: one table alone is kept up to date, the one that bits 0 to 3 name. Linux reads the first."""

# BytsPerSec SecPerClus RsvdSecCnt NumFATs RootEntCnt TotSec16 Media FATSz16 SecPerTrk NumHeads HiddSec TotSec32
_BPB, _BPB_AT = struct.Struct("<HBHBHHBHHHII"), 11
# FATSz32 ExtFlags FSVer RootClus
_BPB32, _BPB32_AT = struct.Struct("<IHHI"), 36
# Reserved1 BootSig VolID VolLab
_TAIL, _TAIL_AT, _TAIL32_AT = struct.Struct("<BBHH11s"), 37, 65
_SIGNED, _LABELLED = frozenset({0x28, 0x29}), 0x29


@dataclass(frozen=True, slots=True, kw_only=True)
class FatBoot:
    """Where everything is. `root_bytes` are 0 where the root is a chain, as on FAT32; `tables` are those kept alike."""

    geometry: Geometry
    tables: int
    table_at: int
    table_bytes: int
    root_at: int
    root_bytes: int
    root_cluster: int


def read_boot(blocks: Blocks, *, findings: Findings) -> FatBoot:
    """Read the boot sector; raises StopCheckError where it makes no sense."""
    boot = blocks.take(0, BOOT_BYTES)
    fields = _BPB.unpack_from(boot, _BPB_AT)
    sector_bytes, cluster_sectors, reserved, tables, root_entries, sectors16, _, table16, _, _, _, sectors32 = fields
    wide = table16 == 0
    table32, flags, version, root_cluster = _BPB32.unpack_from(boot, _BPB32_AT) if wide else (0, 0, 0, 0)
    table_sectors = table16 or table32
    for holds, wrong in (
        (boot[510:] == b"\x55\xaa", "no signature at its end"),
        (sector_bytes in SECTOR_BYTES, f"sectors of {sector_bytes} bytes"),
        (
            cluster_sectors.bit_count() == 1 and cluster_sectors <= MOST_CLUSTER_SECTORS,
            f"clusters of {cluster_sectors} sectors, expected a power of two",
        ),
        (reserved > 0, "no reserved sectors, expected the boot sector among them"),
        (table_sectors > 0 and tables in {1, 2}, f"{tables} tables of {table_sectors} sectors, expected 1 or 2"),
        ((root_entries == 0) == wide, f"{root_entries} entries in a root of fixed size"),
        (root_entries * SLOT_BYTES % max(sector_bytes, 1) == 0, f"{root_entries} root entries, expected whole sectors"),
        (version == 0, f"FAT32 of version {version}, expected 0"),
        (not flags & ONE_TABLE or not flags & 0x0F, "another table than the first in use"),
    ):
        if not holds:
            raise findings.stop(ProblemKind.BOOT, b"", f"its boot sector has {wrong}")
    table_at, table_bytes = reserved * sector_bytes, table_sectors * sector_bytes
    root_at, root_bytes = table_at + tables * table_bytes, root_entries * SLOT_BYTES
    heap_bytes, cluster_bytes = root_at + root_bytes, cluster_sectors * sector_bytes
    size_bytes = (sectors16 or sectors32) * sector_bytes
    clusters = max(0, size_bytes - heap_bytes) // cluster_bytes
    filesystem = _kind(clusters, wide=wide)
    most = MOST_CLUSTERS if wide else MOST_FAT16_CLUSTERS
    if not 0 < clusters <= most:
        raise findings.stop(ProblemKind.BOOT, b"", f"it has {clusters} clusters, expected 1 to {most}")
    room = table_bytes * 8 // ENTRY_BITS[filesystem]
    if room < clusters + 2:
        raise findings.stop(ProblemKind.BOOT, b"", f"its table has room for {room} entries, expected {clusters + 2}")
    if size_bytes > blocks.size_bytes:
        say = f"the card is cut short: its filesystem has {size_bytes} bytes, it has {blocks.size_bytes}"
        raise findings.stop(ProblemKind.TRUNCATED, b"", say)
    state, signature, low, high, label = _TAIL.unpack_from(boot, _TAIL32_AT if wide else _TAIL_AT)
    geometry = Geometry(
        filesystem=filesystem,
        volume_id=f"{high:04X}-{low:04X}" if signature in _SIGNED else "",
        label=label.decode("cp437").rstrip() if signature == _LABELLED else "",
        sector_bytes=sector_bytes,
        cluster_bytes=cluster_bytes,
        clusters=clusters,
        heap_bytes=heap_bytes,
        dirty=bool(state & 1) or _is_dirty(blocks.take(table_at, 8), filesystem),
    )
    return FatBoot(
        geometry=geometry,
        tables=1 if flags & ONE_TABLE else tables,
        table_at=table_at,
        table_bytes=table_bytes,
        root_at=root_at,
        root_bytes=root_bytes,
        root_cluster=root_cluster,
    )


def _kind(clusters: int, *, wide: bool) -> Filesystem:
    if wide:
        return Filesystem.FAT32
    return Filesystem.FAT16 if clusters > MOST_FAT12_CLUSTERS else Filesystem.FAT12


def _is_dirty(table: bytes, filesystem: Filesystem) -> bool:
    """Say whether entry 1 says that the card was not put away well, or that its medium had errors."""
    if filesystem is Filesystem.FAT16:
        return int.from_bytes(table[2:4], "little") & WELL_16 != WELL_16
    return filesystem is Filesystem.FAT32 and int.from_bytes(table[4:8], "little") & WELL_32 != WELL_32
