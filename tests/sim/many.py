"""Many numbers of one harness: as the soak asks for them, and on every processor at once for a test.

Owns how runs are spread over processes. Must not know what a run is.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import TypeVar

from tests.sim.script import run as run_script
from tests.sim.shift import Outcome, run
from tests.sim.wipe import run as run_loss

T = TypeVar("T")

BATCH = 20
IN_CI = bool(os.environ.get("CI"))


def wanted(variable: str, *, here: int, in_ci: int) -> int:
    """Say how many numbers a test is to run: what the environment says, or more where it is the CI."""
    return int(os.environ.get(variable) or (in_ci if IN_CI else here))


def spread(one: Callable[[int], T], wanted: Sequence[int]) -> list[T]:
    """Call `one`, a function of a module, with every number, in as many processes as there are processors.

    The processes are new ones: they inherit no thread, no lock and no measuring of coverage.
    """
    if not wanted:
        return []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return list(pool.map(one, wanted, chunksize=BATCH))


def seed(number: int) -> Outcome:
    """Run one shift; its trace comes along only if it failed."""
    outcome = run(number)
    return outcome if outcome.error else replace(outcome, lines=())


def loss(number: int) -> Outcome:
    """Run one shift with a loss in it, in the same way."""
    outcome = run_loss(number)
    return outcome if outcome.error else replace(outcome, lines=())


def losses(numbers: range) -> Iterator[tuple[int, str]]:
    """Run every shift with a loss in it; give those that failed."""
    for number in numbers:
        outcome = run_loss(number)
        if outcome.error:
            yield number, str(outcome)


def script(number: int) -> Outcome:
    """Run one script of a store, in the same way."""
    outcome = run_script(number)
    return outcome if outcome.error else replace(outcome, lines=())


def scripts(numbers: range) -> Iterator[tuple[int, str]]:
    """Run every script; give those that failed."""
    for number in numbers:
        outcome = run_script(number)
        if outcome.error:
            yield number, str(outcome)


def numbers(seeds: range) -> Iterator[tuple[int, str]]:
    """Run every seed; give those that failed, with the end of their trace."""
    for number in seeds:
        outcome = run(number)
        if outcome.error:
            yield number, str(outcome)
