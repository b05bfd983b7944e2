"""The ledger against a model of a few dictionaries: any order of dockings, listings, moves, failures and restarts."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import dockd.edges.ledger.core
from dockd.domain.clip import TRANSITIONS, Change, Move, advance
from dockd.domain.custody import verify
from dockd.domain.listing import Reconciled, reconcile
from dockd.domain.model import Assurance, Camera, CameraSerial, Clip, ClipKey, ClipState, DockingId, Listing, VolumeId
from dockd.edges.ledger import views
from dockd.edges.ledger.audit import verify_state
from dockd.errors import DockdError, Reason, StaleMoveError
from tests.ledger_parts import SIGNER, attached, copied, file, inline, listing, reading, receipted, skip, url_of

T = TypeVar("T")

CAMERAS = tuple(Camera(serial=CameraSerial(serial), volume=VolumeId("1A2B-3C4D")) for serial in ("ONE", "TWO"))
FILES = st.lists(
    st.builds(
        file,
        st.sampled_from(["A.MP4", "A.THM", "B.MP4", "C.XYZ"]),
        length_bytes=st.sampled_from([0, 10, 20]),
        mtime_s=st.integers(0, 3),
        urgent=st.booleans(),
        reading=st.sampled_from([None, reading(profile="a"), reading(group=b"1", profile="b")]),
    ),
    unique_by=lambda one: one.path,
    max_size=4,
)


class LedgerMachine(RuleBasedStateMachine):
    """Asks the ledger and the model the same things."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clips: dict[ClipKey, Clip] = {}
        self.parted: dict[ClipKey, DockingId] = {}
        self.copied: list[ClipKey] = []
        self.dockings: dict[DockingId, Camera] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one call."""
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        """Open, or open again."""
        self.ledger = self.do(inline(Path(self.folder.name)))

    @rule()
    def restart(self) -> None:
        """End the process and start it again."""
        self.do(self.ledger.close())
        self.open()

    @rule()
    def die(self) -> None:
        """Die as by kill -9: what lies on the disk at this moment is all that the next process has."""
        left = tempfile.TemporaryDirectory()
        shutil.copytree(self.folder.name, left.name, dirs_exist_ok=True, ignore=self.lost_in_a_crash())
        self.do(self.ledger.close())
        self.folder.cleanup()
        self.folder = left
        self.open()

    def lost_in_a_crash(self) -> Callable[[str, list[str]], Iterable[str]] | None:
        """Name what a crash does not leave: nothing is lost that was answered."""
        return None

    @rule(which=st.integers(0, 1), files=FILES)
    def dock(self, which: int, files: list[Any]) -> None:
        """Dock a camera and list it."""
        docking = self.do(self.ledger.dock(attached(bay=which, camera=CAMERAS[which])))
        self.dockings[docking] = CAMERAS[which]
        self.list_card(docking, files)

    @precondition(lambda self: self.dockings)
    @rule(files=FILES)
    def list_again(self, files: list[Any]) -> None:
        """List the latest card again."""
        self.list_card(max(self.dockings), files)

    def list_card(self, docking: DockingId, files: list[Any]) -> None:
        """Let the ledger and the model write down a listing."""
        card = listing(*files)
        camera = self.dockings[docking]
        known = tuple(
            clip
            for clip in self.clips.values()
            if self.dockings[clip.docking] == camera and clip.state is not ClipState.ERASED
        )
        found = reconcile(card, docking=docking, known=known)
        self.do(self.ledger.record_listing(docking, card))
        for move in found.moves:
            self.clips[move.clip] = advance(self.clips[move.clip], move.move, move.change)
        for number, each in enumerate(found.new, len(self.clips) + 1):
            clip = self.do(self.ledger.clip(ClipKey(number)))
            assert (clip.path, clip.length_bytes, clip.mtime_ns) == (each.path, each.length_bytes, each.mtime_ns)
            assert (clip.state, clip.docking, clip.urgent) == (ClipState.FOUND, docking, each.urgent)
            assert clip.facts == (each.reading.facts if each.reading is not None else ())
            self.clips[clip.key] = clip

    @precondition(lambda self: self.clips)
    @rule(pick=st.randoms(use_true_random=False), lawful=st.integers(0, 7), one_of_all=st.sampled_from(Move))
    def move(self, pick: Any, lawful: int, one_of_all: Move) -> None:  # noqa: ANN401 - hypothesis gives its own Random
        """Try a few moves on any clips: mostly lawful ones, so that clips come far."""
        for _ in range(3):
            self.move_one(pick, lawful, one_of_all)

    def move_one(self, pick: Any, lawful: int, one_of_all: Move) -> None:  # noqa: ANN401 - the same
        """Try a move on any clip."""
        key = pick.choice(sorted(self.clips))
        before = self.clips[key]
        move = pick.choice([each for state, each in TRANSITIONS if state is before.state]) if lawful else one_of_all
        change = self.told(before, move)
        if change is None:
            return
        if (before.state, move) in TRANSITIONS:
            after = advance(before, move, change)
            assert self.do(self.ledger.move(key, move, change, actor="model")) == after
            self.clips[key] = after
            if move is Move.COPIED:
                self.copied = [*(one for one in self.copied if one != key), key]
        else:
            with suppress(StaleMoveError):
                self.do(self.ledger.move(key, move, change, actor="model"))
                raise AssertionError(f"{move} of {before} was let through")

    def told(self, clip: Clip, move: Move) -> Change | None:
        """Give what the app would tell with a move; None where it could not be told."""
        never_copied = clip.sha256 is None
        if (move is Move.SENT and clip.url is None) or (move in (Move.RECEIPTED, Move.RESUMED) and never_copied):
            return None
        tells = {
            Move.COPIED: lambda: copied(clip),
            Move.CONFIRMED: lambda: Change(verified_in=clip.docking),
            Move.ERASE_BEGUN: lambda: Change(verified_in=clip.docking),
            Move.OPENED: lambda: Change(url=url_of(clip)),
            Move.SENT: lambda: Change(assurance=Assurance.ACCEPTED),
            Move.READ_BACK: lambda: Change(assurance=Assurance.READBACK),
            Move.RECEIPTED: lambda: receipted(clip),
            Move.HELD: lambda: Change(reason=Reason.STORE, detail="the model says so"),
        }
        return tells.get(move, Change)()

    @precondition(lambda self: self.candidates())
    @rule(pick=st.randoms(use_true_random=False))
    def supersede(self, pick: Any) -> None:  # noqa: ANN401 - hypothesis gives its own kind of Random
        """Find another file under a candidate's name."""
        key = pick.choice(self.candidates())
        old = self.clips[key]
        new = self.do(self.ledger.supersede(key, file(old.path[5:].decode(), length_bytes=old.length_bytes),
                                            docking=old.docking))  # fmt: skip
        assert (new.key, new.path, new.state) == (len(self.clips) + 1, old.path, ClipState.FOUND)
        self.parted[key] = old.docking
        self.clips[new.key] = new

    def candidates(self) -> list[ClipKey]:
        """Give the clips that are to be confirmed."""
        states = (ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED)
        return [key for key, clip in self.clips.items() if clip.state in states and self.here(clip)
                and clip.verified_in != clip.docking]  # fmt: skip

    def here(self, clip: Clip) -> bool:
        """Say whether a clip's file is the one on the card."""
        return self.parted.get(clip.key) != clip.docking

    @invariant()
    def agree(self) -> None:
        """Compare everything that can be asked."""
        if not hasattr(self, "ledger"):
            return
        rows = self.do(self.ledger.query(views.clips(limit=1000)))
        assert {clip.key: clip for clip in rows} == self.clips
        for docking in self.dockings:
            mine = [clip for clip in self.clips.values() if clip.docking == docking and self.here(clip)]
            tally = self.do(self.ledger.tally(docking))
            assert tally.files == {state: number for state in ClipState
                                   if (number := sum(clip.state is state for clip in mine))}  # fmt: skip
            assert sum(tally.bytes_.values()) == sum(clip.length_bytes for clip in mine)
            self.agree_on_heads(docking, mine)
        backlog = self.do(self.ledger.backlog())
        assert sum(backlog.files.values()) == sum(clip.state is not ClipState.ERASED for clip in self.clips.values())
        self.agree_on_uploads()

    def agree_on_heads(self, docking: DockingId, mine: list[Clip]) -> None:
        """Compare the work of one docking."""
        (head,) = self.do(self.ledger.heads([docking], skip=skip()))
        ordered = sorted(mine, key=lambda clip: (not clip.urgent, clip.mtime_ns, clip.key))
        unsettled = {
            clip.recording_id for clip in self.clips.values() if clip.docking == docking and clip.receipt is None
        }
        copy = next((clip for clip in ordered if clip.state is ClipState.FOUND), None)
        confirm = next((clip for clip in ordered if clip.key in self.candidates()), None)
        erase = next(
            (clip for clip in ordered if clip.state is ClipState.RECEIPTED and clip.recording_id not in unsettled), None
        )
        assert (head.copy, head.confirm, head.erase) == (copy, confirm, erase)
        assert head.uncopied_bytes == sum(clip.length_bytes for clip in mine if clip.state is ClipState.FOUND)

    def agree_on_uploads(self) -> None:
        """Compare the next upload, whatever is wanted."""
        for wanted in Assurance:
            waiting = [
                clip
                for clip in self.clips.values()
                if clip.state is ClipState.COPIED
                or (clip.state is ClipState.UPLOADED and wanted is Assurance.SIGNED)
                or (
                    clip.state is ClipState.UPLOADED
                    and wanted is Assurance.READBACK
                    and clip.assurance is not Assurance.READBACK
                )
            ]
            waiting.sort(key=lambda clip: (not clip.urgent, clip.url is None, self.copied.index(clip.key)))
            assert self.do(self.ledger.next_upload(skip=skip(), wanted=wanted)) == next(iter(waiting), None)

    def teardown(self) -> None:
        """Check the whole folder, chain and rows, at the end of each run."""
        try:
            if hasattr(self, "ledger"):
                assert list(verify(self.do(self.ledger.links(after=0, limit=10_000))))
                self.do(self.ledger.close())
                report = verify_state(Path(self.folder.name), SIGNER.pinned().verify)
                assert report.clean, report.faults
        finally:
            self.runner.close()
            self.folder.cleanup()


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLedgerAgainstAModel = LedgerMachine.TestCase


