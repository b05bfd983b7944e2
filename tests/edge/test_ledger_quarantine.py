"""Quarantine on record: what is salvaged, what broke, who looked at it."""

import re
import sqlite3
from pathlib import Path

import pytest

from dockd.domain.clip import Change, Move
from dockd.domain.model import Camera, CameraSerial, Clip, ClipKey, ClipState, Tag, VolumeId
from dockd.edges.ledger import views
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.reads import Query
from dockd.edges.ledger.schema import DATABASE
from dockd.errors import InvariantError, Reason, StaleMoveError
from tests.ledger_parts import CAMERA, GAPS, SIGNER, attached, bring, docked, file, inline, salvage_of, threaded


async def held(ledger: StationLedger, key: int, reason: Reason = Reason.UNREADABLE) -> Clip:
    return await ledger.move(ClipKey(key), Move.HELD, Change(reason=reason, detail="why"), actor="offload")


@pytest.mark.promise("I18")
async def test_what_is_salvaged_is_a_clip_of_its_own_apart_from_the_dockings_work(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        docking = await docked(ledger, file("A.MP4"), file("B.MP4"))
        of = await ledger.clip(ClipKey(1))
        clip = await ledger.salvage(ClipKey(1), salvage_of(of), docking=docking)
        await held(ledger, 1)
        assert (clip.key, clip.state, clip.spooled, clip.gaps) == (3, ClipState.COPIED, True, GAPS)
        assert clip.tags == {Tag.SALVAGED}
        assert (clip.path, clip.length_bytes, clip.recording_id) == (of.path, of.length_bytes, of.recording_id)
        assert clip == await ledger.clip(ClipKey(3))
        assert (await ledger.tally(docking)).files == {ClipState.HELD: 1, ClipState.FOUND: 1}
        assert (await ledger.backlog()).files == {ClipState.HELD: 1, ClipState.FOUND: 1, ClipState.COPIED: 1}
        head = (await ledger.heads([docking], skip=frozenset()))[0]
        assert (head.confirm, head.erase) == (None, None)
        assert head.copy is not None
        assert head.copy.key == 2
        assert (await ledger.query(views.salvaged_of(of))) == (clip,)
        await bring(ledger, clip, ClipState.RECEIPTED)
        head = (await ledger.heads([docking], skip=frozenset()))[0]
        assert (head.confirm, head.erase) == (None, None)
        # At the next docking the file is a candidate, and what was salvaged of it stays where it is.
        again = await docked(ledger, file("A.MP4"), file("B.MP4"))
        assert (await ledger.clip(ClipKey(1))).docking == again
        assert (await ledger.clip(ClipKey(3))).docking == docking
    report = verify_state(tmp_path, SIGNER.pinned().verify)
    assert report.clean, report.faults


@pytest.mark.promise("I1")
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE clips SET state = 'erasing' WHERE key = 2", "on the word of a salvaged copy"),
        ("UPDATE clips SET state = 'erased' WHERE key = 2", "on the word of a salvaged copy"),
        ("UPDATE clips SET gaps = '' WHERE key = 2", "never changes"),
        ("UPDATE clips SET gaps = '0+1' WHERE key = 1", "never changes"),
    ],
)
async def test_the_schema_lets_no_salvaged_copy_erase_anything(tmp_path: Path, statement: str, says: str) -> None:
    async with await threaded(tmp_path) as ledger:
        docking = await docked(ledger, file("A.MP4"))
        clip = await ledger.salvage(ClipKey(1), salvage_of(await ledger.clip(ClipKey(1))), docking=docking)
        clip = await bring(ledger, clip, ClipState.RECEIPTED)
        with pytest.raises(InvariantError, match=says):
            await ledger._runner.run(lambda core: core.connection.execute(statement))
        with pytest.raises(InvariantError, match="on the word of a salvaged copy"):
            await ledger.move(clip.key, Move.ERASE_BEGUN, Change(), actor="erase")
        assert await ledger.clip(clip.key) == clip


@pytest.mark.promise("I17")
async def test_what_was_salvaged_makes_room_for_the_whole_file(tmp_path: Path) -> None:
    """On a small disk the file waits for room, and its salvaged copies must not wait for the file."""
    async with await inline(tmp_path) as ledger:
        docking = await docked(ledger, file("A.MP4"))
        clip = await ledger.salvage(ClipKey(1), salvage_of(await ledger.clip(ClipKey(1))), docking=docking)
        await bring(ledger, clip, ClipState.RECEIPTED)
        assert (await ledger.clip(ClipKey(1))).state is ClipState.FOUND
        going = await ledger.next_reclaim(receipted_before_utc="9999", copying=frozenset(), skip=frozenset())
        assert going is not None
        assert going.key == clip.key


