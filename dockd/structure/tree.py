"""The walk over all folders of a card: every folder once, every chain claimed, every length held against its chain.

Owns the order, the caps and the tree. What a folder's bytes mean is the volume's to say.

Bounds: no recursion; one folder's names at a time; so many files, folders and bytes of folders, and no deeper.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from dockd.structure.chains import Chains
from dockd.structure.names import Entry, Names
from dockd.structure.verdict import MOST_BEHIND, Findings, Found, Geometry, ProblemKind

DEEPEST = 64
MOST_FILES = 200_000
MOST_FOLDERS = 20_000
MOST_FOLDER_BYTES = 1 << 30
MOST_ENTRY_BYTES = 1 << 27
"""Of folders together, in pieces that hold anything at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One folder: where it begins, how many clusters it has, and which folder it is in."""

    parent: "Folder | None"
    name: bytes
    first: int
    clusters: int
    contiguous: bool
    depth: int

    @property
    def path(self) -> bytes:
        """Its path, ending in `/`; of the root nothing."""
        names: list[bytes] = []
        here: Folder | None = self
        while here is not None and here.parent is not None:
            names.append(here.name + b"/")
            here = here.parent
        return b"".join(reversed(names))

    def lies_below(self, first: int) -> bool:
        """Say whether a cluster begins this folder or one that it is in."""
        here: Folder | None = self
        while here is not None:
            if here.first == first:
                return True
            here = here.parent
        return False


class Volume(Protocol):
    """One filesystem, as the walk needs it."""

    geometry: Geometry
    chains: Chains
    most_folder_bytes: int

    def root(self) -> Folder:
        """Claim the root folder and give it; raises StopCheckError where there is none."""
        ...

    def pieces(self, folder: Folder) -> Iterator[bytes]:
        """Give the bytes of a folder, in order."""
        ...

    def entries(self, folder: Folder, pieces: Iterable[bytes]) -> Iterator[Entry]:
        """Read a folder's bytes; reports what is wrong with them."""
        ...

    def fold(self, name: str) -> str:
        """Make names the same that differ in case only."""
        ...

    def finish(self) -> None:
        """Check what can be checked only when everything that is used is known."""
        ...

    @property
    def allocated(self) -> Callable[[int, int], bool] | None:
        """Says whether the bitmap has clusters in a row all marked as in use; None where no bitmap is kept."""
        ...


class Walk:
    """One walk over one volume."""

    def __init__(self, volume: Volume, *, findings: Findings, found: Found) -> None:
        """Take what is to be walked; `found` is told of every file."""
        self._volume = volume
        self._chains = volume.chains
        self._findings = findings
        self._found = found
        self._folder_bytes = self._entry_bytes = 0
        self._waiting: list[Folder] = []

    def run(self) -> None:
        """Walk the whole tree; raises StopCheckError where it makes no sense to go on."""
        self._waiting.append(self._volume.root())
        while self._waiting:
            self._folder(self._waiting.pop())
        self._volume.finish()

    def _folder(self, folder: Folder) -> None:
        path, pieces = folder.path, self._volume.pieces(folder)
        names = Names(path, fold=self._volume.fold, findings=self._findings)
        for entry in self._volume.entries(folder, self._counted(path, pieces)):
            where = names.take(entry)
            if entry.is_folder:
                self._enter(folder, entry, where)
            else:
                self._file(entry, where)

    def _enter(self, parent: Folder, entry: Entry, where: bytes) -> None:
        findings = self._findings
        findings.folders += 1
        if findings.folders > MOST_FOLDERS:
            raise findings.stop(ProblemKind.TOO_MANY, where, f"the card has more than {MOST_FOLDERS} folders")
        if parent.depth == DEEPEST:
            findings.add(ProblemKind.TOO_DEEP, where, f"it is deeper than {DEEPEST} folders")
            return
        if parent.lies_below(entry.first):
            findings.add(ProblemKind.DIRECTORY_LOOP, where, "it is one of the folders that it lies in")
            return
        clusters = self._clusters(entry, where)
        if clusters is None:
            return
        length = clusters * self._volume.geometry.cluster_bytes
        exact = entry.length in {0, length} if not entry.contiguous else entry.length == length
        if clusters == 0 or length > self._volume.most_folder_bytes or not exact:
            most = self._volume.most_folder_bytes
            say = f"its {entry.length} bytes lie in {clusters} clusters, expected whole ones up to {most} bytes"
            findings.add(ProblemKind.SIZE_BEYOND_CHAIN, where, say)
            return
        name = where.removeprefix(parent.path)
        self._waiting.append(
            Folder(
                parent=parent,
                name=name,
                first=entry.first,
                clusters=clusters,
                contiguous=entry.contiguous,
                depth=parent.depth + 1,
            )
        )

    def _file(self, entry: Entry, where: bytes) -> None:
        findings = self._findings
        findings.files += 1
        if findings.files > MOST_FILES:
            raise findings.stop(ProblemKind.TOO_MANY, where, f"the card has more than {MOST_FILES} files")
        findings.bytes_ += entry.length
        findings.valid_bytes += entry.valid_length
        self._found(where, entry.length)
        needed = self._needed(entry)
        clusters = self._clusters(entry, where) if entry.first or needed else 0
        if clusters is None:
            return
        if clusters < needed:
            say = f"its {entry.length} bytes need {needed} clusters, its chain has {clusters}"
            findings.add(ProblemKind.SIZE_BEYOND_CHAIN, where, say)
        elif clusters > needed:
            findings.behind.add(entry.length)
            if len(findings.behind) > MOST_BEHIND:
                raise findings.stop(ProblemKind.TOO_MANY, where, f"more than {MOST_BEHIND} files have more behind them")
            say = f"its {entry.length} bytes need {needed} clusters, its chain has {clusters}: something lies behind"
            findings.note(ProblemKind.CHAIN_BEYOND_SIZE, where, say)

    def _clusters(self, entry: Entry, where: bytes) -> int | None:
        """Claim an entry's clusters: how many they are, None after a problem."""
        needed = self._needed(entry)
        if needed > self._volume.geometry.clusters:
            say = f"its {entry.length} bytes are more than the card has"
            self._findings.add(ProblemKind.SIZE_BEYOND_CHAIN, where, say)
            return None
        if entry.contiguous:
            if not self._chains.claim(entry.first, needed, where):
                return None
            count: int | None = needed
        elif entry.first == 0:
            count = 0
        else:
            count = self._chains.follow(entry.first, where)
        allocated = self._volume.allocated
        if not count or allocated is None:
            return count
        runs = [(entry.first, count)] if entry.contiguous else self._chains.runs(entry.first, count)
        if not all(allocated(first, length) for first, length in runs):
            self._findings.add(ProblemKind.FREE_CLUSTER, where, "some of its clusters are marked as free")
        return count

    def _needed(self, entry: Entry) -> int:
        return -(-entry.length // self._volume.geometry.cluster_bytes)

    def _counted(self, path: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._folder_bytes += len(piece)
            self._entry_bytes += len(piece) if piece.strip(b"\0") else 0
            if self._folder_bytes > MOST_FOLDER_BYTES or self._entry_bytes > MOST_ENTRY_BYTES:
                say = f"the card's folders have more than {MOST_FOLDER_BYTES} bytes, or {MOST_ENTRY_BYTES} in use"
                raise self._findings.stop(ProblemKind.TOO_MANY, path, say)
            yield piece
