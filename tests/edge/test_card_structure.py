"""A card whose device is known: its structure is checked by the copier before its listing is believed (I7)."""

import asyncio
import os
import stat
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dockd.app.ports import Attached
from dockd.domain.erasure import ErasePermit
from dockd.domain.model import BayId, ClipKey, DockingId, ListedFile, Listing, Sha256
from dockd.edges.card import DescriptorCard, FolderCards
from dockd.edges.copier_process import Patience
from dockd.edges.opening import see_device
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, TransientError
from tests.card_images import Image
from tests.copier_parts import CAMERA, Dock, Trace, a_child, a_dock, can_trace
from tests.crafted_cards import CRAFTED, ODD, fat

needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed, or may not trace here")


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


def attached(dock: Dock, device: Path | None) -> Attached:
    lies_in = None if device is None else str(device)
    return Attached(bay=BayId(3), camera=CAMERA, source=str(dock.card), device=lies_in)


def mounted(dock: Dock, image: Image) -> Path:
    """Put the files of an image onto the card, and the image beside it."""
    for path, data in image.files.items():
        dock.put(path, data)
    return image.disk.save(dock.card.parent / "card.img")


async def opened(stack: AsyncExitStack, dock: Dock, device: Path | None) -> DescriptorCard:
    card = await FolderCards(dock.spool, erase=True).open(attached(dock, device))
    stack.push_async_callback(card.close)
    return card


async def listed(dock: Dock, device: Path | None) -> Listing:
    async with AsyncExitStack() as stack:
        return await (await opened(stack, dock, device)).listing()


def permit(file: ListedFile, sha256: Sha256) -> ErasePermit:
    return ErasePermit(
        clip=ClipKey(1), docking=DockingId(1), path=file.path, length_bytes=file.length_bytes, sha256=sha256
    )


@pytest.mark.parametrize("name", ["fat16-dirty", "exfat-dirty"])
async def test_a_sound_card_is_listed_and_what_was_found_is_told_for_the_record(dock: Dock, name: str) -> None:
    image = ODD[name].make()
    listing = await listed(dock, mounted(dock, image))
    assert {file.path for file in listing.files} == image.files.keys()
    told = dict(listing.structure)
    assert told["filesystem"] == name.partition("-")[0]
    assert (told["dirty"], told["volume_id"], told["folders"]) == ("yes", "1A2B-3C4D", "0")
    assert told["notes"] == "it was not put away well (dirty)"


async def test_a_folder_without_a_device_is_listed_without_a_check(dock: Dock) -> None:
    dock.put("a.mp4")
    assert (await listed(dock, None)).structure == ()


@pytest.mark.promise("I7")
@pytest.mark.parametrize("name", ["fat32-cycle", "exfat-cross-link", "fat12-size-beyond-chain", "garbage"])
async def test_a_card_that_does_not_hold_together_is_not_listed(dock: Dock, name: str) -> None:
    device = mounted(dock, CRAFTED[name].make())
    with pytest.raises(ListingError, match=f"\\({CRAFTED[name].kind}\\)") as caught:
        await listed(dock, device)
    assert caught.value.reason is Reason.STRUCTURE


@pytest.mark.promise("I7")
async def test_a_name_that_opens_two_files_is_told_apart_from_other_trouble(dock: Dock) -> None:
    device = mounted(dock, CRAFTED["fat16-long-name-of-another-s-short"].make())
    with pytest.raises(ListingError, match=r"'f0000001\.bin': its folder has another file") as caught:
        await listed(dock, device)
    assert caught.value.reason is Reason.DUPLICATE_NAME


async def test_of_many_problems_the_first_few_are_told(dock: Dock) -> None:
    image = fat()
    for number in range(5):
        image.add(f"{number}/.mp4")
    image.files.clear()
    with pytest.raises(ListingError, match=r"; and 2 more$"):
        await listed(dock, mounted(dock, image))


@pytest.mark.promise("I7")
@pytest.mark.parametrize(("change", "say"), [("more", "2 files of 2108 bytes"), ("longer", "1 files of 2101 bytes")])
async def test_a_listing_that_is_not_of_this_filesystem_is_not_believed(dock: Dock, change: str, say: str) -> None:
    device = mounted(dock, ODD["fat16-dirty"].make())
    if change == "more":
        dock.put("more.mp4")
    else:
        os.truncate(dock.card / "sound.mp4", 2101)
    with pytest.raises(ListingError, match=f"{say} are listed, its filesystem has 1 of 2100") as caught:
        await listed(dock, device)
    assert caught.value.reason is Reason.STRUCTURE


async def test_a_kernel_may_give_what_was_written_of_a_file_as_its_length(dock: Dock) -> None:
    image = ODD["exfat-less-written-than-long"].make()
    device = mounted(dock, image)
    assert len((await listed(dock, device)).files) == 3
    os.truncate(dock.card / "x", 100)
    assert len((await listed(dock, device)).files) == 3
    os.truncate(dock.card / "x", 99)
    with pytest.raises(ListingError, match="they are not of one card"):
        await listed(dock, device)


