"""A FAT filesystem, as the walk over its folders needs it. Knows where things are; what they mean is in `fat_*`."""

from collections.abc import Iterable, Iterator

from dockd.structure.blocks import Blocks
from dockd.structure.fat_boot import read_boot
from dockd.structure.fat_folder import entries_of
from dockd.structure.fat_table import FatTables
from dockd.structure.names import Entry, fold_simple
from dockd.structure.tree import Folder
from dockd.structure.verdict import Findings, ProblemKind


class FatVolume:
    """FAT12, FAT16 or FAT32; raises StopCheckError where there is none to walk over."""

    most_folder_bytes = 65_536 * 32
    allocated = None

    def __init__(self, blocks: Blocks, *, findings: Findings) -> None:
        """Read the boot sector."""
        self._blocks, self._findings = blocks, findings
        self._boot = read_boot(blocks, findings=findings)
        self._tables = FatTables(blocks, self._boot, findings=findings)
        self.geometry = self._boot.geometry
        self.chains = self._tables.chains()

    def root(self) -> Folder:
        """Claim the root folder and give it."""
        first, clusters = self._boot.root_cluster, 0
        if not self._boot.root_bytes:
            clusters = self.chains.follow(first, b"") or 0
            if not clusters:
                raise self._findings.stop(ProblemKind.BOOT, b"", f"it has no root folder at cluster {first}")
        return Folder(parent=None, name=b"", first=first, clusters=clusters, contiguous=False, depth=0)

    def pieces(self, folder: Folder) -> Iterator[bytes]:
        """Give the bytes of a folder; the root of FAT12 and FAT16 is a region of its own."""
        if not folder.clusters:
            yield from self._blocks.pieces(self._boot.root_at, self._boot.root_bytes)
        for first, count in self.chains.runs(folder.first, folder.clusters):
            yield from self._blocks.pieces(self.geometry.offset(first), count * self.geometry.cluster_bytes)

    def entries(self, folder: Folder, pieces: Iterable[bytes]) -> Iterator[Entry]:
        """Read a folder's bytes."""
        return entries_of(folder, pieces, wide=not self._boot.root_bytes, findings=self._findings)

    def fold(self, name: str) -> str:
        """Make names the same that differ in case only."""
        return fold_simple(name)

    def finish(self) -> None:
        """Compare the tables."""
        self._tables.compare(self.chains.used)
