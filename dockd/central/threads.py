"""The threads that wait for the disk, so that the event loop never does.

Owns two pools: a big re-read must not keep a small write waiting.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_SHORT = 8
_LONG = 2
_LONG_FROM_BYTES = 8 * 1024 * 1024
"""From here on a re-read takes long enough to be kept apart: some 40 ms on a slow disk."""


class Threads:
    """The pools of one store."""

    def __init__(self) -> None:
        """Start none yet: a pool grows on demand."""
        self._short = ThreadPoolExecutor(max_workers=_SHORT, thread_name_prefix="disk")
        self._long = ThreadPoolExecutor(max_workers=_LONG, thread_name_prefix="verify")

    async def run(self, work: Callable[[], T], *, size_bytes: int = 0) -> T:
        """Run work that touches about so many bytes; a cancelled caller still waits until the disk is done."""
        pool = self._long if size_bytes >= _LONG_FROM_BYTES else self._short
        future = asyncio.get_running_loop().run_in_executor(pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # Whoever takes the upload next must not meet a write that is still under way.
            await asyncio.wait([future])
            raise

    def close(self) -> None:
        """Wait for all work; call it outside the event loop."""
        self._short.shutdown()
        self._long.shutdown()
