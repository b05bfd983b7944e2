"""What the structural check knows of large, full and worn cards, and where it stops (I7, I16)."""

import struct
import time

import pytest

from dockd.structure import ProblemKind, Structure, blocks, chains, check, names, tree
from dockd.structure.verdict import MOST_PROBLEMS, Problem
from tests.card_images import Image, Sparse
from tests.crafted_cards import exfat, fat
from tests.exfat_images import Exfat, summed
from tests.fat_images import Fat, fat_slot, long_slots
from tests.full_cards import CLIP

GIB = 1 << 30


def checked(image: Image) -> tuple[Structure, dict[bytes, int]]:
    met: dict[bytes, int] = {}
    return check(image.disk.read, size_bytes=image.disk.size_bytes, found=met.__setitem__), met


def kinds(image: Image) -> set[str]:
    return {problem.kind.value for problem in checked(image)[0].problems}


# --- size ---------------------------------------------------------------------------------------------------------


@pytest.mark.promise("I16")
def test_a_card_of_64_gib_with_a_file_in_one_piece_costs_a_few_reads() -> None:
    image = Fat(32, clusters=2_000_000, cluster_bytes=32 * 1024)
    image.add("long.mp4", length=0xFFFFFFFF)
    image.add("late.mp4", length=32 * 1024, chain=[1_999_999])
    image.link([1_999_999])
    structure, met = checked(image)
    assert structure.problems == ()
    assert met == {b"long.mp4": 0xFFFFFFFF, b"late.mp4": 32 * 1024}
    assert structure.used_clusters == 131_074
    assert image.disk.size_bytes > 60 * GIB
    assert image.disk.read_bytes < 3 << 20


@pytest.mark.promise("I16")
def test_100_000_files_on_64_gib_are_checked_in_seconds() -> None:
    image = Fat(32, clusters=2_000_000, cluster_bytes=32 * 1024)
    folders = [image.folder(f"folder {number}") for number in range(100)]
    for folder in folders:  # so that each lies in one piece
        folder.chain += image.take(1)
        image.link(folder.chain)
    first = image.free
    words = [*range(first + 1, first + 19 * 100_000 + 1)]
    words[18::19] = [0x0FFFFFFF] * 100_000
    for table in (0, 1):
        at = image.table_at + table * image.table_bytes + 4 * first
        image.disk.write(at, struct.pack(f"<{len(words)}I", *words))
    for number, folder in enumerate(folders):
        for clip in range(1000):
            begin = image.take(19)[0]
            image.append(folder, fat_slot(b"%04d%04dMP4" % (number, clip), 0x20, begin, 19 * 32 * 1024))
    image.disk.reads = image.disk.read_bytes = 0
    began_s = time.process_time()
    structure = check(image.disk.read, size_bytes=image.disk.size_bytes, found=lambda *_: None)
    took_s = time.process_time() - began_s
    assert structure.problems == ()
    assert (structure.files, structure.folders) == (100_000, 100)
    assert image.disk.read_bytes < 32 << 20
    assert took_s < 60  # two of a quiet processor


@pytest.mark.promise("I16")
def test_files_of_more_than_4_gib_are_checked_in_a_row_and_by_their_chain() -> None:
    image = Exfat(clusters=500_000, cluster_bytes=128 * 1024)
    image.add("row.mp4", length=9 * GIB)
    image.add("chain.mp4", length=5 * GIB, has_chain=True)
    structure, met = checked(image)
    assert structure.problems == ()
    assert met == {b"row.mp4": 9_663_676_416, b"chain.mp4": 5_368_709_120}
    image.mark([40_000], used=False)
    assert kinds(image) == {"free-cluster"}


@pytest.mark.promise("I16")
def test_a_file_in_pieces_all_over_a_card_is_followed_with_a_part_of_the_table_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chains, "MOST_PAGES", 2)
    image = Fat(32, clusters=100_000)
    chain = [10 + 16_384 * (step % 6) + step for step in range(60)]
    image.link(chain)
    image.add("worn.mp4", length=60 * 512, chain=chain)
    structure, _ = checked(image)
    assert structure.problems == ()
    monkeypatch.setattr(chains, "READS_A_PAGE", 2)
    assert kinds(image) == {"too-many"}


