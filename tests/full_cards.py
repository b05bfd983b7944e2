"""Sound cards at the edges of what a format allows: the largest of their kind, filled to the end, kept otherwise.

Each holds together and is to be taken. Given to the tests as more of `tests.crafted_cards.ODD`.
"""

import struct
from collections.abc import Callable, Mapping

from tests.card_images import Image
from tests.exfat_images import Exfat
from tests.fat_images import Fat

CLIP = b"a clip " * 300
"""Five sectors of a file, in five clusters of the small FAT cards."""

MOST_CLUSTERS = {12: 4084, 16: 65_524}


def largest(bits: int) -> Image:
    """Make the largest FAT of its kind, a file in its last clusters: their numbers are just below the mark of bad."""
    image = Fat(bits, clusters=MOST_CLUSTERS[bits])
    chain = [*range(image.clusters - 3, image.clusters + 2)]
    image.link(chain)
    image.add("last.mp4", CLIP, chain=chain)
    return image


def one_table_kept() -> Image:
    """Make a FAT32 that says its first table alone is kept up to date, as some write it to survive a power cut."""
    image = Fat(32, clusters=4200)
    node = image.add("kept.mp4", CLIP)
    image.disk.write(40, b"\x80\0")
    image.entry(node.chain[1], 0, tables=(1,))
    return image


def long_bitmap() -> Image:
    """Make an exFAT whose bitmap is longer than its clusters need, in its cluster: Linux takes it."""
    image = Exfat(clusters=300)
    image.add("clip.mp4", CLIP * 4)
    image.disk.write(image.bitmap_at + 24, struct.pack("<Q", image.cluster_bytes))
    return image


FULL: Mapping[str, Callable[[], Image]] = {
    "fat12-largest": lambda: largest(12),
    "fat16-largest": lambda: largest(16),
    "fat32-one-table-kept": one_table_kept,
    "exfat-long-bitmap": long_bitmap,
}
