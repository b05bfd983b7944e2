"""A card with bad sectors, under a real copier child: what can be read is in the spool, and the gaps are told."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.app.ports import Attached, Salvaged
from dockd.domain.gaps import gaps_text
from dockd.domain.model import BayId, Sha256, clip_id_of
from dockd.edges import card
from dockd.edges.card import FolderCards
from dockd.errors import PermanentError, Reason
from tests.copier_parts import CAMERA, Dock, a_child, a_dock, packed
from tests.torn_card import NotMountedError, torn_card

PAGE = 4096
NAME = "DCIM/A.MP4"
DATA = b"".join(sha256(number.to_bytes(4, "big")).digest() * 128 for number in range(100)) + b"the end"
"""100 pages, no two alike, and a few bytes more."""


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def torn(dock: Dock, request: pytest.FixtureRequest) -> Iterator[Dock]:
    """Give the dock with errors in its card, where the test asks for them."""
    dock.put(NAME, DATA)
    try:
        with torn_card(dock.card, dock.card.with_name("mount"), [f"{NAME}:{each}" for each in request.param]) as mount:
            yield Dock(card=mount, spool=dock.spool)
    except NotMountedError as error:
        pytest.skip(f"no filesystem of one's own: {error}")


async def salvaged(dock: Dock, *, tries_copy: bool = True) -> Salvaged:
    card = await FolderCards(dock.spool, erase=False).open(Attached(bay=BayId(1), camera=CAMERA, source=str(dock.card)))
    try:
        (file,) = (await card.listing()).files
        if tries_copy:
            with pytest.raises(PermanentError, match="Input/output error") as caught:
                await card.copy(file, progress=lambda _: None)
            assert caught.value.reason is Reason.UNREADABLE
        seen: list[int] = []
        result = await card.salvage(file, progress=seen.append)
        assert seen[-1] == len(DATA)
        return result
    finally:
        await card.close()


def zeroed(*ranges: tuple[int, int]) -> bytes:
    data = bytearray(DATA)
    for begin, end in ranges:
        data[begin:end] = bytes(end - begin)
    return bytes(data)


@pytest.mark.promise("I5")
@pytest.mark.parametrize("torn", [["8200+1"]], indirect=True)
async def test_one_bad_byte_costs_its_page_and_nothing_else(torn: Dock) -> None:
    result = await salvaged(torn)
    want = zeroed((2 * PAGE, 3 * PAGE))
    assert gaps_text(result.gaps) == "8192+4096"
    assert result.length_bytes == len(DATA)
    assert result.sha256 == sha256(want).hexdigest()
    assert result.clip_id == clip_id_of(
        camera=CAMERA, path=NAME.encode(), length_bytes=len(DATA), sha256=Sha256(result.sha256)
    )
    assert torn.kept() == [f"{result.clip_id}.clip"]
    assert (torn.spool / f"{result.clip_id}.clip").read_bytes() == want


@pytest.mark.parametrize("torn", [["0+4096", "102400+100", "409600+7"]], indirect=True)
async def test_the_first_page_and_the_last_bytes_may_be_bad(torn: Dock) -> None:
    result = await salvaged(torn)
    assert gaps_text(result.gaps) == "0+4096 102400+4096 409600+7"
    want = zeroed((0, PAGE), (102400, 102400 + PAGE), (409600, 409607))
    assert (torn.spool / f"{result.clip_id}.clip").read_bytes() == want


@pytest.mark.parametrize("torn", [["65536+200000"]], indirect=True)
async def test_a_ruined_stretch_is_left_in_growing_steps_and_found_again_behind_it(torn: Dock) -> None:
    result = await salvaged(torn)
    (gap,) = result.gaps
    end = gap.offset_bytes + gap.length_bytes
    assert gap.offset_bytes == 65536
    assert 265536 <= end <= 2 * 265536 - 65536
    assert end < len(DATA), "what is behind it was looked for"
    assert (torn.spool / f"{result.clip_id}.clip").read_bytes() == zeroed((65536, end))


@pytest.mark.parametrize("torn", [[f"0+{len(DATA)}"]], indirect=True)
async def test_of_a_file_that_gives_not_one_byte_nothing_is_kept(torn: Dock) -> None:
    with pytest.raises(PermanentError, match="not one of its 409607 bytes") as caught:
        await salvaged(torn)
    assert caught.value.reason is Reason.UNREADABLE
    assert torn.kept() == []


@pytest.mark.parametrize("torn", [["70000+1", "200000+1"]], indirect=True)
def test_what_is_not_read_within_its_time_is_a_gap(torn: Dock) -> None:
    file = torn.listed(NAME.encode())
    command = {"do": "salvage", "path": packed(file.path), "length": file.length_bytes, "mtime_ns": file.mtime_ns}
    with a_child(torn) as child:
        answer, _ = child.ask(command | {"part": "p.part", "prefix": "00", "most_s": -1})
        assert answer["error"] == "unreadable", "no time at all, no byte at all"
        answer, _ = child.ask(command | {"part": "p.part", "prefix": "00", "most_s": 60})
        assert answer["done"]["gaps"] == [[69632, 4096], [196608, 4096]]
    assert torn.kept() == [f"{answer['done']['clip_id']}.clip"]


async def test_a_file_that_reads_whole_after_all_has_no_gap(dock: Dock) -> None:
    dock.put(NAME, DATA)
    result = await salvaged(dock, tries_copy=False)
    assert result.gaps == ()
    assert result.sha256 == sha256(DATA).hexdigest()
    assert (dock.spool / f"{result.clip_id}.clip").read_bytes() == DATA


@pytest.mark.promise("I4")
async def test_a_long_file_has_the_time_that_its_bytes_take_beside_that_of_its_errors(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card, "SALVAGE_MOST_S", 0)
    monkeypatch.setattr(card, "SALVAGE_BYTES_S", 1000, raising=False)
    dock.put(NAME, DATA)
    assert (await salvaged(dock, tries_copy=False)).gaps == ()
