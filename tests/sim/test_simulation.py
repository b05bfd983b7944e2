"""The whole app in simulated shifts, by seed: no promise is broken, and everything is dealt with once faults end.

In CI it is 2,000 seeds: the first of them here, where coverage is measured, the others on every processor.
`DOCKD_SIM_SEEDS=5000 pytest tests/sim` runs more; `python -m tests.sim.shift SEED` shows one run.
"""

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.sim.fate import Fault
from tests.sim.many import seed, spread, wanted
from tests.sim.shift import Outcome, run

SEEDS_HERE = 150
SEEDS = wanted("DOCKD_SIM_SEEDS", here=SEEDS_HERE, in_ci=2000)
EVERY_FAULT_SEEDS = 150
"""So many seeds meet every kind of fault."""


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """Run every seed once."""
    here = min(SEEDS, SEEDS_HERE)
    return [run(number) for number in range(here)] + spread(seed, range(here, SEEDS))


@pytest.mark.promise("I1")
@pytest.mark.promise("I3")
@pytest.mark.promise("I4")
@pytest.mark.promise("I5")
@pytest.mark.promise("I7")
@pytest.mark.promise("I8")
@pytest.mark.promise("I11")
@pytest.mark.promise("I17")
@pytest.mark.promise("I18")
@pytest.mark.timeout(max(400, SEEDS))
def test_whatever_goes_wrong_no_promise_is_broken_and_everything_ends_proven(outcomes: list[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.error]
    assert not failed, "\n\n".join(map(str, failed[:3]))
    erased = sum(outcome.states["erased"] for outcome in outcomes)
    assert erased > SEEDS, "the shifts did next to nothing"


def test_every_kind_of_fault_was_met(outcomes: list[Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    injected = sum((outcome.injected for outcome in outcomes), Counter[Fault]())
    runs = Counter(fault for outcome in outcomes for fault in outcome.injected)
    with capsys.disabled():
        print(f"\n{len(outcomes)} seeds; times injected, in how many seeds:")  # noqa: T201 - also when all is well
        for fault in Fault:
            print(f"{injected[fault]:8} {runs[fault]:6} {fault.value}")  # noqa: T201 - the same
    never = [fault.value for fault in Fault if not injected[fault]]
    assert SEEDS < EVERY_FAULT_SEEDS or not never


@pytest.mark.parametrize("number", [3, 17, 42])
def test_a_seed_is_the_same_run_every_time(number: int) -> None:
    first, second = run(number), run(number)
    assert first.lines == second.lines
    assert first.trace_sha256 == second.trace_sha256


def test_a_seed_is_the_same_run_in_every_process() -> None:
    def trace(hash_seed: str) -> str:
        command = [sys.executable, "-m", "tests.sim.shift", "17"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout

    assert trace("1") == trace("2") != ""
