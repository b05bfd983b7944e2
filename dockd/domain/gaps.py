"""What could not be read of a file: ranges, few enough to be told to the store.

Owns their order, their merging and their text. Every byte that could not be read lies in a gap; where there are more
ranges than may be told, the nearest are told as one, and then a gap holds good bytes, too.
"""

from collections.abc import Iterable
from itertools import pairwise

from dockd.domain.model import Gap

MOST_GAPS = 24
"""So many, and the longest name, still fit the metadata of an upload in 6 KB."""


def merged(gaps: Iterable[Gap], *, most: int = MOST_GAPS) -> tuple[Gap, ...]:
    """Give the same ranges in order, apart from each other, at most `most` of them: all bytes of `gaps`, and no fewer.

    The narrowest stretches between two ranges are given up first, of equal ones the first.
    """
    ranges: list[tuple[int, int]] = []
    for begin, end in sorted((gap.offset_bytes, gap.offset_bytes + gap.length_bytes) for gap in gaps):
        if ranges and begin <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        elif end > begin:
            ranges.append((begin, end))
    between = sorted((after[0] - before[1], index) for index, (before, after) in enumerate(pairwise(ranges)))
    given_up = {index for _, index in between[: max(0, len(ranges) - most)]}
    told: list[tuple[int, int]] = []
    for index, (begin, end) in enumerate(ranges):
        if index - 1 in given_up:
            told[-1] = (told[-1][0], end)
        else:
            told.append((begin, end))
    return tuple(Gap(offset_bytes=begin, length_bytes=end - begin) for begin, end in told)


def gaps_text(gaps: Iterable[Gap]) -> str:
    """Write gaps as 'offset+length', in bytes, spaces between."""
    return " ".join(f"{gap.offset_bytes}+{gap.length_bytes}" for gap in gaps)


def gaps_in(text: str) -> tuple[Gap, ...]:
    """Read what `gaps_text` wrote.

    Raises:
        ValueError: it did not.

    """
    pairs = (part.split("+") for part in text.split())
    return tuple(Gap(offset_bytes=int(offset), length_bytes=int(length)) for offset, length in pairs)


def unreadable_bytes(gaps: Iterable[Gap]) -> int:
    """Count the bytes in the gaps."""
    return sum(gap.length_bytes for gap in gaps)
