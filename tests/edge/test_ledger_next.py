"""The port's contract for what is to be done next and how much is left, held by both ledgers."""

import pytest

from dockd.domain.bay import Tally
from dockd.domain.clip import Change, Move
from dockd.domain.model import Assurance, Camera, CameraSerial, ClipKey, ClipState, DockingId
from dockd.edges.ledger.ledger import StationLedger
from dockd.errors import Reason
from tests.both_ledgers import entries, said
from tests.ledger_parts import CAMERA, attached, bring, clips, docked, file, listing, skip


async def test_the_bus_does_urgent_clips_first_then_the_oldest(ledger: StationLedger) -> None:
    docking = await docked(
        ledger,
        file("A.MP4", mtime_s=300),
        file("B.MP4", mtime_s=100),
        file("C.MP4", mtime_s=200, urgent=True),
        file("D.MP4", mtime_s=100, length_bytes=7),
    )
    order: list[str] = []
    left = []
    for _ in range(4):
        (head,) = await ledger.heads([docking], skip=skip())
        assert head.copy is not None
        left.append(head.uncopied_bytes)
        order.append(head.copy.path.decode())
        await bring(ledger, head.copy, ClipState.COPIED)
    assert order == ["DCIM/C.MP4", "DCIM/B.MP4", "DCIM/D.MP4", "DCIM/A.MP4"]
    assert left == [307, 207, 107, 100]
    (head,) = await ledger.heads([docking], skip=skip())
    assert (head.uncopied_bytes, head.copy, head.confirm, head.erase) == (0, None, None, None)


async def test_clips_that_wait_are_passed_over_and_still_counted(ledger: StationLedger) -> None:
    docking = await docked(ledger, file("A.MP4"), file("B.MP4"))
    (head,) = await ledger.heads([docking], skip=skip(1))
    assert head.copy is not None
    assert (head.copy.key, head.uncopied_bytes) == (2, 200)
    (head,) = await ledger.heads([docking], skip=skip(1, 2))
    assert (head.copy, head.uncopied_bytes) == (None, 200)


async def test_heads_come_in_the_order_asked_for_one_for_each_docking(ledger: StationLedger) -> None:
    other = Camera(serial=CameraSerial("CAM0002"), volume=CAMERA.volume)
    one = await docked(ledger, file("A.MP4"))
    two = await docked(ledger, file("A.MP4"), camera=other, bay=2)
    empty = await ledger.dock(attached(bay=3))
    heads = await ledger.heads([two, empty, one], skip=skip())
    assert [head.docking for head in heads] == [two, empty, one]
    assert [head.copy.key if head.copy else None for head in heads] == [2, None, 1]
    assert await ledger.heads([], skip=skip()) == ()


@pytest.mark.promise("I3")
async def test_a_candidate_is_confirmed_before_it_is_believed(ledger: StationLedger) -> None:
    """I3."""
    await docked(ledger, *(file(f"{name}.MP4") for name in "ABC"))
    for key, state in ((1, ClipState.COPIED), (2, ClipState.UPLOADED), (3, ClipState.RECEIPTED)):
        await bring(ledger, await ledger.clip(ClipKey(key)), state)
    docking = await docked(ledger, *(file(f"{name}.MP4") for name in "ABC"))
    assert (await ledger.tally(docking)).unconfirmed_files == 3
    assert (await ledger.tally(docking)).unconfirmed_bytes == 300
    order = []
    for _ in range(3):
        (head,) = await ledger.heads([docking], skip=skip())
        assert head.confirm is not None
        order.append(head.confirm.key)
        await ledger.move(head.confirm.key, Move.CONFIRMED, Change(verified_in=docking), actor="offload")
    assert order == [1, 2, 3]
    (head,) = await ledger.heads([docking], skip=skip())
    assert head.confirm is None
    assert (await ledger.tally(docking)).unconfirmed_files == 0


@pytest.mark.promise("I1")
async def test_a_recording_is_erased_only_when_all_of_it_is_receipted(ledger: StationLedger) -> None:
    """I1: its sidecars, too."""
    docking = await docked(ledger, file("A1.MP4"), file("A1.THM"), file("B2.MP4", mtime_s=9))
    video, _, other = await clips(ledger, 1, 2, 3)
    video = await bring(ledger, video, ClipState.RECEIPTED)
    (head,) = await ledger.heads([docking], skip=skip())
    assert head.erase is None
    assert [clip.key for clip in await ledger.recording(video)] == [1, 2]
    await bring(ledger, other, ClipState.RECEIPTED)
    (head,) = await ledger.heads([docking], skip=skip())
    assert head.erase is not None
    assert head.erase.key == other.key
    await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.RECEIPTED)
    (head,) = await ledger.heads([docking], skip=skip())
    assert head.erase == video
    assert await ledger.recording(video) == (video,)


@pytest.mark.parametrize("state", [ClipState.FOUND, ClipState.COPIED, ClipState.UPLOADED, ClipState.HELD])
async def test_a_sidecar_without_a_receipt_keeps_its_recording_on_the_camera(
    ledger: StationLedger, state: ClipState
) -> None:
    docking = await docked(ledger, file("A1.MP4"), file("A1.THM"))
    video, sidecar = await clips(ledger, 1, 2)
    await bring(ledger, video, ClipState.RECEIPTED)
    if state is ClipState.HELD:
        await ledger.move(sidecar.key, Move.HELD, Change(reason=Reason.UNREADABLE), actor="offload")
    else:
        await bring(ledger, sidecar, state)
    (head,) = await ledger.heads([docking], skip=skip())
    assert head.erase is None


