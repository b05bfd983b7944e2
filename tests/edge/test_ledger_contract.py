"""The port's contract, held by the daemon's ledger and by the simulation's alike."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from dockd.domain.bay import Tally
from dockd.domain.clip import Change, Move
from dockd.domain.custody import verify
from dockd.domain.model import (
    Assurance,
    BayId,
    Camera,
    CameraSerial,
    Clip,
    ClipKey,
    ClipKind,
    ClipState,
    DockingId,
    ListedFile,
    Tag,
    VolumeId,
)
from dockd.edges.ledger import views
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.reads import Query
from dockd.errors import InvariantError, Reason, StaleMoveError
from tests.ledger_parts import (
    CAMERA,
    SIGNER,
    attached,
    bring,
    clips,
    copied,
    docked,
    file,
    inline,
    listing,
    receipted,
    skip,
    threaded,
    url_of,
)


@pytest.fixture(params=[threaded, inline], ids=["thread", "inline"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StationLedger]:
    async with await request.param(tmp_path / "state") as ledger:
        yield ledger


async def entries(ledger: StationLedger) -> list[dict[str, object]]:
    """Read the whole chain, checked."""
    links = await ledger.links(after=0, limit=10_000)
    return [json.loads(link.body) for link in verify(links)]


def said(entry: dict[str, object]) -> dict[str, object]:
    """Give an entry's facts but for the digest of the row, which each move of a clip has."""
    facts = cast("dict[str, object]", entry["facts"])
    assert ("row" in facts) == (entry["to"] != "" and entry["cause"] != "superseded")
    return {name: fact for name, fact in facts.items() if name != "row"}


async def test_a_docking_is_a_row_and_an_entry(ledger: StationLedger) -> None:
    docking = await ledger.dock(attached(bay=3))
    (open_one,) = await ledger.query(views.bays())
    assert (open_one.key, open_one.bay, open_one.camera, open_one.ended_utc) == (docking, 3, CAMERA, None)
    made, entry = await entries(ledger)
    assert made["cause"] == "ledger-made"
    assert entry["cause"] == "docked"
    assert (entry["bay"], entry["camera"], entry["docking"]) == (3, "CAM0001", docking)
    assert entry["facts"] == {"volume": "1A2B-3C4D", "model": "BWC-9", "firmware": "2.1"}
    assert (entry["source"], entry["uncertainty_ms"]) == ("simulated", 7)


async def test_a_docking_is_closed_once(ledger: StationLedger) -> None:
    docking = await ledger.dock(attached())
    await ledger.undock(docking, early=True, left_files=4)
    await ledger.undock(docking, early=False, left_files=0)
    ended = await ledger.query(views.docking(docking))
    assert ended is not None
    assert (ended.early, ended.left_files) == (True, 4)
    assert [entry["cause"] for entry in await entries(ledger)].count("undocked") == 1


async def test_a_listing_makes_a_row_and_an_entry_for_each_file(ledger: StationLedger) -> None:
    docking = await docked(ledger, file("A1.MP4", mtime_s=50), file("A1.THM", length_bytes=0), file("B2.XYZ"))
    video, thumbnail, other = await clips(ledger, 1, 2, 3)
    assert video == Clip(
        key=ClipKey(1),
        docking=docking,
        camera=CAMERA,
        path=b"DCIM/A1.MP4",
        length_bytes=100,
        mtime_ns=50 * 10**9,
        state=ClipState.FOUND,
        kind=ClipKind.VIDEO,
        recording_id=thumbnail.recording_id,
    )
    assert (thumbnail.kind, thumbnail.tags) == (ClipKind.SIDECAR, frozenset({Tag.EMPTY}))
    assert (other.kind, other.tags) == (ClipKind.OTHER, frozenset({Tag.UNKNOWN_TYPE}))
    causes = [(entry["cause"], entry["clip"], entry["to"]) for entry in await entries(ledger)]
    assert causes[2:] == [("listed", None, ""), ("found", 1, "found"), ("found", 2, "found"), ("found", 3, "found")]
    recorded = await ledger.query(views.docking(docking))
    assert recorded is not None
    assert (recorded.files, recorded.total_bytes) == (3, 200)


