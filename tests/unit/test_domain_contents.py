"""What a profile makes of the files of a card: recordings, marks, counters, and the facts that are told of each."""

from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from dockd.domain.contents import Role, marked, recordings
from dockd.domain.facts import MOST_CHARS, NAMES, ascii_text, facts_of, read
from dockd.domain.listing import listing_of
from dockd.domain.model import ListedFile
from dockd.domain.naming import parted
from dockd.domain.profile import Counting, EraseMethod, Profile, Trigger
from dockd.domain.recorded import ClockOffset, OffsetSource
from tests.profile_parts import DATED, DCF, GENERIC, card, known, template

# --- recordings, marks, counters ----------------------------------------------------------------------------------


def test_the_files_of_one_number_are_one_recording_with_their_sidecars() -> None:
    contents = card(
        DCF,
        b"DCIM/100GOPRO/GX010128.MP4",
        b"DCIM/100GOPRO/GX020128.MP4",
        b"DCIM/100GOPRO/GX010128.THM",
        b"DCIM/100GOPRO/GX010129.MP4",
        b"DCIM/101GOPRO/GX010128.MP4",
        b"README.TXT",
        b"README.DOC",
    )
    groups = sorted(sorted(file.file.path for file in files) for files in recordings(contents).values())
    assert groups == [
        [b"DCIM/100GOPRO/GX010128.MP4", b"DCIM/100GOPRO/GX010128.THM", b"DCIM/100GOPRO/GX020128.MP4"],
        [b"DCIM/100GOPRO/GX010129.MP4"],
        [b"DCIM/101GOPRO/GX010128.MP4"],
        [b"README.DOC", b"README.TXT"],
    ]


def test_what_is_named_like_a_recording_is_of_it_whatever_it_is_and_is_never_erased() -> None:
    """A file with a clip's stem is of its recording under every profile."""
    contents = card(DCF, b"DCIM/100ABCDE/ABCD0001.MP4", b"DCIM/100ABCDE/ABCD0001.XYZ", b"DCIM/100ABCDE/WXYZ0001")
    (group,) = recordings(contents).values()
    assert [file.role for file in group] == [Role.CLIP, Role.STRANGER, Role.STRANGER]
    assert [file.erase for file in group] == [EraseMethod.UNLINK, EraseMethod.NEVER, EraseMethod.NEVER]
    assert group[1].counter is None


@given(
    st.lists(st.sampled_from([b"A", b"DCIM/100ABCDE/ABCD0001", b"DCIM/100abcde/abcd0001", b"Rec/X", b""]), min_size=2)
)
def test_files_of_one_stem_are_one_recording_whatever_the_profile(stems: list[bytes]) -> None:
    paths = [stem + b".%d" % number for number, stem in enumerate(stems)]
    for profile in (DCF, DATED, GENERIC):
        of = {known.file.path: known.group for known in card(profile, *paths).files}
        groups = {stem: {of[path] for path in paths if parted(path)[0] == stem} for stem in stems}
        assert all(len(group) <= 1 for group in groups.values())


def test_without_shared_fields_files_of_one_stem_are_one_recording() -> None:
    profile = Profile(name="a", about="", paths=DCF.paths, clips=DCF.clips, sidecars=DCF.sidecars)
    contents = card(
        profile, b"DCIM/100GOPRO/GX010128.MP4", b"DCIM/100GOPRO/GX020128.MP4", b"DCIM/100GOPRO/GX010128.THM"
    )
    assert sorted(len(files) for files in recordings(contents).values()) == [1, 2]


def test_a_mark_makes_every_file_of_its_recording_urgent_and_no_other() -> None:
    paths = [
        b"Rec/20240701-143000_EVT.MP4",
        b"Rec/20240701-143000_NOR.GPS",
        b"Rec/20240701-143100_NOR.MP4",
        b"Rec/NOTES.TXT",
    ]
    listing = listing_of([ListedFile(path=path, length_bytes=1, mtime_ns=0) for path in paths])
    listing = listing_of([*listing.files[:-1], ListedFile(path=paths[3], length_bytes=1, mtime_ns=0, urgent=True)])
    told = marked(listing, card(DATED, *paths))
    assert {file.path: file.urgent for file in told.files} == dict(zip(paths, (True, True, False, True), strict=True))
    assert told.sha256 == listing.sha256
    assert told.kept == {b"Rec/NOTES.TXT"}


