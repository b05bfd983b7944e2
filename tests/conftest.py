"""What holds for every test: it leaves no task, thread or child process behind, and never holds up the event loop.

Warnings are errors (pyproject.toml), those of objects dropped while open included.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings

# The same examples in every run: a failure is the code's and not the day's. `--hypothesis-profile search` looks anew.
settings.register_profile("fixed", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("search", deadline=None, max_examples=5000)
settings.load_profile("fixed")

pytest_plugins = ["tests.foreign_store", "pytester"]

LONGEST_BUSY_S = 0.5
"""Processor time one callback may take: the watchdog, the lamps and every other bay wait for it."""

LONGEST_BLOCKED_S = 2.0
"""Time one callback may sleep in the kernel: more than a loaded disk takes for a small write."""

GRACE_S = 2.0
"""How long a thread or child that is already ending may take to be gone."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One callback that held up the loop."""

    what: str
    busy_s: float
    blocked_s: float


class LoopWatch:
    """Measures each callback of an event loop, without counting what a loaded machine takes from it.

    Source: /proc/thread-self/schedstat (Documentation/scheduler/sched-stats.rst): nanoseconds on a processor,
    nanoseconds kept waiting for one.
    """

    def __init__(self) -> None:
        self.slow: list[Callback] = []
        self._stat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)

    def close(self) -> None:
        """Give the descriptor back: nothing can be measured any more."""
        os.close(self._stat)

    def run(self, callback: Callable[[], None], what: object) -> None:
        """Run a callback and note it if it took too long."""
        wall_s, busy_s, stat = time.monotonic(), time.thread_time(), os.pread(self._stat, 64, 0)
        callback()
        wall_s = time.monotonic() - wall_s
        if wall_s < LONGEST_BUSY_S:
            return
        busy_s = time.thread_time() - busy_s
        queued_s = (self._queued_ns(os.pread(self._stat, 64, 0)) - self._queued_ns(stat)) / 1e9
        blocked_s = wall_s - busy_s - queued_s
        if busy_s > LONGEST_BUSY_S or blocked_s > LONGEST_BLOCKED_S:
            self.slow.append(Callback(what=repr(what), busy_s=busy_s, blocked_s=blocked_s))

    @staticmethod
    def _queued_ns(stat: bytes) -> int:
        return int(stat.split()[1])


def children() -> set[int]:
    """Process ids of this process's children, the dead that nobody waited for included."""
    pids: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            pids.update(int(pid) for pid in (task / "children").read_text().split())
        except FileNotFoundError:
            continue  # that thread has just ended
    return pids


def command_of(pid: int) -> str:
    """Name a child as well as it can still be named."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return f"{pid} (gone)"
    return f"{pid} {command.replace(bytes(1), b' ').decode(errors='replace').strip() or '(dead, not waited for)'}"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread or a child process of its own running."""
    threads, pids = set(threading.enumerate()), children()
    yield
    deadline_s = time.monotonic() + GRACE_S
    for thread in set(threading.enumerate()) - threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    left_threads = sorted(thread.name for thread in set(threading.enumerate()) - threads)
    left_children = sorted(command_of(pid) for pid in children() - pids)
    assert not left_threads, f"threads left running: {left_threads}"
    assert not left_children, f"child processes left: {left_children}"


@pytest.fixture(scope="session")
def loop_watch() -> Iterator[LoopWatch]:
    """Watch the event loops of this thread, which runs every test."""
    watch = LoopWatch()
    yield watch
    watch.close()


@pytest.fixture
async def quiet_loop(
    nothing_left_behind: None,  # set up first: it looks after the loop, and the threads it owns, are gone
    loop_watch: LoopWatch,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[None]:
    """Fail an async test that leaves a task, loses a task's exception, or holds up the loop."""
    here = threading.get_ident()
    run = asyncio.Handle._run
    lost: list[str] = []
    loop_watch.slow.clear()

    def measured(handle: asyncio.Handle) -> None:
        if threading.get_ident() == here:
            loop_watch.run(partial(run, handle), handle)
        else:
            run(handle)  # a loop of another thread: its clocks are not ours to read

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        lost.append(f"{context['message']} {context.get('exception')!r}")
        loop.default_exception_handler(context)

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(note)
    monkeypatch.setattr(asyncio.Handle, "_run", measured)
    tasks = asyncio.all_tasks()
    yield
    # One turn of the loop, so that a task cancelled or finished a moment ago is not called a leak.
    await asyncio.sleep(0)
    left = sorted(task.get_name() for task in asyncio.all_tasks() - tasks - {asyncio.current_task()})
    assert not left, f"tasks left running: {left}"
    assert not lost, f"exceptions nobody saw: {lost}"
    assert not loop_watch.slow, f"the event loop was held up: {loop_watch.slow}"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Put `quiet_loop` before the other fixtures of every async test, so that it looks after they are gone."""
    if isinstance(item, pytest.Function) and pytest_asyncio.is_async_test(item):
        item.fixturenames.insert(0, "quiet_loop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write the promises that each test holds into the results (`--junitxml`), for scripts/check-faults."""
    for item in items:
        item.user_properties += [("promise", str(name)) for mark in item.iter_markers("promise") for name in mark.args]
