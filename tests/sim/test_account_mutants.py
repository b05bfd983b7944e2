"""Planted faults of a store's list: the end of a simulated shift must not pass over any of them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dockd.domain.accounting import Given
from dockd.domain.model import ClipId
from dockd.domain.statement import Statement, Verdict
from tests.sim.accounts import StoreAccounts
from tests.sim.shift import run

MOST_SEEDS = 20
LISTS = StoreAccounts.given


def caught() -> str:
    """Run seeds until one fails; say how."""
    errors = (run(seed).error for seed in range(MOST_SEEDS))
    return next(filter(None, errors), "")


@pytest.mark.promise("I18")
def test_a_store_that_drops_its_first_receipt_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoreAccounts, "given", lambda accounts: LISTS(accounts)[1:])
    assert "I18: at the end the accounts differ: [('not-at-store'" in caught()


@pytest.mark.promise("I18")
def test_a_store_that_lists_a_stranger_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_stranger(accounts: StoreAccounts) -> Sequence[Given]:
        given = LISTS(accounts)
        return [*given, *(replace(one, seq=one.seq + 1, clip_id=ClipId("e" * 64)) for one in given[-1:])]

    monkeypatch.setattr(StoreAccounts, "given", with_a_stranger)
    assert "I18: at the end the accounts differ" in caught()


@pytest.mark.promise("I18")
def test_a_store_that_counts_otherwise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    take = StoreAccounts.take

    def disagree(accounts: StoreAccounts, statement: Statement) -> Verdict:
        return replace(take(accounts, statement), differs=("you are wrong",))

    monkeypatch.setattr(StoreAccounts, "take", disagree)
    assert "you are wrong" in caught()
