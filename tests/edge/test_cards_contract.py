"""The ports Cards and Card: what holds for folders holds for real bays, cameras with a profile, and simulated ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.app.ports import Card, Copied, ReadAgain
from dockd.domain.model import Sha256, clip_id_of
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, TransientError
from tests.card_makers import ALL, THAT_MOUNT, Held, Maker
from tests.copier_parts import CAMERA, permit

DIGEST = Sha256(sha256(b"one clip").hexdigest())
ONE, OTHER = "REC/20240701-143000_EVT.MP4", "REC/20240701-150000_NOR.MP4"

all_of_them = pytest.mark.parametrize("made", ALL)


@asynccontextmanager
async def opened(held: Held) -> AsyncIterator[Card]:
    card = await held.cards.open(held.attached)
    try:
        yield card
    finally:
        await card.close()


def unheard(done_bytes: int) -> None:
    """Take no note of progress."""


@all_of_them
async def test_a_clip_goes_its_way_from_listing_to_erasure(tmp_path: Path, made: Maker) -> None:
    clip_id = clip_id_of(camera=CAMERA, path=ONE.encode(), length_bytes=8, sha256=DIGEST)
    told: list[int] = []
    with made(tmp_path) as held:
        file, stays = held.put(ONE), held.put(OTHER)
        async with opened(held) as card:
            assert [it.path for it in (await card.listing()).files] == [file.path, stays.path]
            copied = await card.copy(file, progress=told.append)
            assert copied == Copied(clip_id=clip_id, sha256=DIGEST, length_bytes=8)
            assert (told[-1], held.kept()) == (8, [f"{clip_id}.clip"])
            assert told == sorted(set(told))
            assert (await card.salvage(stays, progress=unheard)).gaps == ()
            assert await card.reread(file) == ReadAgain(sha256=DIGEST, length_bytes=8, uncached=True)
            await card.erase(permit(file))
            assert held.bytes_of(ONE) is None
            assert [it.path for it in (await card.listing()).files] == [stays.path]


@all_of_them
@pytest.mark.promise("I6")
async def test_what_was_let_go_of_is_not_writable_and_may_be_erased_from_again(tmp_path: Path, made: Maker) -> None:
    with made(tmp_path) as held:
        one, other = held.put(ONE), held.put(OTHER)
        async with opened(held) as card:
            await card.listing()
            await card.rest()
            for file in (one, other):
                await card.reread(file)
                await card.erase(permit(file))
                await card.rest()
                assert not held.writable()
            await card.rest()
            assert (await card.listing()).files == ()
            assert not held.writable()


@pytest.mark.promise("I6")
@pytest.mark.parametrize("made", THAT_MOUNT)
@pytest.mark.parametrize("end", ["rest", "rest, cancelled", "listing", "copy", "close"])
async def test_a_card_is_writable_from_an_erasure_until_it_is_let_go_of(tmp_path: Path, made: Maker, end: str) -> None:
    with made(tmp_path) as held:
        one, other = held.put(ONE), held.put(OTHER)
        async with opened(held) as card:
            await card.listing()
            await card.reread(one)
            assert not held.writable()
            await card.erase(permit(one))
            assert held.writable()
            match end:
                case "rest, cancelled":
                    resting = asyncio.create_task(card.rest())
                    await asyncio.sleep(0)
                    resting.cancel()
                    with suppress(asyncio.CancelledError):
                        await resting
                case "copy":
                    await card.copy(other, progress=unheard)
                case _:
                    await getattr(card, end)()
            assert not held.writable()


@all_of_them
@pytest.mark.promise("I6")
async def test_without_leave_to_erase_nothing_is_erased(tmp_path: Path, made: Maker) -> None:
    with made(tmp_path, erase=False) as held:
        file = held.put(ONE)
        async with opened(held) as card:
            await card.listing()
            await card.reread(file)
            with pytest.raises(PermanentError) as refused:
                await card.erase(permit(file))
        assert refused.value.reason is Reason.REFUSED
        assert held.bytes_of(ONE) == b"one clip"


@all_of_them
@pytest.mark.promise("I3")
async def test_a_file_that_was_written_to_after_its_reading_is_not_erased(tmp_path: Path, made: Maker) -> None:
    with made(tmp_path) as held:
        file = held.put(ONE)
        async with opened(held) as card:
            await card.listing()
            await card.reread(file)
            held.put(ONE, b"ANOTHER!")
            with pytest.raises(PermanentError) as refused:
                await card.erase(permit(file))
        assert refused.value.reason is Reason.REFUSED
        assert held.bytes_of(ONE) == b"ANOTHER!"


@all_of_them
async def test_a_file_that_is_not_there_is_missing_and_one_that_changed_is_growing(tmp_path: Path, made: Maker) -> None:
    with made(tmp_path) as held:
        file, growing = held.put(ONE), held.put(OTHER)
        async with opened(held) as card:
            await card.listing()
            held.lose(ONE)
            for ask in (card.copy(file, progress=unheard), card.reread(file), card.erase(permit(file))):
                with pytest.raises(PermanentError) as missing:
                    await ask
                assert missing.value.reason is Reason.MISSING
            held.put(OTHER, b"one clip and more")
            for ask in (card.copy(growing, progress=unheard), card.reread(growing)):
                with pytest.raises(TransientError) as grown:
                    await ask
                assert grown.value.reason is Reason.GROWING


@all_of_them
@pytest.mark.promise("I7")
async def test_what_cannot_be_told_makes_the_listing_fail(tmp_path: Path, made: Maker) -> None:
    with made(tmp_path) as held:
        held.put(ONE)
        async with opened(held) as card:
            held.spoil()
            with pytest.raises(ListingError) as failed:
                await card.listing()
        assert failed.value.reason is Reason.LISTING


@all_of_them
async def test_a_card_that_left_is_gone_for_every_question_and_closes_without_a_word(
    tmp_path: Path, made: Maker
) -> None:
    with made(tmp_path) as held:
        file = held.put(ONE)
        async with opened(held) as card:
            await card.listing()
            held.leave()
            await card.rest()
            for ask in (card.copy(file, progress=unheard), card.reread(file), card.listing()):
                with pytest.raises(CameraGoneError):
                    await ask
            await card.rest()


@all_of_them
async def test_a_closed_card_answers_nothing_and_may_be_closed_again(tmp_path: Path, made: Maker) -> None:
    with made(tmp_path) as held:
        file = held.put(ONE)
        card = await held.cards.open(held.attached)
        await card.listing()
        await card.close()
        await card.close()
        await card.rest()
        for ask in (card.erase(permit(file)), card.listing(), card.copy(file, progress=unheard), card.reread(file)):
            with pytest.raises(CameraGoneError):
                await ask


@all_of_them
async def test_questions_at_once_are_answered_one_after_another(tmp_path: Path, made: Maker) -> None:
    with made(tmp_path) as held:
        files = [held.put(f"REC/20240701-14300{number}_EVT.MP4") for number in range(6)]
        async with opened(held) as card:
            await card.listing()
            async with asyncio.TaskGroup() as group:
                copies = [group.create_task(card.copy(file, progress=unheard)) for file in files[:3]]
                for file in files[3:]:
                    group.create_task(card.erase(permit(file)))
            assert len({copy.result().clip_id for copy in copies}) == 3
            assert [it.path for it in (await card.listing()).files] == [file.path for file in files[:3]]