@pytest.mark.promise("I6")
@pytest.mark.parametrize("erase", [EraseMethod.VENDOR, EraseMethod.NEVER])
def test_what_no_unlink_may_erase_is_kept_whole(erase: EraseMethod) -> None:
    """No driver has a command of its own yet: such files stay."""
    path = b"DCIM/100ABCDE/ABCD0001.MP4"
    listing = listing_of([ListedFile(path=path, length_bytes=1, mtime_ns=0)])
    assert marked(listing, card(replace(DCF, erase=erase), path)).kept == {path}
    assert marked(listing, card(DCF, path)).kept == frozenset()


COUNTING = Counting(first=1, last=9999, folder_first=100, folder_last=999)


@pytest.mark.parametrize(
    ("names", "first", "last", "missing"),
    [
        (["100-0001"], "100-0001", "100-0001", 0),
        (["100-0001", "100-0002", "100-0005"], "100-0001", "100-0005", 2),
        (["100-9999", "101-0001"], "100-9999", "101-0001", 0),
        (["999-9998", "999-9999", "100-0001", "100-0003"], "999-9998", "100-0003", 1),
        (["100-0000", "099-0001"], None, None, None),
    ],
)
def test_counters_wrap_and_what_is_missing_between_them_is_counted(
    names: list[str], first: str | None, last: str | None, missing: int | None
) -> None:
    def path(name: str) -> bytes:
        return f"DCIM/{name[:3]}ABCDE/ABCD{name[4:]}.MP4".encode()

    run = card(DCF, *map(path, names), b"DCIM/100ABCDE/ABCD0500.THM", b"X.MP4").run
    if first is None or last is None:
        assert run is None
    else:
        assert run is not None
        assert (run.first, run.last, run.missing) == (path(first), path(last), missing)


def test_a_camera_without_numbered_folders_counts_on_one_circle() -> None:
    profile = Profile(
        name="a",
        about="",
        paths=(template("V{counter:3}"),),
        clips=frozenset({b"MP4"}),
        counting=Counting(first=0, last=999),
    )
    run = card(profile, b"V999.MP4", b"V000.MP4", b"V002.MP4").run
    assert run is not None
    assert (run.first, run.last, run.missing) == (b"V999.MP4", b"V002.MP4", 1)
    assert profile.counting is not None
    assert profile.counting.places == 1000


@given(st.integers(0, COUNTING.places - 1), st.integers(1, 200), st.sets(st.integers(1, 198), max_size=20))
@settings(deadline=None, max_examples=50)
def test_wherever_on_the_circle_a_camera_stands_its_run_is_told_alike(begin: int, length: int, gone: set[int]) -> None:
    there = [step for step in range(length) if step not in gone]

    def path(step: int) -> bytes:
        place = (begin + step) % COUNTING.places
        return f"DCIM/{place // 9999 + 100}ABCDE/ABCD{place % 9999 + 1:04}.MP4".encode()

    run = card(DCF, *map(path, there)).run
    assert run is not None
    assert (run.first, run.last) == (path(0), path(there[-1]))
    assert run.missing == there[-1] + 1 - len(there)


# --- facts --------------------------------------------------------------------------------------------------------


def test_what_nobody_knows_is_said_to_be_unknown() -> None:
    assert facts_of(known(GENERIC, b"A.MP4"), GENERIC, battery_pct=50) == {
        "battery": "unknown",
        "battery_source": "unknown",
        "category": "unknown",
        "category_source": "unknown",
        "chapter": "unknown",
        "clock_offset": "none",
        "counter": "unknown",
        "marks": "unknown",
        "profile": "generic",
        "recorded": "unknown",
        "recorded_is": "unknown",
        "recorded_utc": "unknown",
        "recorded_zone": "unknown",
        "role": "stranger",
        "trigger": "unknown",
    }