async def test_uploads_go_urgent_first_then_begun_then_as_they_were_copied(ledger: StationLedger) -> None:
    await docked(ledger, *(file(f"{name}.MP4", urgent=name == "C") for name in "ABCDE"))
    for key in (4, 2, 5, 3):
        await bring(ledger, await ledger.clip(ClipKey(key)), ClipState.COPIED)
    await ledger.move(ClipKey(5), Move.OPENED, Change(url="http://127.0.0.1/5"), actor="upload")
    order: list[int] = []
    for _ in range(5):
        clip = await ledger.next_upload(skip=skip(*order), wanted=Assurance.SIGNED)
        if clip is not None:
            order.append(clip.key)
    assert order == [3, 5, 4, 2]


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        (Assurance.NONE, [1]),
        (Assurance.ACCEPTED, [1]),
        (Assurance.READBACK, [2, 1]),
        (Assurance.SIGNED, [2, 3, 1]),
    ],
)
async def test_an_uploaded_clip_is_done_with_when_it_has_the_assurance_wanted(
    ledger: StationLedger, wanted: Assurance, keys: list[int]
) -> None:
    await docked(ledger, *(file(f"{name}.MP4") for name in "ABCDE"))
    for key, state in enumerate((ClipState.COPIED, ClipState.UPLOADED, ClipState.UPLOADED, ClipState.RECEIPTED), 1):
        await bring(ledger, await ledger.clip(ClipKey(key)), state)
    await ledger.move(ClipKey(3), Move.READ_BACK, Change(assurance=Assurance.READBACK), actor="upload")
    order: list[int] = []
    while clip := await ledger.next_upload(skip=skip(*order), wanted=wanted):
        order.append(clip.key)
    assert order == keys


@pytest.mark.promise("I4")
async def test_only_a_receipted_copy_is_reclaimed_the_longest_receipted_first(ledger: StationLedger) -> None:
    """I4, I12."""
    await docked(ledger, *(file(f"{name}.MP4") for name in "ABCD"))
    for key, state in ((2, ClipState.RECEIPTED), (1, ClipState.ERASED), (3, ClipState.UPLOADED)):
        await bring(ledger, await ledger.clip(ClipKey(key)), state)
    assert (
        await ledger.next_reclaim(receipted_before_utc="2024-05-01T00:00:00.000000Z", copying=skip(), skip=skip())
        is None
    )
    order: list[int] = []
    while clip := await ledger.next_reclaim(
        receipted_before_utc="2024-05-02T00:00:00.000000Z", copying=skip(), skip=skip()
    ):
        order.append(clip.key)
        assert (await ledger.move(clip.key, Move.RECLAIMED, Change(), actor="reclaim")).spooled is False
    assert order == [2, 1]


@pytest.mark.promise("I4", "I17")
async def test_a_copy_is_kept_while_an_open_clip_shares_it_or_may_while_it_is_copied(ledger: StationLedger) -> None:
    """The file came back after it was erased, and its copy lies under the same clip id."""

    async def going(*copying: int) -> list[int]:
        later = "2024-05-02T00:00:00.000000Z"
        clip = await ledger.next_reclaim(receipted_before_utc=later, copying=skip(*copying), skip=skip())
        return [clip.key] if clip else []

    await docked(ledger, file("A.MP4"))
    await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.ERASED)
    await docked(ledger, file("A.MP4"), file("A.MP4.TMP"), file("B.MP4"))
    assert await going(2) == []
    assert await going(3, 4) == [1]
    # What waits to be copied may be waiting for this copy's room.
    assert await going() == [1]
    await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.COPIED)
    assert await going() == []
    await ledger.move(ClipKey(2), Move.SPOOL_LOST, Change(), actor="upload")
    assert await going() == [1]
    await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.RECEIPTED)
    assert await going() == [1]


@pytest.mark.promise("I18")
async def test_every_clip_is_counted_once_wherever_it_is(ledger: StationLedger) -> None:
    """I18."""
    docking = await docked(ledger, *(file(f"{number}.MP4", length_bytes=10**number) for number in range(6)))
    states = (ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED)
    for key, state in enumerate(states, 1):
        await bring(ledger, await ledger.clip(ClipKey(key)), state)
    tally = await ledger.tally(docking)
    assert tally == Tally(
        files=dict.fromkeys((ClipState.FOUND, *states), 1),
        bytes_={ClipState.FOUND: 100_000, **{state: 10**number for number, state in enumerate(states)}},
    )
    backlog = await ledger.backlog()
    assert sum(backlog.files.values()) == 5
    assert ClipState.ERASED not in backlog.files
    assert await ledger.tally(DockingId(99)) == Tally(files={}, bytes_={})


async def test_a_file_that_grew_is_the_same_clip_and_counted_at_its_new_length(ledger: StationLedger) -> None:
    docking = await docked(ledger, file("A.MP4", length_bytes=10))
    await ledger.record_listing(docking, listing(file("A.MP4", length_bytes=30)))
    (clip,) = await clips(ledger, 1)
    assert clip.length_bytes == 30
    assert (await ledger.tally(docking)).bytes_ == {ClipState.FOUND: 30}
    assert said((await entries(ledger))[-1]) == {"length": "30"}
