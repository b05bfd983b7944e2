"""From where a held clip can go on: from its copy here, from its camera, or from nowhere for now."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from dockd.domain.clip import SETTLED, Change, Move, advance, after
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
from dockd.domain.quarantine import CUSTODY, DONE, OUTCOMES, Held, Outcome, Wish, way_on
from dockd.errors import Reason

CLIP = Clip(
    key=ClipKey(1),
    docking=DockingId(1),
    camera=Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL")),
    path=b"A",
    length_bytes=10,
    mtime_ns=5,
    state=ClipState.HELD,
    kind=ClipKind.VIDEO,
    recording_id="r" * 32,
    reason=Reason.HASH,
)
COPIED = replace(CLIP, sha256=Sha256("5" * 64), clip_id=ClipId("c" * 64), spooled=True)


def held(clip: Clip, *, parted: bool = False) -> Held:
    return Held(clip=clip, since_utc="2026-01-01T00:00:00.000000Z", parted=parted)


@pytest.mark.parametrize("wish", list(Wish))
def test_a_clip_with_a_copy_here_goes_on_from_it_docked_or_not(wish: Wish) -> None:
    salvaged = replace(COPIED, tags=frozenset({Tag.SALVAGED}))
    for clip in (COPIED, salvaged):
        assert way_on(held(clip), wish, copied=True, docked=False) is Move.RESUMED
        assert way_on(held(clip), wish, copied=True, docked=True) is Move.RESUMED


@pytest.mark.parametrize("wish", list(Wish))
def test_a_copy_that_is_on_record_and_lost_is_none(wish: Wish) -> None:
    assert way_on(held(COPIED), wish, copied=False, docked=True) is Move.RECOPY
    assert way_on(held(COPIED), wish, copied=False, docked=False) is None


@pytest.mark.parametrize("wish", list(Wish))
def test_a_clip_without_a_copy_goes_on_from_its_camera_if_that_is_docked(wish: Wish) -> None:
    assert way_on(held(CLIP), wish, copied=False, docked=True) is Move.RECOPY
    assert way_on(held(CLIP), wish, copied=False, docked=False) is None


@pytest.mark.parametrize("reason", [Reason.UNREADABLE, Reason.MISSING])
def test_only_a_retry_asks_a_card_once_more_for_what_it_does_not_give(reason: Reason) -> None:
    gone = held(replace(CLIP, reason=reason))
    assert way_on(gone, Wish.RETRY, copied=False, docked=True) is Move.RECOPY
    assert way_on(gone, Wish.RELEASE, copied=False, docked=True) is None


@pytest.mark.parametrize("wish", list(Wish))
def test_what_has_no_file_on_the_docked_camera_is_not_copied_from_it(wish: Wish) -> None:
    assert way_on(held(CLIP, parted=True), wish, copied=False, docked=True) is None
    assert way_on(held(replace(CLIP, tags=frozenset({Tag.SALVAGED}))), wish, copied=False, docked=True) is None


@pytest.mark.promise("I1")
@given(
    clip=st.builds(
        replace,
        st.sampled_from([CLIP, COPIED]),
        reason=st.sampled_from(Reason),
        spooled=st.booleans(),
        receipt=st.sampled_from([None, "a.b.c"]),
        assurance=st.sampled_from(Assurance),
        verified_in=st.sampled_from([None, DockingId(1)]),
    ),
    wish=st.sampled_from(Wish),
    copied=st.booleans(),
    docked=st.booleans(),
    parted=st.booleans(),
)
def test_no_wish_brings_a_clip_nearer_to_its_erasure(clip: Clip, wish: Wish, **known: bool) -> None:
    move = way_on(held(clip, parted=known["parted"]), wish, copied=known["copied"], docked=known["docked"])
    if move is None:
        return
    assert after(ClipState.HELD, move) in {ClipState.FOUND, ClipState.COPIED}
    let_out = advance(clip, move, Change())
    assert let_out.state not in SETTLED
    assert let_out.assurance is Assurance.NONE
    assert let_out.url is None, "the store is asked anew"
    assert let_out.verified_in is None, "its bytes are to be read from the camera again"
    assert (let_out.path, let_out.length_bytes, let_out.sha256) == (clip.path, clip.length_bytes, clip.sha256)


def test_every_outcome_and_every_move_has_its_words() -> None:
    assert set(OUTCOMES) == set(Outcome)
    assert set(CUSTODY) > {move.value for move in Move}
    assert set(Outcome) - DONE == {Outcome.WAITS, Outcome.WRONG_STATE, Outcome.FAILED, Outcome.UNKNOWN}


def test_who_has_looked_at_a_clip_is_forgotten_when_it_moves() -> None:
    """A clip that is held a second time alarms a second time."""
    seen = replace(CLIP, acknowledged="user:anna: broken card")
    assert advance(seen, Move.RECOPY, Change()).acknowledged == ""
