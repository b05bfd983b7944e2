"""exFAT made by hand, independently of the code that checks it: sound, to be spoilt."""

import struct

from tests.card_images import FOLDER_ATTRIBUTE, SECTOR, Image, Node, Sparse


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
