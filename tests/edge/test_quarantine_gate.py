"""No sequence of wishes opens the erase gate: clips in every state, and people who type whatever they like."""

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dockd.app.quarantine import Quarantine
from dockd.domain.bay import Tally
from dockd.domain.clip import SETTLED, Change, Move
from dockd.domain.erasure import ErasePermit, Reread, Stay, may_erase
from dockd.domain.listing import recording_of
from dockd.domain.metadata import metadata_of, metadata_sha256
from dockd.domain.model import Clip, ClipId, ClipKey, ClipState, DockingId, Sha256, Tag
from dockd.domain.quarantine import Wish
from dockd.domain.receipt import Expected, parse_receipt
from dockd.edges.ledger import views
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.ledger import StationLedger
from dockd.errors import Reason
from tests.ledger_parts import CAMERA, SIGNER, STATION, bring, copied, docked, file, inline, receipted, salvage_of

T = TypeVar("T")


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
