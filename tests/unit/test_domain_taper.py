"""What a charging current says of a battery: readings by hand."""

from collections.abc import Iterable
from itertools import repeat

import pytest
from hypothesis import given, strategies as st

from dockd.domain.taper import Trace, inferred_pct, noted

MINUTE_S = 60.0


def traced(readings_ma: Iterable[int | None], *, before: Trace | None = None, seconds: float = MINUTE_S) -> Trace:
    trace = before or Trace()
    for current_ma in readings_ma:
        trace = noted(trace, current_ma, seconds=seconds, copying=False)
    return trace


EVEN = traced(repeat(500, 20))


@pytest.mark.parametrize(("falls_to_ma", "pct"), [(449, 80), (400, 85), (250, 90), (150, 95), (51, 100)])
def test_a_current_that_falls_for_long_enough_says_how_full_a_battery_is(falls_to_ma: int, pct: int) -> None:
    assert inferred_pct(traced(repeat(falls_to_ma, 15), before=EVEN)) in {pct, pct - 1, pct + 1, pct - 3}


def test_what_ends_below_a_tenth_after_a_taper_is_full() -> None:
    falling = traced([450, *range(440, 40, -20)], before=EVEN)
    assert inferred_pct(traced(repeat(20, 10), before=falling)) == 100


def test_an_even_current_says_nothing() -> None:
    assert inferred_pct(EVEN) is None
    assert EVEN.settled_ma == 500


def test_a_current_that_stops_at_once_is_no_taper() -> None:
    assert inferred_pct(traced(repeat(10, 60), before=EVEN)) is None


def test_a_current_that_was_only_low_for_a_while_says_nothing() -> None:
    low = traced(repeat(300, 14), before=EVEN, seconds=30)
    assert inferred_pct(low) is None
    risen = traced(repeat(500, 5), before=traced(repeat(300, 14), before=EVEN))
    assert (inferred_pct(risen), risen.falling_s) == (None, 0.0)


def test_a_camera_that_never_drew_much_may_be_full_or_broken_and_nobody_knows() -> None:
    assert inferred_pct(traced([*repeat(150, 20), *repeat(60, 30)])) is None
    assert inferred_pct(traced(repeat(0, 30))) is None


def test_a_reading_that_jumps_is_not_believed() -> None:
    assert traced([500, 500, 1400, 500, 500]).peak_ma == 500


@pytest.mark.parametrize("copying", [True, False])
def test_a_copy_or_a_reading_that_failed_begins_the_row_anew_and_keeps_what_was_seen(copying: bool) -> None:  # noqa: FBT001 - a parameter of the test
    trace = noted(EVEN, 700 if copying else None, seconds=MINUTE_S, copying=copying)
    assert (trace.settled_ma, trace.peak_ma) == (None, 500)
    assert inferred_pct(traced(repeat(250, 4), before=trace)) is None


@given(st.lists(st.none() | st.integers(-50, 2000), max_size=40))
def test_what_is_inferred_lies_beyond_the_bend_or_is_nothing(readings_ma: list[int | None]) -> None:
    pct = inferred_pct(traced(readings_ma, seconds=300))
    assert pct is None or 80 <= pct <= 100
