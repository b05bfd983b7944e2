"""Whatever a card holds, the structural check ends: no exception, bounded reads, bounded words (I7, I16)."""

import struct
from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import example, given, settings, strategies as st

from dockd.structure import Structure, check
from dockd.structure.verdict import MOST_PROBLEMS
from tests.card_images import Sparse
from tests.crafted_cards import exfat, fat
from tests.exfat_images import Exfat
from tests.fat_images import Fat
from tests.full_cards import CLIP

KINDS = ("fat12", "fat16", "fat32", "exfat")
MOST_READS, MOST_READ_BYTES = 1200, 24 << 20

INTERESTING = (0, 1, 2, 3, 7, 12, 0xFF, 0x7FFF, 0xFFF7, 0x0FFFFFF7, 0x0FFFFFFF, 0xFFFFFFF7, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Base:
    """A sound card, and where on it things stand."""

    disk: Sparse
    table_at: int
    folders_at: tuple[int, ...]
    width: int


@cache
def base(kind: str) -> Base:
    image = exfat() if kind == "exfat" else fat(int(kind[3:]))
    outer = image.folder("DCIM")
    inner = image.folder("100MEDIA", into=outer)
    for number in range(6):
        image.add(f"clip number {number}.mp4", CLIP, into=inner if number % 2 else outer)
    image.add("last.mp4", CLIP * 3)
    root_at = image.root_at if isinstance(image, Fat) and image.bits < 32 else image.offset(image.root.chain[0])
    folders = (root_at, image.offset(outer.chain[0]), image.offset(inner.chain[0]))
    if isinstance(image, Exfat):
        return Base(image.disk, image.table_at, (*folders, image.offset(image.bitmap[0])), 32)
    return Base(image.disk, image.table_at, folders, image.bits)


def unheard(path: bytes, length: int) -> None:
    """Take no note of a file."""


def judged(disk: Sparse) -> Structure:
    """Check, and see that the bounds hold."""

    def read(offset: int, length: int) -> bytes:
        assert offset >= 0
        assert 0 < length <= 128 * 1024
        assert offset + length <= disk.size_bytes
        return disk.read(offset, length)

    met: list[bytes] = []
    disk.reads = disk.read_bytes = 0
    structure = check(read, size_bytes=disk.size_bytes, found=lambda path, _: met.append(path))
    assert disk.reads < MOST_READS
    assert disk.read_bytes < MOST_READ_BYTES
    assert len(structure.problems) <= MOST_PROBLEMS + 1
    for problem in (*structure.problems, *structure.notes):
        assert str(problem).isascii()
        assert str(problem).isprintable()
        assert len(str(problem)) < 500
    if structure.sound:
        assert structure.geometry is not None
        assert len(set(met)) == len(met) == structure.files
    return structure


@pytest.mark.parametrize("kind", KINDS)
def test_the_cards_to_be_spoilt_are_sound(kind: str) -> None:
    structure = judged(base(kind).disk.copy())
    assert structure.sound
    assert structure.files == (9 if kind == "exfat" else 8)


@pytest.mark.promise("I16")
@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    changes=st.lists(
        st.one_of(
            st.tuples(st.just("boot"), st.integers(0, 511), st.integers(0, 255)),
            st.tuples(st.just("entry"), st.integers(0, 60), st.sampled_from(INTERESTING) | st.integers(0, 60)),
            st.tuples(st.just("slot"), st.integers(0, 4 * 2048), st.integers(0, 255)),
            st.tuples(st.just("word"), st.integers(0, 4 * 512), st.sampled_from(INTERESTING)),
            st.tuples(st.just("cut"), st.integers(1, 1 << 21), st.just(0)),
        ),
        min_size=1,
        max_size=8,
    ),
)
@example(kind="fat16", changes=[("cut", 1 << 21, 0)])
@example(kind="exfat", changes=[("boot", 109, 25)])
def test_a_spoilt_card_is_judged_within_bounds(kind: str, changes: list[tuple[str, int, int]]) -> None:
    card = base(kind)
    disk = card.disk.copy()
    for what, where, value in changes:
        folder = card.folders_at[where % len(card.folders_at)]
        match what:
            case "boot":
                disk.write(where, bytes([value]))
            case "entry":
                disk.write(card.table_at + where * card.width // 8, struct.pack("<I", value)[: max(2, card.width // 8)])
            case "slot":
                disk.write(folder + where // 4, bytes([value]))
            case "word":
                disk.write(folder + where // 4 * 4, struct.pack("<I", value))
            case _:
                disk.size_bytes = max(0, disk.size_bytes - where)
    judged(disk)


@pytest.mark.promise("I16")
@settings(max_examples=100, deadline=None)
@given(noise=st.binary(min_size=1, max_size=4096), kind=st.sampled_from(KINDS), at=st.integers(0, 1 << 17))
def test_noise_anywhere_is_judged_within_bounds(noise: bytes, kind: str, at: int) -> None:
    disk = base(kind).disk.copy()
    disk.write(at, noise)
    judged(disk)


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=2048))
def test_what_is_no_filesystem_is_called_none(data: bytes) -> None:
    disk = Sparse(len(data))
    disk.write(0, data)
    assert not judged(disk).sound


@pytest.mark.promise("I16")
def test_an_error_of_the_device_goes_through_untouched() -> None:
    disk = base("fat32").disk
    for most in range(6):
        left = [most]

        def read(offset: int, length: int, left: list[int] = left) -> bytes:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(5, "Input/output error")
            return disk.read(offset, length)

        with pytest.raises(OSError, match="Input/output error"):
            check(read, size_bytes=disk.size_bytes, found=unheard)
