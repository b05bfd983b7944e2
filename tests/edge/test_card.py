"""Cards over folders: what a copier says reaches the app as its port promises."""

import asyncio
import os
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.app.ports import Attached, Cards, Copied, ReadAgain
from dockd.domain.listing import listing_of
from dockd.domain.model import BayId, ListedFile, Sha256, clip_id_of
from dockd.edges.card import DescriptorCard, FolderCards
from dockd.edges.copier_process import Patience
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, TransientError
from tests.copier_parts import CAMERA, Dock, a_dock, endless, permit


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


def attached(dock: Dock) -> Attached:
    return Attached(bay=BayId(3), camera=CAMERA, source=str(dock.card))


@pytest.fixture
async def card(dock: Dock) -> AsyncIterator[DescriptorCard]:
    card = await FolderCards(dock.spool, erase=True).open(attached(dock))
    yield card
    await card.close()


def unheard(done_bytes: int) -> None:
    """Take no note of progress."""


async def listing_through(cards: Cards, camera: Attached) -> list[ListedFile]:
    """List a card by its ports alone: mypy sees that these are they."""
    card = await cards.open(camera)
    try:
        return list((await card.listing()).files)
    finally:
        await card.close()


async def test_a_folder_is_opened_as_the_ports_have_it(dock: Dock) -> None:
    file = dock.put("a")
    assert await listing_through(FolderCards(dock.spool, erase=False), attached(dock)) == [file]


async def test_a_clip_goes_its_way_from_listing_to_erasure(dock: Dock, card: DescriptorCard) -> None:
    file = dock.put(b"DCIM/\xff\n.mp4", b"one clip")
    digest = Sha256(sha256(b"one clip").hexdigest())
    clip_id = clip_id_of(camera=CAMERA, path=file.path, length_bytes=8, sha256=digest)
    told: list[int] = []

    assert await card.listing() == listing_of([file])
    assert await card.copy(file, progress=told.append) == Copied(clip_id=clip_id, sha256=digest, length_bytes=8)
    assert told == [8]
    assert dock.kept() == [f"{clip_id}.clip"]
    assert await card.reread(file) == ReadAgain(sha256=digest, length_bytes=8, uncached=True)
    await card.erase(permit(file))
    assert await card.listing() == listing_of([])


@pytest.mark.promise("I17")
async def test_a_file_that_is_read_again_gives_news_while_it_is_read(dock: Dock, card: DescriptorCard) -> None:
    told: list[int] = []
    begun = asyncio.Event()

    def progress(done_bytes: int) -> None:
        told.append(done_bytes)
        if len(told) == 2:
            begun.set()

    reading = asyncio.create_task(card.reread(endless(dock), progress=progress))
    async with asyncio.timeout(20):
        await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert 0 < told[0] < told[1]


async def test_one_child_serves_many_commands(dock: Dock, card: DescriptorCard) -> None:
    files = [dock.put(f"{number:03}") for number in range(50)]
    await card.listing()
    first = card.copier_pid
    assert first is not None
    for file in files:
        await card.copy(file, progress=unheard)
    assert card.copier_pid == first
    assert len(dock.kept()) == 50


async def test_commands_given_at_once_are_done_one_after_another(dock: Dock, card: DescriptorCard) -> None:
    files = [dock.put(f"{number}") for number in range(8)]
    async with asyncio.TaskGroup() as group:
        copies = [group.create_task(card.copy(file, progress=unheard)) for file in files]
    assert len({copy.result().clip_id for copy in copies}) == 8


async def test_an_idle_child_is_let_go_and_a_new_one_serves_the_next_command(dock: Dock) -> None:
    card = await FolderCards(dock.spool, erase=True, patience=Patience(idle_s=0.01)).open(attached(dock))
    await card.listing()
    first = card.copier_pid
    await gone(first)
    file = dock.put("a")
    assert await card.listing() == listing_of([file])
    assert card.copier_pid != first
    await card.close()


async def test_a_child_that_is_busy_again_is_not_let_go(dock: Dock) -> None:
    card = await FolderCards(dock.spool, erase=True, patience=Patience(idle_s=0.02)).open(attached(dock))
    dock.put("BIG.MP4", b"")
    os.truncate(dock.card / "BIG.MP4", 256 << 20)  # half a second or more of work
    await card.listing()
    assert (await card.copy(dock.listed(b"BIG.MP4"), progress=unheard)).length_bytes == 256 << 20
    await card.close()


async def gone(pid: int | None) -> None:
    """Wait until a process has ended."""
    assert pid is not None
    ended = asyncio.Event()
    loop, process = asyncio.get_running_loop(), os.pidfd_open(pid)
    loop.add_reader(process, ended.set)
    async with asyncio.timeout(20):
        await ended.wait()
    loop.remove_reader(process)
    os.close(process)


@pytest.mark.promise("I7")
async def test_a_listing_that_is_not_complete_is_a_listing_error(dock: Dock, card: DescriptorCard) -> None:
    dock.put("a.mp4")
    (dock.card / "b").symlink_to("a.mp4")
    with pytest.raises(ListingError, match="'b' is not a plain file") as caught:
        await card.listing()
    assert caught.value.reason is Reason.LISTING


