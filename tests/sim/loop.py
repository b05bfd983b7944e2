"""An event loop without a machine under it: time jumps to the next timer, and nothing real is ever waited for.

Owns time and the order of turns. The same program on it takes the same turns in the same order, every time.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from heapq import heappop, heappush
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


class _Turn(asyncio.Handle):
    """A callback in its turn, or at its time: a handle without what only people who debug need."""

    __slots__ = ("when_s",)

    def __init__(
        self,
        loop: "SimLoop",
        callback: Callable[..., object],
        args: tuple[object, ...],
        context: Context | None,
        *,
        when_s: float = 0.0,
    ) -> None:
        # Not the handle's own: it asks the loop each time whether somebody debugs it.
        self._loop = loop
        self._callback = callback
        self._args = args
        self._context = context if context is not None else copy_context()
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self.when_s = when_s

    def when(self) -> float:
        """Say at what time it is due."""
        return self.when_s

    def cancel(self) -> None:
        """Never take place."""
        self._cancelled = True


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
        self._next: deque[_Turn] = deque()
        self._later: list[tuple[float, int, _Turn]] = []
        self._timers = count()
        self.set_task_factory(self._task)

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._now_s

    def call_soon(self, callback: Callable[..., object], *args: object, context: Context | None = None) -> _Turn:
        """Call in the next turn."""
        turn = _Turn(self, callback, args, context)
        self._next.append(turn)
        return turn

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> _Turn:
        """Call at a time; what is due at one time is called in the order in which it was asked for."""
        turn = _Turn(self, callback, args, context, when_s=when)
        heappush(self._later, (when, next(self._timers), turn))
        return turn

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> _Turn:
        """Call so much later."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """Take the turns that are ready, or jump over the time in which nothing happens."""
        later, ready = self._later, self._next
        while later and later[0][2]._cancelled:
            heappop(later)
        if not ready:
            if not later:
                raise StuckError(f"at {self._now_s:.3f} s nothing is ready and no timer is set")
            if later[0][0] > self._now_s:
                self._now_s = later[0][0]
                self._turns = -1
        self._now_s += TURN_S
        self._turns += 1
        if self._turns > MOST_TURNS_AT_ONCE:
            self._turns = 0  # whoever cleans up after this has turns of its own
            raise SpinError(f"at {self._now_s:.3f} s the loop took {MOST_TURNS_AT_ONCE} turns without a wait")
        while later and later[0][0] <= self._now_s:
            ready.append(heappop(later)[2])
        for _ in range(len(ready)):
            turn = ready.popleft()
            if not turn._cancelled:
                turn._run()

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
    """Run a coroutine in a time of its own; no garbage is collected meanwhile, which costs, and is nobody's turn."""
    collects = gc.isenabled()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=SimLoop) as runner:
            return runner.run(main())
    finally:
        if collects:
            gc.enable()
