"""A complete listing held against what is known: every case by hand."""

from dataclasses import replace

import pytest

from dockd.domain.clip import Move
from dockd.domain.listing import (
    FOUR_GIB_BYTES,
    MOST_CARD_BYTES,
    KnownMove,
    Reconciled,
    found_clip,
    kind_in,
    kind_of,
    listing_of,
    reconcile,
    recording_in,
    recording_of,
    tags_of,
)
from dockd.domain.model import (
    Camera,
    CameraSerial,
    Clip,
    ClipKey,
    ClipKind,
    ClipState,
    DockingId,
    ListedFile,
    Reading,
    Sha256,
    Tag,
    VolumeId,
)
from dockd.errors import ListingError, Reason

THEN, NOW = DockingId(1), DockingId(2)
CLIP = Clip(
    key=ClipKey(1),
    docking=THEN,
    camera=Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL")),
    path=b"A",
    length_bytes=10,
    mtime_ns=5,
    state=ClipState.COPIED,
    kind=ClipKind.VIDEO,
    recording_id="r" * 32,
)


def clip(key: int, path: bytes, length: int, state: ClipState, *, docking: DockingId = THEN) -> Clip:
    copied = state is not ClipState.FOUND
    sha256 = Sha256("5" * 64) if copied else None
    return replace(
        CLIP, key=ClipKey(key), path=path, length_bytes=length, state=state, docking=docking, sha256=sha256,
        spooled=copied,
    )  # fmt: skip


def file(path: bytes, length: int, *, urgent: bool = False, mtime_ns: int = 5) -> ListedFile:
    return ListedFile(path=path, length_bytes=length, mtime_ns=mtime_ns, urgent=urgent)


def compared(files: list[ListedFile], known: list[Clip]) -> Reconciled:
    return reconcile(listing_of(files), docking=NOW, known=known)


def words(moves: tuple[KnownMove, ...]) -> list[tuple[int, str]]:
    return [(move.clip, move.move.value) for move in moves]


def test_a_card_never_seen_before_is_all_new() -> None:
    found = compared([file(b"B", 2), file(b"A", 1)], [])
    assert (found.new, found.moves) == ((file(b"A", 1), file(b"B", 2)), ())


def test_an_empty_card_with_nothing_known_is_nothing() -> None:
    assert compared([], []) == Reconciled(new=(), moves=())


@pytest.mark.promise("I3")
@pytest.mark.parametrize("state", [ClipState.FOUND, ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED])
def test_equal_path_and_length_make_a_candidate_in_the_new_docking(state: ClipState) -> None:
    found = compared([file(b"A", 10)], [clip(1, b"A", 10, state)])
    assert (found.new, words(found.moves)) == ((), [(1, "redocked")])
    assert found.moves[0].change.docking == NOW


@pytest.mark.parametrize("state", [ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.HELD])
def test_another_length_is_another_file_and_the_clip_stays_where_it_was(state: ClipState) -> None:
    for length in (9, 11):
        found = compared([file(b"A", length)], [clip(1, b"A", 10, state)])
        assert (found.new, found.moves) == ((file(b"A", length),), ())


def test_a_file_that_was_never_copied_and_is_longer_now_grew() -> None:
    grown = file(b"A", 12, urgent=True, mtime_ns=9)
    found = compared([grown], [clip(1, b"A", 10, ClipState.FOUND)])
    assert (found.new, words(found.moves)) == ((), [(1, "grew")])
    change = found.moves[0].change
    assert (change.docking, change.length_bytes, change.mtime_ns, change.urgent) == (NOW, 12, 9, True)


def test_a_file_that_was_never_copied_and_is_shorter_now_is_another_one_and_the_first_is_missing() -> None:
    found = compared([file(b"A", 8)], [clip(1, b"A", 10, ClipState.FOUND)])
    assert (found.new, words(found.moves)) == ((file(b"A", 8),), [(1, "held")])


@pytest.mark.promise("I4")
def test_a_clip_whose_copy_was_lost_is_not_turned_into_a_longer_file() -> None:
    lost = replace(clip(1, b"A", 10, ClipState.FOUND), sha256=Sha256("5" * 64))
    found = compared([file(b"A", 12)], [lost])
    assert (found.new, words(found.moves)) == ((file(b"A", 12),), [(1, "held")])


def test_a_file_listed_before_and_gone_before_it_was_copied_is_held_as_missing() -> None:
    found = compared([], [clip(1, b"A", 10, ClipState.FOUND)])
    assert words(found.moves) == [(1, "held")]
    assert found.moves[0].change.reason is Reason.MISSING


