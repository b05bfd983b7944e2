"""What the name of a file says by its profile, and what its time can mean, which stays as the camera wrote it."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from dockd.domain.facts import facts_of
from dockd.domain.naming import parted, template_of
from dockd.domain.profile import EraseMethod, Mark, Profile
from dockd.domain.recorded import UTC_ZONE, RecordedTime, Standing, Zone, recorded_time
from tests.profile_parts import DATED, DCF, GENERIC, LONDON, card, known

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
