"""Cards that somebody made to deceive, or that broke: each with the kind of problem that it is, and where.

`CRAFTED` are refused, `ODD` are taken: they are strange and hold together. All have one sound file beside the trouble.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.card_images import FOLDER_ATTRIBUTE, SECTOR, Image, Node
from tests.exfat_images import Exfat
from tests.fat_images import Fat
from tests.full_cards import CLIP, FULL


@dataclass(frozen=True, slots=True)
class Crafted:
    """How a card is made, what is wrong with it (nothing: empty), and which path is named."""

    make: Callable[[], Image]
    kind: str = ""
    where: bytes = b""


def fat(bits: int = 16) -> Fat:
    """A small card with one sound file."""
    image = Fat(bits, clusters={12: 400, 16: 4200, 32: 4200}[bits])
    image.add("sound.mp4", CLIP)
    return image


def exfat() -> Exfat:
    """The same on exFAT: one sound file in a row, one by a chain."""
    image = Exfat(clusters=300)
    image.add("sound.mp4", CLIP * 4)
    image.add("chained.mp4", CLIP * 8, has_chain=True)
    return image


def spoilt_fat(spoil: Callable[[Fat, Node], object], *, bits: int = 16) -> Callable[[], Image]:
    """A card on which a file, BAD.MP4 in a folder, is spoilt."""

    def make() -> Image:
        image = fat(bits)
        spoil(image, image.add("BAD.MP4", CLIP, into=image.folder("DCIM")))
        return image

    return make


def spoilt_exfat(spoil: Callable[[Exfat, Node], object], *, has_chain: bool = True) -> Callable[[], Image]:
    """The same on exFAT."""

    def make() -> Image:
        image = exfat()
        spoil(image, image.add("BAD.MP4", CLIP * 8, into=image.folder("DCIM"), has_chain=has_chain))
        return image

    return make


def made_fat(make: Callable[[Fat], object], *, bits: int = 16) -> Callable[[], Image]:
    """A card with something more on it."""

    def made() -> Image:
        image = fat(bits)
        make(image)
        return image

    return made


def made_exfat(make: Callable[[Exfat], object]) -> Callable[[], Image]:
    """The same on exFAT."""

    def made() -> Image:
        image = exfat()
        make(image)
        return image

    return made


def named(name: str) -> Callable[[Fat | Exfat], object]:
    """Put a clip of that name."""
    return lambda image: image.add(name, CLIP)


def of_folder(image: Fat, first: int, *, into: Node | None = None) -> None:
    """Put a folder whose clusters begin where they should not."""
    image.add("loop", into=into, first=first, attributes=FOLDER_ATTRIBUTE)


def loop_below(image: Fat, above: int) -> None:
    """Put a folder two deep that leads to one it is in: 0 is itself, 1 its parent."""
    chain: list[Node] = [image.folder("a")]
    chain.append(image.folder("b", into=chain[0]))
    of_folder(image, chain[1 - above].chain[0], into=chain[1])


def deep(image: Fat | Exfat, folders: int) -> None:
    """Put folders into each other."""
    here: Node | None = None
    for _ in range(folders):
        here = image.folder("d", into=here)


def differ(image: Fat, node: Node) -> None:
    """Let the second table say something else of a used cluster."""
    image.entry(node.chain[1], 9, tables=(1,))


def lengthen(image: Fat, node: Node, length: int) -> None:
    """Say another length of a file."""
    image.disk.write(node.at + 28, struct.pack("<I", length))


def dirty(image: Fat) -> None:
    """Leave a FAT as a camera does whose battery was pulled."""
    image.disk.xor(65 if image.bits == 32 else 37, 1)


def behind_end(image: Fat) -> None:
    """Put a file behind the slot that ends a folder."""
    image.append(image.root, bytes(32))
    image.add("HIDDEN.MP4", CLIP)


def exfat_behind_end(image: Exfat) -> None:
    """The same on exFAT, where Linux does not show it."""
    image.append(image.root, bytes(32))
    image.add("HIDDEN.MP4", CLIP)
    del image.files[b"HIDDEN.MP4"]


def truncated(image: Image) -> None:
    """Cut off the last sector of a card."""
    image.disk.size_bytes -= SECTOR


def boot_byte(at: int) -> Callable[[Exfat], None]:
    """Change a byte of the boot region that its sum covers."""
    return lambda image: image.disk.xor(at, 1)


def exfat_length(image: Exfat, node: Node, *, valid: int, length: int) -> None:
    """Say other lengths of a file, with a sum that holds."""
    image.resum(node, 32 + 8, struct.pack("<Q", valid))
    image.resum(node, 32 + 24, struct.pack("<Q", length))


def _into(image: Fat, cluster: int) -> None:
    """Put a file whose chain runs into that of another."""
    first = image.take(1)[0]
    image.entry(first, cluster)
    image.add("other.mp4", CLIP, chain=[first])


CHAINS: Mapping[str, tuple[Callable[[Fat, Node], object], str, bytes]] = {
    "cycle": (lambda i, n: i.entry(n.chain[-1], n.chain[1]), "cycle", b"DCIM/BAD.MP4"),
    "cycle-of-one": (lambda i, n: i.entry(n.chain[-1], n.chain[-1]), "cycle", b"DCIM/BAD.MP4"),
    "cross-link": (lambda i, n: _into(i, n.chain[1]), "cross-link", b"DCIM/BAD.MP4"),
    "chain-beyond-card": (lambda i, n: i.entry(n.chain[1], i.clusters + 2), "chain-beyond-card", b"DCIM/BAD.MP4"),
    "bad-cluster": (lambda i, n: i.entry(n.chain[1], 0x0FFFFFF7), "bad-cluster", b"DCIM/BAD.MP4"),
    "free-cluster": (lambda i, n: i.entry(n.chain[1], 0), "free-cluster", b"DCIM/BAD.MP4"),
    "reserved-cluster": (lambda i, n: i.entry(n.chain[1], 1), "chain-beyond-card", b"DCIM/BAD.MP4"),
    "size-beyond-chain": (lambda i, n: lengthen(i, n, 1 << 20), "size-beyond-chain", b"DCIM/BAD.MP4"),
    "size-beyond-card": (lambda i, n: lengthen(i, n, 0xFFFFFFFF), "size-beyond-chain", b"DCIM/BAD.MP4"),
    "chain-cut": (lambda i, n: i.entry(n.chain[1], 0x0FFFFFFF), "size-beyond-chain", b"DCIM/BAD.MP4"),
    "tables-differ": (differ, "tables-differ", b""),
}
NAMES = {
    "slash": ("a/b.mp4", "bad-name"),
    "nul": ("a\0b.mp4", "bad-name"),
    "dots": ("..", "bad-name"),
    "dot-at-end": ("sound.mp4.", "bad-name"),
    "half-a-pair": ("a\ud83d.mp4", "bad-name"),
    "equal": ("sound.mp4", "duplicate-name"),
    "equal-but-for-case": ("SOUND.mp4", "duplicate-name"),
}
ODD_NAMES = {
    "newline": "a\nb.mp4",
    "escape": "\x1b[31mred.mp4",
    "right-to-left": "\u202egpj.mp4",
    "emoji": "\U0001f694 patrol.mp4",
    "backslash": "..\\..\\etc.mp4",
    "markup": "<script>alert(1)<script>.mp4",
    "longest": "n" * 255,
    "other-accent": "cafe\u0301.mp4",
}


def _fat_cards() -> dict[str, Crafted]:
    cards = {
        f"fat{bits}-{name}": Crafted(spoilt_fat(spoil, bits=bits), kind, where)
        for bits in (12, 16, 32)
        for name, (spoil, kind, where) in CHAINS.items()
    }
    for name, (written, kind) in NAMES.items():
        cards[f"fat16-name-{name}"] = Crafted(made_fat(named(written)), kind)
    return cards | {
        "fat16-name-empty": Crafted(made_fat(lambda i: i.add("x", CLIP, units=b"\0\0")), "bad-name"),
        "fat16-short-name-with-slash": Crafted(made_fat(lambda i: i.add("", CLIP, short=b"A/B     MP4")), "bad-name"),
        "fat16-short-name-of-spaces": Crafted(made_fat(lambda i: i.add("", CLIP, short=b"        MP4")), "bad-name"),
        "fat16-long-name-of-another-s-short": Crafted(
            made_fat(lambda i: i.add("f0000001.bin", CLIP)), "duplicate-name"
        ),
        "fat16-equal-short-names": Crafted(
            made_fat(lambda i: [i.add(name, CLIP, short=b"SAME    MP4") for name in ("one", "two")]), "duplicate-name"
        ),
        "fat32-loop-to-itself": Crafted(made_fat(lambda i: loop_below(i, 0), bits=32), "directory-loop", b"a/b/loop"),
        "fat32-loop-to-parent": Crafted(made_fat(lambda i: loop_below(i, 1), bits=32), "directory-loop", b"a/b/loop"),
        "fat32-loop-to-root": Crafted(made_fat(lambda i: of_folder(i, 2), bits=32), "directory-loop", b"loop"),
        "fat16-loop-to-root": Crafted(made_fat(lambda i: of_folder(i, 0)), "directory-loop", b"loop"),
        "fat16-folder-in-a-file": Crafted(
            made_fat(lambda i: of_folder(i, i.add("x", CLIP).chain[0])), "cross-link", b"loop"
        ),
        "fat16-folder-without-dots": Crafted(made_fat(_no_dots), "dots", b"loop/"),
        "fat16-dots-lead-elsewhere": Crafted(made_fat(_wrong_dots), "dots", b"a/"),
        "fat16-deep": Crafted(made_fat(lambda i: deep(i, 200)), "too-deep"),
        "fat16-file-hidden-as-a-label": Crafted(
            spoilt_fat(lambda i, n: i.disk.write(n.at + 11, b"\x28")), "hidden-file", b"DCIM/F0000003.BIN"
        ),
        "fat16-behind-the-end": Crafted(made_fat(behind_end), "after-end"),
        "fat16-truncated": Crafted(made_fat(truncated), "truncated"),
        "fat32-root-cycle": Crafted(made_fat(lambda i: i.entry(2, 2), bits=32), "cycle"),
        "fat16-sectors-of-nothing": Crafted(made_fat(lambda i: i.disk.write(11, b"\0\0")), "boot"),
        "fat16-clusters-of-three": Crafted(made_fat(lambda i: i.disk.write(13, b"\3")), "boot"),
        "fat16-no-tables": Crafted(made_fat(lambda i: i.disk.write(16, b"\0")), "boot"),
        "fat16-small-table": Crafted(made_fat(lambda i: i.disk.write(22, b"\2\0")), "boot"),
        "fat32-second-table-active": Crafted(made_fat(lambda i: i.disk.write(40, b"\x81\0"), bits=32), "boot"),
        "garbage": Crafted(made_fat(lambda i: i.disk.write(0, bytes(range(256)) * 2)), "boot"),
        "fat16-zeros": Crafted(made_fat(lambda i: i.disk.write(0, bytes(512))), "boot"),
    }


def _no_dots(image: Fat) -> None:
    chain = image.take(1)
    image.link(chain)
    of_folder(image, chain[0])


def _wrong_dots(image: Fat) -> None:
    folder = image.folder("a")
    image.disk.write(image.offset(folder.chain[0]) + 26, b"\x77\0")


EXFAT_CHAINS: Mapping[str, tuple[Callable[[Exfat, Node], object], str, bytes]] = {
    "cycle": (lambda i, n: i.entry(n.chain[-1], n.chain[1]), "cycle", b"DCIM/BAD.MP4"),
    "cross-link": (lambda i, n: i.entry(n.chain[1], i.bitmap[0]), "cross-link", b"DCIM/BAD.MP4"),
    "chain-beyond-card": (lambda i, n: i.entry(n.chain[1], i.clusters + 2), "chain-beyond-card", b"DCIM/BAD.MP4"),
    "bad-cluster": (lambda i, n: i.entry(n.chain[1], 0xFFFFFFF7), "bad-cluster", b"DCIM/BAD.MP4"),
    "free-cluster": (lambda i, n: i.entry(n.chain[1], 0), "free-cluster", b"DCIM/BAD.MP4"),
    "free-in-bitmap": (lambda i, n: i.mark(n.chain[1:2], used=False), "free-cluster", b"DCIM/BAD.MP4"),
    "size-beyond-chain": (
        lambda i, n: exfat_length(i, n, valid=0, length=1 << 18),
        "size-beyond-chain",
        b"DCIM/BAD.MP4",
    ),
    "size-beyond-card": (
        lambda i, n: exfat_length(i, n, valid=1 << 60, length=1 << 60),
        "size-beyond-chain",
        b"DCIM/BAD.MP4",
    ),
    "valid-beyond-size": (
        lambda i, n: i.resum(n, 32 + 8, struct.pack("<Q", 1 << 40)),
        "size-beyond-chain",
        b"DCIM/BAD.MP4",
    ),
    "sum": (lambda i, n: i.disk.xor(n.at + 8, 1), "checksum", b"DCIM/BAD.MP4"),
    "hash": (lambda i, n: i.resum(n, 32 + 4, b"\0\0"), "checksum", b"DCIM/BAD.MP4"),
    "set-cut": (lambda i, n: i.disk.write(n.at + 64, b"\x41"), "entry-set", b"DCIM/"),
    "set-of-two": (lambda i, n: i.resum(n, 1, b"\1"), "entry-set", b"DCIM/"),
    "name-count": (lambda i, n: i.resum(n, 32 + 3, b"\x20"), "entry-set", b"DCIM/"),
    "name-goes-on": (lambda i, n: i.resum(n, 64 + 2 + 28, b"x\0"), "bad-name", b"DCIM/BAD.MP4"),
    "no-allocation": (lambda i, n: i.resum(n, 32 + 1, b"\0"), "size-beyond-chain", b"DCIM/BAD.MP4"),
    "stray-entry": (lambda i, n: i.disk.write(n.at, b"\x05"), "entry-set", b"DCIM/"),
    "unknown-kind": (lambda i, n: i.disk.write(n.at, b"\x86"), "entry-set", b"DCIM/"),
}


def _exfat_cards() -> dict[str, Crafted]:
    cards = {
        f"exfat-{name}": Crafted(spoilt_exfat(spoil), kind, where)
        for name, (spoil, kind, where) in EXFAT_CHAINS.items()
    }
    for name, (written, kind) in NAMES.items():
        cards[f"exfat-name-{name}"] = Crafted(made_exfat(named(written)), kind)
    return cards | {
        "exfat-name-empty": Crafted(made_exfat(lambda i: i.add("", CLIP, units=b"")), "entry-set"),
        "exfat-row-in-a-row": Crafted(
            spoilt_exfat(lambda i, n: i.add("two.mp4", CLIP * 8, chain=n.chain), has_chain=False), "cross-link", b""
        ),
        "exfat-row-beyond-card": Crafted(
            made_exfat(lambda i: i.add("x", CLIP * 8, first=i.clusters)), "chain-beyond-card", b"x"
        ),
        "exfat-row-of-nothing": Crafted(made_exfat(_row_of_nothing), "size-beyond-chain", b"x"),
        "exfat-loop-to-root": Crafted(made_exfat(_exfat_loop), "directory-loop", b"loop"),
        "exfat-empty-folder": Crafted(
            made_exfat(lambda i: i.add("loop", attributes=FOLDER_ATTRIBUTE)), "size-beyond-chain", b"loop"
        ),
        "exfat-deep": Crafted(made_exfat(lambda i: deep(i, 200)), "too-deep"),
        "exfat-behind-the-end": Crafted(made_exfat(exfat_behind_end), "after-end"),
        "exfat-truncated": Crafted(made_exfat(truncated), "truncated"),
        "exfat-boot-sum": Crafted(made_exfat(boot_byte(3 * SECTOR)), "checksum"),
        "exfat-boot-serial": Crafted(made_exfat(boot_byte(100)), "checksum"),
        "exfat-boot-shift": Crafted(made_exfat(boot_byte(108)), "boot"),
        "exfat-boot-heap": Crafted(made_exfat(lambda i: i.disk.write(88, b"\0\0\0\0")), "boot"),
        "exfat-boot-active": Crafted(made_exfat(lambda i: i.disk.write(106, b"\1")), "boot"),
        "exfat-root-cycle": Crafted(made_exfat(lambda i: i.entry(i.root.chain[0], i.root.chain[0])), "cycle"),
        "exfat-root-free-in-bitmap": Crafted(made_exfat(lambda i: i.mark(i.root.chain, used=False)), "free-cluster"),
        "exfat-no-bitmap": Crafted(made_exfat(lambda i: i.disk.write(i.bitmap_at, b"\1")), "entry-set"),
        "exfat-two-bitmaps": Crafted(made_exfat(lambda i: i.append(i.root, i.disk.read(i.bitmap_at, 32))), "entry-set"),
        "exfat-small-bitmap": Crafted(
            made_exfat(lambda i: i.disk.write(i.bitmap_at + 24, struct.pack("<Q", 5))), "size-beyond-chain"
        ),
        "exfat-huge-bitmap": Crafted(
            made_exfat(lambda i: i.disk.write(i.bitmap_at + 24, struct.pack("<Q", 1 << 50))), "size-beyond-chain"
        ),
        "exfat-bitmap-beyond-card": Crafted(
            made_exfat(lambda i: i.disk.write(i.bitmap_at + 20, struct.pack("<I", 302))), "chain-beyond-card"
        ),
        "exfat-upcase-sum": Crafted(made_exfat(lambda i: i.disk.xor(i.upcase_at + 4, 1)), "checksum"),
    }


def _row_of_nothing(image: Exfat) -> None:
    node = image.add("x", first=200)
    image.resum(node, 32 + 1, b"\3")


def _exfat_loop(image: Exfat) -> None:
    length = image.cluster_bytes
    image.add("loop", length=length, chain=[image.root.chain[0]], has_chain=True, attributes=FOLDER_ATTRIBUTE)


CRAFTED: Mapping[str, Crafted] = _fat_cards() | _exfat_cards()


def _odd_cards() -> dict[str, Crafted]:
    cards: dict[str, Crafted] = {}
    for name, written in ODD_NAMES.items():
        cards[f"fat16-name-{name}"] = Crafted(made_fat(named(written)))
        cards[f"exfat-name-{name}"] = Crafted(made_exfat(named(written)))
    return cards | {
        "fat12": Crafted(made_fat(lambda i: i.add("x", CLIP, into=i.folder("DCIM")), bits=12)),
        "fat32": Crafted(made_fat(lambda i: i.add("x", CLIP, into=i.folder("DCIM")), bits=32)),
        "fat16-dirty": Crafted(made_fat(dirty)),
        "fat32-dirty": Crafted(made_fat(dirty, bits=32)),
        "fat16-dirty-in-table": Crafted(made_fat(lambda i: i.entry(1, 0x7FFF))),
        "fat32-dirty-in-table": Crafted(made_fat(lambda i: i.entry(1, 0x07FFFFFF), bits=32)),
        "exfat-dirty": Crafted(made_exfat(lambda i: i.disk.xor(106, 2))),
        "fat16-empty-file": Crafted(made_fat(lambda i: i.add("empty.mp4"))),
        "exfat-empty-file": Crafted(made_exfat(lambda i: i.add("empty.mp4"))),
        "fat16-chain-goes-on": Crafted(made_fat(_goes_on)),
        "exfat-chain-goes-on": Crafted(made_exfat(_exfat_goes_on)),
        "exfat-less-written-than-long": Crafted(made_exfat(lambda i: i.add("x", CLIP * 8, valid=100))),
        "exfat-bitmap-without-chain": Crafted(made_exfat(lambda i: i.entry(i.bitmap[0], 0))),
        "fat16-free-tables-differ": Crafted(made_fat(lambda i: i.entry(4000, 77, tables=(1,)))),
        "fat16-deleted-files": Crafted(made_fat(_deleted)),
        "fat16-deep-enough": Crafted(made_fat(lambda i: deep(i, 64))),
    }


def _goes_on(image: Fat) -> None:
    image.add("cut.mp4", chain=_linked(image, 9), length=0)
    image.files[b"cut.mp4"] = b""


def _exfat_goes_on(image: Exfat) -> None:
    chain = image.take(3)
    image.link(chain)
    image.mark(chain)
    image.add("cut.mp4", CLIP, chain=chain, has_chain=True)


def _linked(image: Fat, count: int) -> list[int]:
    chain = image.take(count)
    image.link(chain)
    return chain


def _deleted(image: Fat) -> None:
    node = image.add("a long name of a file that was deleted.mp4", CLIP)
    for back in range(5):
        image.disk.write(node.at - 32 * back, b"\xe5")
    for cluster in node.chain:
        image.entry(cluster, 0)
    del image.files[node.path]


ODD: Mapping[str, Crafted] = _odd_cards() | {name: Crafted(make) for name, make in FULL.items()}
