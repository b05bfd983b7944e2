"""The erase gate: each condition broken alone refuses, and only all of them together permit."""

from dataclasses import replace
from typing import TypedDict, TypeVar

import pytest
from hypothesis import given, strategies as st

from dockd.domain.erasure import ErasePermit, Refusal, Reread, Stay, may_erase
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
    Gap,
    Sha256,
    StationId,
    Tag,
    VolumeId,
)
from dockd.domain.receipt import Claims, Expected, Receipt

T = TypeVar("T")
SHA, OTHER_SHA = Sha256("5" * 64), Sha256("6" * 64)
META = Sha256("7" * 64)
ID = ClipId("c" * 64)
CAMERA = Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL"), model="m1")
CLIP = Clip(
    key=ClipKey(7),
    docking=DockingId(3),
    camera=CAMERA,
    path=b"A.MP4",
    length_bytes=10,
    mtime_ns=5,
    state=ClipState.RECEIPTED,
    kind=ClipKind.VIDEO,
    recording_id="r" * 32,
    verified_in=DockingId(3),
    sha256=SHA,
    clip_id=ID,
    assurance=Assurance.SIGNED,
    receipt="a.b.c",
    meta_sha256=META,
)
SIBLING = replace(CLIP, key=ClipKey(8), path=b"A.THM")
CLAIMS = Claims(
    clip_id=ID,
    aud=StationId("here"),
    length_bytes=10,
    sha256=SHA,
    meta_sha256=META,
    stored_at="2024-01-01T00:00:00Z",
    store="s",
    leaf="0" * 64,
)
RECEIPT = Receipt(compact="a.b.c", kid="k", claims=CLAIMS, signing_input=b"a.b", signature=b"c")
EXPECTED = Expected(clip_id=ID, station=StationId("here"), length_bytes=10, sha256=SHA, metadata=frozenset({META}))
REREAD = Reread(docking=DockingId(3), camera=CAMERA, path=b"A.MP4", length_bytes=10, sha256=SHA, uncached=True)
STAY = Stay(docking=DockingId(3), camera=CAMERA, listing_complete=True, erase_allowed=True)


class Asked(TypedDict, total=False):
    clip: Clip
    receipt: Receipt | None
    expected: Expected
    reread: Reread
    stay: Stay
    recording: tuple[Clip, ...]


GOOD: Asked = {
    "clip": CLIP,
    "receipt": RECEIPT,
    "expected": EXPECTED,
    "reread": REREAD,
    "stay": STAY,
    "recording": (CLIP, SIBLING),
}
OTHER_CAMERA = replace(CAMERA, serial=CameraSerial("TWIN"))
OTHER_CARD = replace(CAMERA, volume=VolumeId("2"))


def _claims(**changed: object) -> Asked:
    return {"receipt": replace(RECEIPT, claims=replace(CLAIMS, **changed))}  # type: ignore[arg-type]