@pytest.mark.parametrize(
    "path",
    [
        b"DCIM/with space.MP4",
        b"new\nline.MP4",
        b"\xff\xfe not UTF-8 \x80.MP4",
        "camera \N{PILE OF POO}.MP4".encode(),
        b"nul\x00inside",
        b"x" * 4000,
    ],
)
async def test_every_name_is_kept_byte_for_byte(ledger: StationLedger, path: bytes) -> None:
    await docked(ledger, ListedFile(path=path, length_bytes=1, mtime_ns=1))
    (clip,) = await clips(ledger, 1)
    assert clip.path == path
    assert (await entries(ledger))[-1]["facts"]["path"].encode("utf-8", "surrogateescape") == path  # type: ignore[index] # JSON


@pytest.mark.parametrize("mtime_ns", [-1, 0, 13_569_465_600_123_456_789, -62_135_596_800_000_000_001])
async def test_every_time_a_filesystem_can_claim_is_kept(ledger: StationLedger, mtime_ns: int) -> None:
    await docked(ledger, ListedFile(path=b"A.MP4", length_bytes=1, mtime_ns=mtime_ns))
    (clip,) = await clips(ledger, 1)
    assert clip.mtime_ns == mtime_ns


async def test_a_camera_may_call_itself_anything(ledger: StationLedger) -> None:
    camera = Camera(
        serial=CameraSerial("caf\xe9\udcff\\n'"), volume=VolumeId("\N{SNOWMAN}"), model="\x00", firmware="a\nb"
    )
    docking = await docked(ledger, file("A.MP4"), camera=camera)
    (clip,) = await clips(ledger, 1)
    assert clip.camera == camera
    (asked,) = await ledger.query(views.clips(serial=camera.serial, limit=10))
    assert asked == clip
    await ledger.undock(docking, early=False, left_files=1)
    await docked(ledger, file("A.MP4"), camera=camera)
    assert len(await ledger.query(views.clips(limit=10))) == 1


