"""Folders of an exFAT filesystem: a file is a set of entries, one after the other.

Owns the meaning of an entry of 32 bytes. Stricter than Linux, which lists a file whatever the rest of its set holds:
a set that is not whole, or a sum or hash that is not its own, is a problem, for a name with another hash is listed and
cannot be opened.

Source: Microsoft, exFAT file system specification, sections 6 (directory structure), 7.4 (file), 7.6 (stream
extension), 7.7 (file name); Linux fs/exfat/dir.c (exfat_readdir, exfat_find_dir_entry).
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from dockd.structure.names import Entry
from dockd.structure.tree import Folder
from dockd.structure.verdict import Findings, ProblemKind

ENTRY_BYTES = 32
END, FILE, STREAM, NAME = 0x00, 0x85, 0xC0, 0xC1
BITMAP, UPCASE, LABEL = 0x81, 0x82, 0x83
IN_USE, SECONDARY, BENIGN = 0x80, 0x40, 0x20
LEAST_SECONDARIES, MOST_SECONDARIES = 2, 18
FOLDER_ATTRIBUTE = 0x10
ALLOCATED, NO_CHAIN = 1, 2
NAME_BYTES = 30

# GeneralSecondaryFlags NameLength NameHash ValidDataLength FirstCluster DataLength
_STREAM = struct.Struct("<xBxBHxxQ4xIQ")


class _BrokenSetError(Exception):
    """A set of entries that is none."""


def entries_of(
    folder: Folder, pieces: Iterable[bytes], *, fold: Callable[[str], str], findings: Findings
) -> Iterator[Entry]:
    """Give the files and folders of a folder; of a broken one those before the break."""
    slots = slots_of(pieces, folder, findings)
    try:
        for slot in slots:
            kind = slot[0]
            if not kind & IN_USE or (folder.parent is None and kind in {BITMAP, UPCASE, LABEL}):
                continue
            rest = _rest(slots, slot)
            if kind == FILE:
                yield _file(folder, slot, rest, fold=fold, findings=findings)
    except _BrokenSetError as error:
        findings.add(ProblemKind.ENTRY_SET, folder.path, str(error))


def slots_of(pieces: Iterable[bytes], folder: Folder, findings: Findings) -> Iterator[bytes]:
    """Give every entry up to the one that ends a folder; nothing in use may come behind that."""
    ended = False
    for piece in pieces:
        for at in range(0, len(piece), ENTRY_BYTES):
            if piece[at] == END:
                ended = True
            if ended:
                if max(piece[at::ENTRY_BYTES]) & IN_USE:
                    say = "something stands behind its end, where nobody looks"
                    findings.add(ProblemKind.AFTER_END, folder.path, say)
                    return
                break
            yield piece[at : at + ENTRY_BYTES]


def set_checksum(entries: bytes) -> int:
    """Sum a set of entries, but for the sum itself."""
    total = 0
    for byte in entries[:2] + entries[4:]:
        total = ((total << 15 | total >> 1) + byte) & 0xFFFF
    return total


def name_hash(name: str) -> int:
    """Hash a name that is folded already."""
    total = 0
    for byte in name.encode("utf-16-le", "surrogatepass"):
        total = ((total << 15 | total >> 1) + byte) & 0xFFFF
    return total


def _rest(slots: Iterator[bytes], head: bytes) -> list[bytes]:
    """Give the secondary entries of a set."""
    kind, count = head[0], head[1]
    if kind != FILE and (kind & SECONDARY or not kind & BENIGN):
        raise _BrokenSetError(f"an entry of kind {kind:#x} stands where a file or folder should begin")
    rest = list(islice(slots, count))
    if len(rest) < count or any(slot[0] & (IN_USE | SECONDARY) != IN_USE | SECONDARY for slot in rest):
        raise _BrokenSetError(f"a set of {count + 1} entries is not whole")
    return rest


def _file(folder: Folder, head: bytes, rest: list[bytes], *, fold: Callable[[str], str], findings: Findings) -> Entry:
    """Read a set: a file entry, its stream, its name, and what else may follow."""
    if not LEAST_SECONDARIES <= len(rest) <= MOST_SECONDARIES or rest[0][0] != STREAM:
        raise _BrokenSetError(f"a file of {len(rest) + 1} entries has no stream entry, or too many others")
    flags, units, hash_, valid_length, first, length = _STREAM.unpack(rest[0])
    named = max(1, -(-2 * units // NAME_BYTES))
    kinds = [slot[0] for slot in rest[1:]]
    if kinds[:named] != [NAME] * named or NAME in kinds[named:] or any(not kind & BENIGN for kind in kinds[named:]):
        raise _BrokenSetError(f"a name of {units} characters does not lie in {named} name entries")
    written = b"".join(slot[2:] for slot in rest[1 : named + 1])
    name = written[: 2 * units].decode("utf-16-le", "surrogatepass")
    where = folder.path + name.encode("utf-8", "replace")
    if written[2 * units :].strip(b"\0"):
        findings.add(ProblemKind.BAD_NAME, where, f"its name goes on behind its {units} characters")
    if set_checksum(head + b"".join(rest)) != int.from_bytes(head[2:4], "little"):
        findings.add(ProblemKind.CHECKSUM, where, "its entries do not have the sum that they say")
    if name_hash(fold(name)) != hash_:
        findings.add(ProblemKind.CHECKSUM, where, "its name does not have the hash by which it is looked up")
    is_folder = bool(head[4] & FOLDER_ATTRIBUTE)
    if valid_length > length or (is_folder and valid_length != length) or (is_folder and not length):
        say = f"{valid_length} bytes of it are said to be written, of {length}"
        findings.add(ProblemKind.SIZE_BEYOND_CHAIN, where, say)
    contiguous = bool(flags & NO_CHAIN)
    if (contiguous and not length and first) or (not flags & ALLOCATED and (first or length)):
        say = f"it has {length} bytes from cluster {first} on, and flags {flags:#x} that say otherwise"
        findings.add(ProblemKind.SIZE_BEYOND_CHAIN, where, say)
    return Entry(
        name=name,
        alias="",
        is_folder=is_folder,
        first=first,
        length=length,
        valid_length=valid_length,
        contiguous=contiguous,
    )
