"""Profiles of cameras: which device is of which, what a name says, and what stays as the camera wrote it."""

from dataclasses import replace
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from dockd.domain.contents import Role, marked, recordings
from dockd.domain.facts import MOST_CHARS, NAMES, ascii_text, facts_of, read
from dockd.domain.listing import listing_of
from dockd.domain.matching import CardIds, Fits, Several, Unknown, knows, possible, profile_of
from dockd.domain.model import ListedFile
from dockd.domain.naming import glob_matches, glob_problem, parted, template_of
from dockd.domain.profile import Counting, EraseMethod, Filesystem, Mark, Match, Profile, Trigger
from dockd.domain.recorded import UTC_ZONE, ClockOffset, OffsetSource, RecordedTime, Standing, Zone, recorded_time
from dockd.domain.usb import UsbIds
from tests.profile_parts import DATED, DCF, GENERIC, LONDON, card, known, template

CAMERA = UsbIds(vendor="2672", product="0049", serial="C3221324500001")
VFAT = CardIds(filesystem="vfat", label="BWC")


# --- which profile a device is of ---------------------------------------------------------------------------------


def one(name: str, **match: object) -> Profile:
    """Give a profile that fits by one match."""
    return Profile(name=name, about="", matches=(Match(vendor="2672", **match),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("profile", "fits"),
    [
        (one("a", product="0049"), True),
        (one("a", product="004a"), False),
        (one("a", serial="C#*"), True),
        (one("a", serial="C#"), False),
        (one("a", product="0049", serial="D*"), False),
        (one("a", product="0049", filesystem=Filesystem.VFAT), True),
        (one("a", product="0049", filesystem=Filesystem.EXFAT), False),
        (one("a", product="0049", label="B?C"), True),
        (one("a", product="0049", label="bwc"), False),
        (Profile(name="a", about="", matches=(Match(vendor="1d6b", product="0049"),)), False),
        (Profile(name="a", about=""), False),
    ],
)
def test_a_device_is_of_a_profile_if_it_says_all_that_one_match_wants(profile: Profile, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    assert profile_of([profile], CAMERA, VFAT) == (Fits(profile=profile) if fits else Unknown())


def test_the_ids_of_the_usb_decide_before_the_card_can_be_read() -> None:
    exfat = one("exfat", product="0049", filesystem=Filesystem.EXFAT)
    vfat = one("vfat", product="0049", filesystem=Filesystem.VFAT)
    other = one("other", product="1111")
    assert possible([exfat, vfat, other], CAMERA) == (exfat, vfat)
    assert profile_of([exfat, vfat, other], CAMERA, VFAT) == Fits(profile=vfat)


def test_ids_in_capitals_are_the_same_ids() -> None:
    profile = Profile(name="a", about="", matches=(Match(vendor="abcd", product="00ef"),))
    assert possible([profile], UsbIds(vendor="ABCD", product="00EF", serial="")) == (profile,)


def test_a_device_that_fits_two_profiles_is_left_alone_and_both_are_named() -> None:
    two = [one("zulu", product="0049"), one("alpha", serial="C*"), one("never", product="0001")]
    assert profile_of(two, CAMERA, VFAT) == Several(names=("alpha", "zulu"))


@pytest.mark.parametrize("card", [None, VFAT])
def test_a_device_is_let_in_by_its_ids_and_stays_if_one_profile_fits_its_card(card: CardIds | None) -> None:
    twins = [one("a", product="0049"), one("b", product="0049")]
    assert knows(twins[:1], CAMERA, card)
    assert knows(twins, CAMERA, card) is (card is None)
    assert not knows([one("a", product="0001")], CAMERA, card)


def test_any_one_of_several_matches_is_enough() -> None:
    profile = Profile(name="a", about="", matches=(*one("", product="0001").matches, *one("", product="0049").matches))
    assert profile_of([profile], CAMERA, VFAT) == Fits(profile=profile)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("A*9", "A9", True),
        ("A*9", "A\n9", True),
        ("A***9", "A123", False),
        ("####", "2024", True),
        ("####", "20245", False),
        ("##", "\u0661\u0662", False),
        ("a.c", "abc", False),
        ("[a]", "[a]", True),
        ("?", "", False),
        ("#", "#", False),
        ("AB*BC", "ABC", False),
        ("*x*", "axb", True),
        ("*x*", "ab", False),
    ],
)
def test_a_pattern_means_any_characters_one_character_or_one_digit(pattern: str, text: str, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    assert glob_matches(pattern, text) is fits


@given(st.text("ab?*", max_size=8), st.text("ab", max_size=10))
@settings(deadline=None)
def test_a_pattern_without_digits_means_what_a_shell_means_by_it(pattern: str, text: str) -> None:
    assert glob_matches(pattern, text) is fnmatchcase(text, pattern)


def test_a_text_that_nearly_fits_a_pattern_of_many_parts_is_refused_at_once() -> None:
    assert not glob_matches("*a" * 15 + "*b*", "a" * 5_000)


@pytest.mark.parametrize("pattern", ["", "*", "**", " ", "?*", "????", "* ?", "a\n", "x" * 33])
def test_a_pattern_that_says_nothing_is_none(pattern: str) -> None:
    assert glob_problem(pattern) == "1 to 32 printable characters with something besides '*' and '?'"


@pytest.mark.parametrize("pattern", ["BWC-*", "*7*", "######"])
def test_a_pattern_that_says_something_is_one(pattern: str) -> None:
    assert glob_problem(pattern) is None


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{nope:3}", "not {nope:3}"),
        ("{counter}", "not {counter}"),
        ("{counter:0}", "not {counter:0}"),
        ("{any:33}", "not {any:33}"),
        ("{Y:4}", "not {Y:4}"),
        ("{Y}{Y}", "{Y} once"),
        ("", "a path from the card's root"),
        ("/DCIM/{counter:4}", "a path from the card's root"),
        ("../{counter:4}", "a path from the card's root"),
        ("a//{counter:4}", "a path from the card's root"),
        ("a{b", "a path from the card's root"),
        ("a(b)*", "a path from the card's root"),
        ("a\nb", "a path from the card's root"),
    ],
)
def test_what_is_no_template_is_refused_with_what_was_expected(text: str, expected: str) -> None:
    read = template_of(text)
    assert isinstance(read, str)
    assert expected in read


