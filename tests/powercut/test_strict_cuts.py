"""Thousands of power cuts on the strict filesystem: 0 lost, 0 altered, 0 erased early; and planted faults are found."""

import os

import pytest

from tests.powercut.campaign import PER_RUN, Result
from tests.powercut.jobs import require_machine, run_all
from tests.powercut.plants import NAMES

CAMPAIGN = "tests.powercut.campaign"
CUTS = int(os.environ.get("DOCKD_POWERCUTS", "10000" if os.environ.get("CI") else "1000"))
RUNS = max(2, CUTS // PER_RUN)
PLANTED_CUTS = 3 * PER_RUN
"""A few hundred find most; a busy machine's order of things may hide one for a whole round."""
PLANTED_SEED = 2


@pytest.mark.promise("I1")
@pytest.mark.promise("I4")
@pytest.mark.promise("I5")
@pytest.mark.promise("I8")
@pytest.mark.promise("I17")
@pytest.mark.timeout(1800)
def test_a_power_cut_at_any_operation_loses_nothing_alters_nothing_and_erases_nothing_early(
    capsys: pytest.CaptureFixture[str],
) -> None:
    require_machine()
    total = Result()
    for result in run_all(CAMPAIGN, [(str(run * PER_RUN), str(CUTS // RUNS)) for run in range(RUNS)]):
        total.add(result)
    assert total.faults == []
    # What was never tried was not survived.
    assert total.cuts == CUTS // RUNS * RUNS
    assert total.runs == RUNS
    assert min(total.restarts, total.receipts, total.erased, total.green, total.failed_syncs) > 0, total
    with capsys.disabled():
        print(f" {total.cuts} cuts, {total.restarts} new starts: 0 lost, 0 altered, 0 erased early", end="")  # noqa: T201 - a figure for whoever watches


@pytest.fixture(scope="module")
def planted() -> dict[str, Result]:
    """Cuts of a workload with each of the planted faults, up to the first that finds it."""
    require_machine()
    jobs = [(str(PLANTED_SEED * PER_RUN), str(PLANTED_CUTS), name) for name in NAMES]
    return dict(zip(NAMES, run_all(CAMPAIGN, jobs), strict=True))


@pytest.mark.parametrize("plant", NAMES)
@pytest.mark.timeout(1800)
def test_a_planted_fault_is_found_by_a_power_cut(planted: dict[str, Result], plant: str) -> None:
    assert planted[plant].faults, f"{plant}: not found in {PLANTED_CUTS} cuts"
