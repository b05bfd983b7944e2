"""The soak: harnesses that take a number and say what went wrong with it, run on and on, counted in a file.

Owns what is counted and that a count is never wrong: a number counts once its answer and those of all before it are
here, so that a kill at any moment loses the last seconds and neither skips nor counts twice. Must not know what a
harness does.

    scripts/soak seeds --count 100000 --jobs 2     go on until 100,000 are done in all
    scripts/soak seeds --again                     run what failed once more, and say which of it passes now
    scripts/soak --report                          show what was done
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import msgspec

from tests.soak_tally import Books, Done, Tally, report

ROOT = Path(__file__).resolve().parent.parent
STATE = Path.home() / ".cache" / "dockd" / "soak.json"
SAVE_EVERY_S = 2.0
STOP_WITHIN_S = 5.0
MOST_WORDS = 4000

Failures = Iterable[tuple[int, str]]
Numbers = Callable[[range], Failures]
"""A harness: it runs every number of a range, and gives those that failed with what went wrong, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """Where a harness is (`module:function`, a `Numbers`), how many numbers it is given at once, and for how long."""

    target: str
    batch: int
    limit_s: float


HARNESSES = {
    "seeds": Harness(target="tests.sim.many:numbers", batch=10, limit_s=300.0),
    "stores": Harness(target="tests.sim.many:scripts", batch=20, limit_s=300.0),
    "wipes": Harness(target="tests.sim.many:losses", batch=10, limit_s=300.0),
    "receipts": Harness(target="tests.fuzz.mutations:numbers", batch=10_000, limit_s=300.0),
    "cuts": Harness(target="tests.powercut.campaign:numbers", batch=1000, limit_s=1200.0),
    "ext4": Harness(target="tests.powercut.ext4:numbers", batch=50, limit_s=600.0),
    "kills": Harness(target="tests.killpoint.soaking:numbers", batch=60, limit_s=900.0),
}


class Worker:
    """One child process at a time that runs ranges of numbers; a new one after each that died or was too slow."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._child: asyncio.subprocess.Process | None = None

    async def run(self, numbers: range) -> Done:
        """Run a range; whatever happens to the child is what came of the range."""
        if self._child is None:
            self._child = await _child(self._harness)
        child, start_s = self._child, time.monotonic()
        assert child.stdin is not None
        assert child.stdout is not None
        line = b""
        with suppress(ConnectionError, TimeoutError):
            child.stdin.write(f"{numbers.start} {numbers.stop}\n".encode("ascii"))
            await child.stdin.drain()
            line = await asyncio.wait_for(child.stdout.readline(), self._harness.limit_s)
        seconds = time.monotonic() - start_s
        if line:
            return Done(
                numbers=numbers, failures=msgspec.json.decode(line, type=tuple[tuple[int, str], ...]), seconds=seconds
            )
        await self.end(within_s=0.0)
        words = f"{numbers}: the process gave no answer in {seconds:.0f} s and ended with {child.returncode}"
        return Done(numbers=numbers, failures=((numbers.start, words),), seconds=seconds)

    async def end(self, *, within_s: float) -> None:
        """End the child: by itself where it is between two numbers soon."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), within_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def _child(harness: Harness) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.soak",
        "--work",
        harness.target,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 24,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))},
    )