async def test_of_a_clip_that_is_docked_elsewhere_nothing_is_salvaged_here(tmp_path: Path) -> None:
    async with await inline(tmp_path) as ledger:
        first = await docked(ledger, file("A.MP4"))
        await docked(ledger, file("A.MP4"))
        with pytest.raises(StaleMoveError, match="docking 1 was asked for, it was listed in 2 since"):
            await ledger.salvage(ClipKey(1), salvage_of(await ledger.clip(ClipKey(1))), docking=first)
        assert await ledger.find(ClipKey(2)) is None


async def test_a_camera_is_in_quarantine_until_it_lists_and_works(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        other = Camera(serial=CameraSerial("CAM0002"), volume=VolumeId("folder"))
        broke = await ledger.dock(attached(bay=3))
        await ledger.broke(broke, Reason.LISTING, "the listing failed after b'\udcff'")
        await ledger.broke(broke, Reason.USB, "later news")
        await ledger.dock(attached(bay=4, camera=other))
        (broken,) = await ledger.broken()
        assert (broken.docking, broken.bay, broken.camera.serial) == (broke, 3, CAMERA.serial)
        assert (broken.reason, broken.detail) == (Reason.LISTING, "the listing failed after b'\\udcff'")
        assert await ledger.query(views.alarms()) == (0, 1)
        # Docked again and not listed yet: nothing is known to be better.
        again = await ledger.dock(attached(bay=5))
        assert [each.docking for each in await ledger.broken()] == [broke]
        await ledger.broke(again, Reason.DUPLICATE_CAMERA, "twice")
        assert [each.docking for each in await ledger.broken()] == [again]
        assert await ledger.query(views.alarms()) == (0, 1)
        await docked(ledger, file("A.MP4"))
        assert await ledger.broken() == ()
        assert await ledger.query(views.alarms()) == (0, 0)
        shown = await ledger.query(views.docking(broke))
        assert shown is not None
        assert (shown.reason, shown.acknowledged) == (Reason.LISTING, "")
        assert [each.key for each in await ledger.query(views.dockings_of(CAMERA, limit=2))] == [4, 3]


async def test_who_has_looked_is_on_record_and_silences_the_alarm(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        docking = await docked(ledger, file("A.MP4"), file("B.MP4"))
        await held(ledger, 1)
        with pytest.raises(StaleMoveError, match="clip 2 is found, expected held"):
            await ledger.acknowledge_clip(ClipKey(2), actor="user:anna", why="x")
        with pytest.raises(StaleMoveError, match="broke for no reason"):
            await ledger.acknowledge_docking(docking, actor="user:anna", why="x")
        assert await ledger.query(views.alarms()) == (1, 0)
        seen = await ledger.acknowledge_clip(ClipKey(1), actor="user:anna", why="broken \udcff card")
        assert seen.acknowledged == "user:anna: broken \\udcff card"
        assert await ledger.query(views.alarms()) == (0, 0)
        (one,) = await ledger.held(after=ClipKey(0), limit=10)
        assert (one.clip, one.parted) == (seen, False)
        assert one.since_utc.startswith("2024-05-01T00:00:")
        assert await ledger.held(key=ClipKey(2), after=ClipKey(0), limit=1) == ()
        assert await ledger.held(after=ClipKey(1), limit=10) == ()
        await ledger.broke(docking, Reason.USB, "no answer")
        await ledger.acknowledge_docking(docking, actor="user:anna", why="cable")
        assert await ledger.query(views.alarms()) == (0, 0)
        await ledger.move(ClipKey(1), Move.RECOPY, Change(), actor="user:anna")
        await held(ledger, 1)
        assert await ledger.query(views.alarms()) == (1, 0)
    report = verify_state(tmp_path, SIGNER.pinned().verify)
    assert report.clean, report.faults


@pytest.mark.parametrize("query", [views.held(after=ClipKey(0), limit=1), views.alarms(), views.broken()])
async def test_quarantine_is_found_without_reading_every_clip(tmp_path: Path, query: Query[object]) -> None:
    async with await inline(tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / DATABASE)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.parameters)]
    connection.close()
    assert not [line for line in plan if line.startswith("SCAN") and not re.search("INDEX|CONSTANT", line)], plan