@pytest.mark.promise("I16")
@pytest.mark.parametrize(
    ("module", "cap"),
    [
        (chains, "MOST_RUNS"),
        (names, "MOST_NAME_CHARS"),
        (tree, "MOST_FILES"),
        (tree, "MOST_FOLDERS"),
        (tree, "MOST_ENTRY_BYTES"),
        (tree, "MOST_FOLDER_BYTES"),
    ],
)
def test_every_cap_stops_the_check(monkeypatch: pytest.MonkeyPatch, module: object, cap: str) -> None:
    for image in (fat(16), exfat()):
        for number in range(4):
            image.add("by name", CLIP, into=image.folder(f"folder {number}"))
        assert kinds(image) == set()
        monkeypatch.setattr(module, cap, 3)
        if not (module is chains and isinstance(image, Exfat)):
            assert kinds(image) == {"too-many"}
        monkeypatch.undo()


@pytest.mark.promise("I16")
def test_after_so_many_problems_the_check_stops() -> None:
    image = fat(16)
    for number in range(40):
        image.add(f"{number}/")
    structure, met = checked(image)
    assert len(structure.problems) == MOST_PROBLEMS
    assert len(met) == MOST_PROBLEMS


@pytest.mark.promise("I16")
def test_more_files_with_something_behind_them_than_can_be_told_of_are_a_problem() -> None:
    image = Fat(16, clusters=6000)
    folder = image.folder("DCIM")
    for length in range(1025):
        chain = image.take(4)
        image.link(chain)
        image.add("", into=folder, length=length, chain=chain, short=b"F%07d   " % length)
    assert kinds(image) == {"too-many"}


def test_more_clusters_than_any_card_has_are_refused() -> None:
    image = Fat(32, clusters=4200)
    image.disk.write(32, struct.pack("<I", 0xFFFFFFFF))
    assert kinds(image) == {"boot"}


def test_a_piece_of_a_read_is_never_more_than_a_piece() -> None:
    image = Fat(32, clusters=4200, cluster_bytes=32 * 1024)
    folder = image.folder("DCIM")
    for number in range(1500):
        image.add(f"clip number {number:06} with a long name.mp4", into=folder)
    seen: list[int] = []

    def read(offset: int, length: int) -> bytes:
        seen.append(length)
        return image.disk.read(offset, length)

    structure = check(read, size_bytes=image.disk.size_bytes, found=lambda *_: None)
    assert structure.files == 1500
    assert max(seen) <= blocks.PIECE_BYTES


def test_a_card_that_shrinks_while_it_is_read_is_cut_short() -> None:
    image = fat(32)
    size_bytes, image.disk.size_bytes = image.disk.size_bytes, 4096
    structure = check(image.disk.read, size_bytes=size_bytes, found=lambda *_: None)
    assert [problem.kind for problem in structure.problems] == [ProblemKind.TRUNCATED]


def test_a_card_of_no_bytes_is_cut_short() -> None:
    structure = check(Sparse(0).read, size_bytes=0, found=lambda *_: None)
    assert [problem.kind for problem in structure.problems] == [ProblemKind.TRUNCATED]
    assert structure.geometry is None


# --- facts --------------------------------------------------------------------------------------------------------


def test_the_facts_of_a_card_are_those_of_its_boot_sector() -> None:
    structure, _ = checked(fat(16))
    geometry = structure.geometry
    assert geometry is not None
    assert (geometry.filesystem, geometry.volume_id, geometry.label) == ("fat16", "1A2B-3C4D", "TEST CARD")
    assert (geometry.sector_bytes, geometry.cluster_bytes, geometry.clusters) == (512, 512, 4200)
    assert (structure.files, structure.bytes_, structure.valid_bytes, structure.used_clusters) == (1, 2100, 2100, 5)


def test_the_facts_of_an_exfat_card_are_those_of_its_boot_sector_and_root() -> None:
    image = exfat()
    image.add("x", length=5000, valid=100)
    structure, _ = checked(image)
    geometry = structure.geometry
    assert geometry is not None
    assert (geometry.filesystem, geometry.volume_id, geometry.label) == ("exfat", "1A2B-3C4D", "CARD")
    assert (structure.files, structure.bytes_, structure.valid_bytes) == (3, 30_200, 25_300)


