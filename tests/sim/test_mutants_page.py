"""The page of planted faults names every one of them, and each with a test."""

import ast
from pathlib import Path

import pytest

from tests.catalogue import MUTANTS, rows_of
from tests.killpoint.mutants import PLANTS
from tests.powercut.plants import NAMES
from tests.vm.plants import PLANTS as IN_GUEST

ROOT = Path(__file__).resolve().parents[2]
DEMANDED = {
    *("no file fsync", "no folder fsync", "synchronous NORMAL", "claim before commit", "erase without receipt"),
    *("digest unchecked", "length unchecked", "fsync retried after EIO", "listing error ignored"),
    *("duplicate name ignored", "receipt of another station accepted", "second read skipped"),
    *("custody entry outside the transaction", "reclaim by free space", "401 counted as done"),
    "salvaged copy erasable",
}


def test_every_planted_fault_that_is_demanded_has_a_row_with_a_test() -> None:
    rows = {row.name: row.tests for row in rows_of(MUTANTS.read_text(encoding="utf-8"))}
    assert set(rows) >= DEMANDED
    assert not [name for name, tests in rows.items() if not tests]


@pytest.mark.parametrize("name", [*NAMES, *PLANTS, *IN_GUEST])
def test_every_fault_that_a_harness_plants_is_on_the_page(name: str) -> None:
    cells = MUTANTS.read_text(encoding="utf-8").replace("(", ", ").replace(")", ", ").split(", ")
    assert name in {cell.strip() for cell in cells}


@pytest.mark.parametrize(
    "page",
    [
        *("test_mutants.py", "test_salvage_mutants.py", "test_account_mutants.py", "test_adoption_mutants.py"),
        "test_facts_mutants.py",
    ],
)
def test_every_planted_fault_of_the_simulation_is_on_the_page(page: str) -> None:
    text = MUTANTS.read_text(encoding="utf-8")
    module = ast.parse((ROOT / "tests/sim" / page).read_text(encoding="utf-8"))
    names = [
        node.name for node in module.body if isinstance(node, ast.FunctionDef) and "monkeypatch" in ast.dump(node.args)
    ]
    assert len(names) > 1
    assert not [name for name in names if f"`tests/sim/{page}::{name}`" not in text]
