"""A clock for tests, moved by nobody but them."""

import asyncio
from dataclasses import dataclass

from dockd.domain.model import Timestamp


@dataclass(slots=True, kw_only=True)
class HandClock:
    """A clock that moves only when somebody sleeps."""

    at_s: float = 0.0

    def monotonic_s(self) -> float:
        """Give the time by this clock."""
        return self.at_s

    def now(self) -> Timestamp:
        """Give a wall time that stands still."""
        return Timestamp(utc="2026-01-01T00:00:00.000000Z", source="simulated", uncertainty_ms=0)

    async def sleep(self, seconds: float) -> None:
        """Move on at once; others have their turn."""
        self.at_s += seconds
        await asyncio.sleep(0)
