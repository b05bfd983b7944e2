"""Copies in the spool that no clip on record names: a lost ledger's, or one whose record was cut off.

Owns the list of them. They are never given up by age or for room (I12): a clip that proves to be one's own takes it, or
people move it. Knows no camera.
"""

from collections.abc import Mapping
from types import MappingProxyType

from dockd.app.ports import Ledger, Spool
from dockd.domain.model import ClipId
from dockd.domain.space import Strays


class StrayCopies:
    """The list, as it was when the program began; what a clip took since is off it. Costs nothing where it is empty."""

    def __init__(self, *, ledger: Ledger, spool: Spool) -> None:
        """Know of none yet."""
        self._ledger = ledger
        self._spool = spool
        self._lengths: Mapping[ClipId, int] = MappingProxyType({})

    async def look(self) -> None:
        """Read the spool, once, before anything is copied. Raises TransientError(DISK)."""
        there = await self._spool.copies()
        if there:
            self._lengths = await self._without_clip(there)

    async def count(self) -> Strays:
        """Count those that are there and without a clip now: people may have moved some."""
        if self._lengths:
            there = await self._spool.copies()
            self._lengths = await self._without_clip({name: there[name] for name in self._lengths.keys() & there})
        return Strays(copies=len(self._lengths), bytes_=sum(self._lengths.values()))

    def has_length(self, length_bytes: int) -> bool:
        """Say whether any is exactly so long."""
        return length_bytes in self._lengths.values()

    def __contains__(self, clip_id: ClipId) -> bool:
        """Say whether it is one of them."""
        return clip_id in self._lengths

    def taken(self, clip_id: ClipId | None) -> None:
        """Hear that a clip has this copy now."""
        self._lengths = {name: length for name, length in self._lengths.items() if name != clip_id}

    async def _without_clip(self, copies: Mapping[ClipId, int]) -> Mapping[ClipId, int]:
        named = await self._ledger.spooled(copies.keys())
        return {clip_id: length for clip_id, length in copies.items() if clip_id not in named}
