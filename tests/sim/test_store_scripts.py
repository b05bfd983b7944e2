"""A store that answers anything and then becomes honest: nothing erased without proof, and nobody waits for ever.

`DOCKD_SIM_SCRIPTS=50000 pytest tests/sim/test_store_scripts.py` runs more; `python -m tests.sim.script SEED` shows one.
"""

from collections import Counter

import pytest

from tests.sim.fate import Fault
from tests.sim.many import script, spread, wanted
from tests.sim.script import KINDS, run
from tests.sim.shift import Outcome

SCRIPTS = wanted("DOCKD_SIM_SCRIPTS", here=200, in_ci=5000)
EVERY_KIND_SCRIPTS = 200


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """Run every script once."""
    return spread(script, range(SCRIPTS)) if SCRIPTS > EVERY_KIND_SCRIPTS else [run(seed) for seed in range(SCRIPTS)]


@pytest.mark.promise("I1")
@pytest.mark.promise("I2")
@pytest.mark.promise("I17")
@pytest.mark.timeout(max(400, SCRIPTS // 2))
def test_whatever_the_store_answers_nothing_is_erased_without_proof_and_all_is_done_in_twice_the_nominal_time(
    outcomes: list[Outcome],
) -> None:
    failed = [outcome for outcome in outcomes if outcome.error]
    assert not failed, "\n\n".join(map(str, failed[:3]))
    assert sum(outcome.states["erased"] for outcome in outcomes) > SCRIPTS, "the scripts did next to nothing"


def test_every_answer_of_the_catalogue_was_given(outcomes: list[Outcome], capsys: pytest.CaptureFixture[str]) -> None:
    given = sum((outcome.injected for outcome in outcomes), Counter[Fault]())
    with capsys.disabled():
        print(f"\n{len(outcomes)} scripts of a store; answers given:")  # noqa: T201 - also when all is well
        print("\n".join(f"{given[fault]:8} {fault.value}" for fault in KINDS))  # noqa: T201 - the same
    assert SCRIPTS < EVERY_KIND_SCRIPTS or all(given[fault] for fault in KINDS)


def test_a_script_is_the_same_run_every_time() -> None:
    assert run(11).lines == run(11).lines
