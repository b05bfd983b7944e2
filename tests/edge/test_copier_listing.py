"""The copier lists a card completely or not at all (I7)."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockd.copier.card import DEEPEST, Card
from dockd.copier.commands import BATCH_FILES
from dockd.copier.pipe import CommandError
from dockd.domain.listing import listing_of
from dockd.edges.copier_process import COPIER
from tests.copier_parts import FOLDER, Dock, Trace, a_child, a_dock, can_trace

needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace here")


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def card(dock: Dock) -> Iterator[Card]:
    fd = os.open(dock.card, FOLDER)
    yield Card(fd)
    os.close(fd)


ODD_NAMES = [
    b"with space.mp4",
    "\N{POLICE OFFICER}.mp4".encode(),
    b"two\nlines",
    b"not utf-8 \xff\xfe\x80.mp4",
    b"\x1b[31mred",
    b"-rf *",
    b'"quoted\\',
    b"n" * 255,
    b".hidden",
    b"._AppleDouble.mp4",
    b"System Volume Information/IndexerVolumeGuid",
    b"DCIM/100MEDIA/ABCD0001.MP4",
]


@pytest.mark.promise("I7")
def test_every_plain_file_is_listed_under_its_own_bytes_with_length_and_time(dock: Dock) -> None:
    files = [dock.put(name, b"x" * number) for number, name in enumerate(ODD_NAMES)]
    with a_child(dock) as child:
        answer, listed = child.listing()
    assert answer == {"done": {}}
    assert listing_of(listed) == listing_of(files)


def test_names_survive_a_locale_that_is_not_utf_8(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ja_JP.eucJP")
    files = [dock.put(name) for name in ODD_NAMES]
    with a_child(dock) as child:
        assert listing_of(child.listing()[1]) == listing_of(files)


def test_an_empty_card_that_is_there_is_an_empty_listing(dock: Dock) -> None:
    with a_child(dock) as child:
        assert child.listing() == ({"done": {}}, [])


def test_a_sparse_file_of_five_gib_has_its_whole_length(dock: Dock) -> None:
    dock.put("BIG.MP4", b"")
    os.truncate(dock.card / "BIG.MP4", 5 << 30)
    with a_child(dock) as child:
        assert [file.length_bytes for file in child.listing()[1]] == [5_368_709_120]


@pytest.mark.promise("I16")
def test_a_long_listing_comes_in_lines_of_bounded_length(dock: Dock) -> None:
    for number in range(1500):
        dock.put(b"%04d" % number + b"n" * 200, b"")
    with a_child(dock) as child:
        _, signs = child.ask({"do": "list"})
    assert sum(len(sign["files"]) for sign in signs) == 1500
    assert max(len(sign["files"]) for sign in signs) <= BATCH_FILES
    assert max(len(str(sign)) for sign in signs) < 128 * 1024


@pytest.mark.promise("I7")
@pytest.mark.parametrize("kind", ["symlink", "fifo", "socket"])
def test_what_is_no_plain_file_fails_the_listing_by_name(dock: Dock, kind: str) -> None:
    dock.put("a.mp4")
    odd = dock.card / "odd\n"
    match kind:
        case "symlink":
            odd.symlink_to(dock.card / "a.mp4")
        case "fifo":
            os.mkfifo(odd)
        case _:
            here = os.open(dock.card, FOLDER)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(f"/proc/self/fd/{here}/odd\n")  # the path of a socket may have 107 bytes only
            os.close(here)
    with a_child(dock) as child:
        answer, _ = child.listing()
    assert answer == {"error": "listing", "say": "'odd\\n' is not a plain file: it cannot be carried"}


def test_a_folder_that_is_a_link_is_not_followed(dock: Dock, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (dock.card / "DCIM").symlink_to(tmp_path / "elsewhere")
    with a_child(dock) as child:
        assert child.listing()[0]["error"] == "listing"


@pytest.mark.promise("I16")
def test_folders_are_followed_to_their_cap_and_no_deeper(dock: Dock) -> None:
    deepest = b"/".join([b"d"] * DEEPEST)
    file = dock.put(deepest + b"/f")
    with a_child(dock) as child:
        assert child.listing() == ({"done": {}}, [file])
        (dock.card / os.fsdecode(deepest) / "d").mkdir()
        answer, _ = child.listing()
    assert answer["error"] == "listing"
    assert answer["say"].endswith("is deeper than 64 folders")


@pytest.mark.promise("I16")
def test_more_files_than_a_card_can_have_fail_the_listing(
    dock: Dock, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockd.copier.card.MOST_ENTRIES", 3)
    for name in ("a", "b", "c"):
        dock.put(name)
    assert len(list(card.files())) == 3
    dock.put("d")
    with pytest.raises(CommandError, match="more than 3 files"):
        list(card.files())


@pytest.mark.promise("I16")
def test_more_folders_than_a_card_can_have_fail_the_listing(
    dock: Dock, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockd.copier.card.MOST_ENTRIES", 3)
    for name in ("a", "b", "c"):
        (dock.card / name).mkdir()
    with pytest.raises(CommandError, match="more than 3 folders"):
        list(card.files())


def test_a_folder_met_twice_fails_the_listing(dock: Dock, card: Card) -> None:
    (dock.card / "loop").mkdir()
    root = os.open(dock.card, FOLDER)
    try:
        # A card whose folder leads back up gives the same inode again; no filesystem here can be made to.
        met = {(dock.card / "loop").stat().st_ino}
        with pytest.raises(CommandError, match="'loop/' is met twice, expected folders without a loop"):
            list(card._below(root, b"", met, depth=0))
    finally:
        os.close(root)


def test_another_filesystem_below_the_card_fails_the_listing(dock: Dock, card: Card) -> None:
    card._at_first = Path("/proc").stat()
    with pytest.raises(CommandError, match="is on another filesystem, expected one card"):
        list(card.files())


@pytest.mark.promise("I7")
def test_a_listing_does_not_begin_where_another_holder_of_the_folder_stopped(dock: Dock) -> None:
    files = [dock.put(f"{number:03}", b"") for number in range(300)]
    card, spool = os.open(dock.card, FOLDER), os.open(dock.spool, FOLDER)
    os.lseek(card, 0, os.SEEK_END)
    os.lseek(card, 1 << 62, os.SEEK_SET)  # as a copier leaves it that was killed in mid-listing
    command = [sys.executable, str(COPIER), str(card), str(spool)]
    done = subprocess.run(command, input=b'{"do":"list"}\n', stdout=subprocess.PIPE, pass_fds=(card, spool), check=True)
    os.close(card)
    os.close(spool)
    assert done.stdout.count(b'==",0,') + done.stdout.count(b'",0,') >= len(files)


@pytest.mark.promise("I7")
def test_a_folder_that_was_deleted_is_a_card_that_left_and_not_an_empty_one(dock: Dock) -> None:
    with a_child(dock) as child:
        assert child.listing()[0] == {"done": {}}
        dock.card.rmdir()
        assert child.listing()[0]["error"] == "gone"


@needs_strace
@pytest.mark.promise("I7")
def test_an_empty_listing_of_a_pulled_card_is_a_card_that_left(dock: Dock, tmp_path: Path) -> None:
    """A pulled card lists as empty, without an error, and answers stat; only statvfs tells."""
    trace = Trace(tmp_path / "log")
    with a_child(dock, wrap=trace.wrap("fstatfs:error=EIO")) as child:
        answer, _ = child.listing()
    assert answer == {"error": "gone", "say": "the card left while it was listed"}


@needs_strace
@pytest.mark.promise("I7")
def test_an_error_in_the_middle_of_a_folder_fails_the_whole_listing(dock: Dock, tmp_path: Path) -> None:
    """A FAT name that holds '/' ends a listing so (EIO), and so does a bad sector in a folder."""
    dock.put("DCIM/a.mp4")
    trace = Trace(tmp_path / "log")
    # The first call gives the names, the second would say that there are no more.
    inject = trace.wrap("getdents64:error=EIO:when=2", paths=(dock.card / "DCIM",))
    with a_child(dock, wrap=inject) as child:
        answer, _ = child.listing()
    assert answer == {"error": "listing", "say": "the listing failed after 'DCIM/a.mp4': Input/output error"}


@needs_strace
@pytest.mark.promise("I7")
def test_a_folder_that_vanishes_under_the_listing_fails_it(dock: Dock, tmp_path: Path) -> None:
    dock.put("DCIM/a.mp4")
    trace = Trace(tmp_path / "log")
    with a_child(dock, wrap=trace.wrap("openat:error=ENOENT", paths=("DCIM",))) as child:
        answer, _ = child.listing()
    assert answer == {"error": "listing", "say": "the listing failed after '': No such file or directory"}