@pytest.mark.promise("I4")
async def test_a_file_with_more_behind_its_end_is_copied_and_never_erased(dock: Dock) -> None:
    image = ODD["fat16-chain-goes-on"].make()
    device = mounted(dock, image)
    async with AsyncExitStack() as stack:
        card = await opened(stack, dock, device)
        listing = await card.listing()
        cut, sound = listing.files
        assert (listing.behind, listing.kept_files) == (frozenset({0}), 1)
        assert dict(listing.structure)["notes"].endswith("something lies behind (chain-beyond-size)")
        read = [await card.reread(file) for file in (cut, sound)]
        await card.copy(cut, progress=lambda _: None)
        with pytest.raises(PermanentError, match="a file of 0 bytes has more on the card behind its end") as caught:
            await card.erase(permit(cut, read[0].sha256))
        assert caught.value.reason is Reason.REFUSED
        await card.erase(permit(sound, read[1].sha256))
    assert [path.name for path in dock.card.iterdir()] == ["cut.mp4"]


@needs_strace
@pytest.mark.promise("I7")
def test_a_device_that_gives_an_error_fails_the_listing(dock: Dock, tmp_path: Path) -> None:
    device = mounted(dock, ODD["fat16-dirty"].make())
    trace = Trace(tmp_path / "log")
    with a_child(dock, wrap=trace.wrap("pread64:error=EIO", paths=(device,)), device=device) as child:
        answer, _ = child.listing()
    assert answer == {"error": "listing", "say": "its device gives no answer to a read: Input/output error"}


@needs_strace
@pytest.mark.promise("I7")
def test_a_device_that_gives_less_than_a_whole_read_is_asked_again(dock: Dock, tmp_path: Path) -> None:
    device = mounted(dock, ODD["fat16-dirty"].make())
    trace = Trace(tmp_path / "log")
    with a_child(dock, wrap=trace.wrap("pread64:retval=0:when=3+", paths=(device,)), device=device) as child:
        answer, _ = child.listing()
    assert answer["error"] == "structure"
    assert "the card is cut short" in answer["say"]


@needs_strace
@pytest.mark.promise("I17")
async def test_a_device_that_hangs_ends_the_listing_and_not_the_station(
    dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = mounted(dock, ODD["fat16-dirty"].make())
    trace = Trace(tmp_path / "log").wrap("pread64:delay_enter=20000000", paths=(device,))
    start = asyncio.create_subprocess_exec

    async def traced(*command: str, **options: object) -> asyncio.subprocess.Process:
        return await start(*trace, *command, **options)  # type: ignore[arg-type]  # what the caller gave, unchanged

    monkeypatch.setattr("dockd.edges.copier_process.asyncio.create_subprocess_exec", traced)
    card = await FolderCards(dock.spool, erase=True, patience=Patience(stall_s=3.0)).open(attached(dock, device))
    with pytest.raises(TransientError, match="no sign of life from the copier for 3 s") as caught:
        await card.listing()
    assert caught.value.reason is Reason.USB
    await card.close()


async def test_a_device_that_left_is_a_camera_that_left(dock: Dock, tmp_path: Path) -> None:
    with pytest.raises(CameraGoneError, match="No such file"):
        await listed(dock, tmp_path / "none")


@pytest.mark.parametrize("kind", ["folder", "fifo"])
async def test_what_has_no_blocks_is_no_device(dock: Dock, tmp_path: Path, kind: str) -> None:
    device = tmp_path / "device"
    if kind == "folder":
        device.mkdir()
    else:
        os.mkfifo(device)
    with pytest.raises(ListingError, match="expected a block device or an image") as caught:
        await listed(dock, device)
    assert caught.value.reason is Reason.LISTING
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if _leads_to(fd, dock.card)]


def _leads_to(fd: Path, path: Path) -> bool:
    try:
        return fd.readlink() == path
    except OSError:
        return False


@pytest.mark.promise("I7")
def test_a_block_device_is_that_of_the_card_or_none_at_all() -> None:
    def status(mode: int, device: int) -> os.stat_result:
        return os.stat_result((mode | 0o600, *(0,) * 9), {"st_rdev": device})

    sda1, sdb1, anonymous = os.makedev(8, 1), os.makedev(8, 17), os.makedev(0, 42)
    see_device("/dev/sda1", status(stat.S_IFBLK, sda1), sda1)
    see_device("/dev/sda1", status(stat.S_IFBLK, sda1), anonymous)
    see_device("card.img", status(stat.S_IFREG, 0), sdb1)
    with pytest.raises(ListingError, match="it is device 8:1, the card lies in 8:17") as caught:
        see_device("/dev/sda1", status(stat.S_IFBLK, sda1), sdb1)
    assert caught.value.reason is Reason.STRUCTURE
