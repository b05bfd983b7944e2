"""Hundreds of power cuts on ext4: 0 lost, 0 altered, 0 erased early; and planted faults are found there too."""

import os

import pytest

from tests.powercut.campaign import Result
from tests.powercut.ext4 import PER_RUN, require_ext4
from tests.powercut.jobs import require_machine, run_all

EXT4 = "tests.powercut.ext4"
CUTS = int(os.environ.get("DOCKD_EXT4CUTS", "300" if os.environ.get("CI") else "100"))
RUNS = max(2, CUTS // PER_RUN)
PLANTED_CUTS = 150
# Others hide on ext4, where a sync of one file brings others with it: the strict filesystem finds them.
PLANTED = ("ledger-synchronous-off", "erased-before-the-receipt-is-committed")


@pytest.mark.promise("I1")
@pytest.mark.promise("I4")
@pytest.mark.promise("I5")
@pytest.mark.promise("I8")
@pytest.mark.timeout(1800)
def test_a_power_cut_on_ext4_loses_nothing_alters_nothing_and_erases_nothing_early(
    capsys: pytest.CaptureFixture[str],
) -> None:
    require_machine(require_ext4)
    total = Result()
    for result in run_all(EXT4, [(str(run * PER_RUN), str(CUTS // RUNS)) for run in range(RUNS)]):
        total.add(result)
    assert total.faults == []
    # What was never tried was not survived.
    assert total.cuts == CUTS // RUNS * RUNS
    assert total.runs == RUNS
    assert min(total.restarts, total.receipts, total.erased, total.green) > 0, total
    with capsys.disabled():
        print(f" {total.cuts} cuts on ext4, {total.restarts} new starts: 0 lost, 0 altered, 0 erased early", end="")  # noqa: T201 - a figure for whoever watches


@pytest.fixture(scope="module")
def planted() -> dict[str, Result]:
    """Cuts of workloads with each of the planted faults, up to the first that finds it."""
    require_machine(require_ext4)
    jobs = [("0", str(PLANTED_CUTS), name) for name in PLANTED]
    return dict(zip(PLANTED, run_all(EXT4, jobs), strict=True))


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.timeout(1800)
def test_a_planted_fault_is_found_by_a_power_cut_on_ext4(planted: dict[str, Result], plant: str) -> None:
    assert planted[plant].faults, f"{plant}: not found in {PLANTED_CUTS} cuts"