def test_a_card_without_a_name_has_none() -> None:
    old, image = fat(16), exfat()
    old.disk.write(38, b"\0")
    image.disk.write(image.bitmap_at - 32, b"\3")
    for disk in (old, image):
        structure, _ = checked(disk)
        assert structure.sound
        assert structure.geometry is not None
        assert structure.geometry.label == ""


def test_a_problem_is_a_line_that_no_terminal_is_harmed_by() -> None:
    problem = Problem(kind=ProblemKind.CYCLE, where=b"\x1b[31m\n\xff", say="it goes round")
    assert str(problem) == "'\\x1b[31m\\n\\xff': it goes round (cycle)"
    assert str(Problem(kind=ProblemKind.BOOT, where=b"", say="nothing")) == "nothing (boot)"


# --- folders as Linux reads them ----------------------------------------------------------------------------------


def test_short_names_are_shown_as_linux_shows_them() -> None:
    image = Fat(16, clusters=4200)
    for short in (b"\x05BC     TXT", b"NOEXT      ", b"A B     C D", b"\x8eRGER   TXT"):
        image.add("", short=short)
    image.append(image.root, fat_slot(b"SMALL   MP4", 0x20, 0, 0)[:12] + b"\x18" + bytes(19))
    _, met = checked(image)
    assert {path.decode() for path in met} == {"\u03c3BC.TXT", "NOEXT", "A B.C D", "ÄRGER.TXT", "small.mp4"}


@pytest.mark.parametrize("broken", ["sum", "order", "missing", "count", "deleted", "other", "no-first"])
def test_a_long_name_that_is_not_whole_is_given_up_for_the_short_one(broken: str) -> None:
    image = Fat(16, clusters=4200)
    slots = long_slots("a long name of three pieces.mp4".encode("utf-16-le"), b"SHORT   MP4")
    match broken:
        case "sum":
            slots = long_slots("a long name of three pieces.mp4".encode("utf-16-le"), b"OTHER   MP4")
        case "order":
            slots[1:] = slots[:0:-1]
        case "missing":
            slots.pop()
        case "count":
            slots[0] = b"\x55" + slots[0][1:]
        case "deleted":
            slots.append(b"\xe5" + fat_slot(b"DELETED MP4", 0x20, 0, 0)[1:])
        case "other":
            slots.append(fat_slot(b"A LABEL    ", 0x08, 0, 0))
        case _:
            slots.pop(0)
    for slot in [*slots, fat_slot(b"SHORT   MP4", 0x20, 0, 0)]:
        image.append(image.root, slot)
    structure, met = checked(image)
    assert structure.problems == ()
    assert met == {b"SHORT.MP4": 0}
    noted = {note.kind.value for note in structure.notes}
    assert noted == ({"orphan-name"} if broken in {"sum", "missing"} else set())


def test_a_last_piece_in_mid_name_cuts_off_what_came_before_it() -> None:
    image = Fat(16, clusters=4200)
    slots = long_slots("0123456789abcTHE REST IS GONE".encode("utf-16-le"), b"SHORT   MP4")
    slots[-1] = bytes([slots[-1][0] | 0x40]) + slots[-1][1:]
    for slot in [*slots, fat_slot(b"SHORT   MP4", 0x20, 0, 0)]:
        image.append(image.root, slot)
    assert checked(image)[1] == {b"0123456789abc": 0}


def test_a_long_name_with_something_behind_its_nul_is_a_bad_one() -> None:
    image = fat(16)
    image.add("a", units="a\0b".encode("utf-16-le"))
    assert kinds(image) == {"bad-name"}


@pytest.mark.parametrize("spoil", ["in-root", "a-file", "thrice", "first-missing"])
def test_dots_stand_first_in_a_folder_and_nowhere_else(spoil: str) -> None:
    image = fat(16)
    folder = image.folder("a")
    match spoil:
        case "in-root":
            image.append(image.root, fat_slot(b".          ", 0x10, 0, 0))
        case "a-file":
            image.disk.write(image.offset(folder.chain[0]) + 11, b"\x20")
        case "thrice":
            image.append(folder, fat_slot(b"..         ", 0x10, 0, 0))
        case _:
            image.disk.write(image.offset(folder.chain[0]), b"\xe5")
    assert kinds(image) == {"dots"}


