"""Reads of a card in pieces of bounded size, and the end of the card.

Owns the rule that nothing beyond the card's end is ever asked for, and that half a read is a card cut short.
"""

from collections.abc import Iterator

from dockd.structure.verdict import Findings, ProblemKind, Read

PIECE_BYTES = 128 * 1024


class Blocks:
    """The bytes of a card, whole or not at all."""

    def __init__(self, read: Read, *, size_bytes: int, findings: Findings) -> None:
        """Take the card's reads and its size."""
        self._read = read
        self._findings = findings
        self.size_bytes = size_bytes

    def take(self, offset: int, length: int) -> bytes:
        """Give exactly so many bytes; raises StopCheckError where the card has fewer."""
        data = self._read(offset, length) if offset + length <= self.size_bytes else b""
        if len(data) != length:
            say = f"{length} bytes at {offset} cannot be had of {self.size_bytes}"
            raise self._findings.stop(ProblemKind.TRUNCATED, b"", f"the card is cut short: {say}")
        return data

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """Give a range, a piece at a time."""
        for start in range(0, length, PIECE_BYTES):
            yield self.take(offset + start, min(PIECE_BYTES, length - start))
