"""Folders of a FAT filesystem: short names, long names in pieces before them, and what Linux makes of both.

Owns the meaning of a slot of 32 bytes. Long names are put together, and given up, exactly where Linux does so, for its
listing is what is to be believed. Unlike the specification, Linux does not stop at the slot that ends a folder: what
stands behind one is listed there and nowhere else, and is a problem.

Source: Microsoft, FAT: General Overview of On-Disk Format, 1.03, "FAT Directory Structure", "FAT Long Directory
Entries"; Linux fs/fat/dir.c (__fat_readdir, fat_parse_long, fat_parse_short).
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dockd.structure.fat_boot import SLOT_BYTES
from dockd.structure.names import Entry
from dockd.structure.tree import Folder
from dockd.structure.verdict import Findings, ProblemKind

FREE, DELETED, KANJI_E5, SPACE = 0x00, 0xE5, 0x05, 0x20
LABEL, FOLDER, LONG = 0x08, 0x10, 0x0F
LAST_PIECE, MOST_PIECES = 0x40, 20
LOWER_BASE, LOWER_EXTENSION = 0x08, 0x10
DOTS = (b".          ", b"..         ")

# Name Attr NTRes FstClusHI FstClusLO FileSize
_SLOT = struct.Struct("<11sBB7xH4xHI")
_PIECE = struct.Struct("<1x10s3x12s2x4s")


@dataclass(slots=True, kw_only=True)
class _Long:
    """A long name being put together, last piece first; `left` pieces are to come."""

    checksum: int
    left: int
    pieces: list[bytes]


def entries_of(folder: Folder, pieces: Iterable[bytes], *, wide: bool, findings: Findings) -> Iterator[Entry]:
    """Give the files and folders of a folder; `wide` where clusters have 32 bits."""
    dots = 0
    for long, slot, is_behind_end in _named(pieces):
        raw, attributes, case, high, low, length = _SLOT.unpack(slot)
        first = low | (high << 16 if wide else 0)
        if attributes & LABEL:
            # Linux passes over it; the specification has no clusters and no length in it.
            if first or length or attributes & FOLDER:
                where = folder.path + short_name(raw, case).encode()
                findings.add(ProblemKind.HIDDEN_FILE, where, f"a label of {length} bytes from cluster {first} on")
            continue
        if is_behind_end:
            findings.add(ProblemKind.AFTER_END, folder.path, "a file stands behind its end, where not all look")
            return
        if raw in DOTS:
            _see_dot(folder, raw, nth=dots, first=first, attributes=attributes, findings=findings)
            dots += 1
            continue
        short = name = short_name(raw, case)
        if long is not None and long.left == 0 and long.checksum == checksum(raw):
            name = _joined(long, folder, findings)
        elif long is not None:
            findings.note(ProblemKind.ORPHAN_NAME, folder.path, "a long name belongs to no file")
        is_folder = bool(attributes & FOLDER)
        length = 0 if is_folder else length
        yield Entry(
            name=name,
            alias=short,
            is_folder=is_folder,
            first=first,
            length=length,
            valid_length=length,
            contiguous=False,
        )
    if folder.parent is not None and dots < len(DOTS):
        findings.add(ProblemKind.DOTS, folder.path, "it has no entries of its own, '.' and '..': it is no folder")


def short_name(raw: bytes, case: int) -> str:
    """Write a name of 8 and 3 characters as Linux lists it; `case` says which part is shown in small letters.

    Empty where it begins with a space, which no name does.
    """
    if raw[0] == KANJI_E5:
        raw = b"\xe5" + raw[1:]
    base, extension = (part.rstrip(b" ").decode("cp437") for part in (raw[:8], raw[8:]))
    if raw[0] == SPACE:
        return ""
    base = base.lower() if case & LOWER_BASE else base
    extension = extension.lower() if case & LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base


def checksum(raw: bytes) -> int:
    """Sum a short name as the pieces of its long name carry it."""
    total = 0
    for byte in raw:
        total = ((total >> 1) + (total << 7) + byte) & 0xFF
    return total


def _named(pieces: Iterable[bytes]) -> Iterator[tuple[_Long | None, bytes, bool]]:
    """Give the slots in use: the long name before each, if any, and whether it lies behind the end."""
    long: _Long | None = None
    ended = False
    for piece in pieces:
        if not piece.strip(b"\0"):
            ended, long = True, None
            continue
        for at in range(0, len(piece), SLOT_BYTES):
            head, attributes = piece[at], piece[at + 11]
            if head in (FREE, DELETED):
                ended, long = ended or head == FREE, None
            elif attributes == LONG:
                long = _longer(long, piece[at : at + SLOT_BYTES])
            else:
                yield long, piece[at : at + SLOT_BYTES], ended
                long = None


def _longer(long: _Long | None, slot: bytes) -> _Long | None:
    """Take a piece of a long name: it goes on with the one begun, begins another, or belongs to none."""
    number, sum_ = slot[0], slot[13]
    data = b"".join(_PIECE.unpack(slot))
    if long is not None and number & ~LAST_PIECE == long.left and sum_ == long.checksum:
        # A piece that calls itself the last in mid-name cuts off what was said to come behind it.
        long.pieces = [data] if number & LAST_PIECE else [*long.pieces, data]
        long.left -= 1
        return long
    count = number & ~LAST_PIECE
    if not number & LAST_PIECE or not 1 <= count <= MOST_PIECES:
        return None
    return _Long(checksum=sum_, left=count - 1, pieces=[data])


def _joined(long: _Long, folder: Folder, findings: Findings) -> str:
    """Put a whole long name together: up to its NUL, behind which only padding may stand."""
    units = b"".join(reversed(long.pieces))
    end = next((at for at in range(0, len(units), 2) if units[at : at + 2] == b"\0\0"), len(units))
    name = units[:end].decode("utf-16-le", "surrogatepass")
    if units[end:].strip(b"\0\xff"):
        where = folder.path + name.encode("utf-8", "replace")
        findings.add(ProblemKind.BAD_NAME, where, "its name goes on behind a NUL")
    return name


def _see_dot(folder: Folder, raw: bytes, *, nth: int, first: int, attributes: int, findings: Findings) -> None:
    """Check that `.` leads to the folder itself and `..` to the one that it is in, of which 0 is the root."""
    parent = folder.parent
    if parent is not None and attributes & FOLDER and raw == DOTS[min(nth, 1)] and nth < len(DOTS):
        root = parent.parent is None
        expected = {folder.first} if nth == 0 else {parent.first, 0} if root else {parent.first}
        if first in expected:
            return
    say = f"its {raw.rstrip().decode()!r} leads to cluster {first}, or stands where it may not"
    findings.add(ProblemKind.DOTS, folder.path, say)
