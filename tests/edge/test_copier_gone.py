"""A card that was pulled is known to be gone, whatever of it is remembered: no error of it is its files' fault."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockd.copier import medium
from dockd.copier.card import Card
from dockd.copier.pipe import CommandError
from tests.copier_parts import FOLDER, Dock, Trace, a_child, a_dock, can_trace
from tests.crafted_cards import CRAFTED, fat
from tests.full_cards import CLIP

needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace here")
PULLED = "preadv,preadv2:error=ENODEV"
"""What a read past every cache says of a disk that is gone; all that was read before is still there."""


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def disk(dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What sysfs says of the disk in which the card is the first partition."""
    number = dock.card.stat().st_dev
    disk = tmp_path / "sys" / "devices" / "sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "device").mkdir()
    (disk / "device" / "state").write_text("running\n")
    nodes = tmp_path / "sys" / "dev" / "block"
    nodes.mkdir(parents=True)
    (nodes / f"{os.major(number)}:{os.minor(number)}").symlink_to("../../devices/sda/sda1")
    monkeypatch.setattr(medium, "DISKS", str(nodes))
    return disk


@pytest.fixture
def fd(dock: Dock) -> Iterator[int]:
    fd = os.open(dock.card, FOLDER)
    yield fd
    os.close(fd)


def offline(disk: Path) -> None:
    (disk / "device" / "state").write_text("offline\n")


def leaving(disk: Path) -> None:
    """The kernel takes a disk away beginning with the way to its device."""
    (disk / "device").rename(disk / "gone")


def gone(disk: Path) -> None:
    disk.rename(disk.with_name("gone"))


@pytest.mark.promise("I7")
@pytest.mark.parametrize("pull", [offline, leaving, gone])
def test_a_card_whose_disk_the_kernel_lost_is_gone_though_its_folder_answers(
    dock: Dock, disk: Path, fd: int, pull: Callable[[Path], None]
) -> None:
    dock.put("a.mp4")
    card = Card(fd)
    assert len(list(card.files())) == 1
    pull(disk)
    with pytest.raises(CommandError, match="the card left while it was listed") as caught:
        list(card.files())
    assert caught.value.code == "gone"


@pytest.mark.promise("I7")
@pytest.mark.parametrize("pull", [offline, gone])
def test_a_copier_that_begins_after_its_card_was_pulled_sees_no_card(
    disk: Path, fd: int, pull: Callable[[Path], None]
) -> None:
    pull(disk)
    assert not Card(fd).there()


def test_a_disk_that_is_only_held_up_is_there(disk: Path, fd: int) -> None:
    for state in ("blocked", "running", "quiesce"):
        card = Card(fd)
        (disk / "device" / "state").write_text(f"{state}\n")
        assert card.there()


def test_a_disk_of_which_no_state_is_told_is_there_until_it_is_gone(disk: Path, fd: int) -> None:
    (disk / "device" / "state").unlink()
    card = Card(fd)
    assert card.there()
    gone(disk)
    assert not card.there()


def test_where_the_kernel_tells_of_no_disks_a_card_is_there(
    fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(medium, "DISKS", str(tmp_path / "none"))
    assert Card(fd).there()


@needs_strace
@pytest.mark.promise("I7")
def test_a_listing_that_caches_gave_is_none(dock: Dock, tmp_path: Path) -> None:
    """Folders, tables and the count of free clusters may all be remembered; only the disk itself can tell."""
    dock.put("sound.mp4", CLIP)
    device = fat().disk.save(tmp_path / "card.img")
    with a_child(dock, device=device) as child:
        assert child.listing()[0] == {"done": {}}
    trace = Trace(tmp_path / "log")
    with a_child(dock, wrap=trace.wrap(PULLED, paths=(device,)), device=device) as child:
        answer, _ = child.listing()
    assert answer == {"error": "gone", "say": "the card left while it was listed"}


@needs_strace
def test_a_structure_that_was_found_wrong_on_a_pulled_card_is_not_the_cards_fault(dock: Dock, tmp_path: Path) -> None:
    device = next(iter(CRAFTED.values())).make().disk.save(tmp_path / "card.img")
    with a_child(dock, device=device) as child:
        assert child.listing()[0]["error"] in {"structure", "duplicate-name"}
    trace = Trace(tmp_path / "log")
    with a_child(dock, wrap=trace.wrap(PULLED, paths=(device,)), device=device) as child:
        answer, _ = child.listing()
    assert answer == {"error": "gone", "say": "the card left while it was listed"}


@needs_strace
def test_a_file_that_gives_errors_on_a_pulled_card_is_not_unreadable(dock: Dock, tmp_path: Path) -> None:
    file = dock.put("sound.mp4", CLIP)
    device = fat().disk.save(tmp_path / "card.img")
    trace = Trace(tmp_path / "log")
    wrap = trace.wrap("readv,preadv,preadv2:error=EIO", paths=(device, dock.card / "sound.mp4"))
    with a_child(dock, wrap=wrap, device=device) as child:
        assert child.copy(file) == {"error": "gone", "say": "the card left: Input/output error"}
        assert child.reread(file) == {"error": "gone", "say": "the card left: Input/output error"}
