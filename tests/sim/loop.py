"""An event loop without a machine under it: time jumps to the next timer, and nothing real is ever waited for.

Owns time and the order of turns. The same program on it takes the same turns in the same order, every time.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from itertools import count
from threading import get_ident
from typing import Any, TypeVar

T = TypeVar("T")

MOST_TURNS_AT_ONCE = 20_000
"""So many turns without a wait are a spin: a real station would burn its processor."""


TURN_S = 1e-6
"""What a turn takes: timers come a little late, as they do everywhere."""


class StuckError(AssertionError):
    """Nothing is ready, and no timer is set: everybody waits for somebody else."""


class SpinError(AssertionError):
    """The loop runs on and never waits."""


class _Jump:
    """What BaseEventLoop calls its selector: here, the one who moves the clock."""

    def __init__(self, loop: "SimLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        self._loop.pass_time(timeout)
        return []


class SimTask(asyncio.Task[T]):
    """A task whose place in a set does not depend on where it lies in memory."""

    def __init__(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        number: int,
        **known: Any,  # noqa: ANN401 - what asyncio knows of a task differs between its versions
    ) -> None:
        self._number = number  # first of all: asyncio puts a task into its sets while it is being made
        super().__init__(coro, **known)

    def __hash__(self) -> int:
        """Its number: sets of tasks are walked in the same order in every run."""
        return self._number


class SimLoop(asyncio.BaseEventLoop):
    """A loop whose clock hardly moves while anything is ready, and then jumps."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._turns = 0
        self._thread = get_ident()
        self._numbers = count(1)
        self._clock_resolution = 1e-9
        self._selector = _Jump(self)
        self.set_task_factory(self._task)

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._now_s

    def pass_time(self, timeout_s: float | None) -> None:
        """Jump over the time in which nothing happens."""
        if timeout_s is None:
            raise StuckError(f"at {self._now_s:.3f} s nothing is ready and no timer is set")
        self._now_s += timeout_s + TURN_S
        if timeout_s > 0:
            self._turns = 0
            return
        self._turns += 1
        if self._turns > MOST_TURNS_AT_ONCE:
            self._turns = 0  # whoever cleans up after this has turns of its own
            raise SpinError(f"at {self._now_s:.3f} s the loop took {MOST_TURNS_AT_ONCE} turns without a wait")

    def _process_events(self, event_list: list[object]) -> None:
        """No descriptors, no events."""

    def _write_to_self(self) -> None:
        # The loop's own thread may: a generator dropped half way is closed like this.
        assert get_ident() == self._thread, "a thread spoke to the simulated loop"

    def _task(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        /,
        **known: Any,  # noqa: ANN401 - as above
    ) -> SimTask[T]:
        return SimTask(coro, loop=loop, number=next(self._numbers), **known)


def simulate(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in a time of its own."""
    with asyncio.Runner(loop_factory=SimLoop) as runner:
        return runner.run(main())
