"""Reading around errors: everything that a dying card still gives of one file, and where it gives nothing.

Owns the size of the blocks and when it is enough. Knows no spool: it writes into an open file.
"""

import hashlib
import os
import time

from dockd.copier.card import Card
from dockd.copier.file import shown
from dockd.copier.medium import advise
from dockd.copier.pipe import CommandError, Pipe

BLOCK_BYTES = 64 * 1024
SMALL_BYTES = 4096
"""A page: the kernel reads a card by pages, so an error is never told more exactly."""
CLOSE_FAILURES, MOST_DOUBLINGS = 4, 8
"""So many failures in a row are looked at page by page; then steps double, up to a megabyte: the rest of the file is
worth more than each page of a ruined stretch."""
MOST_FAILURES = 1000
DROP_BYTES = 8 * 1024 * 1024


class Salvage:
    """One attempt at one open file. `gaps` are the ranges that could not be read, in order."""

    def __init__(self, card: Card, source: int, path: bytes, *, length: int, most_s: int) -> None:
        self._card, self._source, self._path, self._length = card, source, path, length
        self._until_s = time.monotonic() + most_s
        self._failures = self._in_a_row = self._close_until = 0
        self.gaps: list[tuple[int, int]] = []

    def pour(self, target: int, pipe: Pipe) -> bytes:
        """Write the whole length of the file, zeros in the gaps; give the digest of that. Raises CommandError."""
        digest, at, dropped = hashlib.sha256(), 0, 0
        advise(self._source, os.POSIX_FADV_RANDOM)  # reading ahead of what fails fails, too
        while at < self._length:
            chunk = self._next(at)
            digest.update(chunk)
            at += len(chunk)
            while chunk:
                chunk = chunk[os.write(target, chunk) :]
            if at - dropped >= DROP_BYTES:
                advise(target, os.POSIX_FADV_DONTNEED, 0, dropped)
                advise(self._source, os.POSIX_FADV_DONTNEED, 0, at)
                dropped = at
            pipe.tick({"at": at})
        if sum(length for _, length in self.gaps) >= self._length:
            raise CommandError("unreadable", f"{shown(self._path)} gives not one of its {self._length} bytes")
        return digest.digest()

    def _next(self, at: int) -> memoryview:
        """Give what stands at an offset, as much as one read gives; zeros where that fails."""
        if self._failures >= MOST_FAILURES or time.monotonic() > self._until_s:
            return self._gap(at, BLOCK_BYTES)
        close = at < self._close_until
        want = min(SMALL_BYTES - at % SMALL_BYTES if close else BLOCK_BYTES - at % BLOCK_BYTES, self._length - at)
        try:
            chunk = os.pread(self._source, want, at)
        except OSError as error:
            told = self._card.error("unreadable", shown(self._path), error)
            if told.code == "gone":
                raise told from error
            self._failures += 1
            if not close:
                self._close_until = at + want
                return memoryview(b"")  # the same stretch again, page by page
            self._in_a_row += 1
            return self._gap(at, SMALL_BYTES << min(max(0, self._in_a_row - CLOSE_FAILURES), MOST_DOUBLINGS))
        if not chunk:
            raise CommandError("growing", f"{shown(self._path)} ends after {at} bytes, expected {self._length}")
        self._in_a_row = 0
        return memoryview(chunk)

    def _gap(self, at: int, size: int) -> memoryview:
        length = min(size - at % SMALL_BYTES, self._length - at)
        if self.gaps and sum(self.gaps[-1]) == at:
            self.gaps[-1] = (self.gaps[-1][0], self.gaps[-1][1] + length)
        else:
            self.gaps.append((at, length))
        # A stretch is left page by page, so that its end is told exactly.
        self._close_until = max(self._close_until, at + length + SMALL_BYTES)
        return memoryview(bytes(length))
