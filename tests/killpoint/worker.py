"""One process that strikes run after run: single and warm, so that a run costs a fork and no start of Python.

    python -m tests.killpoint.worker ROOT station|store MUTANT points              prints the points, one a line
    python -m tests.killpoint.worker ROOT station|store MUTANT strikes < STRIKES   prints a verdict for each, as JSON

Owns the process, and trying again where a strike found nothing to hit. Judges nothing.
"""

import encodings.idna  # noqa: F401 - the socket module imports it late: in every run
import gc
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.killpoint.family import Program
from tests.killpoint.faults import Strike
from tests.killpoint.mutants import program
from tests.killpoint.station import station_run
from tests.killpoint.storing import store_run
from tests.killpoint.verdict import Run, Verdict

TRIES = 6
"""Threads take turns as they like: the last writes of a log are missing from some runs."""

RUNS: dict[str, Callable[[Path, Program], AbstractContextManager[Run]]] = {"station": station_run, "store": store_run}


def main(root: Path, run: str, mutant: str, wanted: str) -> None:
    """Do what the command line says."""
    sys.dont_write_bytecode = True
    root.mkdir(parents=True, exist_ok=True)
    with RUNS[run](root, program(mutant)) as runs:
        gc.collect()
        gc.freeze()  # what is here now is in every child: nothing to be collected there
        if wanted == "points":
            for point in runs.points():
                say(str(point))
            return
        for line in sys.stdin:
            say(tried(runs, Strike.of(line.strip())).line())


def tried(runs: Run, strike: Strike) -> Verdict:
    """Strike until it hits, or it seems that there is nothing to hit."""
    verdict = runs.run_point(strike)
    for _ in range(TRIES - 1):
        if verdict.struck or verdict.wrong:
            break
        verdict = runs.run_point(strike)
    return verdict


def say(line: str) -> None:
    """Say a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5])
