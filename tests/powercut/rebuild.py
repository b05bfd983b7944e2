"""What a power cut leaves, by the strictest reading of POSIX: pure, from a log, a place in it and a seed.

What was synced is there. Of the rest, any of it is: of a file each page at any moment of its life since the last sync,
or torn between two at a sector; its size as it was at any moment; of a folder each change, or not. A rename is one
change, and belongs to the folder that it leads to. A file that no durable name leads to is gone.

Owns these rules. Knows nothing of what is in the files.

Source: POSIX.1-2024, fsync(), rename(); sqlite.org/atomiccommit.html for sectors.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.powercut.oplog import (
    ROOT,
    Claimed,
    Linked,
    Lost,
    Made,
    Record,
    Renamed,
    Synced,
    Timed,
    Truncated,
    Unlinked,
    Wrote,
)

PAGE_BYTES, SECTOR_BYTES = 4096, 512
SURVIVING = (0.0, 0.1, 0.5, 0.5, 0.9, 1.0)
"""How much of what was not synced survives a cut, chosen anew for each: all and nothing included."""
TORN = 0.2
"""How many of the pages that are not whole are torn."""

Entry = Linked | Unlinked | Renamed
Change = Wrote | Truncated


@dataclass(slots=True)
class File:
    """A file: what is durable, and what was done since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    mtime_ns: int | None = None
    whole: bytes | None = None
    """The durable bytes once more, as long as they are what they were."""

    def sync(self) -> None:
        """Make everything durable."""
        if self.pending:
            for change in self.pending:
                _apply(self.durable, change)
            self.pending.clear()
            self.whole = None

    def settled(self) -> bytes:
        """Give the durable bytes: the same object until they change."""
        if self.whole is None:
            self.whole = bytes(self.durable)
        return self.whole


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file of a rebuilt tree."""

    data: bytes
    mtime_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wreck:
    """What a cut left: every file by its path, every folder, and what had been claimed by then."""

    files: Mapping[str, Leaf]
    folders: Sequence[str]
    claims: Sequence[bytes]


class Medium:
    """The medium as the log goes on: `take` records, `cut` at any moment."""

    def __init__(self) -> None:
        """Begin empty."""
        self._files: dict[int, File] = {}
        self._folders: dict[int, dict[str, int]] = {ROOT: {}}
        self._entries: list[Entry] = []
        self.claims: list[bytes] = []

    def take(self, record: Record) -> None:  # noqa: C901, PLR0912 - one arm a record
        """Go on by one record."""
        match record:
            case Made(ino=ino, folder=folder):
                if folder:
                    self._folders[ino] = {}
                else:
                    self._files[ino] = File()
            case Linked() | Unlinked() | Renamed():
                self._entries.append(record)
            case Wrote(ino=ino) | Truncated(ino=ino):
                self._files[ino].pending.append(record)
            case Timed(ino=ino, mtime_ns=mtime_ns):
                if ino in self._files:
                    self._files[ino].mtime_ns = mtime_ns
            case Synced(ino=ino):
                if ino in self._files:
                    self._files[ino].sync()
                else:
                    self._sync_folder(ino)
            case Lost(ino=ino):
                if ino in self._files:
                    self._files[ino].pending.clear()
            case Claimed(text=text):
                self.claims.append(text)

    def cut(self, chance: random.Random, *, torn: float = TORN) -> Wreck:
        """Give what is left if the power goes now; `torn` of the pages that are not whole are torn at a sector."""
        surviving = chance.choice(SURVIVING)
        folders = {ino: dict(names) for ino, names in self._folders.items()} if self._entries else self._folders
        for entry in self._entries:
            if chance.random() < surviving:
                _enter(folders, entry)
        files: dict[str, Leaf] = {}
        found: list[str] = []
        for path, ino in _walk(folders, ROOT, ""):
            if ino in folders:
                found.append(path)
                continue
            file = self._files[ino]
            data = image(file, chance, surviving=surviving, torn=torn) if file.pending else file.settled()
            files[path] = Leaf(data, file.mtime_ns)
        return Wreck(files=files, folders=found, claims=tuple(self.claims))

    def _sync_folder(self, ino: int) -> None:
        left: list[Entry] = []
        for entry in self._entries:
            if (entry.to_parent if isinstance(entry, Renamed) else entry.parent) != ino:
                left.append(entry)
                continue
            _enter(self._folders, entry)
            if isinstance(entry, Renamed):
                # It was one change: the name it came from does not outlive it.
                gone = (entry.parent, entry.name)
                left = [e for e in left if isinstance(e, Renamed) or (e.parent, e.name) != gone]
        self._entries = left


def image(file: File, chance: random.Random, *, surviving: float, torn: float) -> bytes:
    """Give a file whose changes since its last sync survived in part."""
    if surviving in {0.0, 1.0}:
        data = bytearray(file.durable)
        for change in file.pending if surviving else ():
            _apply(data, change)
        return bytes(data)
    size = longest = len(file.durable)
    sizes, pages, touched = [size], dict[int, list[Change]](), range(0)
    for change in file.pending:
        match change:
            case Wrote(offset=offset, data=data_):
                end = offset + len(data_)
                touched = range(offset // PAGE_BYTES, (end - 1) // PAGE_BYTES + 1)
                size = max(size, end)
            case Truncated(size=new):
                touched = range(new // PAGE_BYTES, (longest - 1) // PAGE_BYTES + 1)
                size = new
        longest = max(longest, size)
        sizes.append(size)
        for page in touched:
            pages.setdefault(page, []).append(change)
    data = bytearray(file.durable)
    data.extend(bytes(longest - len(data)))
    for page, changes in pages.items():
        kept = _kept(chance, len(changes), surviving)
        start = page * PAGE_BYTES
        there = data[start : start + PAGE_BYTES]
        for change in changes[:kept]:
            _change_page(there, start, change)
        if kept < len(changes) and chance.random() < torn:
            after = bytearray(there)
            _change_page(after, start, changes[kept])
            sectors = chance.randrange(PAGE_BYTES // SECTOR_BYTES + 1) * SECTOR_BYTES
            there = after[:sectors] + there[sectors:]
        data[start : start + PAGE_BYTES] = there
    del data[sizes[_kept(chance, len(file.pending), surviving)] :]
    return bytes(data)


def _kept(chance: random.Random, most: int, surviving: float) -> int:
    """Choose how many of a page's changes made it."""
    draw = chance.random()
    return most if draw < surviving / 2 else 0 if draw > (1 + surviving) / 2 else chance.randrange(most + 1)