BROKEN: dict[str, Asked] = {
    "no receipt": {"receipt": None},
    "a receipt that is not the stored one": {"receipt": replace(RECEIPT, compact="x.y.z")},
    "no stored receipt": {"clip": replace(CLIP, receipt=None)},
    "what was salvaged of a file": {"clip": replace(CLIP, tags=frozenset({Tag.SALVAGED}))},
    "a copy with a gap": {"clip": replace(CLIP, gaps=(Gap(offset_bytes=0, length_bytes=1),))},
    "erasing forbidden": {"stay": replace(STAY, erase_allowed=False)},
    "an incomplete listing": {"stay": replace(STAY, listing_complete=False)},
    "a reading that a cache may have answered": {"reread": replace(REREAD, uncached=False)},
    "a reading in another docking": {"reread": replace(REREAD, docking=DockingId(2))},
    "a stay that is another docking": {"stay": replace(STAY, docking=DockingId(4))},
    "a clip of another docking": {"clip": replace(CLIP, docking=DockingId(2))},
    "another camera read": {"reread": replace(REREAD, camera=OTHER_CAMERA)},
    "another card read": {"reread": replace(REREAD, camera=OTHER_CARD)},
    "another camera docked": {"stay": replace(STAY, camera=OTHER_CAMERA)},
    "another card docked": {"stay": replace(STAY, camera=OTHER_CARD)},
    "a clip of another camera": {"clip": replace(CLIP, camera=OTHER_CAMERA)},
    "another path read": {"reread": replace(REREAD, path=b"B.MP4")},
    "another length read": {"reread": replace(REREAD, length_bytes=11)},
    "another length expected": {"expected": replace(EXPECTED, length_bytes=11)},
    "another length on record": {"clip": replace(CLIP, length_bytes=11)},
    "another digest read": {"reread": replace(REREAD, sha256=OTHER_SHA)},
    "another digest expected": {"expected": replace(EXPECTED, sha256=OTHER_SHA)},
    "another digest on record": {"clip": replace(CLIP, sha256=OTHER_SHA)},
    "no digest on record": {"clip": replace(CLIP, sha256=None)},
    "a check made for another clip": {"expected": replace(EXPECTED, clip_id=ClipId("d" * 64))},
    "a clip without its id": {"clip": replace(CLIP, clip_id=None)},
    "a receipt of another clip": _claims(clip_id=ClipId("d" * 64)),
    "a receipt for another station": _claims(aud=StationId("there")),
    "a receipt of another length": _claims(length_bytes=11),
    "a receipt of another digest": _claims(sha256=OTHER_SHA),
    "a receipt over other metadata": _claims(meta_sha256=OTHER_SHA),
    "another station expected": {"expected": replace(EXPECTED, station=StationId("there"))},
    "other metadata expected": {"expected": replace(EXPECTED, metadata=frozenset({OTHER_SHA}))},
    "no metadata expected": {"expected": replace(EXPECTED, metadata=frozenset())},
    "a recording that does not hold the clip": {"recording": (SIBLING,)},
    "a recording that was not looked up": {"recording": ()},
}
BROKEN |= {
    f"a sibling {state.value}": {"recording": (CLIP, replace(SIBLING, state=state))}
    for state in (ClipState.FOUND, ClipState.COPIED, ClipState.UPLOADED, ClipState.HELD)
}
BROKEN |= {
    f"a clip {state.value}": {"clip": replace(CLIP, state=state)}
    for state in ClipState
    if state is not ClipState.RECEIPTED
}
BROKEN |= {
    f"assurance {assurance.value}": {"clip": replace(CLIP, assurance=assurance)}
    for assurance in Assurance
    if assurance is not Assurance.SIGNED
}


def ask(asked: Asked) -> ErasePermit | Refusal:
    return may_erase(
        clip=asked["clip"],
        receipt=asked["receipt"],
        expected=asked["expected"],
        reread=asked["reread"],
        stay=asked["stay"],
        recording=asked["recording"],
    )


@pytest.mark.promise("I1")
def test_all_conditions_together_permit_exactly_the_one_file() -> None:
    assert ask(GOOD) == ErasePermit(clip=ClipKey(7), docking=DockingId(3), path=b"A.MP4", length_bytes=10, sha256=SHA)


@pytest.mark.promise("I1")
@pytest.mark.parametrize("condition", BROKEN)
def test_each_condition_broken_alone_refuses_and_says_why(condition: str) -> None:
    verdict = ask(GOOD | BROKEN[condition])
    assert isinstance(verdict, Refusal)
    assert verdict.why


# Every fact the gate looks at, by what it must agree with; a group agrees if all of it is changed, or none.
GROUPS = {
    "length": ("clip", "expected", "reread", "claims"),
    "digest": ("clip", "expected", "reread", "claims"),
    "clip id": ("clip", "expected", "claims"),
    "station": ("expected", "claims"),
    "metadata": ("expected", "claims"),
    "docking": ("clip", "reread", "stay"),
    "camera": ("clip", "reread", "stay"),
    "path": ("clip", "reread"),
    "jws": ("clip", "receipt"),
    "never": ("cached", "unlisted", "forbidden", "unsigned", "unreceipted", "sibling", "alone"),
}
FACTS = [(group, place) for group, places in GROUPS.items() for place in places]


