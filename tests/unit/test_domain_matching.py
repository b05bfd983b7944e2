"""Which profile a device is of, by what it says of itself."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings, strategies as st

from dockd.domain.matching import CardIds, Fits, Several, Unknown, knows, possible, profile_of
from dockd.domain.naming import glob_matches, glob_problem
from dockd.domain.profile import Filesystem, Match, Profile
from dockd.domain.usb import UsbIds

CAMERA = UsbIds(vendor="2672", product="0049", serial="C3221324500001")
VFAT = CardIds(filesystem="vfat", label="BWC")


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