@pytest.mark.parametrize("state", [ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.HELD])
def test_an_absent_file_of_which_more_is_known_changes_nothing(state: ClipState) -> None:
    assert compared([], [clip(1, b"A", 10, state)]) == Reconciled(new=(), moves=())


def test_an_erasure_that_was_cut_short_is_done_if_the_file_is_gone_and_begins_anew_if_not() -> None:
    erasing = clip(1, b"A", 10, ClipState.ERASING)
    assert words(compared([], [erasing]).moves) == [(1, "erased")]
    assert words(compared([file(b"A", 10)], [erasing]).moves) == [(1, "redocked")]
    other = compared([file(b"A", 11)], [erasing])
    assert (other.new, words(other.moves)) == ((file(b"A", 11),), [(1, "erased")])


def test_docking_again_tries_a_held_clip_again_from_its_copy_if_there_is_one() -> None:
    copied = clip(1, b"A", 10, ClipState.HELD)
    assert words(compared([file(b"A", 10)], [copied]).moves) == [(1, "resumed")]
    never = replace(copied, sha256=None, spooled=False)
    assert words(compared([file(b"A", 10)], [never]).moves) == [(1, "recopy")]
    reclaimed = replace(copied, spooled=False)
    assert words(compared([file(b"A", 10)], [reclaimed]).moves) == [(1, "recopy")]


def test_the_latest_clip_of_a_path_and_length_is_the_candidate() -> None:
    older, newer = clip(1, b"A", 10, ClipState.RECEIPTED), clip(2, b"A", 10, ClipState.COPIED)
    assert words(compared([file(b"A", 10)], [older, newer]).moves) == [(2, "redocked")]


def test_two_equal_lengths_at_two_paths_stay_two() -> None:
    found = compared([file(b"A", 10), file(b"B", 10)], [clip(1, b"A", 10, ClipState.COPIED)])
    assert (found.new, words(found.moves)) == ((file(b"B", 10),), [(1, "redocked")])


@pytest.mark.parametrize("state", [s for s in ClipState if s not in {ClipState.ERASING, ClipState.ERASED}])
def test_a_second_listing_in_one_docking_leaves_alone_what_was_met_in_it(state: ClipState) -> None:
    here = clip(1, b"A", 10, state, docking=NOW)
    assert compared([file(b"A", 10)], [here]) == Reconciled(new=(), moves=())


def test_a_second_listing_in_one_docking_still_tells_what_grew_what_is_gone_and_what_was_not_unlinked() -> None:
    known = [
        clip(1, b"A", 10, ClipState.FOUND, docking=NOW),
        clip(2, b"B", 10, ClipState.FOUND, docking=NOW),
        clip(3, b"C", 10, ClipState.ERASING, docking=NOW),
        clip(4, b"D", 10, ClipState.ERASING, docking=NOW),
    ]
    found = compared([file(b"A", 11), file(b"C", 10), file(b"E", 1)], known)
    assert found.new == (file(b"E", 1),)
    assert words(found.moves) == [(1, "grew"), (3, "redocked"), (2, "held"), (4, "erased")]


def test_a_mark_of_urgency_is_taken_over_and_never_taken_back() -> None:
    marked = compared([file(b"A", 10, urgent=True)], [clip(1, b"A", 10, ClipState.COPIED)])
    assert marked.moves[0].change.urgent is True
    before = replace(clip(1, b"A", 10, ClipState.COPIED), urgent=True)
    assert compared([file(b"A", 10)], [before]).moves[0].change.urgent is True


@pytest.mark.promise("I7")
def test_two_equal_names_are_no_listing() -> None:
    with pytest.raises(ListingError, match=r"b'A' is listed twice, expected unique names") as caught:
        listing_of([file(b"A", 1), file(b"B", 1), file(b"A", 2)])
    assert caught.value.reason is Reason.DUPLICATE_NAME


@pytest.mark.promise("I16")
def test_files_of_more_bytes_than_any_card_has_are_no_listing() -> None:
    most = [file(b"A", MOST_CARD_BYTES - 1), file(b"B", 1)]
    assert len(listing_of(most).files) == 2
    with pytest.raises(ListingError, match=r"files of 1125899906842625 bytes, expected at most") as caught:
        listing_of([*most, file(b"C", 1)])
    assert caught.value.reason is Reason.LISTING


