"""Cards of real bays: cancelled and closed at any point, nothing of them stays open."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockd.domain.model import ListedFile
from dockd.edges.mounted import MountedCard
from dockd.errors import CameraGoneError
from tests.copier_parts import Dock, a_dock, endless, once, permit
from tests.mount_parts import ATTACHED, Bay, Held, a_bay


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def bay(dock: Dock) -> Iterator[Bay]:
    with a_bay(dock) as bay:
        yield bay


End = Callable[[MountedCard, "asyncio.Task[None]"], Awaitable[None]]


async def by_cancelling(card: MountedCard, task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await card.close()


async def by_closing(card: MountedCard, task: "asyncio.Task[None]") -> None:
    await card.close()
    with pytest.raises(CameraGoneError, match="closed"):
        await task


async def by_both(card: MountedCard, task: "asyncio.Task[None]") -> None:
    closing = asyncio.create_task(card.close())
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError, CameraGoneError):
        await task
    await closing


async def erasing(card: MountedCard, file: ListedFile) -> None:
    await card.erase(permit(file))


async def listing(card: MountedCard, _file: ListedFile) -> None:
    await card.reread(_file)
    await card.erase(permit(_file))
    await card.listing()


@pytest.mark.promise("I17")
@pytest.mark.parametrize("end", [by_cancelling, by_closing, by_both])
@pytest.mark.parametrize(("act", "verb"), [(erasing, "writable"), (listing, "mount"), (listing, "device")])
async def test_ended_in_the_middle_of_a_mount_nothing_stays_open(
    dock: Dock, bay: Bay, act: Callable[[MountedCard, ListedFile], Awaitable[None]], verb: str, end: End
) -> None:
    file = dock.put("a.mp4")
    card = await bay.cards().open(ATTACHED)
    held = bay.helper.hooks[verb] = Held()
    task = asyncio.create_task(_of(act(card, file)))
    assert await asyncio.to_thread(held.come.wait, 60)
    await end(card, task)
    held.go.set()
    assert bay.open_count() == 0
    with pytest.raises(CameraGoneError, match="closed"):
        await card.listing()


@pytest.mark.parametrize("verb", ["authorise", "mount", "device"])
async def test_an_opening_that_is_cancelled_leaves_nothing_open(bay: Bay, verb: str) -> None:
    held = bay.helper.hooks[verb] = Held()
    opening = asyncio.create_task(bay.cards().open(ATTACHED))
    assert await asyncio.to_thread(held.come.wait, 60)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    held.go.set()
    assert bay.open_count() == 0


@pytest.mark.parametrize("end", [by_cancelling, by_closing, by_both])
async def test_ended_in_the_middle_of_a_copy_nothing_stays_open(dock: Dock, bay: Bay, end: End) -> None:
    card = await bay.cards().open(ATTACHED)
    big, begun = endless(dock), asyncio.Event()
    task = asyncio.create_task(_of(card.copy(big, progress=once(begun.set))))
    await begun.wait()
    await end(card, task)
    assert (bay.open_count(), dock.kept()) == (0, [])


async def test_a_card_that_is_closed_while_it_rests_writable_is_closed_at_once_and_twice(dock: Dock, bay: Bay) -> None:
    file = dock.put("a.mp4")
    card = await bay.cards().open(ATTACHED)
    await card.erase(permit(file))
    await asyncio.gather(card.close(), card.close())
    await card.close()
    assert bay.open_count() == 0


async def _of(work: Awaitable[object]) -> None:
    await work