@pytest.mark.promise("I13")
def test_a_measured_offset_stands_beside_the_time_and_changes_nothing_of_it() -> None:
    file = known(DATED, b"Rec/20241027-013000_EVT.MP4")
    offset = ClockOffset(source=OffsetSource.READ, ahead_ms=-3_600_250, uncertainty_ms=1000)
    assert facts_of(file, DATED, offset=offset, battery_pct=80) == {
        "battery": "80",
        "battery_source": "camera",
        "category": "stop and search",
        "category_source": "camera",
        "chapter": "unknown",
        "clock_offset": "read -3600250 1000",
        "counter": "unknown",
        "marks": "evidence-button",
        "profile": "dated",
        "recorded": "2024-10-27T01:30:00",
        "recorded_is": "twice",
        "recorded_utc": "2024-10-27T00:30:00.000000Z 2024-10-27T01:30:00.000000Z",
        "recorded_zone": "Europe/London",
        "role": "clip",
        "trigger": "button",
    }


@pytest.mark.promise("I16")
def test_a_fact_is_printable_ascii_and_short_whatever_its_profile_says() -> None:
    category = "Stra\u00dfe\n\x1b[31m" + "\U0001f46e" * 64
    told = facts_of(replace(known(DATED, b"Rec/20240701-143000_EVT.MP4"), category=category), DATED)
    assert told["category"].startswith("Stra\\xdfe\\n\\x1b[31m\\U0001f46e")
    assert len(told["category"]) == MOST_CHARS
    assert ascii_text(told["category"], most=MOST_CHARS) == told["category"]
    assert ascii_text("a\\b \udcff" * 100, most=9) == r"a\b \udcf"
    assert tuple(told) == NAMES == tuple(sorted(NAMES))
    assert all(fact.isascii() and fact.isprintable() for fact in told.values())


def test_a_listing_is_given_with_what_its_profile_reads_of_each_file_and_is_else_the_same() -> None:
    paths = [b"DCIM/100ABCDE/ABCD0001.MP4", b"DCIM/100ABCDE/ABCD0001.THM", b"NOTES.TXT"]
    listing = listing_of([ListedFile(path=path, length_bytes=1, mtime_ns=0, urgent=path[0] == 78) for path in paths])
    contents = card(DCF, *paths)
    told = read(listing, contents, DCF)
    clip, sidecar, notes = (file.reading for file in told.files)
    assert clip is not None
    assert sidecar is not None
    assert notes is not None
    assert dict(clip.facts) == facts_of(contents.files[0], DCF)
    assert clip.group == sidecar.group != b""
    assert (clip.sidecar, sidecar.sidecar, notes.sidecar, notes.group) == (False, True, False, b"")
    assert replace(told, files=listing.files) == listing
    assert tuple(replace(file, reading=None) for file in told.files) == listing.files


def facts(profile: Profile, path: bytes) -> dict[str, str]:
    """Give the facts of one file."""
    return facts_of(known(profile, path), profile, offset=ClockOffset(source=OffsetSource.BOUNDED, ahead_ms=5))


def test_a_camera_that_marks_and_did_not_has_none_and_one_that_cannot_is_unknown() -> None:
    assert facts(DATED, b"Rec/20240701-143000_NOR.MP4")["marks"] == "none"
    assert facts(DCF, b"DCIM/100ABCDE/ABCD0001.MP4")["marks"] == "none"
    assert facts(DCF, b"DCIM/NOTES.TXT")["marks"] == "unknown"
    assert facts(DCF, b"DCIM/100ABCDE/ABCD0001.MP4")["counter"] == "100-1"
    assert facts(DCF, b"DCIM/100ABCDE/ABCD0001.MP4")["clock_offset"] == "bounded +5 unknown"
    assert Trigger.UNKNOWN.value == facts(DCF, b"DCIM/100ABCDE/ABCD0001.MP4")["trigger"]
    assert known(DCF, b"X").role is Role.STRANGER
