"""FAT12, FAT16 and FAT32 made by hand, independently of the code that checks them: sound, to be spoilt."""

import struct

from tests.card_images import FOLDER_ATTRIBUTE, SECTOR, Image, Node, Sparse


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