def test_a_listing_is_ordered_by_path_and_its_digest_covers_path_length_and_time() -> None:
    one = listing_of([file(b"B", 1), file(b"A", 2)])
    assert [listed.path for listed in one.files] == [b"A", b"B"]
    assert one.sha256 == listing_of([file(b"A", 2), file(b"B", 1)]).sha256
    others = (
        listing_of([file(b"A", 2), file(b"C", 1)]),
        listing_of([file(b"A", 2), file(b"B", 2)]),
        listing_of([file(b"A", 2), file(b"B", 1, mtime_ns=6)]),
        listing_of([file(b"A", 2)]),
        listing_of([]),
    )
    assert len({one.sha256, *(other.sha256 for other in others)}) == 6


def test_the_digest_of_a_listing_cannot_be_shifted_between_fields() -> None:
    assert listing_of([file(b"A1", 2)]).sha256 != listing_of([file(b"A", 12)]).sha256


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"DCIM/A.MP4", ClipKind.VIDEO),
        (b"a.mOv", ClipKind.VIDEO),
        (b"a.wav", ClipKind.AUDIO),
        (b"A.JPEG", ClipKind.IMAGE),
        (b"A.THM", ClipKind.SIDECAR),
        (b"A.gpx", ClipKind.SIDECAR),
        (b"A", ClipKind.OTHER),
        (b"mp4", ClipKind.OTHER),
        (b"A.MP4/B", ClipKind.OTHER),
        (b"A.MP4.part", ClipKind.OTHER),
        (b".mp4", ClipKind.VIDEO),
        (b"A.\xff", ClipKind.OTHER),
    ],
)
def test_a_kind_is_told_by_the_extension_and_every_file_has_one(path: bytes, kind: ClipKind) -> None:
    assert kind_of(path) is kind


def test_what_is_odd_about_a_file_is_tagged() -> None:
    assert tags_of(file(b"A.MP4", 1)) == frozenset()
    assert tags_of(file(b"A.MP4", 0)) == {Tag.EMPTY}
    assert tags_of(file(b"A.MP4", FOUR_GIB_BYTES - 1)) == frozenset()
    assert tags_of(file(b"A.MP4", 4_294_967_296)) == {Tag.OVER_4_GIB}
    assert tags_of(file(b"LOG", 0)) == {Tag.EMPTY, Tag.UNKNOWN_TYPE}


def test_a_recording_is_the_files_of_one_stem_in_one_folder_of_one_card() -> None:
    def recording(path: bytes, *, serial: str = "CAM", volume: str = "VOL") -> str:
        return recording_of(serial=serial, volume=volume, path=path)

    clip_, sidecar = recording(b"DCIM/100/ABCD0001.MP4"), recording(b"DCIM/100/ABCD0001.THM")
    assert clip_ == sidecar
    assert len(clip_) == 32
    others = {
        recording(b"DCIM/101/ABCD0001.MP4"),
        recording(b"DCIM/100/ABCD0002.MP4"),
        recording(b"DCIM/100/ABCD0001.MP4", serial="CAM2"),
        recording(b"DCIM/100/ABCD0001.MP4", volume="VOL2"),
        recording(b"ABCD0001.MP4"),
        recording(b"DCIM/100/ABCD0001.MP4", serial="CAMV", volume="OL"),
    }
    assert len(others | {clip_}) == 7
    assert recording(b"DCIM/NOEXT") == recording(b"DCIM/NOEXT.MP4")
    assert recording(b"x/.hidden") != recording(b"x/.other")


def test_moves_of_a_listing_are_lawful_words() -> None:
    assert {Move("redocked"), Move("grew"), Move("held"), Move("erased"), Move("recopy"), Move("resumed")} <= set(Move)


@pytest.mark.promise("I3")
@pytest.mark.parametrize("state", list(ClipState))
def test_what_was_salvaged_of_a_file_is_never_that_file(state: ClipState) -> None:
    """The file is a clip of its own, whatever becomes of its salvaged copy: neither a candidate, nor missing."""
    known = replace(clip(1, b"A", 10, state), tags=frozenset({Tag.SALVAGED}))
    assert compared([file(b"A", 10)], [known]) == Reconciled(new=(file(b"A", 10),), moves=())
    assert compared([], [known]) == Reconciled(new=(), moves=())
    held = clip(2, b"A", 10, ClipState.HELD)
    (only,) = compared([file(b"A", 10)], [held, known]).moves
    assert only.clip == 2