def test_a_folder_may_end_in_the_middle_of_its_clusters() -> None:
    image, other = fat(16), exfat()
    folder = image.folder("DCIM")
    for number in range(40):
        image.add(f"{number}", into=folder)
    other.folder("DCIM", clusters=70)
    for card in (image, other):
        assert checked(card)[0].problems == ()


def test_a_folder_inside_another_leads_back_to_it() -> None:
    image = fat(32)
    outer = image.folder("a")
    inner = image.folder("b", into=outer)
    assert kinds(image) == set()
    image.disk.write(image.offset(inner.chain[0]) + 32 + 26, struct.pack("<H", 0))
    assert kinds(image) == {"dots"}


def test_a_parent_that_is_the_root_may_be_named_by_its_cluster_or_by_0() -> None:
    image = fat(32)
    folder = image.folder("a")
    image.disk.write(image.offset(folder.chain[0]) + 32 + 26, struct.pack("<H", image.root.chain[0]))
    assert kinds(image) == set()


def test_a_root_that_lies_nowhere_is_no_filesystem() -> None:
    image = fat(32)
    image.disk.write(44, struct.pack("<I", 0))
    assert "boot" in kinds(image)


@pytest.mark.parametrize("size", [0, 100])
def test_a_folder_of_exfat_has_the_size_of_its_clusters(size: int) -> None:
    image = exfat()
    node = image.folder("DCIM")
    for at in (8, 24):
        image.resum(node, 32 + at, struct.pack("<Q", size))
    assert "size-beyond-chain" in kinds(image)


def test_a_folder_in_a_row_is_read_without_a_chain() -> None:
    image = exfat()
    node = image.folder("DCIM", clusters=2)
    image.add("x", CLIP, into=node)
    for cluster in node.chain:
        image.entry(cluster, 0)
    image.resum(node, 32 + 1, b"\3")
    structure, met = checked(image)
    assert structure.problems == ()
    assert b"DCIM/x" in met


def test_what_else_may_stand_in_an_exfat_folder_is_passed_over() -> None:
    image = exfat()
    image.append(image.root, summed([b"\xa0" + bytes(31)])[0])  # a volume GUID
    node = image.add("with more.mp4", CLIP)
    raw = image.disk.read(node.at, 32 * 3)
    image.disk.write(node.at, bytes(96))
    image.root.filled -= 96
    entries = [raw[:1] + b"\3" + raw[2:32], raw[32:64], raw[64:96], b"\xe0" + bytes(31)]
    for entry in summed(entries):
        image.append(image.root, entry)
    structure, met = checked(image)
    assert structure.problems == ()
    assert len(met) == 3


def test_a_second_bitmap_is_that_of_a_second_table() -> None:
    image = exfat()
    image.append(image.root, image.disk.read(image.bitmap_at, 1) + b"\1" + image.disk.read(image.bitmap_at + 2, 30))
    assert kinds(image) == set()


def test_the_table_of_a_card_says_which_names_are_one() -> None:
    image = exfat()
    image.add("straße.mp4", CLIP)
    image.add("STRASSE.mp4", CLIP)
    assert kinds(image) == set()
    image.add("STRAßE.mp4", CLIP)
    assert kinds(image) == {"duplicate-name"}


def test_names_of_fat_fold_each_letter_on_its_own() -> None:
    image = fat(16)
    image.add("straße.mp4", CLIP)
    image.add("STRASSE.mp4", CLIP)
    image.add("\u00e9.mp4", CLIP)
    assert kinds(image) == set()
    image.add("\u00c9.mp4", CLIP)
    assert kinds(image) == {"duplicate-name"}


def test_a_chain_that_runs_off_the_end_of_its_table_leads_beyond_the_card() -> None:
    image = fat(32)
    last = image.clusters + 1
    image.link([last - 1, last])
    image.add("late.mp4", length=1024, chain=[last - 1, last])
    assert kinds(image) == set()
    image.entry(last, last + 1)
    assert kinds(image) == {"chain-beyond-card"}


def test_a_large_folder_of_exfat_is_read_piece_by_piece() -> None:
    image = Exfat(clusters=100, cluster_bytes=128 * 1024)
    folder = image.folder("DCIM", clusters=2)
    for number in range(1400):
        image.add(f"{number}", into=folder)
    structure, met = checked(image)
    assert structure.problems == ()
    assert len(met) == 1400
