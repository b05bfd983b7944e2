"""Spool, ledger or both lost, damaged or set back at a random instant: no clip is lost, and the accounts find it out.

`DOCKD_SIM_WIPES=5000 pytest tests/sim/test_wipes.py` runs more; `python -m tests.sim.wipe SEED` shows one.
"""

from collections import Counter

import pytest

from tests.sim.many import loss, spread, wanted
from tests.sim.shift import Outcome
from tests.sim.wipe import NOTICED, Loss, run

WIPES = wanted("DOCKD_SIM_WIPES", here=100, in_ci=1000)
EVERY_LOSS_WIPES = 100


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """Run every seed once."""
    return spread(loss, range(WIPES)) if WIPES > EVERY_LOSS_WIPES else [run(seed) for seed in range(WIPES)]


@pytest.mark.promise("I1")
@pytest.mark.promise("I4")
@pytest.mark.promise("I17")
@pytest.mark.promise("I18")
@pytest.mark.timeout(max(400, WIPES))
def test_a_spool_or_ledger_lost_at_any_instant_loses_no_clip(outcomes: list[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.error]
    assert not failed, "\n\n".join(map(str, failed[:3]))
    assert sum(outcome.states["erased"] for outcome in outcomes) > WIPES, "the shifts did next to nothing"


@pytest.mark.promise("I18")
def test_everything_was_lost_once_and_what_was_forgotten_is_found_out(
    outcomes: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    losses = sum((outcome.losses for outcome in outcomes), Counter[str]())
    with capsys.disabled():
        print(f"\n{len(outcomes)} shifts with a loss:")  # noqa: T201 - also when all is well
        print("\n".join(f"{times:8} {what}" for what, times in sorted(losses.items())))  # noqa: T201 - the same
    assert WIPES < EVERY_LOSS_WIPES or all(losses[what] for what in (*Loss, NOTICED))


def test_a_loss_is_the_same_run_every_time() -> None:
    assert run(5).lines == run(5).lines
