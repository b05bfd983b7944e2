"""What is on a card's image, read on the host without mounting it, and whether fsck is content with it.

Owns just enough of FAT and exFAT to find files by their entries and read them along their chains. What is torn, as a
card pulled out in the middle of an erasure may be, is told as it is: a file whose chain is broken has no digest.
"""

import hashlib
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.vm.cards import START_BYTES

_FOLDER = 0x10
_LABEL_OR_LONG = 0x08
_FAT12, _FAT16, _FAT32, _EXFAT = 12, 16, 28, 32
"""Bits of a table's entry that say which cluster follows."""
_FAT12_CLUSTERS, _FAT16_CLUSTERS = 4085, 65_525
"""With so many it is the next wider FAT. Source: Microsoft FAT32 specification 1.03, section 3.5."""
_FILE, _STREAM, _NAME = 0x85, 0xC0, 0xC1
"""Entries in use. Source: Microsoft exFAT specification, sections 7.4, 7.6 and 7.7."""
_MOST_CLUSTERS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An entry of a folder: `row` says that its clusters follow each other, and no table has them."""

    name: str
    is_folder: bool
    first: int
    length: int
    row: bool = False


class _Volume:
    """Clusters and their chains."""

    def __init__(self, data: bytes, *, heap: int, cluster_bytes: int, table: int, bits: int) -> None:
        self._data, self._heap, self._cluster_bytes, self._table, self._bits = data, heap, cluster_bytes, table, bits
        self._end = (1 << bits) - 9

    def read(self, found: _Found) -> bytes | None:
        """Give what a file or folder holds: all its clusters where `length` is 0; None where its chain is broken."""
        most = -(-found.length // self._cluster_bytes) if found.length else _MOST_CLUSTERS
        clusters: list[int] = []
        at = found.first
        while 2 <= at < self._end and len(clusters) < most:
            clusters.append(at)
            at = at + 1 if found.row else self._after(at)
        whole = b"".join(self._cluster(number) for number in clusters)
        if found.length and len(whole) < found.length:
            return None
        return whole[: found.length] if found.length else whole

    def _cluster(self, number: int) -> bytes:
        begin = self._heap + (number - 2) * self._cluster_bytes
        return self._data[begin : begin + self._cluster_bytes]

    def _after(self, number: int) -> int:
        if self._bits == _FAT12:
            (word,) = struct.unpack_from("<H", self._data, self._table + number * 3 // 2)
            return int(word) >> 4 if number % 2 else int(word) & 0xFFF
        if self._bits == _FAT16:
            return int(struct.unpack_from("<H", self._data, self._table + 2 * number)[0])
        return int(struct.unpack_from("<I", self._data, self._table + 4 * number)[0]) & (1 << self._bits) - 1


def digests(image: Path) -> Mapping[str, str | None]:
    """Give SHA-256 in hex of every file by its path; None of one that cannot be read to its end."""
    data = image.read_bytes()[START_BYTES:]
    is_exfat = data[3:11] == b"EXFAT   "
    found = _exfat(data) if is_exfat else _fat(data)
    return {
        name: None if content is None else hashlib.sha256(content).hexdigest()
        for name, content in sorted(found.items())
    }


def complaints(image: Path) -> str:
    """Let fsck look at the volume, changing nothing; give what it complains of: nothing where it is content."""
    partition = image.with_suffix(".checked")
    partition.write_bytes(image.read_bytes()[START_BYTES:])
    is_exfat = partition.read_bytes()[3:11] == b"EXFAT   "
    done = subprocess.run(
        ["fsck.exfat" if is_exfat else "fsck.vfat", "-n", str(partition)], check=False, capture_output=True, text=True
    )
    partition.unlink()
    return "" if done.returncode == 0 else done.stdout + done.stderr


# --- FAT ----------------------------------------------------------------------------------------------------------


def _fat(data: bytes) -> dict[str, bytes | None]:
    sector, per_cluster, reserved, tables, entries, small = struct.unpack_from("<HBHBHH", data, 11)
    (table_sectors,) = struct.unpack_from("<H", data, 22)
    large, wide_sectors = struct.unpack_from("<II", data, 32)
    table_sectors = table_sectors or wide_sectors
    root_at = (reserved + tables * table_sectors) * sector
    heap = root_at + entries * 32
    clusters = ((small or large) * sector - heap) // (per_cluster * sector)
    bits = _FAT12 if clusters < _FAT12_CLUSTERS else _FAT16 if clusters < _FAT16_CLUSTERS else _FAT32
    volume = _Volume(data, heap=heap, cluster_bytes=per_cluster * sector, table=reserved * sector, bits=bits)
    if bits == _FAT32:
        (first,) = struct.unpack_from("<I", data, 44)
        root = volume.read(_Found(name="", is_folder=True, first=first, length=0))
    else:
        root = data[root_at:heap]
    return dict(_walk(volume, _fat_entries, root or b"", ""))


def _fat_entries(folder: bytes) -> Iterator[_Found]:
    for at in range(0, len(folder) - 31, 32):
        entry = folder[at : at + 32]
        if entry[0] == 0:
            return
        if entry[0] in {0xE5, 0x2E} or entry[11] & _LABEL_OR_LONG:
            continue
        name, extension = entry[:8].decode("latin-1").rstrip(), entry[8:11].decode("latin-1").rstrip()
        high, low, length = *struct.unpack_from("<H", entry, 20), *struct.unpack_from("<HI", entry, 26)
        is_folder = bool(entry[11] & _FOLDER)
        named = f"{name}.{extension}" if extension else name
        yield _Found(name=named, is_folder=is_folder, first=high << 16 | low, length=0 if is_folder else length)


# --- exFAT --------------------------------------------------------------------------------------------------------


def _exfat(data: bytes) -> dict[str, bytes | None]:
    table, _, heap, _, first = struct.unpack_from("<IIIII", data, 80)
    sector, cluster = 1 << data[108], 1 << data[108] << data[109]
    volume = _Volume(data, heap=heap * sector, cluster_bytes=cluster, table=table * sector, bits=_EXFAT)
    root = volume.read(_Found(name="", is_folder=True, first=first, length=0))
    return dict(_walk(volume, _exfat_entries, root or b"", ""))


def _exfat_entries(folder: bytes) -> Iterator[_Found]:
    entries = [folder[at : at + 32] for at in range(0, len(folder) - 31, 32)]
    for number, entry in enumerate(entries):
        if entry[0] == 0:
            return
        if entry[0] != _FILE:
            continue
        stream, *names = entries[number + 1 : number + 1 + entry[1]]
        if stream[0] != _STREAM or any(name[0] != _NAME for name in names):
            continue  # half of it is marked as gone
        first, length = struct.unpack_from("<IQ", stream, 20)
        text = b"".join(name[2:] for name in names).decode("utf-16-le")[: stream[3]]
        yield _Found(name=text, is_folder=bool(entry[4] & _FOLDER), first=first, length=length, row=bool(stream[1] & 2))


# --- both ---------------------------------------------------------------------------------------------------------


def _walk(
    volume: _Volume, entries_of: Callable[[bytes], Iterator[_Found]], folder: bytes, above: str
) -> Iterator[tuple[str, bytes | None]]:
    for found in entries_of(folder):
        path = f"{above}{found.name}"
        if found.is_folder:
            yield from _walk(volume, entries_of, volume.read(found) or b"", f"{path}/")
        else:
            yield path, volume.read(found) if found.length else b""
