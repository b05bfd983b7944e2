"""The custody machine of a clip: every lawful move as a literal, every other pair refused."""

import pytest

from dockd.domain.clip import ORDER, SETTLED, TRANSITIONS, Change, Move, advance, after
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
    Tag,
    VolumeId,
)
from dockd.errors import InvariantError, Reason

LAWFUL = """
found redocked found
found grew found
found copied copied
found held held
copied redocked copied
copied confirmed copied
copied opened copied
copied sent uploaded
copied receipted receipted
copied spool-lost found
copied store-lost copied
copied held held
uploaded redocked uploaded
uploaded confirmed uploaded
uploaded read-back uploaded
uploaded receipted receipted
uploaded store-lost copied
uploaded spool-lost found
uploaded held held
receipted redocked receipted
receipted confirmed receipted
receipted reclaimed receipted
receipted erase-begun erasing
erasing erased erased
erasing erase-failed receipted
erasing redocked receipted
erasing reclaimed erasing
erased reclaimed erased
held redocked held
held recopy found
held resumed copied
"""
TABLE = {
    (ClipState(state), Move(move)): ClipState(target)
    for state, move, target in (line.split() for line in LAWFUL.strip().splitlines())
}
SHA = Sha256("5" * 64)
CLIP = Clip(
    key=ClipKey(7),
    docking=DockingId(3),
    camera=Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL")),
    path=b"A.MP4",
    length_bytes=10,
    mtime_ns=5,
    state=ClipState.COPIED,
    kind=ClipKind.VIDEO,
    recording_id="r" * 32,
    verified_in=DockingId(3),
    sha256=SHA,
    clip_id=ClipId("c" * 64),
    url="https://store.example/files/1",
    assurance=Assurance.ACCEPTED,
    spooled=True,
    reason=Reason.STORE,
    detail="busy",
)


def at(state: ClipState) -> Clip:
    return Clip(**{name: getattr(CLIP, name) for name in Clip.__slots__} | {"state": state})


@pytest.mark.promise("I11")
@pytest.mark.parametrize("move", list(Move))
@pytest.mark.parametrize("state", list(ClipState))
def test_every_pair_leads_where_it_is_written_or_is_refused(state: ClipState, move: Move) -> None:
    target = TABLE.get((state, move))
    if target is not None:
        assert after(state, move) is target
        assert advance(at(state), move, Change()).state is target
        return
    with pytest.raises(InvariantError, match=f"clip in state {state.value}: move {move.value} is not lawful"):
        after(state, move)
    with pytest.raises(InvariantError):
        advance(at(state), move, Change())


def test_the_table_holds_no_move_that_is_not_written_here() -> None:
    assert dict(TRANSITIONS) == TABLE


@pytest.mark.promise("I11")
def test_the_only_moves_back_are_those_that_say_what_was_lost() -> None:
    back = {(state, move) for (state, move), target in TABLE.items() if 0 <= ORDER[target] < ORDER[state]}
    assert {(state.value, move.value) for state, move in back} == {
        ("copied", "spool-lost"),
        ("uploaded", "spool-lost"),
        ("uploaded", "store-lost"),
        ("erasing", "erase-failed"),
        ("erasing", "redocked"),
    }


@pytest.mark.promise("I1")
def test_nothing_leads_out_of_what_the_store_has_proved() -> None:
    assert {state for state in ClipState if state in SETTLED} == {
        ClipState.RECEIPTED,
        ClipState.ERASING,
        ClipState.ERASED,
    }
    assert all(target in SETTLED for (state, _), target in TABLE.items() if state in SETTLED)
    assert {move for (state, move), target in TABLE.items() if target in SETTLED and state not in SETTLED} == {
        Move.RECEIPTED
    }


def test_a_lawful_move_names_what_was_possible_when_it_is_refused() -> None:
    with pytest.raises(InvariantError, match=r"expected one of reclaimed$"):
        after(ClipState.ERASED, Move.COPIED)


