"""Opening or closing a card that hangs: it costs nobody else a thread, and leaves no descriptor."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockd.app.ports import Attached
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial
from dockd.edges.card import FolderCards
from dockd.edges.copier_process import Patience
from dockd.errors import Reason, TransientError


class Hang:
    """Holds every open of one folder up until told otherwise."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._open = os.open
        self.over = threading.Event()
        self.returned = threading.Semaphore(0)

    def open(self, path: str | Path, flags: int) -> int:
        if str(path) != self._folder:
            return self._open(path, flags)
        self.over.wait(20)
        try:
            return self._open(path, flags)
        finally:
            self.returned.release()


@pytest.fixture
def card(tmp_path: Path) -> Path:
    (tmp_path / "card").mkdir()
    (tmp_path / "spool").mkdir()
    return tmp_path / "card"


@pytest.fixture
def hang(card: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hang]:
    hang = Hang(card)
    monkeypatch.setattr("dockd.edges.card.os.open", hang.open)
    yield hang
    hang.over.set()


def _attached(card: Path) -> Attached:
    camera = Camera(serial=CameraSerial("CAM1"), volume=FOLDER_VOLUME)
    return Attached(bay=BayId(1), camera=camera, source=str(card))


def _descriptors_of(folder: Path) -> int:
    count = 0
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            count += fd.readlink() == folder
    return count


async def _ended(hang: Hang, opens: int) -> None:
    """Let every open go on, and wait until each has been dealt with."""
    hang.over.set()
    for _ in range(opens):
        assert await asyncio.to_thread(hang.returned.acquire, timeout=10)
    for thread in threading.enumerate():
        if thread.name == "open":
            await asyncio.to_thread(thread.join, 10)
    await asyncio.sleep(0)


@pytest.mark.promise("I17")
async def test_cards_that_hang_use_up_no_thread_that_the_disk_is_read_with(card: Path, hang: Hang) -> None:
    cards = FolderCards(card.parent / "spool", erase=False, patience=Patience(stall_s=0.05))
    for _ in range(40):
        with pytest.raises(TransientError, match="opening it hangs") as caught:
            await cards.open(_attached(card))
        assert caught.value.reason is Reason.USB
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(os.path.isdir, card)
    await _ended(hang, 40)
    assert _descriptors_of(card) == 0


async def test_a_card_that_opens_after_its_camera_was_pulled_is_closed(card: Path, hang: Hang) -> None:
    cards = FolderCards(card.parent / "spool", erase=False)
    opening = asyncio.create_task(cards.open(_attached(card)))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await _ended(hang, 1)
    assert _descriptors_of(card) == 0


@pytest.mark.promise("I17")
async def test_a_card_whose_last_close_hangs_is_left_to_its_thread(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = await FolderCards(card.parent / "spool", erase=False, patience=Patience(kill_s=0.05)).open(_attached(card))
    over, close = threading.Event(), os.close
    held = {int(fd.name) for fd in Path("/proc/self/fd").iterdir() if _is(fd, card)}

    def hanging(descriptor: int) -> None:
        if descriptor in held:
            over.wait(20)
        close(descriptor)

    monkeypatch.setattr("dockd.edges.opening.os.close", hanging)
    async with asyncio.timeout(5):
        await opened.close()
    assert _descriptors_of(card) == 1
    over.set()
    for thread in threading.enumerate():
        if thread.name == "close":
            await asyncio.to_thread(thread.join, 10)
    assert _descriptors_of(card) == 0


async def test_a_card_is_closed_also_where_there_are_no_more_threads(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await FolderCards(card.parent / "spool", erase=False).open(_attached(card))

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    await opened.close()
    assert _descriptors_of(card) == 0


@pytest.mark.parametrize("turns", [1, 2, 5])
async def test_a_close_that_is_cancelled_lets_go_of_everything_all_the_same(card: Path, turns: int) -> None:
    opened = await FolderCards(card.parent / "spool", erase=False).open(_attached(card))
    await opened.listing()
    child = opened._copier._child
    assert child is not None
    closing = asyncio.create_task(opened.close())
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()
    with suppress(asyncio.CancelledError):
        await closing
    await child.process.wait()  # so that the loop has seen its end
    for thread in threading.enumerate():
        if thread.name == "close":
            await asyncio.to_thread(thread.join, 10)
    assert (_descriptors_of(card), opened.copier_pid) == (0, None)


def _is(fd: Path, folder: Path) -> bool:
    try:
        return fd.readlink() == folder
    except FileNotFoundError:
        return False
