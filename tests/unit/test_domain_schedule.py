"""The order of work and the length of every wait."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from dockd.domain import schedule
from dockd.domain.bay import Work
from dockd.domain.model import Camera, CameraSerial, Clip, ClipKey, ClipKind, ClipState, DockingId, VolumeId
from dockd.domain.schedule import (
    Head,
    Job,
    JobKind,
    ahead,
    backoff_s,
    minutes_to_ready,
    next_job,
    patience_s,
    poll_s,
    receipt_deadline_s,
)

CLIP = Clip(
    key=ClipKey(1),
    docking=DockingId(1),
    camera=Camera(serial=CameraSerial("CAM"), volume=VolumeId("V")),
    path=b"A",
    length_bytes=10,
    mtime_ns=5,
    state=ClipState.FOUND,
    kind=ClipKind.VIDEO,
    recording_id="r" * 32,
)


def clip(key: int, *, urgent: bool = False) -> Clip:
    return replace(CLIP, key=ClipKey(key), urgent=urgent)


def head(
    docking: int, left: int = 0, *, copy: Clip | None = None, confirm: Clip | None = None, erase: Clip | None = None
) -> Head:
    return Head(docking=DockingId(docking), uncopied_bytes=left, copy=copy, confirm=confirm, erase=erase)


def chosen(
    *heads: Head, first: int | None = None, current: int | None = None, erase: bool = True
) -> tuple[str, int] | None:
    job = next_job(
        heads,
        first=None if first is None else DockingId(first),
        current=None if current is None else DockingId(current),
        erase=erase,
    )
    return None if job is None else (job.kind.value, job.clip.key)


def test_nothing_to_do_is_nothing() -> None:
    assert chosen() is None
    assert chosen(head(1), head(2)) is None


def test_an_urgent_clip_comes_before_everything() -> None:
    heads = (head(1, 1, copy=clip(1)), head(2, 9, copy=clip(2)), head(3, 99, copy=clip(3, urgent=True)))
    assert chosen(*heads, first=1, current=2) == ("copy", 3)


def test_then_the_camera_that_was_lifted_and_docked_again() -> None:
    heads = (head(1, 1, copy=clip(1)), head(2, 9, copy=clip(2)), head(3, 99, copy=clip(3)))
    assert chosen(*heads, first=3, current=2) == ("copy", 3)


def test_then_the_camera_that_was_begun() -> None:
    heads = (head(1, 1, copy=clip(1)), head(2, 9, copy=clip(2)))
    assert chosen(*heads, current=2) == ("copy", 2)


def test_then_the_camera_with_least_left_and_the_longer_docked_of_equals() -> None:
    assert chosen(head(1, 9, copy=clip(1)), head(2, 5, copy=clip(2)), head(3, 7, copy=clip(3))) == ("copy", 2)
    assert chosen(head(4, 5, copy=clip(4)), head(2, 5, copy=clip(2)), head(3, 5, copy=clip(3))) == ("copy", 2)


def test_of_two_urgent_clips_the_usual_order_decides() -> None:
    heads = (head(1, 9, copy=clip(1, urgent=True)), head(2, 5, copy=clip(2, urgent=True)))
    assert chosen(*heads) == ("copy", 2)
    assert chosen(*heads, current=1) == ("copy", 1)
    assert chosen(*heads, first=1, current=2) == ("copy", 1)


def test_no_re_read_and_no_erasure_ever_delays_a_copy() -> None:
    heads = (head(1, confirm=clip(1, urgent=True), erase=clip(2, urgent=True)), head(2, 5, copy=clip(3)))
    assert chosen(*heads, first=1, current=1) == ("copy", 3)


def test_a_candidate_is_read_again_before_anything_is_erased() -> None:
    heads = (head(1, erase=clip(1)), head(2, confirm=clip(2)))
    assert chosen(*heads, first=1, current=1) == ("confirm", 2)
    assert chosen(head(1, erase=clip(1)), first=1) == ("erase", 1)


def test_re_reads_go_on_camera_by_camera() -> None:
    heads = (head(1, confirm=clip(1)), head(2, confirm=clip(2)), head(3, confirm=clip(3)))
    assert chosen(*heads) == ("confirm", 1)
    assert chosen(*heads, current=2) == ("confirm", 2)
    assert chosen(*heads, first=3, current=2) == ("confirm", 3)


def test_erasures_go_on_camera_by_camera() -> None:
    heads = (head(1, erase=clip(1)), head(2, erase=clip(2)), head(3, erase=clip(3)))
    assert chosen(*heads, current=2) == ("erase", 2)
    assert chosen(*heads, first=3, current=2) == ("erase", 3)


def test_a_candidate_that_may_go_is_erased_by_its_one_re_read() -> None:
    assert chosen(head(1, confirm=clip(1), erase=clip(1))) == ("erase", 1)
    assert chosen(head(1, confirm=clip(1), erase=clip(2))) == ("confirm", 1)


@pytest.mark.promise("I15")
def test_nothing_is_erased_where_it_is_not_wanted() -> None:
    assert chosen(head(1, erase=clip(1)), erase=False) is None
    assert chosen(head(1, confirm=clip(1), erase=clip(1)), erase=False) == ("confirm", 1)


def test_a_job_names_its_docking() -> None:
    job = next_job([head(4, 5, copy=clip(9))], first=None, current=None, erase=True)
    assert job == Job(kind=JobKind.COPY, docking=DockingId(4), clip=clip(9))


@pytest.mark.parametrize(
    ("attempt", "least_s", "most_s"),
    [
        (1, 0.25, 0.5),
        (2, 0.5, 1.0),
        (3, 1.0, 2.0),
        (4, 2.0, 4.0),
        (10, 128.0, 256.0),
        (11, 150.0, 300.0),
        (10**9, 150.0, 300.0),
    ],
)
def test_a_back_off_doubles_to_five_minutes_its_upper_half_by_chance(
    attempt: int, least_s: float, most_s: float
) -> None:
    assert backoff_s(attempt, jitter=0.0) == least_s
    assert backoff_s(attempt, jitter=1.0) == most_s
    assert least_s < backoff_s(attempt, jitter=0.5) < most_s


@pytest.mark.promise("I17")
def test_the_fewer_clips_wait_the_sooner_each_is_tried_again() -> None:
    assert [patience_s(clips) for clips in (0, 1, 2, 10)] == [30.0, 30.0, 60.0, 300.0]
    assert backoff_s(11, jitter=1.0, most_s=patience_s(1)) == 30.0
    assert backoff_s(11, jitter=1.0, most_s=patience_s(3)) == 90.0
    assert backoff_s(11, jitter=1.0, most_s=patience_s(1000)) == 300.0
    assert backoff_s(3, jitter=1.0, most_s=patience_s(1)) == 2.0
    assert backoff_s(11, jitter=1.0, retry_after_s=120.0, most_s=30.0) == 120.0
    assert poll_s(99, jitter=1.0, most_s=patience_s(2)) == 60.0
    assert poll_s(99, jitter=1.0, most_s=patience_s(1000)) == 600.0


def test_what_the_peer_asks_for_is_a_least_wait_up_to_an_hour() -> None:
    assert backoff_s(1, jitter=0.0, retry_after_s=120.0) == 120.0
    assert backoff_s(11, jitter=1.0, retry_after_s=1.0) == 300.0
    assert backoff_s(1, jitter=0.0, retry_after_s=1e9) == 3600.0
    assert backoff_s(1, jitter=0.0, retry_after_s=0.0) == 0.25


@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1e6))
def test_no_wait_is_ever_nothing_or_endless(attempt: int, jitter: float, retry_after_s: float | None) -> None:
    assert 0.25 <= backoff_s(attempt, jitter=jitter, retry_after_s=retry_after_s) <= 3600.0
    assert 0.05 <= poll_s(attempt, jitter=jitter) <= 600.0


@pytest.mark.parametrize(
    ("attempt", "least_s", "most_s"), [(1, 0.05, 0.1), (2, 0.1, 0.2), (14, 300.0, 600.0), (99, 300.0, 600.0)]
)
def test_questions_for_a_receipt_grow_apart_to_ten_minutes(attempt: int, least_s: float, most_s: float) -> None:
    assert poll_s(attempt, jitter=0.0) == pytest.approx(least_s)
    assert poll_s(attempt, jitter=1.0) == pytest.approx(most_s)


def test_a_long_clip_gives_the_store_longer() -> None:
    assert receipt_deadline_s(0, base_s=60.0) == 60.0
    assert receipt_deadline_s(4_000_000_000, base_s=60.0) == 1060.0
    assert schedule.VERIFY_BYTES_S == 4_000_000


def works(**left: int) -> dict[DockingId, Work]:
    return {
        DockingId(int(name[1:])): Work(left_files=1 if count else 0, left_bytes=count) for name, count in left.items()
    }


def test_what_is_ahead_of_a_camera_is_what_the_bus_does_first_its_own_included() -> None:
    docked = works(d1=500, d2=100, d3=300, d4=0)
    assert ahead(docked, docking=DockingId(2), current=None) == (1, 100)
    assert ahead(docked, docking=DockingId(3), current=None) == (2, 400)
    assert ahead(docked, docking=DockingId(1), current=None) == (3, 900)
    assert ahead(docked, docking=DockingId(2), current=DockingId(1)) == (2, 600)
    assert ahead(docked, docking=DockingId(4), current=DockingId(1)) == (0, 0)
    assert ahead(works(d1=100, d2=100), docking=DockingId(2), current=None) == (2, 200)


@pytest.mark.parametrize(
    ("files", "bytes_before", "bytes_s", "minutes"),
    [
        (0, 0, 0.0, 0),
        (0, 0, 9.9, 0),
        (1, 100, 0.0, None),
        (1, 1, 1e9, 1),
        (1, 600, 10.0, 1),
        (10, 6000, 10.0, 10),
        (1200, 0, 10.0, 1),
    ],
)
def test_minutes_are_whole_and_never_none_left_while_something_is(
    files: int, bytes_before: int, bytes_s: float, minutes: int | None
) -> None:
    assert minutes_to_ready(bytes_before=bytes_before, files_before=files, bytes_s=bytes_s) == minutes