# --- what a profile read ------------------------------------------------------------------------------------------

GROUPED = Reading(facts=(("profile", "dcf"),), group=b"fields 7")
BY_STEM = Reading(facts=(("profile", "dcf"),))


def test_a_file_that_was_just_found_is_a_clip_with_what_its_profile_read() -> None:
    listed = replace(file(b"D/B7.3GF", 10, urgent=True), reading=replace(GROUPED, sidecar=True))
    found = found_clip(listed, key=ClipKey(3), docking=NOW, camera=CLIP.camera, joins={})
    assert found == Clip(
        key=ClipKey(3),
        docking=NOW,
        camera=CLIP.camera,
        path=b"D/B7.3GF",
        length_bytes=10,
        mtime_ns=5,
        state=ClipState.FOUND,
        kind=ClipKind.SIDECAR,
        recording_id=recording_in(listed, camera=CLIP.camera),
        urgent=True,
        facts=(("profile", "dcf"),),
    )
    assert (
        found_clip(listed, key=ClipKey(3), docking=NOW, camera=CLIP.camera, joins={b"D/B7.3GF": "r"}).recording_id
        == "r"
    )
    bare = found_clip(file(b"D/B7.3GF", 10), key=ClipKey(3), docking=NOW, camera=CLIP.camera, joins={})
    assert (bare.facts, bare.kind, bare.tags) == ((), ClipKind.OTHER, frozenset({Tag.UNKNOWN_TYPE}))


def test_a_kind_is_the_extensions_but_for_the_sidecars_of_a_profile() -> None:
    assert kind_in(file(b"A.MP4", 1)) is ClipKind.VIDEO
    assert kind_in(replace(file(b"A.MP4", 1), reading=GROUPED)) is ClipKind.VIDEO
    assert kind_in(replace(file(b"A.MP4", 1), reading=replace(GROUPED, sidecar=True))) is ClipKind.SIDECAR


@pytest.mark.promise("I10")
def test_a_recording_is_named_by_its_camera_and_what_its_profile_calls_it() -> None:
    one, other = (replace(file(path, 1), reading=GROUPED) for path in (b"D/GX010007.MP4", b"E/GX020007.MP4"))
    here = recording_in(one, camera=CLIP.camera)
    assert here == recording_in(other, camera=CLIP.camera)
    assert len(here) == 32
    elsewhere = [
        recording_in(one, camera=replace(CLIP.camera, serial=CameraSerial("CAN"))),
        recording_in(one, camera=replace(CLIP.camera, volume=VolumeId("VOM"))),
        recording_in(replace(one, reading=replace(GROUPED, group=b"fields 8")), camera=CLIP.camera),
        recording_of(serial="CAM", volume="VOL", path=one.path),
    ]
    assert len({here, *elsewhere}) == 5


def test_without_a_profile_and_where_it_says_nothing_a_recording_is_a_stem() -> None:
    by_stem = recording_of(serial="CAM", volume="VOL", path=b"D/A.MP4")
    for listed in (file(b"D/A.THM", 1), replace(file(b"D/A.THM", 1), reading=BY_STEM)):
        assert recording_in(listed, camera=CLIP.camera) == by_stem


def test_what_is_found_later_of_a_recording_joins_it_under_whatever_profile() -> None:
    here = clip(1, b"D/A1.MP4", 10, ClipState.COPIED)
    gone = replace(clip(2, b"D/B1.MP4", 10, ClipState.RECEIPTED), recording_id="s" * 32)
    late = replace(clip(3, b"D/A1.THM", 10, ClipState.COPIED), recording_id="t" * 32)
    new = [file(b"D/A1.GPX", 1), file(b"D/B1.GPX", 1), file(b"D/A2.MP4", 1)]
    apart = {b"D/A1.GPX": "r" * 32, b"D/B1.GPX": "s" * 32}
    old = [file(b"D/A1.MP4", 10), file(b"D/A1.THM", 10)]
    assert compared([*old, *new], [here, gone, late]).joins == apart
    grouped = [replace(listed, reading=GROUPED) for listed in (*old, *new)]
    assert compared(grouped, [here, gone, late]).joins == {**apart, b"D/A2.MP4": "r" * 32}
    assert compared(new[2:], [here, gone, late]).joins == {}
    assert compared(grouped[3:], [gone]).joins == dict.fromkeys([b"D/A2.MP4", b"D/B1.GPX"], "s" * 32)
