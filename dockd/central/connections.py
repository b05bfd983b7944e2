"""How many connections at once: fewer than the process has descriptors for, so that files can still be opened.

Owns the limit and the door. Knows no HTTP. Without it a client that opens connections and says nothing would take every
descriptor, and asyncio would write its complaint a thousand times a second.
"""

import asyncio
import resource
from collections.abc import Callable, Sized

ACCEPTED_AT_ONCE = 32
"""Connections taken in one turn of the loop; it takes four turns until one too many is closed again."""
_OTHERS = 64 + 4 * ACCEPTED_AT_ONCE
"""Descriptors for the index, the log, the lock, the listener, the threads' files and connections on their way out."""


def most_connections() -> int:
    """Give the limit that the process's own limit of open files leaves: each connection may be reading one file."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, (soft - _OTHERS) // 2)


class Closed(asyncio.Protocol):
    """What a connection too many gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up."""
        transport.close()


def door(
    make: Callable[[], asyncio.Protocol], *, inside: Callable[[], Sized], most: int
) -> Callable[[], asyncio.Protocol]:
    """Make protocols for new connections while fewer than `most` are inside."""
    return lambda: make() if len(inside()) < most else Closed()