@pytest.mark.promise("I3")
def test_docking_again_takes_back_that_the_file_was_read_in_this_stay() -> None:
    again = advance(CLIP, Move.REDOCKED, Change(docking=DockingId(4)))
    assert (again.docking, again.verified_in, again.url) == (DockingId(4), None, CLIP.url)


def test_a_lost_spool_copy_takes_its_upload_with_it() -> None:
    lost = advance(CLIP, Move.SPOOL_LOST, Change())
    assert (lost.spooled, lost.verified_in, lost.url, lost.assurance) == (False, None, None, Assurance.NONE)
    assert lost.sha256 == SHA  # what it once was is not forgotten


def test_a_held_clip_that_is_copied_again_begins_anew() -> None:
    again = advance(at(ClipState.HELD), Move.RECOPY, Change())
    assert (again.state, again.spooled, again.verified_in, again.url) == (ClipState.FOUND, False, None, None)


@pytest.mark.promise("I3")
def test_a_held_clip_that_is_resumed_keeps_its_copy_and_must_be_read_again() -> None:
    again = advance(at(ClipState.HELD), Move.RESUMED, Change())
    assert (again.state, again.spooled, again.verified_in, again.url) == (ClipState.COPIED, True, None, None)


def test_an_upload_lost_at_the_store_is_forgotten_and_the_copy_stays() -> None:
    lost = advance(at(ClipState.UPLOADED), Move.STORE_LOST, Change())
    assert (lost.state, lost.url, lost.assurance, lost.spooled) == (ClipState.COPIED, None, Assurance.NONE, True)


def test_a_reclaimed_copy_is_no_longer_spooled_and_a_copied_one_is() -> None:
    assert not advance(at(ClipState.RECEIPTED), Move.RECLAIMED, Change()).spooled
    found = at(ClipState.FOUND)
    assert advance(found, Move.COPIED, Change()).spooled


def test_a_move_says_anew_what_a_clip_waits_for() -> None:
    assert (advance(CLIP, Move.CONFIRMED, Change()).reason, advance(CLIP, Move.CONFIRMED, Change()).detail) == (
        None,
        "",
    )
    held = advance(CLIP, Move.HELD, Change(reason=Reason.RECEIPT, detail="forged"))
    assert (held.reason, held.detail) == (Reason.RECEIPT, "forged")


def test_a_change_sets_what_it_names_and_leaves_the_rest() -> None:
    change = Change(
        docking=DockingId(9),
        verified_in=DockingId(9),
        length_bytes=11,
        mtime_ns=6,
        urgent=True,
        sha256=Sha256("6" * 64),
        clip_id=ClipId("d" * 64),
        tags=frozenset({Tag.HEADER_MISSING}),
        url="https://store.example/files/2",
        assurance=Assurance.SIGNED,
        receipt="a.b.c",
        meta_sha256=Sha256("7" * 64),
    )
    changed = advance(CLIP, Move.CONFIRMED, change)
    named = ("docking", "verified_in", "length_bytes", "mtime_ns", "urgent", "sha256", "clip_id", "tags", "url")
    for name in (*named, "assurance", "receipt", "meta_sha256"):
        assert getattr(changed, name) == getattr(change, name)
    for name in ("key", "camera", "path", "kind", "recording_id", "spooled", "state"):
        assert getattr(changed, name) == getattr(CLIP, name)


@pytest.mark.promise("I3")
def test_a_reading_of_a_stay_that_is_over_is_refused() -> None:
    with pytest.raises(InvariantError, match=r"clip 7: was read in docking 2, and was listed in docking 3 since: move"):
        advance(CLIP, Move.CONFIRMED, Change(verified_in=DockingId(2)))
    assert advance(CLIP, Move.CONFIRMED, Change(verified_in=DockingId(3))).verified_in == 3
    both = Change(docking=DockingId(4), verified_in=DockingId(4))
    assert advance(CLIP, Move.REDOCKED, both).verified_in == 4
