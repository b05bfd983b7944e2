"""Room in the spool, promised before a copy begins; and copies that begin kept apart from copies that go.

Owns the bytes promised to copies under way, and the names of these. The ledger's reserve is never given away (I16).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from dockd.app.policy import Policy
from dockd.app.ports import Spool
from dockd.domain.model import Clip, ClipKey
from dockd.domain.space import lacks
from dockd.errors import Reason, TransientError


class Space:
    """The spool's room, shared by all buses and whoever gives copies up.

    A file of the path and length of a copy here may turn out to be the same clip, and its own copy then lies in the
    very place: the old one must not go while the new one is made. Before that it may, for its receipt is kept.
    """

    def __init__(self, *, spool: Spool, policy: Policy) -> None:
        """Begin with nothing promised."""
        self._spool = spool
        self._policy = policy
        self._promised_bytes = 0
        self._copying: dict[ClipKey, tuple[bytes, int]] = {}
        self._met: set[tuple[bytes, int]] = set()
        self._leaving: tuple[bytes, int] | None = None
        self._left = asyncio.Event()
        self.full = ""

    @asynccontextmanager
    async def reserved(self, clip: Clip) -> AsyncIterator[None]:
        """Hold room for one copy, begun when no copy that it may have to replace is just being given up.

        `full` says why the last request was refused, and is empty once there is room again.

        Raises:
            TransientError: DISK_FULL; nothing was promised.

        """
        async with self.apart(clip), self._promised(clip.length_bytes):
            yield

    @asynccontextmanager
    async def apart(self, clip: Clip) -> AsyncIterator[None]:
        """Begin when no copy of a file of this path and length is just being given up, and let none go meanwhile."""
        self._copying[clip.key] = _name(clip)
        self._met.add(_name(clip))
        try:
            while self._leaving == _name(clip):
                await self._left.wait()
            yield
        finally:
            del self._copying[clip.key]

    def copying(self) -> frozenset[ClipKey]:
        """Give the clips that are being copied, and note from now on what `met` tells."""
        self._met = set(self._copying.values())
        return frozenset(self._copying)

    def met(self, clip: Clip) -> bool:
        """Say whether a file of a clip's path and length was being copied at any time since `copying` was asked."""
        return _name(clip) in self._met

    @contextmanager
    def leaving(self, clip: Clip) -> Iterator[None]:
        """Have every copy of a file of this clip's path and length wait until the clip's own is gone."""
        self._leaving = _name(clip)
        self._left.clear()
        try:
            yield
        finally:
            self._leaving = None
            self._left.set()

    @asynccontextmanager
    async def _promised(self, length_bytes: int) -> AsyncIterator[None]:
        room = await self._spool.room()
        self.full = lacks(
            length_bytes=length_bytes,
            free_bytes=room.free_bytes,
            free_files=room.free_files,
            promised_bytes=self._promised_bytes,
            reserve_bytes=self._policy.reserve_bytes,
        )
        if self.full:
            raise TransientError(Reason.DISK_FULL, self.full)
        self._promised_bytes += length_bytes
        try:
            yield
        finally:
            self._promised_bytes -= length_bytes


def _name(clip: Clip) -> tuple[bytes, int]:
    return clip.path, clip.length_bytes
