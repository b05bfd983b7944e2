"""The port's contract, held by both ledgers: dockings, listings, names, notes and the chain."""

import pytest

from dockd.domain.clip import Move
from dockd.domain.model import (
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
from dockd.errors import InvariantError
from tests.both_ledgers import entries
from tests.ledger_parts import CAMERA, SIGNER, attached, bring, clips, docked, file, receipted


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


async def test_the_camera_of_a_clip_stays_as_it_was_first_docked(ledger: StationLedger) -> None:
    await ledger.undock(await docked(ledger, file("A.MP4")), early=False, left_files=1)
    updated = Camera(serial=CAMERA.serial, volume=CAMERA.volume, model="BWC-9", firmware="3.0")
    await docked(ledger, file("A.MP4"), file("B.MP4"), camera=updated)
    known, new = await clips(ledger, 1, 2)
    assert (known.camera.firmware, new.camera.firmware) == ("2.1", "3.0")


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
