"""Quarantine on record: what is salvaged, what broke, who looked at it; and no wish that opens the erase gate."""

import asyncio
import re
import sqlite3
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dockd.app.ports import Salvaged
from dockd.app.quarantine import Quarantine
from dockd.domain.bay import Tally
from dockd.domain.clip import SETTLED, Change, Move
from dockd.domain.erasure import ErasePermit, Reread, Stay, may_erase
from dockd.domain.listing import recording_of
from dockd.domain.metadata import metadata_of, metadata_sha256
from dockd.domain.model import (
    Camera,
    CameraSerial,
    Clip,
    ClipId,
    ClipKey,
    ClipState,
    DockingId,
    Gap,
    Sha256,
    Tag,
    VolumeId,
    clip_id_of,
)
from dockd.domain.quarantine import Wish
from dockd.domain.receipt import Expected, parse_receipt
from dockd.edges.ledger import views
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.reads import Query
from dockd.edges.ledger.schema import DATABASE
from dockd.errors import InvariantError, Reason, StaleMoveError
from tests.ledger_parts import (
    CAMERA,
    SIGNER,
    STATION,
    attached,
    bring,
    copied,
    docked,
    file,
    inline,
    receipted,
    threaded,
)

T = TypeVar("T")

GAPS = (Gap(offset_bytes=0, length_bytes=4), Gap(offset_bytes=50, length_bytes=1))


def salvage_of(clip: Clip, *, digit: str = "e") -> Salvaged:
    sha256 = Sha256(digit * 64)
    clip_id = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=clip.length_bytes, sha256=sha256)
    return Salvaged(clip_id=clip_id, sha256=sha256, length_bytes=clip.length_bytes, gaps=GAPS)


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
        going = await ledger.next_reclaim(receipted_before_utc="9999")
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


# --- no sequence of wishes opens the gate -------------------------------------------------------------------------


class Bays:
    """Bays in which any camera may be docked, at fault, or gone."""

    def __init__(self) -> None:
        self.working: set[DockingId] = set()
        self.begun: list[DockingId] = []

    def works_on(self, docking: DockingId) -> bool:
        return docking in self.working

    def goes_on(self, clip: Clip) -> None:
        assert clip.state in {ClipState.FOUND, ClipState.COPIED}

    def read_again(self, docking: DockingId) -> bool:
        self.begun.append(docking)
        return docking not in self.working