async def test_a_move_gives_the_clip_as_it_is_stored(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    (clip,) = await clips(ledger, 1)
    for state in (ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED):
        clip = await bring(ledger, clip, state)
        assert clip.state is state
        assert await clips(ledger, 1) == [clip]


async def test_each_move_says_what_matters(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"), bay=5)
    (clip,) = await clips(ledger, 1)
    erased = await bring(ledger, clip, ClipState.ERASED)
    told = [(entry["cause"], entry["from"], entry["to"], said(entry)) for entry in await entries(ledger)][3:]
    assert [line[:3] for line in told] == [
        ("found", "", "found"),
        ("copied", "found", "copied"),
        ("opened", "copied", "copied"),
        ("sent", "copied", "uploaded"),
        ("receipted", "uploaded", "receipted"),
        ("erase-begun", "receipted", "erasing"),
        ("erased", "erasing", "erased"),
    ]
    facts = [line[3] for line in told]
    assert facts[1] == {"sha256": erased.sha256}
    assert facts[2] == {"url": url_of(erased)}
    assert facts[3] == {"assurance": "accepted"}
    assert isinstance(facts[4], dict)
    assert facts[4].keys() == {"assurance", "kid", "meta_sha256", "receipt_sha256"}
    assert facts[5] == facts[6] == {"sha256": erased.sha256}
    last = (await entries(ledger))[-1]
    assert (last["bay"], last["camera"], last["actor"], last["clip_id"]) == (5, "CAM0001", "erase", erased.clip_id)


async def test_a_hold_says_why_in_the_row_and_in_the_chain(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    held = await ledger.move(
        ClipKey(1),
        Move.HELD,
        Change(reason=Reason.UNREADABLE, detail="block 7 of \udcff.MP4", facts={"try": "3"}),
        actor="offload",
    )
    assert (held.state, held.reason, held.detail) == (ClipState.HELD, Reason.UNREADABLE, "block 7 of \\udcff.MP4")
    assert await clips(ledger, 1) == [held]
    facts = said((await entries(ledger))[-1])
    assert facts == {"reason": "unreadable", "detail": "block 7 of \\udcff.MP4", "try": "3"}


@pytest.mark.promise("I11")
async def test_an_unlawful_move_writes_nothing(ledger: StationLedger) -> None:
    """I11."""
    await docked(ledger, file("A.MP4"))
    before = (await clips(ledger, 1), await entries(ledger))
    with pytest.raises(StaleMoveError, match=r"clip 1.*move erased is not lawful, expected one of copied"):
        await ledger.move(ClipKey(1), Move.ERASED, Change(), actor="erase")
    assert (await clips(ledger, 1), await entries(ledger)) == before


@pytest.mark.promise("I1")
@pytest.mark.parametrize(
    "change",
    [
        Change(assurance=Assurance.SIGNED),
        Change(receipt="a.b.c", assurance=Assurance.SIGNED),
        Change(receipt="a.b.c", meta_sha256=None, assurance=Assurance.READBACK),
    ],
)
async def test_no_clip_counts_as_receipted_without_a_signed_receipt(ledger: StationLedger, change: Change) -> None:
    """I1: the schema itself refuses."""
    await docked(ledger, file("A.MP4"))
    (clip,) = await clips(ledger, 1)
    uploaded = await bring(ledger, clip, ClipState.UPLOADED)
    with pytest.raises(InvariantError, match="CHECK"):
        await ledger.move(clip.key, Move.RECEIPTED, change, actor="upload")
    assert await clips(ledger, 1) == [uploaded]


async def test_a_clip_nobody_knows_is_said_so(ledger: StationLedger) -> None:
    with pytest.raises(InvariantError, match="clip 9 is not in the ledger"):
        await ledger.clip(ClipKey(9))
    with pytest.raises(InvariantError, match="clip 9 is not in the ledger"):
        await ledger.move(ClipKey(9), Move.COPIED, Change(), actor="offload")
    with pytest.raises(InvariantError, match="clip 9 is not in the ledger"):
        await ledger.annotate(ClipKey(9), Change())
    with pytest.raises(InvariantError, match="clip 9 has no custody entry"):
        await ledger.leaf(ClipKey(9))
    with pytest.raises(InvariantError, match="docking 9 is not in the ledger"):
        await ledger.record_listing(DockingId(9), listing())


@pytest.mark.promise("I10")
async def test_a_camera_docked_again_brings_no_second_row(ledger: StationLedger) -> None:
    """I10."""
    first = await docked(ledger, file("A.MP4"), file("B.MP4"))
    (clip, _) = await clips(ledger, 1, 2)
    await bring(ledger, clip, ClipState.COPIED)
    await ledger.undock(first, early=True, left_files=1)
    second = await docked(ledger, file("A.MP4"), file("B.MP4"), file("C.MP4"), bay=2)
    known, still_found, new = await clips(ledger, 1, 2, 3)
    assert [clip.docking for clip in (known, still_found, new)] == [second, second, second]
    assert (known.state, known.verified_in) == (ClipState.COPIED, None)
    assert (still_found.state, new.state) == (ClipState.FOUND, ClipState.FOUND)
    moved = [(entry["cause"], entry["clip"], entry["bay"]) for entry in await entries(ledger)][-3:]
    assert moved == [("redocked", 1, 2), ("redocked", 2, 2), ("found", 3, 2)]


async def test_a_move_into_another_docking_is_filed_under_its_bay(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"), bay=1)
    later = await ledger.dock(attached(bay=6))
    moved = await ledger.move(ClipKey(1), Move.REDOCKED, Change(docking=later), actor="offload")
    assert moved.docking == later
    assert (await entries(ledger))[-1]["bay"] == 6
    with pytest.raises(InvariantError, match="docking 9 is not in the ledger"):
        await ledger.move(ClipKey(1), Move.REDOCKED, Change(docking=DockingId(9)), actor="offload")


async def test_a_clip_that_was_docked_again_since_is_not_superseded(ledger: StationLedger) -> None:
    first = await docked(ledger, file("A.MP4"))
    await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
    await docked(ledger, file("A.MP4"))
    before = await entries(ledger)
    with pytest.raises(StaleMoveError, match="docking 1 was asked for, it was listed in 2 since"):
        await ledger.supersede(ClipKey(1), file("A.MP4"), docking=first)
    assert await entries(ledger) == before


async def test_a_mark_and_a_tag_that_come_later_are_kept(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    await docked(ledger, file("A.MP4", urgent=True))
    clip = await ledger.clip(ClipKey(1))
    assert clip.urgent
    tags = frozenset({Tag.HEADER_MISSING, Tag.UNKNOWN_TYPE})
    moved = await ledger.move(clip.key, Move.COPIED, replace(copied(clip), tags=tags), actor="offload")
    assert moved.tags == tags
    assert await ledger.clip(ClipKey(1)) == moved


async def test_the_camera_of_a_clip_stays_as_it_was_first_docked(ledger: StationLedger) -> None:
    await ledger.undock(await docked(ledger, file("A.MP4")), early=False, left_files=1)
    updated = Camera(serial=CAMERA.serial, volume=CAMERA.volume, model="BWC-9", firmware="3.0")
    await docked(ledger, file("A.MP4"), file("B.MP4"), camera=updated)
    known, new = await clips(ledger, 1, 2)
    assert (known.camera.firmware, new.camera.firmware) == ("2.1", "3.0")


async def test_an_erased_file_that_comes_back_is_a_new_clip(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    (clip,) = await clips(ledger, 1)
    erased = await bring(ledger, clip, ClipState.ERASED)
    await docked(ledger, file("A.MP4"))
    again = await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.COPIED)
    assert (again.key, again.clip_id) == (2, erased.clip_id)
    assert erased.clip_id is not None
    assert await ledger.query(views.clips_named(erased.clip_id)) == (erased, again)


async def test_a_superseded_clip_leaves_the_dockings_work_but_not_the_stations_accounts(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    (clip,) = await clips(ledger, 1)
    old = await bring(ledger, clip, ClipState.COPIED)
    docking = await docked(ledger, file("A.MP4"))
    new = await ledger.supersede(old.key, file("A.MP4"), docking=docking)
    assert (new.key, new.state, new.docking) == (2, ClipState.FOUND, docking)
    (head,) = await ledger.heads([docking], skip=skip())
    assert (head.copy, head.confirm, head.erase) == (new, None, None)
    tally = await ledger.tally(docking)
    assert (tally.files, tally.unconfirmed_files) == ({ClipState.FOUND: 1}, 0)
    assert (await ledger.backlog()).files == {ClipState.FOUND: 1, ClipState.COPIED: 1}
    sent = await ledger.next_upload(skip=skip(), wanted=Assurance.SIGNED)
    assert sent is not None
    assert sent.key == old.key
    causes = [(entry["cause"], entry["clip"], entry["from"], entry["to"]) for entry in await entries(ledger)][-2:]
    assert causes == [("found", 2, "", "found"), ("superseded", 1, "copied", "copied")]


async def test_a_superseded_clip_is_never_copied_from_the_file_that_took_its_name(ledger: StationLedger) -> None:
    """Its spool copy is lost, too: then it is missing, and the next listing says so."""
    await docked(ledger, file("A.MP4"))
    old = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
    docking = await docked(ledger, file("A.MP4"))
    new = await ledger.supersede(old.key, file("A.MP4"), docking=docking)
    await ledger.move(old.key, Move.SPOOL_LOST, Change(), actor="upload")
    (head,) = await ledger.heads([docking], skip=skip(new.key))
    assert (head.copy, head.uncopied_bytes) == (None, 100)
    await docked(ledger, file("A.MP4"))
    old = await ledger.clip(old.key)
    assert (old.state, old.reason) == (ClipState.HELD, Reason.MISSING)


async def test_notes_are_in_the_chain_and_move_nothing(ledger: StationLedger) -> None:
    docking = await docked(ledger, file("A.MP4"), bay=4)
    await ledger.note("paused", actor="user:kim", facts={"why": "moving house"})
    await ledger.note("lifted", actor="station", bay=BayId(8))
    await ledger.note("looked at", actor="user:kim", clip=ClipKey(1))
    named = ("cause", "actor", "bay", "docking", "camera", "clip", "to", "facts")
    told = [tuple(entry[name] for name in named) for entry in (await entries(ledger))[-3:]]
    assert told == [
        ("paused", "user:kim", None, None, None, None, "", {"why": "moving house"}),
        ("lifted", "station", 8, None, None, None, "", {}),
        ("looked at", "user:kim", 4, docking, "CAM0001", 1, "", {}),
    ]


async def test_what_a_clip_waits_for_is_no_custody(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    before = await entries(ledger)
    await ledger.annotate(ClipKey(1), Change(reason=Reason.DNS, detail="store.example"))
    (clip,) = await clips(ledger, 1)
    assert (clip.state, clip.reason, clip.detail) == (ClipState.FOUND, Reason.DNS, "store.example")
    moved = await ledger.move(ClipKey(1), Move.COPIED, copied(clip), actor="offload")
    assert (moved.reason, moved.detail) == (None, "")
    assert (await entries(ledger))[:-1] == before


async def test_the_leaf_of_a_clip_is_its_latest_entry(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"), file("B.MP4"))
    first = await ledger.leaf(ClipKey(1))
    assert first == (await ledger.links(after=3, limit=1))[0].hash
    (clip,) = await clips(ledger, 1)
    await bring(ledger, clip, ClipState.COPIED)
    assert await ledger.leaf(ClipKey(1)) == (await ledger.links(after=5, limit=10))[-1].hash


async def test_the_chain_is_read_in_pages(ledger: StationLedger) -> None:
    await docked(ledger, *(file(f"{number}.MP4") for number in range(7)))
    whole = await ledger.links(after=0, limit=100)
    assert [link.seq for link in whole] == list(range(1, 11))
    assert [link.seq for link in await ledger.links(after=4, limit=3)] == [5, 6, 7]
    assert list(await ledger.links(after=10, limit=3)) == []


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
    await bring(ledger, other, ClipState.RECEIPTED)
    (head,) = await ledger.heads([docking], skip=skip())
    assert head.erase is not None
    assert head.erase.key == other.key
    await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.RECEIPTED)
    (head,) = await ledger.heads([docking], skip=skip())
    assert head.erase == video
    assert [clip.key for clip in await ledger.recording(video)] == [1, 2]


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
    assert await ledger.next_reclaim(receipted_before_utc="2024-05-01T00:00:00.000000Z") is None
    order: list[int] = []
    while clip := await ledger.next_reclaim(receipted_before_utc="2024-05-02T00:00:00.000000Z"):
        order.append(clip.key)
        assert (await ledger.move(clip.key, Move.RECLAIMED, Change(), actor="reclaim")).spooled is False
    assert order == [2, 1]


@pytest.mark.promise("I4")
async def test_a_copy_that_an_open_clip_shares_or_may_come_to_share_is_kept(ledger: StationLedger) -> None:
    """I4: the file came back after it was erased, and its copy lies under the same clip id."""
    await docked(ledger, file("A.MP4"))
    await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.ERASED)
    await docked(ledger, file("A.MP4"))
    later = "2024-05-02T00:00:00.000000Z"
    assert await ledger.next_reclaim(receipted_before_utc=later) is None
    await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.COPIED)
    assert await ledger.next_reclaim(receipted_before_utc=later) is None
    await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.RECEIPTED)
    first = await ledger.next_reclaim(receipted_before_utc=later)
    assert first is not None
    assert first.key == 1


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


async def test_people_can_ask_for_clips_by_what_they_know(ledger: StationLedger) -> None:
    other = Camera(serial=CameraSerial("CAM0002"), volume=CAMERA.volume)
    one = await docked(ledger, file("A.MP4"), file("B.MP4"))
    await docked(ledger, file("C.MP4"), camera=other, bay=2)
    copied_one = await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.COPIED)

    async def keys(query: Query[tuple[Clip, ...]]) -> list[int]:
        return [clip.key for clip in await ledger.query(query)]

    assert await keys(views.clips(limit=10)) == [1, 2, 3]
    assert await keys(views.clips(limit=2)) == [1, 2]
    assert await keys(views.clips(limit=2, after=ClipKey(2))) == [3]
    assert await keys(views.clips(state=ClipState.COPIED, limit=10)) == [2]
    assert await keys(views.clips(serial=other.serial, limit=10)) == [3]
    assert await keys(views.clips(docking=one, state=ClipState.FOUND, limit=10)) == [1]
    assert copied_one.clip_id is not None
    assert await keys(views.clips_named(copied_one.clip_id)) == [2]
    assert [link.seq for link in await ledger.query(views.custody_of(ClipKey(2)))] == [5, 9]
    assert [docking.bay for docking in await ledger.query(views.bays())] == [1, 2]
    assert [docking.key for docking in await ledger.query(views.dockings(limit=1))] == [2]
    assert [docking.key for docking in await ledger.query(views.dockings(limit=9, before=DockingId(2)))] == [1]
    assert await ledger.query(views.docking(DockingId(9))) is None


async def test_receipts_are_given_out_as_they_came(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"), file("B.MP4"))
    (clip, other) = await clips(ledger, 1, 2)
    before = await bring(ledger, clip, ClipState.UPLOADED)
    after = await ledger.move(clip.key, Move.RECEIPTED, receipted(before), actor="upload")
    (kept,) = await ledger.query(views.receipts(limit=10))
    assert (kept.clip, kept.clip_id, kept.compact) == (1, after.clip_id, SIGNER.receipt(before))
    assert await ledger.query(views.receipts(clip_id=kept.clip_id, limit=10)) == (kept,)
    assert await ledger.query(views.receipts(after=ClipKey(1), limit=10)) == ()
    await bring(ledger, other, ClipState.RECEIPTED)
    assert [receipt.clip for receipt in await ledger.query(views.receipts(limit=10))] == [1, 2]


async def test_a_closed_ledger_says_so(ledger: StationLedger) -> None:
    await ledger.close()
    await ledger.close()
    with pytest.raises(InvariantError, match="is closed"):
        await ledger.dock(attached())
    with pytest.raises(InvariantError, match="is closed"):
        await ledger.backlog()
