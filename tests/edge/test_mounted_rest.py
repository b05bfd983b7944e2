"""Letting go of a card of a real bay that was written to: it is unmounted before anybody is told so."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dockd.edges.copier_process import Patience
from dockd.errors import Reason, TransientError
from tests.copier_parts import Dock, a_dock, permit, until
from tests.mount_parts import ATTACHED, Bay, a_bay


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def bay(dock: Dock) -> Iterator[Bay]:
    with a_bay(dock) as bay:
        yield bay


@contextmanager
def hanging(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Have closing a folder hang in the threads that close, until it is over."""
    over, close = threading.Event(), os.close

    def hang(descriptor: int) -> None:
        if threading.current_thread().name == "close":
            with suppress(OSError):
                if Path(f"/proc/self/fd/{descriptor}").readlink() == folder:
                    over.wait(60)
        close(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr("dockd.edges.opening.os.close", hang)
        try:
            yield over
        finally:
            over.set()
            for thread in threading.enumerate():
                if thread.name == "close":
                    thread.join(60)


@pytest.mark.promise("I6")
async def test_a_card_that_was_erased_from_is_unmounted_once_it_was_let_go_of(dock: Dock, bay: Bay) -> None:
    file, other = dock.put("a.mp4"), dock.put("b.mp4")
    card = await bay.cards().open(ATTACHED)
    await card.rest()
    assert bay.open_count() > 0, "what is only read is left as it is"
    await card.erase(permit(file))
    await card.rest()
    assert bay.open_count() == 0
    await card.rest()
    await card.erase(permit(other))
    assert bay.helper.mounts == ["mount", "writable", "writable"]
    await card.close()


@pytest.mark.promise("I6")
async def test_a_card_whose_unmounting_hangs_was_not_let_go_of_until_it_is_mounted_anew(
    dock: Dock, bay: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, stays = dock.put("a.mp4"), dock.put("b.mp4")
    card = await bay.cards(patience=Patience(kill_s=5.0)).open(ATTACHED)
    await card.erase(permit(file))
    monkeypatch.setattr(card._mounted.card, "_kill_s", 0.05)  # type: ignore[union-attr]  # it is mounted
    with hanging(dock.card, monkeypatch):
        for _ in range(2):
            with pytest.raises(TransientError, match="may be writable still") as hung:
                await card.rest()
            assert hung.value.reason is Reason.USB
    assert (await card.reread(stays)).uncached
    await card.rest()
    await card.close()
    assert bay.open_count() == 0


@pytest.mark.promise("I6")
@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_a_command_that_is_cancelled_before_it_began_leaves_no_card_writable_for_ever(
    dock: Dock, bay: Bay, turns: int
) -> None:
    file, other = dock.put("a.mp4"), dock.put("b.mp4")
    card = await bay.cards(window_s=0.05).open(ATTACHED)
    await card.erase(permit(file))
    asking = asyncio.create_task(card.reread(other))
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await until(lambda: bay.open_count() == 0)
    await card.close()