# --- the machine finds a fault ------------------------------------------------------------------------------------

FIND = settings(
    phases=[Phase.generate],
    max_examples=200,
    stateful_step_count=30,
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow],
)


def believes_a_candidate(clip: Clip, move: Move, change: Change) -> Clip:
    """Keep what was read in the stay before."""
    after = advance(clip, move, change)
    return replace(after, verified_in=after.docking) if move is Move.REDOCKED and clip.verified_in else after


def forgets_the_spool(clip: Clip, move: Move, change: Change) -> Clip:
    """Say that a held clip has no copy."""
    after = advance(clip, move, change)
    return replace(after, spooled=False) if move is Move.HELD else after


def misses_old_friends(listing: Listing, *, docking: DockingId, known: Sequence[Clip]) -> Reconciled:
    """Take every file of a known length for one that was met."""
    found = reconcile(listing, docking=docking, known=known)
    return replace(found, moves=())


@pytest.mark.promise("I11")
@pytest.mark.parametrize(
    ("name", "faulty"),
    [("advance", believes_a_candidate), ("advance", forgets_the_spool), ("reconcile", misses_old_friends)],
)
def test_a_ledger_that_writes_something_else_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, faulty: Callable[..., object]
) -> None:
    monkeypatch.setattr(dockd.edges.ledger.core, name, faulty)
    with pytest.raises((AssertionError, DockdError)):
        run_state_machine_as_test(LedgerMachine, settings=FIND)


@pytest.mark.promise("I8")
def test_a_ledger_whose_commits_do_not_outlive_a_crash_is_found() -> None:
    class Forgetful(LedgerMachine):
        def lost_in_a_crash(self) -> Callable[[str, list[str]], Iterable[str]] | None:
            return shutil.ignore_patterns("*-wal")

    with pytest.raises((AssertionError, DockdError)):
        run_state_machine_as_test(Forgetful, settings=FIND)