class Copies:
    """A spool of which nobody knows what is still in it: it answers as it is told to."""

    def __init__(self, ledger: StationLedger) -> None:
        self.whole = True
        self._ledger = ledger

    async def digest(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        clip = (await self._ledger.query(views.clips_named(clip_id)))[0]
        assert clip.sha256 is not None
        return (clip.sha256, clip.length_bytes) if self.whole else None


def permitted(clip: Clip, recording: tuple[Clip, ...]) -> bool:
    """Ask the gate with everything else as good as it can be: a fresh reading of these bytes, a complete listing."""
    if clip.sha256 is None or clip.clip_id is None or clip.meta_sha256 is None:
        return False
    verdict = may_erase(
        clip=clip,
        receipt=None if clip.receipt is None else parse_receipt(clip.receipt),
        expected=Expected(
            clip_id=clip.clip_id,
            station=STATION,
            length_bytes=clip.length_bytes,
            sha256=clip.sha256,
            metadata=frozenset({clip.meta_sha256, metadata_sha256(metadata_of(clip, station=STATION))}),
        ),
        reread=Reread(
            docking=clip.docking,
            camera=clip.camera,
            path=clip.path,
            length_bytes=clip.length_bytes,
            sha256=clip.sha256,
            uncached=True,
        ),
        stay=Stay(docking=clip.docking, camera=clip.camera, listing_complete=True, erase_allowed=True),
        recording=recording,
    )
    return isinstance(verdict, ErasePermit)


NAMES = ("A.MP4", "A.THM", "B.MP4")


class QuarantineMachine(RuleBasedStateMachine):
    """Clips in every state, and people who type whatever they like."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        """Open a ledger and dock a camera."""
        self.ledger = self.do(inline(Path(self.folder.name)))
        self.bays = Bays()
        self.copies = Copies(self.ledger)
        self.quarantine = Quarantine(ledger=self.ledger, spool=self.copies, bays=self.bays)  # type: ignore[arg-type]  # of a spool only its digest is asked for
        self.dock()

    @rule()
    def dock(self) -> None:
        """Dock the camera, or dock it again."""
        self.bays.working = {self.do(docked(self.ledger, *map(file, NAMES)))}

    @rule()
    def pull(self) -> None:
        """Take it out, or let it be at fault."""
        self.bays.working = set()

    @rule(whole=st.booleans())
    def lose(self, *, whole: bool) -> None:
        """Lose every copy, or find them again."""
        self.copies.whole = whole

    @rule(key=st.integers(1, 6), to=st.sampled_from([ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED]))
    def work(self, key: int, to: ClipState) -> None:
        """Let the station bring a clip as far as it gets."""
        clip = self.do(self.ledger.find(ClipKey(key)))
        order = (ClipState.FOUND, ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED)
        if clip is not None and clip.state in order[: order.index(to)]:
            self.do(bring(self.ledger, clip, to))

    @rule(key=st.integers(1, 6), reason=st.sampled_from(Reason))
    def hold(self, key: int, reason: Reason) -> None:
        """Hold a clip that is not receipted."""
        clip = self.do(self.ledger.find(ClipKey(key)))
        if clip is not None and clip.state in {ClipState.FOUND, ClipState.COPIED, ClipState.UPLOADED}:
            self.do(self.ledger.move(clip.key, Move.HELD, Change(reason=reason, detail="why"), actor="offload"))

    @rule(key=st.integers(1, 6))
    def salvage(self, key: int) -> None:
        """Salvage what can be read of a file."""
        clip = self.do(self.ledger.find(ClipKey(key)))
        if clip is not None and clip.state is ClipState.FOUND:
            self.do(self.ledger.salvage(clip.key, salvage_of(clip), docking=clip.docking))

    @rule(docking=st.integers(1, 4), reason=st.sampled_from(Reason))
    def break_(self, docking: int, reason: Reason) -> None:
        """Let a camera break."""
        if self.do(self.ledger.query(views.docking(DockingId(docking)))) is not None:
            self.do(self.ledger.broke(DockingId(docking), reason, "why"))

    @rule(
        kind=st.sampled_from(["clip", "camera", "everything"]),
        number=st.integers(1, 8),
        wish=st.sampled_from(Wish),
        serial=st.sampled_from([None, CAMERA.serial, "NOBODY"]),
    )
    def wish(self, kind: str, number: int, wish: Wish, serial: str | None) -> None:
        """Type any command of quarantine: the gate is as it was, or further closed, and nothing is lost."""
        before = self.clips()
        open_before = self.open_gates(before)
        tally = self.do(self.ledger.backlog())
        match kind:
            case "clip":
                self.do(self.quarantine.clip(ClipKey(number), wish, actor="user:x", why="because"))
            case "camera":
                self.do(self.quarantine.camera(DockingId(number), wish, actor="user:x", why="because"))
            case _:
                self.do(self.quarantine.retry_all(serial=serial, actor="user:x"))
        after = self.clips()
        assert self.open_gates(after) <= open_before, "I1: a wish opened the gate"
        assert after.keys() == before.keys(), "I18: a clip left the accounts"
        for key, clip in after.items():
            was = before[key]
            if replace(was, acknowledged=clip.acknowledged) == clip:
                assert not clip.acknowledged or clip.state is ClipState.HELD
                continue
            assert was.state is ClipState.HELD, f"I11: a wish moved {was}"
            assert clip.state in {ClipState.FOUND, ClipState.COPIED}
            assert clip.state not in SETTLED
            assert (clip.receipt, clip.path, clip.length_bytes) == (was.receipt, was.path, was.length_bytes)
            assert (clip.sha256, clip.clip_id, clip.gaps, clip.tags) == (was.sha256, was.clip_id, was.gaps, was.tags)
            assert clip.verified_in is None, "I3: its bytes are to be read from the camera again"
        self.same_sum(tally, self.do(self.ledger.backlog()))

    def clips(self) -> dict[ClipKey, Clip]:
        return {clip.key: clip for clip in self.do(self.ledger.query(views.clips(limit=1000)))}

    def open_gates(self, clips: dict[ClipKey, Clip]) -> set[ClipKey]:
        return {key for key, clip in clips.items() if permitted(clip, self.do(self.ledger.recording(clip)))}

    @staticmethod
    def same_sum(before: Tally, after: Tally) -> None:
        assert sum(before.files.values()) == sum(after.files.values())
        assert sum(before.bytes_.values()) == sum(after.bytes_.values())

    @precondition(lambda self: hasattr(self, "ledger"))
    @invariant()
    def no_salvaged_copy_is_ever_permitted(self) -> None:
        """Whatever was done, the gate stays shut for what is not the file."""
        clips = self.clips()
        for key in self.open_gates(clips):
            assert not clips[key].gaps
            assert Tag.SALVAGED not in clips[key].tags

    def teardown(self) -> None:
        """Check the whole chain once more, and end."""
        if hasattr(self, "ledger"):
            self.do(self.ledger.close())
            report = verify_state(Path(self.folder.name), SIGNER.pinned().verify)
            assert report.clean, report.faults
        self.runner.close()
        self.folder.cleanup()


TestNoWishOpensTheGate = pytest.mark.promise("I1", "I15")(QuarantineMachine.TestCase)
TestNoWishOpensTheGate.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.promise("I1")
async def test_the_machine_meets_a_gate_that_is_open(tmp_path: Path) -> None:
    """A search that never saw an open gate would prove nothing."""
    async with await inline(tmp_path) as ledger:
        await docked(ledger, file("B.MP4"))
        clip = await ledger.clip(ClipKey(1))
        assert clip.recording_id == recording_of(serial=CAMERA.serial, volume=CAMERA.volume, path=clip.path)
        clip = await ledger.move(clip.key, Move.COPIED, copied(clip), actor="offload")
        assert not permitted(clip, (clip,))
        clip = await ledger.move(clip.key, Move.RECEIPTED, receipted(clip), actor="upload")
        assert permitted(clip, (clip,))
        assert not permitted(replace(clip, tags=frozenset({Tag.SALVAGED})), (clip,))
