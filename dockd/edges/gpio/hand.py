"""A hand that does what may hang: one thread, one thing after another, and nobody waits for it for long.

Owns that thread, and what becomes of what nobody waits for any more: it ends when it ends, and is undone then. Must not
know what is done. The driver of a chip behind an I2C bus that hangs waits in the kernel, and whoever calls it with it.
"""

import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class OverdueError(Exception):
    """It has not come back in time, and nobody knows what it did; or, if not `begun`, what came before it has not."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class _Errand(Generic[T]):
    """One thing to do, and what came of it."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object], *, waited_for: bool) -> None:
        self.ended = threading.Event()
        self.waited_for = waited_for
        self._work, self._undo = work, undo
        self._came: list[T] = []
        self._wrong: Exception | None = None

    def do(self) -> None:
        try:
            self._came.append(self._work())
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
            self._wrong = error

    def undo(self) -> None:
        with suppress(Exception):  # nobody is there to hear it
            for came in self._came:
                self._undo(came)

    def result(self) -> T:
        if self._wrong is not None:
            raise self._wrong
        return self._came[0]


class Hand:
    """Does things for one caller; its thread begins with the first of them, and keeps no process from its end."""

    def __init__(self, name: str, *, patience_s: float) -> None:
        """Take what the thread is to be called, and for how long to wait for one thing."""
        self._name = name
        self._patience_s = patience_s
        self._queue = SimpleQueue[_Errand[object] | None]()
        self._lock = threading.Lock()
        self._left = 0
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], T], *, undo: Callable[[T], object]) -> T:
        """Have something done, and give what came of it; what comes too late is undone.

        Raises:
            OverdueError: it has not come back, or something before it has not: then it is not begun.
            OSError: no thread can be had.
            Exception: what `work` raised.

        """
        if self._left:
            raise OverdueError(begun=False)
        errand = _Errand(work, undo, waited_for=True)
        self._put(errand)
        errand.ended.wait(self._patience_s)
        with self._lock:
            errand.waited_for = errand.ended.is_set()
        if not errand.waited_for:
            raise OverdueError(begun=True)
        return errand.result()

    def later(self, work: Callable[[], object]) -> None:
        """Have something done when all before it has come back; nobody hears whether it could be."""
        self._put(_Errand(work, lambda _: None, waited_for=False))

    def close(self) -> None:
        """Begin nothing more. What is under way has a moment to come back, and is left to itself then."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(self._patience_s)

    def _put(self, errand: _Errand[T]) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, str(error)) from error
            self._thread = thread
        with self._lock:
            self._left += 1
        self._queue.put(errand)  # type: ignore[arg-type]  # the thread hands on what it is given, and looks at none of it

    def _run(self) -> None:
        while (errand := self._queue.get()) is not None:
            errand.do()
            with self._lock:
                if errand.waited_for:
                    self._left -= 1
                    errand.ended.set()
                    continue
            errand.undo()
            with self._lock:
                self._left -= 1