@pytest.fixture
def ten_thousand(dock: Dock) -> None:
    for number in range(10_000):
        (dock.card / f"{number:05}").touch()


async def test_a_listing_of_ten_thousand_files_holds_no_loop_up(ten_thousand: None, card: DescriptorCard) -> None:
    assert len((await card.listing()).files) == 10_000


async def test_a_growing_file_may_be_copied_later(dock: Dock, card: DescriptorCard) -> None:
    file = dock.put("a", b"12345")
    dock.put("a", b"1234567")
    with pytest.raises(TransientError) as caught:
        await card.copy(file, progress=unheard)
    assert caught.value.reason is Reason.GROWING
    assert (await card.copy(dock.listed(b"a"), progress=unheard)).length_bytes == 7


async def test_a_file_that_is_missing_is_so_for_good(dock: Dock, card: DescriptorCard) -> None:
    file = dock.put("a")
    (dock.card / "a").unlink()
    for call in (card.copy(file, progress=unheard), card.reread(file), card.erase(permit(file))):
        with pytest.raises(PermanentError) as caught:
            await call
        assert caught.value.reason is Reason.MISSING


async def test_a_file_that_cannot_be_read_is_so_for_good(dock: Dock, card: DescriptorCard) -> None:
    file = dock.put("a")
    (dock.card / "a").unlink()
    (dock.card / "a").mkdir()
    with pytest.raises(PermanentError) as caught:
        await card.copy(file, progress=unheard)
    assert caught.value.reason is Reason.UNREADABLE


@pytest.mark.promise("I4")
async def test_a_card_that_left_is_an_event_and_no_fault_of_a_file(dock: Dock, card: DescriptorCard) -> None:
    file = dock.put("a")
    await card.listing()
    (dock.card / "a").unlink()
    dock.card.rmdir()
    for call in (card.listing(), card.copy(file, progress=unheard), card.reread(file), card.erase(permit(file))):
        with pytest.raises(CameraGoneError):
            await call


async def test_a_spool_that_is_gone_is_a_disk_that_failed(dock: Dock, card: DescriptorCard) -> None:
    file = dock.put("a")
    dock.spool.rmdir()
    with pytest.raises(TransientError) as caught:
        await card.copy(file, progress=unheard)
    assert caught.value.reason is Reason.DISK


@pytest.mark.promise("I1")
async def test_the_permits_length_decides_and_not_the_listings(dock: Dock, card: DescriptorCard) -> None:
    file = dock.put("a", b"12345")
    dock.put("a", b"123456")
    with pytest.raises(PermanentError) as caught:
        await card.erase(permit(file))
    assert caught.value.reason is Reason.REFUSED
    assert (dock.card / "a").exists()


@pytest.mark.promise("I3")
async def test_a_file_written_to_between_its_reread_and_its_erasure_stays(dock: Dock, card: DescriptorCard) -> None:
    file = dock.put("a", b"12345")
    await card.reread(file)
    dock.put("a", b"54321")
    os.utime(dock.card / "a", ns=(0, file.mtime_ns + 1))
    with pytest.raises(PermanentError, match="written to after it was read again"):
        await card.erase(permit(file))
    assert (dock.card / "a").exists()


@pytest.mark.promise("I6")
async def test_a_card_opened_without_leave_to_erase_keeps_its_files_whatever_the_permit(dock: Dock) -> None:
    file = dock.put("a")
    card = await FolderCards(dock.spool, erase=False).open(attached(dock))
    await card.reread(file)
    with pytest.raises(PermanentError) as caught:
        await card.erase(permit(file))
    assert caught.value.reason is Reason.REFUSED
    assert (dock.card / "a").exists()
    await card.close()


async def test_a_closed_card_can_be_closed_again_and_serves_no_more(dock: Dock, card: DescriptorCard) -> None:
    await card.listing()
    pid = card.copier_pid
    await card.close()
    await card.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(CameraGoneError):
        await card.listing()


async def test_a_closed_card_holds_no_descriptor(dock: Dock) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    card = await FolderCards(dock.spool, erase=True).open(attached(dock))
    await card.listing()
    await card.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # a loop keeps one to itself


async def test_a_card_that_is_not_there_has_left(dock: Dock) -> None:
    dock.card.rmdir()
    with pytest.raises(CameraGoneError):
        await FolderCards(dock.spool, erase=True).open(attached(dock))


async def test_a_file_is_no_card(dock: Dock) -> None:
    dock.card.rmdir()
    dock.card.write_bytes(b"")
    with pytest.raises(ListingError, match="expected a readable folder"):
        await FolderCards(dock.spool, erase=True).open(attached(dock))


async def test_a_card_without_a_spool_to_copy_to_is_not_opened(dock: Dock) -> None:
    dock.spool.rmdir()
    with pytest.raises(TransientError) as caught:
        await FolderCards(dock.spool, erase=True).open(attached(dock))
    assert caught.value.reason is Reason.DISK
