import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Card, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.listing import listing_of
from dockd.domain.model import (
    FOLDER_VOLUME,
    BayId,
    Camera,
    CameraSerial,
    ClipId,
    ClipKey,
    DockingId,
    ListedFile,
    Listing,
    Sha256,
)
from dockd.errors import CameraGoneError
from dockd.sim.cards import DockedCards
from dockd.sim.rack import Docked, Rack

CAMERA = Camera(serial=CameraSerial("DKD-0001"), volume=FOLDER_VOLUME)
BAY = BayId(3)
FILE = ListedFile(path=b"A.MP4", length_bytes=1000, mtime_ns=0)
COPIED = Copied(clip_id=ClipId("c"), sha256=Sha256("d"), length_bytes=1000)
PERMIT = ErasePermit(clip=ClipKey(1), docking=DockingId(1), path=b"A.MP4", length_bytes=1000, sha256=Sha256("d"))


@pytest.fixture
def rack(tmp_path: Path) -> Rack:
    rack = Rack(tmp_path)
    rack.shelf(CAMERA).mkdir(parents=True)
    (rack.shelf(CAMERA) / "A.MP4").write_bytes(b"footage")
    return rack


# --- the rack -----------------------------------------------------------------------------------------------------


def test_a_docked_camera_is_in_its_bay_and_nowhere_else(rack: Rack) -> None:
    docked = rack.dock(CAMERA, BAY)
    assert (docked.folder / "A.MP4").read_bytes() == b"footage"
    assert not rack.shelf(CAMERA).exists()
    assert rack.docked(BAY) is docked
    assert rack.folder(CAMERA) == docked.folder


def test_nothing_can_be_read_by_path_from_a_camera_that_was_pulled(rack: Rack) -> None:
    docked = rack.dock(CAMERA, BAY)
    rack.pull(BAY)
    assert docked.gone
    assert not docked.folder.exists()
    assert rack.docked(BAY) is None
    assert (rack.shelf(CAMERA) / "A.MP4").exists()


def test_pulling_from_an_empty_bay_is_nothing(rack: Rack) -> None:
    rack.pull(BAY)
    assert rack.shelf(CAMERA).exists()


def test_the_rack_knows_what_is_on_a_camera_wherever_it_is(rack: Rack) -> None:
    assert rack.holds(CAMERA, b"A.MP4")
    assert not rack.is_clean(CAMERA)
    docked = rack.dock(CAMERA, BAY)
    assert rack.holds(CAMERA, b"A.MP4")
    (docked.folder / "A.MP4").unlink()
    (docked.folder / "DCIM").mkdir()
    assert not rack.holds(CAMERA, b"A.MP4")
    assert rack.is_clean(CAMERA), "empty folders are no footage"


# --- cards in it --------------------------------------------------------------------------------------------------


class SlowCard:
    """A card whose every call waits until it is let go, and tells progress half-way."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.begun = asyncio.Event()
        self.closed = False
        self.rested = False
        self.fails: Exception | None = None

    async def _work(self) -> None:
        self.begun.set()
        if self.fails is not None:
            raise self.fails
        await self.let_go.wait()

    async def listing(self) -> Listing:
        await self._work()
        return listing_of([FILE])

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        progress(file.length_bytes // 2 - 1)
        progress(file.length_bytes // 2)
        await self._work()
        progress(file.length_bytes)
        return COPIED

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        await self._work()
        progress(file.length_bytes)
        return Salvaged(clip_id=COPIED.clip_id, sha256=COPIED.sha256, length_bytes=file.length_bytes, gaps=())

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        await self._work()
        progress(file.length_bytes)
        return ReadAgain(sha256=Sha256("d"), length_bytes=file.length_bytes, uncached=True)

    async def erase(self, permit: ErasePermit) -> None:
        assert permit == PERMIT
        await self._work()

    async def rest(self) -> None:
        self.rested = True

    async def close(self) -> None:
        self.closed = True


class OneCard:
    def __init__(self, card: SlowCard) -> None:
        self._card = card

    async def open(self, attached: Attached) -> Card:
        assert attached.camera == CAMERA
        return self._card


CALLS: list[Callable[[Card], object]] = [
    lambda card: card.listing(),
    lambda card: card.copy(FILE, progress=lambda _: None),
    lambda card: card.salvage(FILE, progress=lambda _: None),
    lambda card: card.reread(FILE),
    lambda card: card.erase(PERMIT),
]


async def opened(rack: Rack, inner: SlowCard, docked: Docked) -> Card:
    attached = Attached(bay=docked.bay, camera=CAMERA, source=str(docked.folder))
    return await DockedCards(OneCard(inner), rack=rack).open(attached)


@pytest.mark.parametrize("call", CALLS)
async def test_a_pull_ends_the_call_that_is_under_way(rack: Rack, call: Callable[[Card], object]) -> None:
    inner = SlowCard()
    card = await opened(rack, inner, rack.dock(CAMERA, BAY))

    async def pull() -> None:
        await inner.begun.wait()
        rack.pull(BAY)

    async with asyncio.TaskGroup() as group:
        group.create_task(pull(), name="officer")
        with pytest.raises(CameraGoneError, match="bay 3: camera DKD-0001 was taken out"):
            await call(card)  # type: ignore[misc]  # each gives an awaitable of its own type
    inner.begun.clear()
    with pytest.raises(CameraGoneError):
        await call(card)  # type: ignore[misc]  # as above
    assert not inner.begun.is_set(), "a card that is gone is not even asked"


@pytest.mark.parametrize("call", CALLS)
async def test_without_a_pull_a_call_is_what_the_card_makes_of_it(rack: Rack, call: Callable[[Card], object]) -> None:
    inner = SlowCard()
    inner.let_go.set()
    card = await opened(rack, inner, rack.dock(CAMERA, BAY))
    await call(card)  # type: ignore[misc]  # as above
    inner.fails = TimeoutError("the card's own")
    with pytest.raises(TimeoutError, match="the card's own"):
        await call(card)  # type: ignore[misc]  # as above
    rack.pull(BAY)
    await card.rest()
    assert inner.rested, "of a camera that left too"
    await card.close()
    assert inner.closed


async def test_a_camera_is_pulled_half_way_through_the_file_that_the_plan_names(rack: Rack) -> None:
    inner = SlowCard()
    inner.let_go.set()
    docked = rack.dock(CAMERA, BAY, pull_at=2)
    card = await opened(rack, inner, docked)
    seen: list[int] = []
    assert await card.copy(FILE, progress=seen.append) == COPIED
    assert rack.docked(BAY) is docked
    inner.let_go.clear()
    with pytest.raises(CameraGoneError):
        await card.copy(FILE, progress=seen.append)
    assert rack.docked(BAY) is None
    assert seen == [499, 500, 1000, 499, 500]


async def test_a_camera_that_left_before_it_was_opened_is_gone(rack: Rack) -> None:
    docked = rack.dock(CAMERA, BAY)
    rack.pull(BAY)
    with pytest.raises(CameraGoneError, match="bay 3"):
        await opened(rack, SlowCard(), docked)
    rack.dock(CAMERA, BayId(4))
    with pytest.raises(CameraGoneError):
        await opened(rack, SlowCard(), docked)