@pytest.mark.parametrize(
    ("path", "stem", "extension"),
    [
        (b"DCIM/100ABCDE/ABCD0001.mp4", b"DCIM/100ABCDE/ABCD0001", b"MP4"),
        (b"A.B/C", b"A.B/C", b""),
        (b"A/.hidden", b"A/.hidden", b""),
        (b"A/b.", b"A/b", b""),
        (b"A/b.c.d", b"A/b.c", b"D"),
        (b"", b"", b""),
    ],
)
def test_an_extension_is_what_follows_the_last_dot_of_a_name(path: bytes, stem: bytes, extension: bytes) -> None:
    assert parted(path) == (stem, extension)


GOLDEN = [
    # path, role, recorded as written, standing, counter, folder, marks, trigger
    (DCF, b"DCIM/100ABCDE/ABCD0001.MP4", "clip", "", "", 1, 100, set(), "unknown"),
    (DCF, b"dcim/999_____/gx010128.mp4", "clip", "", "", 128, 999, set(), "unknown"),
    (DCF, b"DCIM/100GOPRO/GX010128.THM", "sidecar", "", "", 128, 100, set(), "unknown"),
    (DCF, b"DCIM/100GOPRO/GX010128.KEY", "sidecar", "", "", 128, 100, {Mark.PROTECTED}, "unknown"),
    (DCF, b"DCIM/100ABCDE/ABCD0001.EXE", "stranger", "", "", None, None, set(), "unknown"),
    (DCF, b"DCIM/100ABCDE/ABCD001.MP4", "stranger", "", "", None, None, set(), "unknown"),
    (DCF, b"DCIM/100ABCDE/SUB/ABCD0001.MP4", "stranger", "", "", None, None, set(), "unknown"),
    (DCF, b"MISC/DCIM/100ABCDE/ABCD0001.MP4", "stranger", "", "", None, None, set(), "unknown"),
    (DCF, b"DCIM/100ABCDE/ABCD0001.MP4\n", "stranger", "", "", None, None, set(), "unknown"),
    (DCF, b"DCIM/100ABCDE/AB\x1bD0001.MP4", "stranger", "", "", None, None, set(), "unknown"),
    (DCF, "DCIM/100ABCDE/ABCD\u0661\u0661\u0661\u0661.MP4".encode(), "stranger", "", "", None, None, set(), "unknown"),
    (DATED, b"Rec/20240701-143000_NOR.MP4", "clip", "2024-07-01T14:30:00", "certain", None, None, set(), "slide"),
    (DATED, b"rec/20240701-143000_evt.mp4", "clip", "2024-07-01T14:30:00", "certain", None, None, {Mark.EVIDENCE},
     "button"),
    (DATED, b"Rec/20240701-143000_XYZ.MP4", "clip", "2024-07-01T14:30:00", "certain", None, None, set(), "button"),
    (DATED, b"Rec/20240701-143000_NOR.GPS", "sidecar", "2024-07-01T14:30:00", "certain", None, None, set(), "slide"),
    (DATED, b"Rec/20240331-013000_NOR.MP4", "clip", "2024-03-31T01:30:00", "skipped", None, None, set(), "slide"),
    (DATED, b"Rec/20241027-013000_NOR.MP4", "clip", "2024-10-27T01:30:00", "twice", None, None, set(), "slide"),
    (DATED, b"Rec/20150101-000000_NOR.MP4", "clip", "2015-01-01T00:00:00", "certain", None, None, set(), "slide"),
    (DATED, b"Rec/20241327-013000_NOR.MP4", "clip", "2024-13-27T01:30:00", "impossible", None, None, set(), "slide"),
    (DATED, b"Rec/00000000-000000_NOR.MP4", "clip", "0000-00-00T00:00:00", "impossible", None, None, set(), "slide"),
    (DATED, b"Rec/20240701-240000_NOR.MP4", "clip", "2024-07-01T24:00:00", "impossible", None, None, set(), "slide"),
    (GENERIC, b"DCIM/100ABCDE/ABCD0001.MP4", "stranger", "", "", None, None, set(), "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "path", "role", "raw", "standing", "counter", "folder", "marks", "trigger"),
    GOLDEN,
    ids=[str(row[1]) for row in GOLDEN],
)
def test_a_name_says_what_its_profile_reads_in_it_and_nothing_else(
    profile: Profile,
    path: bytes,
    role: str,
    raw: str,
    standing: str,
    counter: int | None,
    folder: int | None,
    marks: set[Mark],
    trigger: str,
) -> None:
    file = known(profile, path)
    start = file.start
    assert file.file.path == path
    assert file.role == role
    assert (start.raw, start.standing.value) == (raw, standing) if start is not None else not raw
    assert (file.counter, file.folder) == (counter, folder)
    assert (file.marks, file.trigger.value) == (frozenset(marks), trigger)


@pytest.mark.promise("I6")
def test_only_a_file_whose_name_is_known_may_ever_be_erased() -> None:
    contents = card(DCF, b"DCIM/100ABCDE/ABCD0001.MP4", b"DCIM/100ABCDE/ABCD0001.THM", b"VERSION.BIN")
    assert [file.erase for file in contents.files] == [EraseMethod.UNLINK, EraseMethod.UNLINK, EraseMethod.NEVER]
    assert known(GENERIC, b"DCIM/100ABCDE/ABCD0001.MP4").erase is EraseMethod.NEVER


@pytest.mark.promise("I6")
@given(st.binary(max_size=80) | st.from_regex(DCF.paths[0].pattern) | st.from_regex(DATED.paths[0].pattern))
@settings(deadline=None)
def test_names_of_any_bytes_are_read_without_an_error_and_nothing_of_them_steers_anything(path: bytes) -> None:
    for profile in (DCF, DATED, GENERIC):
        file = known(profile, path)
        assert file.file.path == path
        facts = facts_of(file, profile)
        assert all(text.isascii() and text.isprintable() and len(text) < 100 for text in facts.values())
        assert all(facts.values())


# --- recorded times -----------------------------------------------------------------------------------------------


def at(text: str, zone: Zone) -> RecordedTime:
    """Read `YYYYMMDDhhmmss` as a camera's clock of a zone."""
    widths = (("Y", 0, 4), ("M", 4, 6), ("D", 6, 8), ("h", 8, 10), ("m", 10, 12), ("s", 12, 14))
    read = recorded_time({name: text[begin:end].encode() for name, begin, end in widths}, zone=zone)
    assert read is not None
    return read


@pytest.mark.promise("I13")
@pytest.mark.parametrize(
    ("text", "standing", "utc"),
    [
        ("20240701143000", "certain", ("2024-07-01T13:30:00.000000Z",)),
        ("20240101143000", "certain", ("2024-01-01T14:30:00.000000Z",)),
        ("20240331005959", "certain", ("2024-03-31T00:59:59.000000Z",)),
        ("20240331010000", "skipped", ()),
        ("20240331015959", "skipped", ()),
        ("20240331020000", "certain", ("2024-03-31T01:00:00.000000Z",)),
        ("20241027005959", "certain", ("2024-10-26T23:59:59.000000Z",)),
        ("20241027010000", "twice", ("2024-10-27T00:00:00.000000Z", "2024-10-27T01:00:00.000000Z")),
        ("20241027020000", "certain", ("2024-10-27T02:00:00.000000Z",)),
        ("20240229120000", "certain", ("2024-02-29T12:00:00.000000Z",)),
        ("20230229120000", "impossible", ()),
        ("20240701146000", "impossible", ()),
        ("20161231235960", "impossible", ()),
        ("00010101000000", "impossible", ()),
    ],
)
def test_a_time_is_given_every_moment_that_it_can_mean_and_none_that_it_cannot(
    text: str, standing: str, utc: tuple[str, ...]
) -> None:
    rules = LONDON if text != "00010101000000" else EAST
    read = at(text, rules)
    assert (read.standing.value, read.utc) == (standing, utc)
    assert read.raw.replace("-", "").replace("T", "").replace(":", "") == text
    assert read.zone == rules.name


EAST = Zone(name="Asia/Tokyo", rules=ZoneInfo("Asia/Tokyo"))


def test_a_clock_of_nobody_knows_which_zone_gives_its_digits_and_no_moment() -> None:
    assert known(DCF, b"DCIM/100ABCDE/ABCD0001.MP4").start is None
    read = at("20240331013000", Zone(name="unknown", rules=None))
    assert (read.raw, read.zone, read.standing, read.utc) == ("2024-03-31T01:30:00", "unknown", Standing.UNZONED, ())
    assert at("20241331013000", Zone(name="unknown", rules=None)).standing is Standing.IMPOSSIBLE


def test_a_clock_in_utc_skips_nothing() -> None:
    assert at("20240331013000", UTC_ZONE).utc == ("2024-03-31T01:30:00.000000Z",)


@pytest.mark.promise("I13")
@given(st.text("0123456789", min_size=14, max_size=14), st.sampled_from([LONDON, UTC_ZONE, EAST]))
@settings(deadline=None)
def test_whatever_digits_a_clock_showed_they_are_kept_and_only_real_moments_are_told(text: str, zone: Zone) -> None:
    read = at(text, zone)
    assert read.raw == f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:]}"
    count = {Standing.CERTAIN: 1, Standing.TWICE: 2}.get(read.standing, 0)
    assert len(read.utc) == count
    assert list(read.utc) == sorted(set(read.utc))


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
