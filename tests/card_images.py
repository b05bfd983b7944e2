"""Card images made by hand, FAT and exFAT, independently of the code that checks them: sound ones, to be spoilt."""

import struct
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


class Fat(Image):
    """FAT12, FAT16 or FAT32, with two tables and long names."""

    def __init__(self, bits: int, *, clusters: int, cluster_bytes: int = SECTOR) -> None:
        reserved = 32 if bits == 32 else 1
        table_sectors = -(-(clusters + 2) * bits // 8 // SECTOR) + 1
        root_sectors = 0 if bits == 32 else 32
        heap = reserved + 2 * table_sectors + root_sectors
        sectors = heap + clusters * cluster_bytes // SECTOR
        super().__init__(Sparse(sectors * SECTOR), clusters, cluster_bytes, heap * SECTOR)
        self.bits, self.table_bytes, self.table_at = bits, table_sectors * SECTOR, reserved * SECTOR
        self.root_at = self.table_at + 2 * self.table_bytes
        short = sectors if sectors < 65_536 and bits < 32 else 0
        root_entries = root_sectors * 16
        wide = bits == 32
        boot = bytearray(SECTOR)
        boot[:11] = b"\xeb\x58\x90TESTCARD"
        struct.pack_into("<HBHBHHB", boot, 11, SECTOR, cluster_bytes // SECTOR, reserved, 2, root_entries, short, 0xF8)
        struct.pack_into("<HHHII", boot, 22, 0 if wide else table_sectors, 63, 255, 0, 0 if short else sectors)
        if wide:
            struct.pack_into("<IHHIHH", boot, 36, table_sectors, 0, 0, 2, 1, 6)
        struct.pack_into("<BBBI11s8s", boot, 64 if wide else 36, 0x80, 0, 0x29, 0x1A2B3C4D, b"TEST CARD  ", b"FAT     ")
        boot[510:] = b"\x55\xaa"
        self.disk.write(0, boot)
        if wide:
            self.disk.write(6 * SECTOR, boot)
            info = bytearray(SECTOR)
            info[:4], info[484:488], info[508:] = b"RRaA", b"rrAa", b"\0\0\x55\xaa"
            info[488:496] = b"\xff" * 8
            self.disk.write(SECTOR, info)
            self.disk.write(7 * SECTOR, info)
        self.entry(0, 0x0FFFFFF8)
        self.entry(1, 0x0FFFFFFF)
        self.root = Node(b"", self.take(1) if wide else [])
        self.link(self.root.chain)
        self.made = 0
        self.append(self.root, fat_slot(b"TEST CARD  ", 0x08, 0, 0))

    # --- the table ---

    def entry(self, cluster: int, value: int, *, tables: tuple[int, ...] = (0, 1)) -> None:
        """Set one entry in both tables, or in those given."""
        for table in tables:
            base = self.table_at + table * self.table_bytes
            if self.bits == 12:
                at = base + cluster * 3 // 2
                (word,) = struct.unpack("<H", self.disk.read(at, 2))
                word = word & 0x000F | value << 4 & 0xFFF0 if cluster % 2 else word & 0xF000 | value & 0xFFF
                self.disk.write(at, struct.pack("<H", word))
            elif self.bits == 16:
                self.disk.write(base + 2 * cluster, struct.pack("<H", value & 0xFFFF))
            else:
                self.disk.write(base + 4 * cluster, struct.pack("<I", value))

    def link(self, chain: list[int]) -> None:
        """Chain clusters up."""
        if self.bits == 32 and len(chain) > 64 and chain == list(range(chain[0], chain[-1] + 1)):
            words = struct.pack(f"<{len(chain)}I", *chain[1:], 0x0FFFFFFF)
            for table in (0, 1):
                self.disk.write(self.table_at + table * self.table_bytes + 4 * chain[0], words)
            return
        for cluster, following in zip(chain, [*chain[1:], 0x0FFFFFFF], strict=False):
            self.entry(cluster, following)

    # --- folders ---

    def add(
        self,
        name: str,
        data: bytes = b"",
        *,
        into: Node | None = None,
        length: int | None = None,
        chain: list[int] | None = None,
        first: int | None = None,
        short: bytes | None = None,
        units: bytes | None = None,
        attributes: int = 0x20,
    ) -> Node:
        """Put a file: `name` is its long name (empty: none), `units` stand in it instead, `short` are 11 bytes."""
        folder = into or self.root
        length = len(data) if length is None else length
        if chain is None:
            chain = self.take(self.needed(length))
            self.link(chain)
        self.fill(chain, data)
        self.made += 1
        short = short or b"F%07dBIN" % self.made
        slots = long_slots(name.encode("utf-16-le", "surrogatepass") if units is None else units, short)
        path = folder.path + name.encode("utf-8", "replace")
        node = Node(path, chain)
        begin = chain[0] if chain else 0
        begin = begin if first is None else first
        slots.append(fat_slot(short, attributes, begin, 0 if attributes & FOLDER_ATTRIBUTE else length))
        for slot in slots:
            node.at = self.append(folder, slot)
        if not attributes & FOLDER_ATTRIBUTE:
            self.files[path] = data
        return node

    def folder(self, name: str, *, into: Node | None = None, short: bytes | None = None) -> Node:
        """Put a folder."""
        parent = into or self.root
        chain = self.take(1)
        self.link(chain)
        node = self.add(name, into=parent, chain=chain, short=short, attributes=FOLDER_ATTRIBUTE)
        node.path += b"/"
        above = parent.chain[0] if parent.path else 0
        self.append(node, fat_slot(b".          ", FOLDER_ATTRIBUTE, chain[0], 0))
        self.append(node, fat_slot(b"..         ", FOLDER_ATTRIBUTE, above, 0))
        return node

    def append(self, folder: Node, slot: bytes) -> int:
        """Put one slot at the end of a folder; gives where it stands."""
        number, at = divmod(folder.filled, self.cluster_bytes)
        if folder is self.root and self.bits < 32:
            place = self.root_at + folder.filled
        else:
            if number == len(folder.chain):
                folder.chain += self.take(1)
                self.link(folder.chain[-2:])
            place = self.offset(folder.chain[number]) + at
        self.disk.write(place, slot)
        folder.filled += 32
        return place


def fat_slot(short: bytes, attributes: int, first: int, length: int) -> bytes:
    """Write a slot of a file or folder."""
    return struct.pack(
        "<11sBBBHHHHHHHI", short, attributes, 0, 0, 0, 0x5A21, 0x5A21, first >> 16, 0, 0x5A21, first & 0xFFFF, length
    )


def long_slots(units: bytes, short: bytes) -> list[bytes]:
    """Write the slots of a long name, last piece first."""
    total = 0
    for byte in short:
        total = ((total & 1) << 7) + (total >> 1) + byte & 0xFF
    count = -(-len(units) // 26)
    padded = units + (b"\0\0" if len(units) % 26 else b"") + b"\xff" * 26
    slots = [
        struct.pack("<B10sBBB12sH4s", number, part[:10], 0x0F, 0, total, part[10:22], 0, part[22:26])
        for number in range(1, count + 1)
        for part in [padded[26 * number - 26 : 26 * number]]
    ]
    if slots:
        slots[-1] = bytes([slots[-1][0] | 0x40]) + slots[-1][1:]
    return slots[::-1]


class Exfat(Image):
    """exFAT with one table, a bitmap and an up-case table."""

    def __init__(self, *, clusters: int, cluster_bytes: int = 4096) -> None:
        table_at, table_sectors = 64, -(-4 * (clusters + 2) // SECTOR)
        heap = -(-(table_at + table_sectors) // 64) * 64
        shift = (cluster_bytes // SECTOR).bit_length() - 1
        sectors = heap + (clusters << shift)
        super().__init__(Sparse(sectors * SECTOR), clusters, cluster_bytes, heap * SECTOR)
        self.table_at = table_at * SECTOR
        self.bitmap = self.take(self.needed(-(-clusters // 8)))
        upper = exfat_upcase()
        self.upcase = self.take(self.needed(len(upper)))
        self.root = Node(b"", self.take(1))
        self.boot = bytearray(12 * SECTOR)
        self.boot[:11] = b"\xeb\x76\x90EXFAT   "
        struct.pack_into(
            "<QQIIIIII",
            self.boot,
            64,
            0,
            sectors,
            table_at,
            table_sectors,
            heap,
            clusters,
            self.root.chain[0],
            0x1A2B3C4D,
        )
        struct.pack_into("<HHBBBBB", self.boot, 104, 0x100, 0, 9, shift, 1, 0x80, 0)
        for sector in range(9):
            self.boot[sector * SECTOR + 510 : sector * SECTOR + 512] = b"\x55\xaa"
        self.sum_boot()
        self.entry(0, 0xFFFFFFF8)
        self.entry(1, 0xFFFFFFFF)
        for chain in (self.bitmap, self.upcase, self.root.chain):
            self.link(chain)
            self.mark(chain)
        self.fill(self.upcase, upper)
        self.append(self.root, struct.pack("<BB22s8x", 0x83, 4, "CARD".encode("utf-16-le")))
        self.bitmap_at = self.append(self.root, struct.pack("<BB18xIQ", 0x81, 0, self.bitmap[0], -(-clusters // 8)))
        self.upcase_at = self.append(
            self.root, struct.pack("<B3xI12xIQ", 0x82, rotated(upper, 32), self.upcase[0], len(upper))
        )

    def sum_boot(self) -> None:
        """Write the boot region, twice, with its sum."""
        checked = bytes(byte for at, byte in enumerate(self.boot[: 11 * SECTOR]) if at not in {106, 107, 112})
        self.boot[11 * SECTOR :] = struct.pack("<I", rotated(checked, 32)) * (SECTOR // 4)
        self.disk.write(0, self.boot)
        self.disk.write(12 * SECTOR, self.boot)

    def entry(self, cluster: int, value: int) -> None:
        self.disk.write(self.table_at + 4 * cluster, struct.pack("<I", value))

    def link(self, chain: list[int]) -> None:
        for cluster, following in zip(chain, [*chain[1:], 0xFFFFFFFF], strict=False):
            self.entry(cluster, following)

    def mark(self, chain: list[int], *, used: bool = True) -> None:
        """Mark clusters in the bitmap."""
        if len(chain) > 64 and used and chain == list(range(chain[0], chain[-1] + 1)):
            while (chain[0] - 2) % 8:
                self.mark(chain[:1])
                chain = chain[1:]
            whole = len(chain) // 8
            self.disk.write(self.offset(self.bitmap[0]) + (chain[0] - 2) // 8, b"\xff" * whole)
            chain = chain[8 * whole :]
        for cluster in chain:
            at, bit = divmod(cluster - 2, 8)
            place = self.offset(self.bitmap[0]) + at
            byte = self.disk.read(place, 1)[0]
            self.disk.write(place, bytes([byte | 1 << bit if used else byte & ~(1 << bit)]))

    def add(
        self,
        name: str,
        data: bytes = b"",
        *,
        into: Node | None = None,
        length: int | None = None,
        valid: int | None = None,
        chain: list[int] | None = None,
        first: int | None = None,
        has_chain: bool = False,
        units: bytes | None = None,
        hash_: int | None = None,
        attributes: int = 0x20,
    ) -> Node:
        """Put a file; `has_chain` says whether its clusters are in the table, or follow each other."""
        folder = into or self.root
        length = len(data) if length is None else length
        valid = length if valid is None else valid
        if chain is None:
            chain = self.take(self.needed(length))
            self.mark(chain)
            if has_chain:
                self.link(chain)
        self.fill(chain, data)
        begin = chain[0] if chain else 0
        begin = begin if first is None else first
        flags = 1 if has_chain or not chain else 3
        written = name.encode("utf-16-le", "surrogatepass") if units is None else units
        named = rotated(exfat_folded(name).encode("utf-16-le", "surrogatepass"), 16) if hash_ is None else hash_
        entries = [
            struct.pack("<BBHHH24x", 0x85, 1 + -(-len(written) // 30), 0, attributes, 0),
            struct.pack("<BBBBHHQIIQ", 0xC0, flags, 0, len(written) // 2, named, 0, valid, 0, begin, length),
            *(struct.pack("<BB30s", 0xC1, 0, written[at : at + 30]) for at in range(0, len(written), 30)),
        ]
        node = Node(folder.path + name.encode("utf-8", "replace"), chain, entries=len(entries), has_chain=has_chain)
        places = [self.append(folder, entry) for entry in summed(entries)]
        node.at = places[0]
        if not attributes & FOLDER_ATTRIBUTE:
            self.files[node.path] = data
        return node

    def folder(self, name: str, *, into: Node | None = None, clusters: int = 1) -> Node:
        """Put a folder of so many clusters."""
        node = self.add(
            name, into=into, length=clusters * self.cluster_bytes, attributes=FOLDER_ATTRIBUTE, has_chain=True
        )
        node.path += b"/"
        return node

    def append(self, folder: Node, entry: bytes) -> int:
        number, at = divmod(folder.filled, self.cluster_bytes)
        if folder is self.root and number == len(folder.chain):
            folder.chain += self.take(1)
            self.link(folder.chain[-2:])
            self.mark(folder.chain[-1:])
        place = self.offset(folder.chain[number]) + at
        self.disk.write(place, entry)
        folder.filled += 32
        return place

    def resum(self, node: Node, at: int, data: bytes) -> None:
        """Change a set of entries that lies in one cluster, `at` bytes from its start, and sum it anew."""
        self.disk.write(node.at + at, data)
        raw = self.disk.read(node.at, 32 * node.entries)
        entries = summed([raw[place : place + 32] for place in range(0, len(raw), 32)])
        self.disk.write(node.at, b"".join(entries))


def rotated(data: bytes, bits: int) -> int:
    """Sum bytes as exFAT does, turning right by one each time."""
    total = 0
    for byte in data:
        total = ((total & 1) << bits - 1) + (total >> 1) + byte & (1 << bits) - 1
    return total


def summed(entries: list[bytes]) -> list[bytes]:
    """Give a set of entries its sum."""
    whole = b"".join(entries)
    return [entries[0][:2] + struct.pack("<H", rotated(whole[:2] + whole[4:], 16)) + entries[0][4:], *entries[1:]]


def exfat_folded(name: str) -> str:
    """Fold as the table here does: small letters of ASCII and Latin-1."""
    return "".join(chr(ord(char) - 32) if ord(char) in SMALL else char for char in name)


SMALL = frozenset({*range(0x61, 0x7B), *range(0xE0, 0xF7), *range(0xF8, 0xFF)})


def exfat_upcase() -> bytes:
    """Write the up-case table, runs of characters that stay as they are left out."""
    units = [0xFFFF, 0x61, *range(0x41, 0x5B), 0xFFFF, 0xE0 - 0x7B, *range(0xC0, 0xD7), 0xF7, *range(0xD8, 0xDF)]
    units += [0xFFFF, 0xFFFF - 0xFF]
    return struct.pack(f"<{len(units)}H", *units)
