"""What could not be read of a file: no byte of it is ever left out of what is told."""

import pytest
from hypothesis import given, strategies as st

from dockd.domain.gaps import MOST_GAPS, gaps_in, gaps_text, merged, unreadable_bytes
from dockd.domain.model import Gap

GAPS = st.lists(st.builds(Gap, offset_bytes=st.integers(0, 300), length_bytes=st.integers(0, 20)), max_size=40)


def gap(offset: int, length: int) -> Gap:
    return Gap(offset_bytes=offset, length_bytes=length)


def bytes_of(gaps: tuple[Gap, ...] | list[Gap]) -> set[int]:
    return {byte for each in gaps for byte in range(each.offset_bytes, each.offset_bytes + each.length_bytes)}


def test_gaps_that_touch_or_overlap_are_one() -> None:
    assert merged([gap(8, 4), gap(0, 4), gap(4, 2), gap(10, 5)]) == (gap(0, 6), gap(8, 7))


def test_of_too_many_gaps_the_nearest_are_told_as_one() -> None:
    many = [gap(0, 1), gap(10, 1), gap(12, 1), gap(40, 1)]
    assert merged(many, most=3) == (gap(0, 1), gap(10, 3), gap(40, 1))
    assert merged(many, most=2) == (gap(0, 13), gap(40, 1))
    assert merged(many, most=1) == (gap(0, 41),)


def test_a_gap_without_a_byte_is_none() -> None:
    assert merged([gap(5, 0)]) == ()


@pytest.mark.promise("I5")
@given(gaps=GAPS, most=st.integers(1, 5))
def test_every_unreadable_byte_is_told_in_few_ranges_that_are_in_order_and_apart(gaps: list[Gap], most: int) -> None:
    told = merged(gaps, most=most)
    assert bytes_of(gaps) <= bytes_of(told)
    assert len(told) <= most
    ends = [each.offset_bytes + each.length_bytes for each in told]
    assert all(end < after.offset_bytes for end, after in zip(ends, told[1:], strict=False))
    assert all(each.length_bytes > 0 for each in told)


@given(gaps=GAPS)
def test_as_long_as_they_may_be_told_apart_nothing_good_is_called_unreadable(gaps: list[Gap]) -> None:
    told = merged(gaps, most=1000)
    assert bytes_of(told) == bytes_of(gaps)
    assert unreadable_bytes(told) == len(bytes_of(gaps))
    assert merged(told, most=1000) == told


@given(gaps=GAPS)
def test_gaps_are_read_as_they_are_written(gaps: list[Gap]) -> None:
    told = merged(gaps)
    assert gaps_in(gaps_text(told)) == told
    assert len(told) <= MOST_GAPS


def test_gaps_are_written_as_offset_and_length() -> None:
    assert gaps_text([gap(0, 4096), gap(70000, 1)]) == "0+4096 70000+1"
    assert gaps_in("") == ()
    with pytest.raises(ValueError, match="not enough values"):
        gaps_in("4096")
