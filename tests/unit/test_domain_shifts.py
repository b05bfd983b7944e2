"""When the next shift begins: over midnight, over both changes of the clock, and on a clock that was never set."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from dockd.domain.shifts import shift_in_s

LONDON = ZoneInfo("Europe/London")
SHIFTS = (time(22, 0), time(6, 0), time(14, 0))
HOUR_S = 3600.0


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        ("2026-02-03T05:00:00", 1.0),
        ("2026-02-03T06:15:00", 7.75),
        ("2026-02-03T21:30:00", 0.5),
        ("2026-02-03T22:30:00", 7.5),  # over midnight
        ("2026-12-31T23:00:00", 7.0),  # over the year
        ("2026-07-03T05:30:00", 7.5),  # in summer 06:00 is 05:00 UTC
        ("2026-07-03T04:30:00", 0.5),
    ],
)
def test_the_next_shift_is_the_nearest_that_has_not_begun(now: str, hours: float) -> None:
    assert shift_in_s(SHIFTS, now=utc(now), zone=LONDON) == hours * HOUR_S


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        ("2026-03-28T22:30:00", 6.5),  # 06:00 is 05:00 UTC on the morning after the clock went forward
        ("2026-03-29T00:59:00", 4 + 1 / 60),
        ("2026-03-29T01:01:00", 3 + 59 / 60),
        ("2026-10-24T21:30:00", 8.5),  # and 06:00 UTC after it went back
        ("2026-10-25T00:30:00", 5.5),
        ("2026-10-25T01:30:00", 4.5),
    ],
)
def test_the_night_in_which_the_clock_changes_is_an_hour_shorter_or_longer(now: str, hours: float) -> None:
    assert shift_in_s(SHIFTS, now=utc(now), zone=LONDON) == pytest.approx(hours * HOUR_S)


def test_a_time_that_the_clock_shows_twice_begins_one_shift_and_that_is_the_first() -> None:
    night = (time(1, 30),)  # 00:30 and 01:30 UTC on 25 October
    assert shift_in_s(night, now=utc("2026-10-25T00:20:00"), zone=LONDON) == 600.0
    assert shift_in_s(night, now=utc("2026-10-25T01:20:00"), zone=LONDON) == 24 * HOUR_S + 600.0


def test_a_time_that_the_clock_leaves_out_is_as_long_after_midnight_as_ever() -> None:
    night = (time(1, 30),)  # at 01:00 UTC on 29 March the clock goes from 01:00 to 02:00
    assert shift_in_s(night, now=utc("2026-03-29T00:50:00"), zone=LONDON) == 2400.0


def test_a_shift_begins_for_a_quarter_of_an_hour() -> None:
    for now, left_s in (("05:59:59", 1.0), ("06:00:00", 0.0), ("06:14:59", 0.0), ("06:15:00", 7.75 * HOUR_S)):
        assert shift_in_s(SHIFTS, now=utc(f"2026-02-03T{now}"), zone=LONDON) == left_s
    assert shift_in_s((time(23, 55),), now=utc("2026-02-04T00:05:00"), zone=LONDON) == 0.0


def test_nobody_knows_of_a_shift_by_a_clock_that_was_never_set() -> None:
    for now in ("1970-01-01T00:02:00", "2025-12-31T23:59:59"):
        assert shift_in_s(SHIFTS, now=utc(now), zone=LONDON) is None


def test_where_no_shifts_are_told_none_is_known() -> None:
    assert shift_in_s((), now=utc("2026-02-03T05:00:00"), zone=LONDON) is None


def test_the_present_may_be_told_in_any_zone() -> None:
    now = utc("2026-07-03T04:30:00").astimezone(ZoneInfo("Asia/Tokyo"))
    assert shift_in_s(SHIFTS, now=now, zone=LONDON) == 1800.0
