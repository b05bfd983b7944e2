"""Waking loops up: a bell that rings for many, and things that wait for their time.

Owns no decisions: only when somebody should look again.
"""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Bell:
    """Rung by anybody, heard by one loop; any number of rings before it listens are one."""

    def __init__(self) -> None:
        """Begin silent."""
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Tell the loop to look again."""
        self._event.set()

    @property
    def rung(self) -> bool:
        """Say whether somebody rang and nobody heard it yet."""
        return self._event.is_set()

    async def heard(self, *, within_s: float | None = None) -> None:
        """Wait for a ring, or for at most `within_s`."""
        try:
            async with asyncio.timeout(within_s):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()


class Waiting(Generic[K]):
    """Things put off until a time on the monotonic clock."""

    def __init__(self) -> None:
        """Begin with nothing put off."""
        self._until_s: dict[K, float] = {}
        self._firm: set[K] = set()

    def put_off(self, key: K, *, until_s: float, firm: bool = False) -> None:
        """Leave `key` alone until then, a `firm` time whatever happens; a later word replaces an earlier one."""
        self._until_s[key] = until_s
        (self._firm.add if firm else self._firm.discard)(key)

    def hasten(self, *, until_s: float) -> None:
        """Leave nothing alone for longer than until then, but for what has a firm time."""
        self._until_s = {
            key: known_s if key in self._firm else min(known_s, until_s) for key, known_s in self._until_s.items()
        }

    def forget(self, key: K) -> None:
        """Let `key` wait no longer."""
        self._until_s.pop(key, None)
        self._firm.discard(key)

    def all(self) -> frozenset[K]:
        """Give what waits, and what is due and was not taken up: looking makes nobody forget it."""
        return frozenset(self._until_s)

    def now(self, now_s: float) -> frozenset[K]:
        """Give what still waits, and forget what does not: for whoever takes up what is due, at once."""
        self._until_s = {key: until_s for key, until_s in self._until_s.items() if until_s > now_s}
        self._firm &= self._until_s.keys()
        return frozenset(self._until_s)

    def next_in_s(self, now_s: float) -> float | None:
        """Say in how many seconds the first of them is due; None where nothing waits."""
        return max(0.0, min(self._until_s.values()) - now_s) if self._until_s else None
