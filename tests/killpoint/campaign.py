"""All strikes of a run, shared out to workers, and what is to be said of the whole.

Owns the workers. Must not know what a run is.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.killpoint.faults import Fault, Point, Strike, strikes
from tests.killpoint.verdict import Verdict

WORKERS = 3
"""On two processors: a run waits a good part of its time."""
WORTH_A_WORKER = 6
"""Strikes that take longer than a worker takes to start."""
MEMORY = Path("/dev/shm")  # noqa: S108 - folders below it are made by tempfile
NAMED = (Fault.KILL, Fault.EIO, Fault.ENOSPC, Fault.SHORT)
MORE = (Fault.POWER, Fault.LOST)
"""Few strikes. TORN has as many as SHORT, and is left to the soak."""
ALIKE = ("mkdir", "central/objects/..")
ALIKE_NTH = frozenset({1, 2, 128, 256})
"""The 256 folders of a store's first start are made one by one by one line: four of them stand for all."""
ENDS_WITHIN_S = 2400


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What became of a run's strikes."""

    points: Sequence[Point]
    verdicts: Sequence[Verdict]

    @property
    def wrong(self) -> Sequence[Verdict]:
        """The strikes after which something was wrong."""
        return [verdict for verdict in self.verdicts if verdict.wrong]

    @property
    def missed(self) -> Sequence[str]:
        """The strikes that hit nothing, however often they were tried."""
        return [verdict.strike for verdict in self.verdicts if not verdict.struck]

    def __str__(self) -> str:
        """Give the sum, as CI prints it."""
        words = [word for verdict in self.wrong for word in verdict.wrong]
        lost, altered, early = (sum(name in word for word in words) for name in ("LOST", "ALTERED", "ERASED EARLY"))
        return (
            f"{len(self.points)} points, {len(self.verdicts)} strikes, {len(self.missed)} of them missed:"
            f" {lost} lost, {altered} altered, {early} erased early, {len(self.wrong)} wrong in any way"
        )


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Give a folder that is memory where there is one: what is tried is the order of calls, not the disk's speed."""
    with tempfile.TemporaryDirectory(prefix="dockd-killpoint-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def learned(run: str) -> Sequence[Point]:
    """Learn the points of a run that nothing strikes."""
    with quick_folder() as folder:
        said = subprocess.run(_command(folder, run, "none", "points"), capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return [Point.of(line) for line in said.stdout.splitlines()]


def told_apart(points: Sequence[Point]) -> Sequence[Point]:
    """Leave out the points that are the same line of code doing the same thing over and over."""
    return [point for point in points if (point.call, point.what) != ALIKE or point.nth in ALIKE_NTH]


def campaign(run: str, points: Sequence[Point], faults: Sequence[Fault], *, one_in: int = 1) -> Campaign:
    """Strike every point with every fault that fits it, or one strike in so many."""
    return Campaign(points=points, verdicts=struck(run, list(strikes(points, faults))[::one_in]))


def struck(run: str, wanted: Sequence[Strike], *, mutant: str = "none", workers: int = WORKERS) -> Sequence[Verdict]:
    """Do strikes, shared out to workers."""
    workers = max(1, min(workers, len(wanted) // WORTH_A_WORKER))
    with quick_folder() as folder:
        started = []
        for number in range(workers):
            share = folder / f"strikes-{number}"
            share.write_text("".join(f"{strike}\n" for strike in wanted[number::workers]), encoding="ascii")
            command = _command(folder / f"worker-{number}", run, mutant, "strikes")
            with share.open("rb") as source, share.with_suffix(".said").open("wb") as said:
                errors = share.with_suffix(".errors").open("wb")
                with errors:
                    started.append((share, subprocess.Popen(command, stdin=source, stdout=said, stderr=errors)))
        verdicts: list[Verdict] = []
        try:
            for share, process in started:
                code = process.wait(timeout=ENDS_WITHIN_S)
                assert code == 0, f"worker: {code}: {share.with_suffix('.errors').read_text()[-2000:]}"
                verdicts += map(Verdict.of, share.with_suffix(".said").read_text(encoding="utf-8").splitlines())
        finally:
            for _, process in started:
                process.kill()
                process.wait()
    assert len(verdicts) == len(wanted), f"{len(verdicts)} verdicts on {len(wanted)} strikes"
    return verdicts


def _command(folder: Path, run: str, mutant: str, wanted: str) -> Sequence[str]:
    return (sys.executable, "-B", "-m", "tests.killpoint.worker", str(folder), run, mutant, wanted)