@dataclass(slots=True, kw_only=True)
class Soak:
    """One run of the soak over one harness."""

    name: str
    harness: Harness
    books: Books
    commit: str
    tally: Tally
    _handed_out: int = field(init=False)
    _waiting: dict[int, Done] = field(init=False, default_factory=dict)
    _saved: Tally = field(init=False)

    def __post_init__(self) -> None:
        """Begin where the file ends."""
        self._handed_out, self._saved = self.tally.next, self.tally

    async def until(self, count: int, *, jobs: int) -> None:
        """Count up to `count`; cancelled at any moment, it saves what is counted."""
        saver = asyncio.create_task(self._save_now_and_then(), name="save")
        try:
            async with asyncio.TaskGroup() as group:
                for job in range(jobs):
                    group.create_task(self._work(count), name=f"job {job}")
        finally:
            saver.cancel()
            self.save()

    async def again(self) -> None:
        """Run what failed once more."""
        worker = Worker(self.harness)
        try:
            for failure in self.tally.open_failures:
                done = await worker.run(range(failure.number, failure.number + 1))
                self.tally = self.tally.repeated(done, commit=self.commit)
                self.save()
        finally:
            await worker.end(within_s=STOP_WITHIN_S)

    def save(self) -> None:
        """Make durable what is counted."""
        if self.tally is not self._saved:
            self.books.write(self.name, self.tally)
            self._saved = self.tally

    async def _work(self, count: int) -> None:
        worker = Worker(self.harness)
        try:
            while self._handed_out < count:
                numbers = range(self._handed_out, min(count, self._handed_out + self.harness.batch))
                self._handed_out = numbers.stop
                self._took(await worker.run(numbers))
        finally:
            await worker.end(within_s=STOP_WITHIN_S)

    def _took(self, done: Done) -> None:
        self._waiting[done.numbers.start] = done
        for number, words in done.failures:
            print(f"{self.name} {number} failed: {words}", flush=True)
        while (following := self._waiting.pop(self.tally.next, None)) is not None:
            self.tally = self.tally.counted(following, commit=self.commit)

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            self.save()


def work(target: str) -> None:
    """Be a child: run the ranges that come on standard input, and answer each with one line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and closes our standard input
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a harness prints is no answer
    module, _, function = target.partition(":")
    harness: Numbers = getattr(import_module(module), function)
    for line in sys.stdin:
        first, end = map(int, line.split())
        try:
            failures = [(number, words[:MOST_WORDS]) for number, words in harness(range(first, end))]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what came of this range
            failures = [(first, f"numbers {first} to {end - 1}: {type(error).__name__}: {error}"[:MOST_WORDS])]
        print(json.dumps(failures), file=answers)


def version() -> str:
    """Name the version that runs: a commit, with a plus where the checkout differs from it."""

    def git(*words: str) -> str:
        return subprocess.run(("git", *words), cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def say(text: str) -> None:
    """Print a report; a reader of a pipe that has seen enough changes nothing of how we end."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, sys.stdout.fileno())  # the interpreter flushes again at its end
        os.close(silent)


def main(words: Sequence[str]) -> int:
    """Run, or report; 1 where anything failed and has not passed since, 130 and 143 where interrupted."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description="Run a harness on and on, and count.")
    parser.add_argument("harness", nargs="?", help=f"one of {', '.join(HARNESSES)}, or module:function")
    parser.add_argument("--count", type=int, default=100_000, help="stop when so many are done in all (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once (%(default)s)")
    parser.add_argument("--state", type=Path, default=STATE, help="where it is counted (%(default)s)")
    parser.add_argument("--again", action="store_true", help="run what failed once more, instead of going on")
    parser.add_argument("--report", action="store_true", help="show what was done")
    parser.add_argument("--work", metavar="TARGET", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.work:
        work(asked.work)
        return 0
    books = Books(asked.state)
    if asked.report:
        tallies = books.read()
        say(report(tallies))
        return int(any(tally.open_failures for tally in tallies.values()))
    known = asked.harness in HARNESSES or ":" in (asked.harness or "")
    if not known or asked.jobs < 1:
        parser.error(f"name a harness, one of {', '.join(HARNESSES)}, and at least one job")
    try:
        with books.locked(asked.harness, wait=False):
            return asyncio.run(_soak(asked, books))
    except BlockingIOError:
        parser.error(f"another process counts {asked.harness} in {asked.state}")


async def _soak(asked: argparse.Namespace, books: Books) -> int:
    name: str = asked.harness
    harness = HARNESSES.get(name) or Harness(target=name, batch=10, limit_s=300.0)
    soak = Soak(name=name, harness=harness, books=books, commit=version(), tally=books.read().get(name, Tally()))
    running = asyncio.create_task(soak.again() if asked.again else soak.until(asked.count, jobs=asked.jobs))
    stopped: list[int] = []

    def stop(number: int) -> None:
        stopped.append(number)
        running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        await running
    except asyncio.CancelledError:
        if not stopped:
            raise
    say(report({name: soak.tally}))
    return 128 + stopped[0] if stopped else int(bool(soak.tally.open_failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
