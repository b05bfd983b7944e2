"""A program as a warm child of this process, its mutating calls shown one by one, and one of them struck.

Owns the processes from fork to the last of them gone. Knows neither what the program is for nor what is right.
"""

import errno
import os
import select
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.killpoint.calls import Call, read_call, write_half
from tests.killpoint.faults import CHILD, DEADLY, ERRORS, PARENT, Fault, Point, Strike, plain
from tests.killpoint.notify import Choice, answer, fail, let, listen, receive

ENDS_WITHIN_S = 30.0
LOOK_MS = 5
Program = Callable[[Sequence[str]], int]


class Watch(Protocol):
    """Somebody who sees every call before it happens, and what becomes of it."""

    def before(self, call: Call) -> None:
        """Look at a call that has not happened; everybody who could make another one may go on meanwhile."""
        ...

    def happens(self, call: Call) -> None:
        """Hear that it happens now, whole."""
        ...

    def failed(self, call: Call, fault: Fault) -> None:
        """Hear that it failed, or was cut short."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a family ended. `code` is negative for a signal; `points` are its calls in order; `struck`: the fault was."""

    code: int
    stdout: str
    stderr: str
    points: Sequence[Point]
    struck: bool
    cpu_s: float


@dataclass(slots=True, kw_only=True)
class Family:
    """A program running under a filter. `wait` answers its calls until nobody of it is left."""

    process: int
    root: Path
    watch: Watch
    strike: Strike | None
    listener: int
    output: tuple[Path, Path]
    gone: bool = False
    _count: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _points: list[Point] = field(default_factory=list)
    _struck: bool = False
    _code: int | None = None
    _cpu_s: float = 0.0

    @classmethod
    def start(
        cls,
        program: Program,
        arguments: Sequence[str],
        *,
        root: Path,
        choices: Sequence[Choice],
        watch: Watch,
        strike: Strike | None,
    ) -> "Family":
        """Fork, and run a program in the child; its words go to files in `root`, named by its first argument."""
        output = root / f"{arguments[0]}.stdout", root / f"{arguments[0]}.stderr"
        here, there = socket.socketpair()
        with closing(here):
            process = os.fork()
            if process == 0:
                _become(program, arguments, choices=choices, output=output, there=there)
            there.close()
            _, listeners, _, _ = socket.recv_fds(here, 1, 1)
        if not listeners:
            os.waitpid(process, 0)
            raise OSError(f"this machine gives no listener of system calls: {output[1].read_text(encoding='utf-8')}")
        return cls(process=process, root=root, watch=watch, strike=strike, listener=listeners[0], output=output)

    def ended(self, *, within_s: float = ENDS_WITHIN_S) -> Ended:
        """Answer calls until nobody is left, and say how it ended.

        Raises:
            TimeoutError: it did not end; it is dead now.

        """
        done = serve([self], until=lambda: False, within_s=within_s)
        if not done:
            self.kill()
        os.close(self.listener)
        self._reap()
        said, errors = (path.read_text(encoding="utf-8", errors="replace") for path in self.output)
        if not done:
            raise TimeoutError(f"not at its end after {within_s:g} s; said {said[-500:]!r} {errors[-500:]!r}")
        return Ended(
            code=self._code if self._code is not None else 0,
            stdout=said,
            stderr=errors,
            points=tuple(self._points),
            struck=self._struck,
            cpu_s=self._cpu_s,
        )

    @property
    def said(self) -> str:
        """What it said on standard output so far."""
        return self.output[0].read_text(encoding="utf-8")

    def signal(self, number: int) -> None:
        """Send its first process a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.process, number)

    def kill(self) -> None:
        """End the whole family at once; returns when its first is dead."""
        with suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        self._reap()

    def _reap(self) -> None:
        if self._code is None:
            _, status, used = os.wait4(self.process, 0)
            self._code = os.waitstatus_to_exitcode(status)
            self._cpu_s = used.ru_utime + used.ru_stime

    def answer(self) -> None:
        """Take one call that waits, and answer it."""
        stopped = receive(self.listener)
        if stopped is None:
            return
        try:
            call = read_call(stopped)
        except (FileNotFoundError, ProcessLookupError):
            return  # killed while we looked
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            raise
        if call is None:
            let(self.listener, stopped)
            return
        who = PARENT if call.process == self.process else CHILD
        what = plain(call.path, self.root)
        self._count[who, call.name, what] += 1
        point = Point(who=who, call=call.name, what=what, nth=self._count[who, call.name, what])
        self._points.append(point)
        if not self._struck and self.strike is not None and self.strike.point == point:
            self._struck = True
            self._hit(call, self.strike.fault)
            return
        self.watch.before(call)
        self.watch.happens(call)
        let(self.listener, stopped)

    def _hit(self, call: Call, fault: Fault) -> None:
        stopped = call.stopped
        self.watch.failed(call, fault)
        match fault:
            case Fault.KILL:
                os.kill(call.process, signal.SIGKILL)
            case Fault.POWER:
                self.kill()
            case Fault.TORN:
                write_half(call)
                self.kill()
            case Fault.SHORT:
                answer(self.listener, stopped, write_half(call))
            case Fault.EIO | Fault.ENOSPC | Fault.LOST:
                fail(self.listener, stopped, ERRORS[fault])
        if fault in DEADLY and call.process == self.process:
            self._reap()


def serve(families: Sequence[Family], *, until: Callable[[], bool], within_s: float) -> bool:
    """Answer calls until something is so, or nobody of any family is left; False if time was up first."""
    deadline_s = time.monotonic() + within_s
    poll = select.poll()
    of = {family.listener: family for family in families if not family.gone}
    for listener in of:
        poll.register(listener, select.POLLIN)
    while time.monotonic() < deadline_s:
        if not of or until():
            return True
        for listener, event in poll.poll(LOOK_MS):
            if event & select.POLLIN:
                of[listener].answer()
            elif event & select.POLLHUP:
                poll.unregister(listener)
                of.pop(listener).gone = True
    return False


def _become(
    program: Program,
    arguments: Sequence[str],
    *,
    choices: Sequence[Choice],
    output: tuple[Path, Path],
    there: socket.socket,
) -> None:
    """Be the program, in the child of a fork; never returns."""
    code = 70
    try:
        os.setpgid(0, 0)
        for number, path in enumerate(output, start=1):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(fd, number)
            os.close(fd)
        silent = os.open(os.devnull, os.O_RDONLY)
        os.dup2(silent, 0)
        os.close(silent)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
        listener = listen(choices)
        socket.send_fds(there, [b"l"], [listener])
        os.close(listener)
        there.close()
        try:
            code = program(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001 - what the interpreter would do with it
            sys.excepthook(*sys.exc_info())
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(code)
