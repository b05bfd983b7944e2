"""Who is writing an upload just now: at most one request each, and a living one cannot be pushed aside by a dead one.

Owns the slots in memory. A request whose connection died without a word (no FIN came) would hold its upload until its
deadline; the next request for that upload ends it, if it has been silent for `takeover_s`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dockd.central.refusal import RefusedError

_YIELD_S = 10.0
"""How long a silent writer may take to put its last bytes on the disk before the next one is told to come back."""


class StalledError(Exception):
    """The client has sent nothing for too long, or another request has taken the upload over."""


class Slot:
    """One request's hold on an upload."""

    def __init__(self, *, stall_s: float) -> None:
        """Start the clock of silence now."""
        self._loop = asyncio.get_running_loop()
        self._stall_s = stall_s
        self._heard_s = self._loop.time()
        self._timeout: asyncio.Timeout | None = None
        self._interrupted = False
        self.released = asyncio.Event()

    @property
    def silent_s(self) -> float:
        """Seconds since the client's last bytes."""
        return self._loop.time() - self._heard_s

    async def read(self, chunk: Callable[[], Awaitable[bytes]]) -> bytes:
        """Await the client's next bytes, within the deadline.

        Raises:
            StalledError: none came, or another request took over.

        """
        if self._interrupted:
            raise StalledError("taken over by another request")
        try:
            async with asyncio.timeout(self._stall_s) as self._timeout:
                data = await chunk()
        except TimeoutError as error:
            raise StalledError(f"nothing received for {self.silent_s:.0f} s") from error
        finally:
            self._timeout = None
        self._heard_s = self._loop.time()
        return data

    def interrupt(self) -> None:
        """End the wait for the client's bytes."""
        self._interrupted = True
        if self._timeout is not None:
            self._timeout.reschedule(self._loop.time())


class Slots:
    """The slots of all uploads."""

    def __init__(self, *, most: int, stall_s: float, takeover_s: float) -> None:
        """Take how many may write at once, the deadline of silence, and the silence that lets another take over."""
        self._most = most
        self._stall_s = stall_s
        self._takeover_s = takeover_s
        self._held: dict[str, Slot] = {}

    @asynccontextmanager
    async def hold(self, upload_id: str) -> AsyncIterator[Slot]:
        """Hold an upload while the block runs; with no slot left, the request that has been silent longest makes room.

        Raises:
            RefusedError: 423 if a living request holds it, 503 if too many write at once.

        """
        if len(self._held) >= self._most:
            await self._evict(max(self._held.values(), key=lambda slot: slot.silent_s, default=None))
        if upload_id in self._held:
            raise RefusedError(423, "upload: another request is writing it, expected one at a time", retry_after_s=1)
        if len(self._held) >= self._most:
            raise RefusedError(503, f"uploads: {self._most} under way, expected fewer: come back", retry_after_s=2)
        slot = Slot(stall_s=self._stall_s)
        self._held[upload_id] = slot
        try:
            yield slot
        finally:
            del self._held[upload_id]
            slot.released.set()

    def is_silent(self, upload_id: str) -> bool:
        """Whether a request holds an upload whose client has fallen silent."""
        slot = self._held.get(upload_id)
        return slot is not None and slot.silent_s >= self._takeover_s

    async def evict_silent(self, upload_id: str) -> None:
        """End the request that holds an upload if its client has fallen silent; wait until its bytes are written."""
        await self._evict(self._held.get(upload_id))

    async def _evict(self, slot: Slot | None) -> None:
        if slot is None or slot.silent_s < self._takeover_s:
            return
        slot.interrupt()
        try:
            async with asyncio.timeout(_YIELD_S):
                await slot.released.wait()
        except TimeoutError:
            return  # its disk write hangs: whoever wants to write is told 423
