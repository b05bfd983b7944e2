"""Room in the spool, promised before a copy begins.

Owns the bytes promised to copies under way. The ledger's reserve is never given away (I16).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dockd.app.policy import Policy
from dockd.app.ports import Spool
from dockd.domain.space import lacks
from dockd.errors import Reason, TransientError


class Space:
    """The spool's room, shared by all buses."""

    def __init__(self, *, spool: Spool, policy: Policy) -> None:
        """Begin with nothing promised."""
        self._spool = spool
        self._policy = policy
        self._promised_bytes = 0
        self.full = ""

    @asynccontextmanager
    async def reserved(self, length_bytes: int) -> AsyncIterator[None]:
        """Hold room for one copy.

        `full` says why the last request was refused, and is empty once there is room again.

        Raises:
            TransientError: DISK_FULL; nothing was promised.

        """
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
