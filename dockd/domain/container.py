"""Whether a media file has its header: without one its footage does not play until somebody repairs a copy.

Owns a bounded walk over the boxes of MP4 and MOV, the elements of Matroska and the chunks of AVI. A missing header is a
tag, never a reason to drop or to repair a clip: cameras write it last, so a power loss leaves a file without one.

Source: ISO/IEC 14496-12, 4.2 and 6.2; QuickTime File Format, "Atoms"; RFC 8794 (EBML), RFC 9559 (Matroska); RIFF and
AVI in the Microsoft Multimedia Programming Reference.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

ReadAt = Callable[[int, int], bytes]
"""Gives up to so many bytes from an offset; fewer only at the end of the file."""

MOST_BOXES = 4096
"""A plain MP4 has about four boxes, a Matroska file of hours a few thousand clusters, all behind its header."""

_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"wide", b"free", b"skip", b"pnot"})
_MOVIE_HEADERS = frozenset({b"mvhd", b"cmov", b"rmra"})  # cmov, rmra: the two other ways of QuickTime

_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_TRACKS = 0x1654AE6B


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A box, element or chunk: what it is, and where its content lies."""

    name: bytes | int
    start: int
    end: int


def has_header(read_at: ReadAt, length_bytes: int) -> bool:
    """Say whether a file of `length_bytes` has the header of its container; True for what is no container we know.

    Raises what `read_at` raises.
    """
    head = read_at(0, 12)
    if head[4:8] in _FIRST_BOXES:
        return _has_movie(read_at, length_bytes)
    if head.startswith(_EBML.to_bytes(4, "big")):
        return _has_tracks(read_at, length_bytes)
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return _has_avi_header(read_at, length_bytes)
    return True


def _has_movie(read_at: ReadAt, length_bytes: int) -> bool:
    for box in _boxes(read_at, 0, length_bytes):
        if box.name == b"moov":
            # Space that was set aside for a header and never filled has the size, and nothing in it.
            return any(inner.name in _MOVIE_HEADERS for inner in _boxes(read_at, box.start, box.end))
    return False


def _boxes(read_at: ReadAt, start: int, end: int) -> Iterator[_Part]:
    """Give the whole boxes between two offsets; stop at the first that is cut short or makes no sense."""
    for _ in range(MOST_BOXES):
        head = read_at(start, 16)
        size, name, skip = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, skip = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - start
        if len(head) < skip or size < skip or start + size > end:
            return
        yield _Part(name=name, start=start + skip, end=start + size)
        start += size


def _has_tracks(read_at: ReadAt, length_bytes: int) -> bool:
    segment = next((part for part in _elements(read_at, 0, length_bytes) if part.name == _SEGMENT), None)
    if segment is None:
        return False
    return any(part.name == _TRACKS for part in _elements(read_at, segment.start, segment.end))


def _elements(read_at: ReadAt, start: int, end: int) -> Iterator[_Part]:
    """Give the EBML elements between two offsets; a segment may be cut short or of unknown size, nothing else may."""
    for _ in range(MOST_BOXES):
        head = read_at(start, 12)
        name_bytes = _vint_bytes(head[:1])
        size_bytes = _vint_bytes(head[name_bytes : name_bytes + 1])
        skip = name_bytes + size_bytes
        if not 1 <= name_bytes <= 4 or not size_bytes or len(head) < skip:  # noqa: PLR2004 - EBMLMaxIDLength
            return
        name = int.from_bytes(head[:name_bytes], "big")
        ones = (1 << 7 * size_bytes) - 1
        size = int.from_bytes(head[name_bytes:skip], "big") & ones
        body = start + skip
        whole = size != ones and body + size <= end
        if not whole and name != _SEGMENT:
            return
        start = body + size if whole else end
        yield _Part(name=name, start=body, end=start)


def _vint_bytes(first: bytes) -> int:
    """Count the bytes of a variable-size integer by its first: 1 to 8, 0 where there is none."""
    return 9 - first[0].bit_length() if first and first[0] else 0


def _has_avi_header(read_at: ReadAt, length_bytes: int) -> bool:
    # The sizes of RIFF and of its movie list are written last; the header's own are there from the first.
    head = read_at(12, 20)
    size = int.from_bytes(head[4:8], "little")
    return head[:4] == b"LIST" and head[8:16] == b"hdrlavih" and 20 + size <= length_bytes
