"""What images of FAT and exFAT have in common: bytes that nobody wrote, clusters in a row, files and folders."""

from dataclasses import dataclass, field
from pathlib import Path

PAGE = 1 << 16
SECTOR = 512
FOLDER_ATTRIBUTE = 0x10


class Sparse:
    """Bytes of any number, most of them zeros that nobody wrote; counts how it is read."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._pages: dict[int, bytearray] = {}
        self.reads = 0
        self.read_bytes = 0

    def write(self, offset: int, data: bytes | bytearray) -> None:
        done = 0
        while done < len(data):
            page, at = divmod(offset + done, PAGE)
            part = data[done : done + PAGE - at]
            self._pages.setdefault(page, bytearray(PAGE))[at : at + len(part)] = part
            done += len(part)

    def read(self, offset: int, length: int) -> bytes:
        """Give bytes as a file does: fewer at the end."""
        self.reads += 1
        length = max(0, min(length, self.size_bytes - offset))
        self.read_bytes += length
        parts: list[bytes] = []
        while length:
            page, at = divmod(offset, PAGE)
            count = min(length, PAGE - at)
            written = self._pages.get(page)
            parts.append(bytes(count) if written is None else bytes(written[at : at + count]))
            offset, length = offset + count, length - count
        return b"".join(parts)

    def xor(self, offset: int, bits: int) -> None:
        """Turn bits of one byte over."""
        self.write(offset, bytes([self.read(offset, 1)[0] ^ bits]))

    def copy(self) -> "Sparse":
        """Give another one with the same bytes."""
        other = Sparse(self.size_bytes)
        other._pages = {number: bytearray(page) for number, page in self._pages.items()}
        return other

    def save(self, path: Path) -> Path:
        """Write it to a sparse file."""
        with path.open("wb") as file:
            file.truncate(self.size_bytes)
            for page, data in sorted(self._pages.items()):
                file.seek(page * PAGE)
                file.write(data[: self.size_bytes - page * PAGE])
        return path


@dataclass(slots=True)
class Node:
    """A file or folder on an image: its clusters, where its entries begin and how many, how far a folder is filled."""

    path: bytes
    chain: list[int]
    at: int = 0
    entries: int = 0
    filled: int = 0
    has_chain: bool = True


@dataclass(slots=True)
class Image:
    """What both filesystems have in common."""

    disk: Sparse
    clusters: int
    cluster_bytes: int
    heap_bytes: int
    files: dict[bytes, bytes] = field(default_factory=dict)
    free: int = 2

    def take(self, count: int) -> list[int]:
        """Take clusters in a row."""
        first, self.free = self.free, self.free + count
        assert self.free <= self.clusters + 2, "the image is full"
        return list(range(first, self.free))

    def offset(self, cluster: int) -> int:
        return self.heap_bytes + (cluster - 2) * self.cluster_bytes

    def needed(self, length: int) -> int:
        return -(-length // self.cluster_bytes)

    def fill(self, chain: list[int], data: bytes) -> None:
        for number, cluster in enumerate(chain):
            part = data[number * self.cluster_bytes : (number + 1) * self.cluster_bytes]
            if part:
                self.disk.write(self.offset(cluster), part)
