"""The ports Cards and Card: what holds for folders holds for cards of real bays, and for those with a profile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.app.ports import Attached, Card, Cards, Copied, ReadAgain
from dockd.domain.model import Sha256, clip_id_of
from dockd.domain.profile import EraseMethod
from dockd.edges.card import FolderCards
from dockd.edges.profiled import ProfiledCards
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, TransientError
from tests.copier_parts import CAMERA, Dock, a_dock
from tests.mount_parts import ATTACHED, a_bay, permit
from tests.profile_parts import DATED

DIGEST = Sha256(sha256(b"one clip").hexdigest())
ONE, OTHER = "REC/20240701-143000_EVT.MP4", "REC/20240701-150000_NOR.MP4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Cards, and the camera that is docked with the dock's card."""

    cards: Cards
    attached: Attached


Maker = Callable[..., AbstractAsyncContextManager[Made]]


@asynccontextmanager
async def of_folder(dock: Dock, *, erase: bool = True) -> AsyncIterator[Made]:
    yield Made(
        cards=FolderCards(dock.spool, erase=erase), attached=replace(ATTACHED, source=str(dock.card), device=None)
    )


@asynccontextmanager
async def of_bay(dock: Dock, *, erase: bool = True) -> AsyncIterator[Made]:
    with a_bay(dock) as bay:
        yield Made(cards=bay.cards(erase=erase), attached=ATTACHED)
        assert bay.open_count() == 0


@asynccontextmanager
async def of_known_camera(dock: Dock, *, erase: bool = True) -> AsyncIterator[Made]:
    async with of_bay(dock, erase=erase) as made:
        profile = replace(DATED, erase=EraseMethod.UNLINK)
        yield replace(made, cards=ProfiledCards(made.cards, profile_of=lambda _: profile))


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


all_of_them = pytest.mark.parametrize("made", [of_folder, of_bay, of_known_camera])


@asynccontextmanager
async def opened(made: Made) -> AsyncIterator[Card]:
    card = await made.cards.open(made.attached)
    try:
        yield card
    finally:
        await card.close()


def unheard(done_bytes: int) -> None:
    """Take no note of progress."""


@all_of_them
async def test_a_clip_goes_its_way_from_listing_to_erasure(dock: Dock, made: Maker) -> None:
    file, stays = dock.put(ONE), dock.put(OTHER)
    clip_id = clip_id_of(camera=CAMERA, path=file.path, length_bytes=8, sha256=DIGEST)
    told: list[int] = []
    async with made(dock) as bay, opened(bay) as card:
        assert [it.path for it in (await card.listing()).files] == [file.path, stays.path]
        copied = await card.copy(file, progress=told.append)
        assert copied == Copied(clip_id=clip_id, sha256=DIGEST, length_bytes=8)
        assert (told, dock.kept()) == ([8], [f"{clip_id}.clip"])
        assert (await card.salvage(stays, progress=unheard)).gaps == ()
        assert await card.reread(file) == ReadAgain(sha256=DIGEST, length_bytes=8, uncached=True)
        await card.erase(permit(file))
        assert [it.path for it in (await card.listing()).files] == [stays.path]


@all_of_them
@pytest.mark.promise("I6")
async def test_without_leave_to_erase_nothing_is_erased(dock: Dock, made: Maker) -> None:
    file = dock.put(ONE)
    async with made(dock, erase=False) as bay, opened(bay) as card:
        await card.listing()
        await card.reread(file)
        with pytest.raises(PermanentError) as refused:
            await card.erase(permit(file))
    assert refused.value.reason is Reason.REFUSED
    assert (dock.card / ONE).exists()


@all_of_them
@pytest.mark.promise("I3")
async def test_a_file_that_was_written_to_after_its_reading_is_not_erased(dock: Dock, made: Maker) -> None:
    file = dock.put(ONE)
    async with made(dock) as bay, opened(bay) as card:
        await card.listing()
        await card.reread(file)
        (dock.card / ONE).write_bytes(b"ANOTHER!")
        with pytest.raises(PermanentError) as refused:
            await card.erase(permit(file))
    assert refused.value.reason is Reason.REFUSED
    assert (dock.card / ONE).read_bytes() == b"ANOTHER!"


@all_of_them
async def test_a_file_that_is_not_there_is_missing_and_one_that_changed_is_growing(dock: Dock, made: Maker) -> None:
    file, growing = dock.put(ONE), dock.put(OTHER)
    async with made(dock) as bay, opened(bay) as card:
        await card.listing()
        (dock.card / ONE).unlink()
        for ask in (card.copy(file, progress=unheard), card.reread(file), card.erase(permit(file))):
            with pytest.raises(PermanentError) as missing:
                await ask
            assert missing.value.reason is Reason.MISSING
        (dock.card / OTHER).write_bytes(b"one clip and more")
        for ask in (card.copy(growing, progress=unheard), card.reread(growing)):
            with pytest.raises(TransientError) as grown:
                await ask
            assert grown.value.reason is Reason.GROWING


@all_of_them
@pytest.mark.promise("I7")
async def test_what_is_no_plain_file_makes_the_listing_fail(dock: Dock, made: Maker) -> None:
    dock.put(ONE)
    async with made(dock) as bay, opened(bay) as card:
        (dock.card / "link").symlink_to("REC")
        with pytest.raises(ListingError) as failed:
            await card.listing()
    assert failed.value.reason is Reason.LISTING


@all_of_them
async def test_a_card_that_left_is_gone_for_every_question_and_closes_without_a_word(dock: Dock, made: Maker) -> None:
    file = dock.put(ONE)
    async with made(dock) as bay, opened(bay) as card:
        await card.listing()
        (dock.card / ONE).unlink()
        (dock.card / "REC").rmdir()
        dock.card.rmdir()
        for ask in (card.copy(file, progress=unheard), card.reread(file), card.listing()):
            with pytest.raises(CameraGoneError):
                await ask


@all_of_them
async def test_a_closed_card_answers_nothing_and_may_be_closed_again(dock: Dock, made: Maker) -> None:
    file = dock.put(ONE)
    async with made(dock) as bay:
        card = await bay.cards.open(bay.attached)
        await card.listing()
        await card.close()
        await card.close()
        for ask in (card.erase(permit(file)), card.listing(), card.copy(file, progress=unheard), card.reread(file)):
            with pytest.raises(CameraGoneError):
                await ask


@all_of_them
async def test_questions_at_once_are_answered_one_after_another(dock: Dock, made: Maker) -> None:
    files = [dock.put(f"REC/20240701-14300{number}_EVT.MP4") for number in range(6)]
    async with made(dock) as bay, opened(bay) as card:
        await card.listing()
        async with asyncio.TaskGroup() as group:
            copies = [group.create_task(card.copy(file, progress=unheard)) for file in files[:3]]
            for file in files[3:]:
                group.create_task(card.erase(permit(file)))
        assert len({copy.result().clip_id for copy in copies}) == 3
        assert [it.path for it in (await card.listing()).files] == [file.path for file in files[:3]]