def _change_page(page: bytearray, start: int, change: Change) -> None:
    """Do to one page what a change did to the file."""
    match change:
        case Wrote(offset=offset, data=data):
            low, high = max(offset, start), min(offset + len(data), start + len(page))
            if low < high:
                page[low - start : high - start] = data[low - offset : high - offset]
        case Truncated(size=size):
            low = max(0, size - start)
            page[low:] = bytes(len(page) - low)


def _apply(data: bytearray, change: Change) -> None:
    match change:
        case Wrote(offset=offset, data=new):
            if len(data) < offset:
                data.extend(bytes(offset - len(data)))
            data[offset : offset + len(new)] = new
        case Truncated(size=size):
            del data[size:]
            data.extend(bytes(size - len(data)))


def _enter(folders: Mapping[int, dict[str, int]], entry: Entry) -> None:
    match entry:
        case Linked(parent=parent, name=name, ino=ino):
            folders[parent][name] = ino
        case Unlinked(parent=parent, name=name):
            folders[parent].pop(name, None)
        case Renamed(parent=parent, name=name, to_parent=to_parent, to_name=to_name, ino=ino):
            if folders[parent].get(name) == ino:
                del folders[parent][name]
            folders[to_parent][to_name] = ino


def _walk(folders: Mapping[int, Mapping[str, int]], ino: int, path: str) -> Iterator[tuple[str, int]]:
    for name, inner in folders[ino].items():
        yield path + name, inner
        if inner in folders:
            yield from _walk(folders, inner, f"{path}{name}/")
