"""The shared limit of bytes a second, as arithmetic."""

from hypothesis import given, strategies as st

from dockd.tus.pace import BURST_S, Pace, book, limited, slice_bytes


def test_without_a_limit_nothing_waits() -> None:
    pace, wait_s = book(Pace(), length_bytes=10**12, now_s=5.0)
    assert (pace, wait_s) == (Pace(), 0.0)


def test_bytes_beyond_the_burst_wait_their_turn() -> None:
    pace = Pace(limit_bytes_s=1000)
    pace, wait_s = book(pace, length_bytes=500, now_s=100.0)
    assert wait_s == 0.0  # a burst of 250 bytes is owed, and 250 go ahead of time
    pace, wait_s = book(pace, length_bytes=500, now_s=100.0)
    assert wait_s == 0.25
    pace, wait_s = book(pace, length_bytes=500, now_s=100.25)
    assert wait_s == 0.5


def test_a_long_pause_saves_up_no_more_than_the_burst() -> None:
    pace = Pace(limit_bytes_s=1000, booked_until_s=100.0)
    pace, wait_s = book(pace, length_bytes=1000, now_s=500.0)
    assert (pace.booked_until_s, wait_s) == (500.75, 0.0)


def test_a_new_limit_counts_from_now_on() -> None:
    slow = Pace(limit_bytes_s=10, booked_until_s=900.0)
    fast, wait_s = book(limited(slow, 1000, now_s=100.0), length_bytes=500, now_s=100.0)
    assert (fast.limit_bytes_s, wait_s) == (1000, 0.0)
    assert limited(slow, None, now_s=100.0).limit_bytes_s is None
    idle = Pace(limit_bytes_s=10, booked_until_s=50.0)
    assert limited(idle, 20, now_s=100.0).booked_until_s == 50.0


def test_slices_are_an_eighth_of_a_second_within_bounds() -> None:
    assert slice_bytes(None) == 262_144
    assert slice_bytes(1_000_000) == 125_000
    assert slice_bytes(10**9) == 262_144
    assert slice_bytes(1) == 4096


@given(
    limit_bytes_s=st.integers(1, 10**9),
    sends=st.lists(st.tuples(st.integers(1, 262_144), st.floats(0, 10, allow_nan=False)), min_size=1, max_size=40),
)
def test_any_senders_together_stay_under_the_limit(limit_bytes_s: int, sends: list[tuple[int, float]]) -> None:
    """Over the whole time no more goes than limit x time, but for the burst and the last slice."""
    pace, now_s, sent_bytes, last_bytes = Pace(limit_bytes_s=limit_bytes_s), 1000.0, 0, 0
    begun_s = now_s
    for length_bytes, pause_s in sends:
        now_s += pause_s
        pace, wait_s = book(pace, length_bytes=length_bytes, now_s=now_s)
        now_s += wait_s
        sent_bytes, last_bytes = sent_bytes + length_bytes, length_bytes
        assert sent_bytes - last_bytes <= limit_bytes_s * (now_s - begun_s + BURST_S) * 1.001 + 1
