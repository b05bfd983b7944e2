"""The device or image that a card's filesystem lies in: the check of its structure before a listing is believed (I7).

Owns the reads of it, and what a verdict means for the listing. Never writes.
"""

import errno
import fcntl
import mmap
import os

from dockd.copier.pipe import CommandError, Message, Pipe
from dockd.structure import ProblemKind, Structure, check

PAGE_BYTES = 4096
MOST_WORDS = 300
SHOWN_PROBLEMS = 3


class Device:
    """An open block device or image."""

    def __init__(self, fd: int, *, pipe: Pipe) -> None:
        """Take its descriptor; signs of life are given while it is read."""
        self._fd = fd
        self._pipe = pipe
        self._done_bytes = 0
        self._page = mmap.mmap(-1, PAGE_BYTES)
        self._past_caches(on=False)  # who was killed while it asked left that to every holder of the descriptor

    def answers(self) -> bool:
        """Say whether it answers a read past every cache; one of which that cannot be had is taken to."""
        try:
            self._past_caches(on=True)
            return os.preadv(self._fd, [self._page], 0) > 0
        except OSError as error:
            return error.errno == errno.EINVAL  # not of this filesystem, or in larger blocks only
        finally:
            self._past_caches(on=False)

    def checked(self) -> Structure:
        """Check the filesystem and tell what was found; raises CommandError unless it is sound, OSError."""
        size_bytes = os.lseek(self._fd, 0, os.SEEK_END)
        structure = check(self._read, size_bytes=size_bytes, found=_unheard)
        if structure.problems:
            duplicate = structure.problems[0].kind is ProblemKind.DUPLICATE_NAME
            raise CommandError("duplicate-name" if duplicate else "structure", _words(structure))
        self._pipe.tell({"structure": _facts(structure), "behind": sorted(structure.behind)})
        return structure

    def _past_caches(self, *, on: bool) -> None:
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        wanted = flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
        if wanted != flags:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, wanted)

    def _read(self, offset: int, length: int) -> bytes:
        parts: list[bytes] = []
        while length and (part := os.pread(self._fd, length, offset)):
            parts.append(part)
            offset += len(part)
            length -= len(part)
            self._done_bytes += len(part)
        self._pipe.tick({"at": self._done_bytes})
        return parts[0] if len(parts) == 1 else b"".join(parts)


def compare(structure: Structure, *, files: int, bytes_: int) -> None:
    """Raise CommandError unless a listing has the files of the filesystem, as it is on its medium.

    Between the two lie the kernel's own reading of the card, and the hope that the device is that of the card. On
    exFAT a kernel may give as a file's length what of it was ever written.
    """
    if files != structure.files or not structure.valid_bytes <= bytes_ <= structure.bytes_:
        say = f"{files} files of {bytes_} bytes are listed, its filesystem has {structure.files} of {structure.bytes_}"
        raise CommandError("structure", f"{say}: they are not of one card, or a file is hidden")


def _words(structure: Structure) -> str:
    words = "; ".join(str(problem)[:MOST_WORDS] for problem in structure.problems[:SHOWN_PROBLEMS])
    more = len(structure.problems) - SHOWN_PROBLEMS
    return f"{words}; and {more} more" if more > 0 else words


def _facts(structure: Structure) -> Message:
    """Write down what there is to know of a sound filesystem."""
    geometry = structure.geometry
    facts = {
        "clusters": f"{structure.used_clusters}",
        "folders": f"{structure.folders}",
        "notes": "; ".join(str(note)[:MOST_WORDS] for note in structure.notes),
    }
    if geometry is not None:
        facts |= {
            "cluster_bytes": f"{geometry.cluster_bytes}",
            "dirty": "yes" if geometry.dirty else "no",
            "filesystem": geometry.filesystem.value,
            "label": ascii(geometry.label)[1:-1],
            "volume_id": geometry.volume_id,
        }
    return facts


def _unheard(path: bytes, length: int) -> None:
    """Take no note of a file: the listing tells of it."""
