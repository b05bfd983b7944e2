"""Waiting in a thread, such that another thread can end it.

Owns the descriptor that wakes the waiter, and poll. Must not know what is waited for.
"""

import os
import select
import time

READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
WRITABLE = select.POLLOUT


class StoppedError(Exception):
    """What was waited for is not wanted any more."""


class Stop:
    """One thread waits with it, any other may tell it to stop."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def tell(self) -> None:
        """End every wait, now and later; from any thread, any number of times."""
        os.eventfd_write(self._fd, 1)

    def wait(self, fd: int, events: int, *, deadline_s: float) -> int:
        """Wait for any of the events (READABLE, WRITABLE) on a descriptor; gives those that are there.

        `deadline_s` is monotonic.

        Raises:
            StoppedError: told to stop.
            TimeoutError: none of them came in time.

        """
        poll = select.poll()
        poll.register(fd, events)
        poll.register(self._fd, select.POLLIN)
        ready = dict(poll.poll(max(deadline_s - time.monotonic(), 0) * 1000))
        if self._fd in ready:
            raise StoppedError
        if not ready:
            raise TimeoutError("nothing moved in time")
        return ready[fd]

    def pause(self, pause_s: float) -> None:
        """Let time pass.

        Raises:
            StoppedError: told to stop.

        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if poll.poll(pause_s * 1000):
            raise StoppedError

    def close(self) -> None:
        """Give the descriptor back, once the thread is through with it."""
        os.close(self._fd)
