"""The boot region of an exFAT filesystem.

Source: Microsoft, exFAT file system specification, sections 3.1 (boot sector), 3.4 (boot checksum) and 2 (sizes);
Linux fs/exfat/super.c (exfat_read_boot_sector, exfat_verify_boot_region).
"""

import struct
from dataclasses import dataclass

from dockd.structure.blocks import Blocks
from dockd.structure.chains import MOST_CLUSTERS
from dockd.structure.verdict import FIRST_CLUSTER, Filesystem, Findings, Geometry, ProblemKind

BOOT_BYTES = 512
CHECKED_SECTORS = 11
UNCHECKED_BYTES = frozenset({106, 107, 112})
"""VolumeFlags and PercentInUse change while a card is used."""
ACTIVE_FAT, DIRTY, MEDIA_FAILURE = 1, 2, 4
LEAST_SECTOR_SHIFT, MOST_SECTOR_SHIFT, MOST_CLUSTER_SHIFT = 9, 12, 25

# VolumeLength FatOffset FatLength ClusterHeapOffset ClusterCount FirstClusterOfRootDirectory
# VolumeSerialNumber FileSystemRevision VolumeFlags BytesPerSectorShift SectorsPerClusterShift NumberOfFats
_FIELDS, _FIELDS_AT = struct.Struct("<QIIIIIIHHBBB"), 72


@dataclass(frozen=True, slots=True, kw_only=True)
class ExfatBoot:
    """Where everything is."""

    geometry: Geometry
    table_at: int
    root_cluster: int


def read_boot(blocks: Blocks, *, findings: Findings) -> ExfatBoot:
    """Read the boot region; raises StopCheckError where it makes no sense."""
    boot = blocks.take(0, BOOT_BYTES)
    fields = _FIELDS.unpack_from(boot, _FIELDS_AT)
    sectors, table, table_sectors, heap, clusters, root, serial, revision, flags, shift, cluster_shift, tables = fields
    for holds, wrong in (
        (boot[510:] == b"\x55\xaa", "no signature at its end"),
        (not boot[11:64].strip(b"\0"), "something where a FAT has its sizes, expected zeros"),
        (revision >> 8 == 1, f"revision {revision >> 8}.{revision & 0xFF}, expected 1.x"),
        (LEAST_SECTOR_SHIFT <= shift <= MOST_SECTOR_SHIFT, f"sectors of 2^{shift} bytes, expected 2^9 to 2^12"),
        (shift + cluster_shift <= MOST_CLUSTER_SHIFT, f"clusters of 2^{shift + cluster_shift} bytes, expected 2^25"),
        (tables in {1, 2}, f"{tables} tables, expected 1 or 2"),
        (not flags & ACTIVE_FAT, "another table than the first in use"),
        (0 < clusters <= MOST_CLUSTERS, f"{clusters} clusters, expected 1 to {MOST_CLUSTERS}"),
        (
            FIRST_CLUSTER <= root < clusters + 2,
            f"its root folder at cluster {root}, expected one of 2 to {clusters + 1}",
        ),
    ):
        if not holds:
            raise findings.stop(ProblemKind.BOOT, b"", f"its boot sector has {wrong}")
    table_end = table + tables * table_sectors
    heap_end = heap + (clusters << cluster_shift)
    room = (table_sectors << shift) // 4
    if not (2 * (CHECKED_SECTORS + 1) <= table < table_end <= heap < heap_end <= sectors and room >= clusters + 2):
        say = f"its table at {table}, clusters at {heap} and end at {sectors} do not fit each other"
        raise findings.stop(ProblemKind.BOOT, b"", say)
    if sectors << shift > blocks.size_bytes:
        say = f"the card is cut short: its filesystem has {sectors << shift} bytes, it has {blocks.size_bytes}"
        raise findings.stop(ProblemKind.TRUNCATED, b"", say)
    _see_checksum(blocks, 1 << shift, findings)
    geometry = Geometry(
        filesystem=Filesystem.EXFAT,
        volume_id=f"{serial >> 16:04X}-{serial & 0xFFFF:04X}",
        label="",
        sector_bytes=1 << shift,
        cluster_bytes=1 << shift + cluster_shift,
        clusters=clusters,
        heap_bytes=heap << shift,
        dirty=bool(flags & (DIRTY | MEDIA_FAILURE)),
    )
    return ExfatBoot(geometry=geometry, table_at=table << shift, root_cluster=root)


def _see_checksum(blocks: Blocks, sector_bytes: int, findings: Findings) -> None:
    region = blocks.take(0, (CHECKED_SECTORS + 1) * sector_bytes)
    total = 0
    for at in range(CHECKED_SECTORS * sector_bytes):
        if at not in UNCHECKED_BYTES:
            total = ((total << 31 | total >> 1) + region[at]) & 0xFFFFFFFF
    if region[CHECKED_SECTORS * sector_bytes :] != total.to_bytes(4, "little") * (sector_bytes // 4):
        findings.add(ProblemKind.CHECKSUM, b"", "its boot region does not have the sum that it says")