@pytest.mark.promise("I1")
@given(
    st.sets(st.sampled_from(FACTS), max_size=5)
    | st.sampled_from(sorted(GROUPS)).map(lambda g: {(g, p) for p in GROUPS[g]})
)
def test_it_permits_exactly_where_all_facts_agree(changed: set[tuple[str, str]]) -> None:
    def chosen(group: str, place: str, good: T, bad: T) -> T:
        return bad if (group, place) in changed else good

    clip = replace(
        CLIP,
        length_bytes=chosen("length", "clip", 10, 11),
        sha256=chosen("digest", "clip", SHA, OTHER_SHA),
        clip_id=chosen("clip id", "clip", ID, ClipId("d" * 64)),
        docking=chosen("docking", "clip", DockingId(3), DockingId(4)),
        camera=chosen("camera", "clip", CAMERA, OTHER_CAMERA),
        path=chosen("path", "clip", b"A.MP4", b"B.MP4"),
        receipt=chosen("jws", "clip", "a.b.c", "x.y.z"),
        state=chosen("never", "unreceipted", ClipState.RECEIPTED, ClipState.UPLOADED),
        assurance=chosen("never", "unsigned", Assurance.SIGNED, Assurance.READBACK),
    )
    claims = replace(
        CLAIMS,
        length_bytes=chosen("length", "claims", 10, 11),
        sha256=chosen("digest", "claims", SHA, OTHER_SHA),
        clip_id=chosen("clip id", "claims", ID, ClipId("d" * 64)),
        aud=chosen("station", "claims", StationId("here"), StationId("there")),
        meta_sha256=chosen("metadata", "claims", META, OTHER_SHA),
    )
    verdict = may_erase(
        clip=clip,
        receipt=replace(RECEIPT, claims=claims, compact=chosen("jws", "receipt", "a.b.c", "x.y.z")),
        expected=Expected(
            clip_id=chosen("clip id", "expected", ID, ClipId("d" * 64)),
            station=chosen("station", "expected", StationId("here"), StationId("there")),
            length_bytes=chosen("length", "expected", 10, 11),
            sha256=chosen("digest", "expected", SHA, OTHER_SHA),
            metadata=frozenset({chosen("metadata", "expected", META, OTHER_SHA)}),
        ),
        reread=Reread(
            docking=chosen("docking", "reread", DockingId(3), DockingId(4)),
            camera=chosen("camera", "reread", CAMERA, OTHER_CAMERA),
            path=chosen("path", "reread", b"A.MP4", b"B.MP4"),
            length_bytes=chosen("length", "reread", 10, 11),
            sha256=chosen("digest", "reread", SHA, OTHER_SHA),
            uncached=chosen("never", "cached", good=True, bad=False),
        ),
        stay=Stay(
            docking=chosen("docking", "stay", DockingId(3), DockingId(4)),
            camera=chosen("camera", "stay", CAMERA, OTHER_CAMERA),
            listing_complete=chosen("never", "unlisted", good=True, bad=False),
            erase_allowed=chosen("never", "forbidden", good=True, bad=False),
        ),
        recording=(
            *chosen("never", "alone", (clip,), ()),
            replace(SIBLING, state=chosen("never", "sibling", ClipState.ERASED, ClipState.HELD)),
        ),
    )
    agree = all(
        {(group, place) in changed for place in places} in ({False}, {True})
        and not (group == "never" and changed & {(group, place) for place in places})
        for group, places in GROUPS.items()
    )
    assert isinstance(verdict, ErasePermit) == agree


@pytest.mark.parametrize("state", [ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED])
def test_a_sibling_that_is_proven_does_not_keep_a_clip_back(state: ClipState) -> None:
    assert isinstance(ask(GOOD | {"recording": (CLIP, replace(SIBLING, state=state))}), ErasePermit)


def test_what_a_camera_claims_of_its_model_does_not_matter() -> None:
    stay = replace(STAY, camera=replace(CAMERA, model="m2", firmware="9"))
    assert isinstance(ask(GOOD | {"stay": stay}), ErasePermit)
