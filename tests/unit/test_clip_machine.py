"""The clip against a model in plain words: any move with any news, and only what the promises allow comes of it.

The model says in sentences where each move is lawful and what it does. Beside it stand the promises themselves: a clip
only comes further (I11) unless a move says what was lost, one receipt, nothing erased without it, and nothing read in
another stay is believed (I3).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase as Stage, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dockd.domain.clip import Change, Move, advance
from dockd.domain.model import (
    Assurance,
    Camera,
    CameraSerial,
    Clip,
    ClipId,
    ClipKey,
    ClipKind,
    ClipState,
    DockingId,
    Sha256,
    VolumeId,
)
from dockd.errors import InvariantError, Reason

Advance = Callable[[Clip, Move, Change], Clip]

FAR = {"found": 0, "copied": 1, "uploaded": 2, "receipted": 3, "erasing": 4, "erased": 5}
PROVEN = {"receipted", "erasing", "erased"}
SAYS_WHAT_WAS_LOST = {"spool-lost", "store-lost", "erase-failed"}


OPEN = {"copied", "uploaded"}
"""There is a copy here, and no receipt."""

CHANGES_NOTHING = {
    "confirmed": {*OPEN, "receipted"},
    "opened": {"copied"},
    "read-back": {"uploaded"},
    "reclaimed": PROVEN,
}
"""Where a move leaves a clip in its state. Never a copy given up without a receipt (I12)."""

LEADS: dict[str, tuple[set[str], str]] = {
    "grew": ({"found"}, "found"),  # only what was never copied
    "copied": ({"found"}, "copied"),
    "sent": ({"copied"}, "uploaded"),
    "receipted": (OPEN, "receipted"),  # once
    "spool-lost": (OPEN, "found"),  # harmless once it is proven, so nobody says it then
    "store-lost": (OPEN, "copied"),
    "erase-begun": ({"receipted"}, "erasing"),
    "erased": ({"erasing"}, "erased"),
    "erase-failed": ({"erasing"}, "receipted"),
    "held": ({"found", *OPEN}, "held"),
    "recopy": ({"held"}, "found"),
    "resumed": ({"held"}, "copied"),
}


def target(state: str, move: str) -> str | None:
    """Say where a move leads from a state; None where it must be refused."""
    if move == "redocked":  # the file is met again: one that was to be erased was not; an erased one is a new clip
        return None if state == "erased" else "receipted" if state == "erasing" else state
    if move in CHANGES_NOTHING:
        return state if state in CHANGES_NOTHING[move] else None
    if move not in LEADS:  # a clip is found once, and then it is there
        return None
    begins, end = LEADS[move]
    return end if state in begins else None


docking = st.integers(1, 4).map(DockingId)
news = st.fixed_dictionaries(
    {},
    optional={
        "verified": st.booleans(),
        "length_bytes": st.integers(0, 50),
        "mtime_ns": st.integers(-5, 5),
        "urgent": st.booleans(),
        "sha256": st.sampled_from(["a", "b"]).map(lambda digit: Sha256(digit * 64)),
        "clip_id": st.sampled_from(["c", "d"]).map(lambda digit: ClipId(digit * 64)),
        "url": st.sampled_from(["http://127.0.0.1/1", "http://127.0.0.1/2"]),
        "assurance": st.sampled_from(Assurance),
        "receipt": st.sampled_from(["r.1.s", "r.2.s"]),
        "reason": st.sampled_from([Reason.STORE, Reason.HASH]),
        "detail": st.sampled_from(["", "words"]),
    },
)
FACTS = ("length_bytes", "mtime_ns", "urgent", "sha256", "clip_id", "url", "assurance", "receipt")
LISTS = {"redocked", "grew", "recopy", "resumed"}
"""The moves that a listing makes: they alone bring a clip into another stay."""


class ClipMachine(RuleBasedStateMachine):
    """Moves a clip in every way, and the model with it."""

    advance: Advance = staticmethod(advance)

    def __init__(self) -> None:
        super().__init__()
        self.clip = Clip(
            key=ClipKey(1),
            docking=DockingId(1),
            camera=Camera(serial=CameraSerial("CAM"), volume=VolumeId("V")),
            path=b"A.MP4",
            length_bytes=10,
            mtime_ns=0,
            state=ClipState.FOUND,
            kind=ClipKind.VIDEO,
            recording_id="0" * 32,
        )
        self.is_: dict[str, Any] = {name: getattr(self.clip, name) for name in FACTS}
        self.is_ |= {"state": "found", "docking": 1, "read_in": None, "spooled": False, "reason": None, "detail": ""}
        self.way: list[str] = []

    @rule(lawful=st.integers(0, 3), pick=st.integers(0, 1000), any_=st.sampled_from(Move), told=news, stay=docking)
    def move(self, lawful: int, pick: int, any_: Move, told: dict[str, Any], stay: DockingId) -> None:
        """Try a move: mostly one that is lawful here, so that the clip comes far."""
        here = [each for each in Move if target(self.is_["state"], each.value)]
        if pick % 4:  # a receipt ends the first half of the way: not at once
            here = [each for each in here if each is not Move.RECEIPTED]
        move = here[pick // 4 % len(here)] if lawful else any_
        facts = {name: value for name, value in told.items() if name != "verified"}
        into = stay if move.value in LISTS else None
        read_in = (into or self.clip.docking) if told.get("verified") else None
        change = Change(docking=into, verified_in=read_in, **facts)
        leads = target(self.is_["state"], move.value)
        if leads is None:
            with pytest.raises(InvariantError):
                type(self).advance(self.clip, move, change)
            return
        before = self.is_["state"]
        self.clip = type(self).advance(self.clip, move, change)
        self.happened(move.value, facts, into=into, read_in=read_in)
        self.is_["state"] = leads
        self.way.append(move.value)
        self.only_further(before, leads, move.value)

    @rule()
    def whatever_is_not_lawful_here_is_refused(self) -> None:
        for move in Move:
            if target(self.is_["state"], move.value) is None:
                with pytest.raises(InvariantError):
                    type(self).advance(self.clip, move, Change())

    @rule(move=st.sampled_from(Move), stay=docking)
    def a_reading_of_another_stay_is_told(self, move: Move, stay: DockingId) -> None:
        """I3: refused, whatever the move."""
        if stay != self.clip.docking:
            with pytest.raises(InvariantError):
                type(self).advance(self.clip, move, Change(verified_in=stay))

    def happened(self, move: str, facts: dict[str, Any], *, into: int | None, read_in: int | None) -> None:
        """Let the model move."""
        now = self.is_
        if move in {"redocked", "grew"}:
            now["read_in"] = None
        if move in {"spool-lost", "recopy"}:
            now |= {"spooled": False, "read_in": None}
        if move == "resumed":
            now["read_in"] = None
        if move in {"spool-lost", "recopy", "resumed", "store-lost"}:
            now |= {"url": None, "assurance": Assurance.NONE}
        if move in {"copied", "reclaimed"}:
            now["spooled"] = move == "copied"
        now |= {name: value for name, value in facts.items() if name in FACTS}
        if move != "reclaimed" or facts.get("reason"):  # the end of a copy tells nothing of the clip
            now |= {"reason": facts.get("reason"), "detail": facts.get("detail", "")}
        now["docking"] = into or now["docking"]
        now["read_in"] = read_in or now["read_in"]

    def only_further(self, before: str, after: str, move: str) -> None:
        """I11, I1: no step back that does not say what was lost; what is proven stays proven."""
        if before in FAR and after in FAR and FAR[after] < FAR[before]:
            assert move in SAYS_WHAT_WAS_LOST or (move == "redocked" and before == "erasing")
        if before in PROVEN:
            assert after in PROVEN

    @invariant()
    def the_clip_is_as_the_model_says(self) -> None:
        assert self.clip.state.value == self.is_["state"]
        assert {name: getattr(self.clip, name) for name in FACTS} == {name: self.is_[name] for name in FACTS}
        assert (self.clip.docking, self.clip.spooled) == (self.is_["docking"], self.is_["spooled"])
        assert (self.clip.reason, self.clip.detail) == (self.is_["reason"], self.is_["detail"])
        assert self.clip.verified_in == self.is_["read_in"]

    @invariant()
    def nothing_read_in_another_stay_is_believed(self) -> None:
        assert self.clip.verified_in in {None, self.clip.docking}

    @invariant()
    def one_receipt_and_nothing_erased_before_it(self) -> None:
        assert self.way.count("receipted") <= 1
        if "erased" in self.way:
            assert self.way.index("receipted") < self.way.index("erase-begun") < self.way.index("erased")
        if self.clip.state.value in PROVEN:
            assert "receipted" in self.way
        if "reclaimed" in self.way:
            assert self.way.index("receipted") < self.way.index("reclaimed")


ClipMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestAnyClip = ClipMachine.TestCase


FIND = settings(phases=[Stage.generate], max_examples=200, report_multiple_bugs=False, print_blob=False)

# --- the machine finds a fault ------------------------------------------------------------------------------------


def receipts_twice(clip: Clip, move: Move, change: Change) -> Clip:
    """Take a second receipt for a first one."""
    again = move is Move.RECEIPTED and clip.state is ClipState.RECEIPTED
    return clip if again else advance(clip, move, change)


def erases_at_once(clip: Clip, move: Move, change: Change) -> Clip:
    """Take an erasure that was never begun on record."""
    early = move is Move.ERASED and clip.state is ClipState.RECEIPTED
    return replace(clip, state=ClipState.ERASED) if early else advance(clip, move, change)


def reclaims_early(clip: Clip, move: Move, change: Change) -> Clip:
    """Give up a copy without a receipt."""
    early = move is Move.RECLAIMED and clip.state is ClipState.UPLOADED
    return replace(clip, spooled=False) if early else advance(clip, move, change)


def believes_a_candidate(clip: Clip, move: Move, change: Change) -> Clip:
    """Keep what was read in the stay before."""
    after = advance(clip, move, change)
    return replace(after, verified_in=after.docking) if move is Move.REDOCKED and clip.verified_in else after


def forgets_a_receipt(clip: Clip, move: Move, change: Change) -> Clip:
    """Go back to copied once it is proven."""
    back = move is Move.STORE_LOST and clip.state is ClipState.RECEIPTED
    return replace(clip, state=ClipState.COPIED) if back else advance(clip, move, change)


def keeps_a_dead_upload(clip: Clip, move: Move, change: Change) -> Clip:
    """Go on with the upload of bytes that are lost here."""
    after = advance(clip, move, change)
    return replace(after, url=clip.url) if move is Move.SPOOL_LOST else after


def takes_a_late_reading(clip: Clip, move: Move, change: Change) -> Clip:
    """Take what was read in another stay."""
    try:
        return advance(clip, move, change)
    except InvariantError as error:
        if "is late" not in str(error):
            raise
        return advance(clip, move, replace(change, verified_in=None))


@pytest.mark.promise("I11")
@pytest.mark.parametrize(
    "faulty",
    [
        receipts_twice,
        erases_at_once,
        reclaims_early,
        believes_a_candidate,
        forgets_a_receipt,
        keeps_a_dead_upload,
        takes_a_late_reading,
    ],
)
def test_a_clip_that_goes_wrong_is_found(faulty: Advance) -> None:
    class Faulty(ClipMachine):
        advance = staticmethod(faulty)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run_state_machine_as_test(Faulty, settings=FIND)
