"""Room for one more file in the spool: pure arithmetic; and what takes room there without a clip.

Owns what is kept back: the ledger's reserve is never given away, for without the ledger no clip moves (I16).
"""

from dataclasses import dataclass

RESERVE_FILES = 1024
"""Inodes kept back for the ledger and its journals; far more than it ever needs."""


def lacks(*, length_bytes: int, free_bytes: int, free_files: int, promised_bytes: int, reserve_bytes: int) -> str:
    """Say what is missing to take a file of `length_bytes`; empty text where there is room.

    `promised_bytes` belong to copies under way. A filesystem that does not count inodes says 0 free of 0: `free_files`
    is then given as -1.
    """
    usable_bytes = free_bytes - promised_bytes - reserve_bytes
    if length_bytes > usable_bytes:
        return (
            f"spool: {max(usable_bytes, 0)} bytes to spare ({free_bytes} free, {promised_bytes} promised,"
            f" {reserve_bytes} reserved), expected at least {length_bytes}"
        )
    if 0 <= free_files <= RESERVE_FILES:
        return f"spool: {free_files} inodes free, expected more than {RESERVE_FILES}"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """Copies in the spool that no clip on record names, as a lost ledger leaves them: how many, and their bytes."""

    copies: int = 0
    bytes_: int = 0

    @property
    def words(self) -> str:
        """Say them to people; empty where there are none."""
        return f"{self.copies} copies without a clip, {self.bytes_} bytes" if self.copies else ""


NO_STRAYS = Strays()
