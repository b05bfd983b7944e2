"""What a soak has done: a tally for each harness, and the file that keeps them.

Owns how results are counted and that the file is old or new and never half. Must not know how they came about.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A number that failed, in which version; `passes_at` names the version in which it passed since."""

    number: int
    words: str
    commit: str
    passes_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The numbers `first` up to but not including `end`, and the version that ran them."""

    first: int
    end: int
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was done with one harness. Every number below `next` is counted, once."""

    next: int = 0
    seconds: float = 0.0
    failures: tuple[Failure, ...] = ()
    spans: tuple[Span, ...] = ()

    @property
    def open_failures(self) -> tuple[Failure, ...]:
        """Failures that have not passed since."""
        return tuple(failure for failure in self.failures if not failure.passes_at)

    def counted(self, done: "Done", *, commit: str) -> "Tally":
        """Count the next numbers."""
        spans = self.spans
        if spans and spans[-1].commit == commit:
            spans = (*spans[:-1], replace(spans[-1], end=done.numbers.stop))
        else:
            spans = (*spans, Span(first=done.numbers.start, end=done.numbers.stop, commit=commit))
        failures = tuple(Failure(number=number, words=words, commit=commit) for number, words in done.failures)
        return Tally(
            next=done.numbers.stop,
            seconds=self.seconds + done.seconds,
            failures=self.failures + failures,
            spans=spans,
        )

    def repeated(self, done: "Done", *, commit: str) -> "Tally":
        """Take what came of numbers that had failed."""
        failed = {number for number, _ in done.failures}
        failures = tuple(
            replace(failure, passes_at=commit)
            if failure.number in done.numbers and failure.number not in failed and not failure.passes_at
            else failure
            for failure in self.failures
        )
        return replace(self, failures=failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a range of numbers."""

    numbers: range
    failures: tuple[tuple[int, str], ...]
    seconds: float


class Books:
    """The state file: one tally a harness, replaced whole, so that it is old or new and never half."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[str, Tally]:
        """Give every tally."""
        try:
            text = self._file.read_bytes()
        except FileNotFoundError:
            return {}
        return msgspec.json.decode(text, type=dict[str, Tally])

    def write(self, name: str, tally: Tally) -> None:
        """Replace one tally; others may be written by others at the same time."""
        with self.locked("write", wait=True):
            tallies = self.read() | {name: tally}
            part = self._file.with_name(f"{self._file.name}.part")
            with part.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(tallies), indent=1) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._file)

    @contextmanager
    def locked(self, what: str, *, wait: bool) -> Iterator[None]:
        """Keep others out, within this block; BlockingIOError where somebody is in and `wait` is not wanted."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_name(f"{self._file.name}.{what.replace('/', '-')}.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield


def report(tallies: dict[str, Tally]) -> str:
    """Show every tally."""
    lines = []
    for name, tally in sorted(tallies.items()):
        mended = len(tally.failures) - len(tally.open_failures)
        lines.append(
            f"{name}: {tally.next} done, {len(tally.open_failures)} failed, {mended} failed once and pass now,"
            f" {tally.seconds:.0f} s"
        )
        lines += [f"  {span.first} to {span.end - 1} at {span.commit}" for span in tally.spans]
        lines += [
            f"  {failure.number} failed at {failure.commit}: {failure.words.splitlines()[0]}"
            for failure in tally.open_failures
        ]
    return "\n".join(lines) or "nothing was done yet"
