"""The check of the catalogue: what it takes for tested was tested, and what is not so is named."""

import ast
import re
from pathlib import Path

import pytest

from tests import catalogue
from tests.catalogue import (
    FAULTS,
    MUTANTS,
    Row,
    gaps,
    missing,
    names_in,
    of_folder,
    promises_of,
    read_results,
    rows_of,
    unkept,
    unproven,
)

CONFTEST = Path(__file__).parents[1] / "conftest.py"
ROOT = FAULTS.parent.parent

PAGE = """
# Words | with a bar

| no. | fault | tests |
| --- | --- | --- |
| 1 | unplugged | `tests/unit/test_a.py::test_one`, `tests/unit/test_a.py::TestTwo::runTest` |
| 2 | stolen | not yet: needs a thief |
"""
ONE, TWO = "tests/unit/test_a.py::test_one", "tests/unit/test_a.py::TestTwo::runTest"
ROWS = [
    Row(name="1", tests=(ONE, TWO), put_off=False),
    Row(name="2", tests=(), put_off=True),
]
ENOUGH = [Row(name=str(number), tests=(ONE,), put_off=False) for number in range(15)]
ALL = [Row(name=number, tests=(ONE,), put_off=False) for number in catalogue.NUMBERS]


def test_a_table_is_read_row_by_row() -> None:
    assert list(rows_of(PAGE)) == ROWS


def test_a_whole_table_lacks_nothing() -> None:
    assert list(gaps(ALL, ENOUGH)) == []


def test_what_a_table_lacks_is_named() -> None:
    bare = Row(name="a", tests=(), put_off=False)
    assert list(gaps([*ALL[:41], *ALL[42:], ALL[0], bare], ENOUGH[:3])) == [
        "fault 42 has no row in FAULTS.md",
        "1 has 2 rows in FAULTS.md",
        "a: names no test, and does not say 'not yet: needs ...'",
        "MUTANTS.md has 3 rows, expected at least 15",
    ]
    assert list(gaps(ALL, [*ENOUGH, bare])) == ["mutant a: names no test that catches it"]


def test_a_test_that_is_not_there_is_named() -> None:
    assert list(missing(ROWS, frozenset({TWO}))) == [f"1: {ONE} does not exist"]


def test_what_pytest_collects_is_read_line_by_line() -> None:
    said = f"{ONE}\n{ONE}x[a b::c]\n{ONE}x[d\\n]\n{TWO}\n\n4 tests collected in 0.01s\n"
    assert names_in(said) == {ONE, f"{ONE}x", TWO}


SOURCE = """
import pytest, unittest

@pytest.mark.promise("I1")
def test_good(): pass

@pytest.mark.promise("I2")
def test_bad(): assert False, "in two\\nlines"

@pytest.mark.promise("I3")
@pytest.mark.promise("I4")
@pytest.mark.parametrize("case", ["a.b::c/d[e]", "x"])
def test_cases(case): pass

@pytest.mark.promise("I5")
@pytest.mark.parametrize("case", [1, 2])
def test_one_case_left_out(case):
    if case == 2: pytest.skip("not here")

@pytest.fixture
def leaky():
    yield
    raise OSError("left behind")

def test_that_cannot_clean_up(leaky): pass

class TestMachine(unittest.TestCase):
    def runTest(self): pass
"""


@pytest.fixture
def ran(pytester: pytest.Pytester) -> catalogue.Ran:
    """A small run of a real pytest under our conftest."""
    pytester.makeconftest(CONFTEST.read_text().replace('"tests.foreign_store", ', ""))
    pytester.mkdir("tests").joinpath("test_small.py").write_text(SOURCE)
    config = CONFTEST.parents[1] / "pyproject.toml"
    pytester.runpytest_subprocess("-c", config, "--rootdir", pytester.path, "--junitxml", "all.xml", "tests")
    return read_results([pytester.path / "all.xml"])


def test_only_a_test_that_ran_and_passed_in_every_case_counts(ran: catalogue.Ran) -> None:
    def row(name: str) -> Row:
        return Row(name=name, tests=(f"tests/test_small.py::{name}",), put_off=False)

    good = ["test_good", "test_cases", "TestMachine::runTest"]
    assert list(unproven(map(row, good), ran)) == []
    wrong = ["test_bad", "test_one_case_left_out", "test_that_cannot_clean_up", "test_nowhere"]
    problems = list(unproven(map(row, wrong), ran))
    assert [problem.partition(":")[0] for problem in problems] == wrong
    assert "failed: AssertionError: in two" in problems[0]
    assert problems[1].endswith("was skipped: not here")
    assert "failed: " in problems[2]
    assert problems[3] == "test_nowhere: tests/test_small.py::test_nowhere did not run"


def test_tests_that_run_elsewhere_are_told_apart_by_their_folder() -> None:
    other = "tests/vm/test_b.py::test_three"
    rows = [Row(name="1", tests=(ONE, other, TWO), put_off=False)]
    assert list(of_folder(rows, "tests/vm", inside=True)) == [Row(name="1", tests=(other,), put_off=False)]
    assert list(of_folder(rows, "tests/vm", inside=False)) == [Row(name="1", tests=(ONE, TWO), put_off=False)]


def test_a_promise_is_held_by_a_test_that_passed(ran: catalogue.Ran) -> None:
    assert ran.promises == {"I1", "I3", "I4", "I5"}
    assert list(unkept(["I1", "I2", "I4"], ran)) == ["promise I2: no test marked with it ran and passed"]


def test_the_promises_are_those_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert promises_of(readme) == [f"I{number}" for number in range(1, 19)]


@pytest.mark.parametrize("page", [page for page in (FAULTS, MUTANTS) if page.exists()], ids=lambda page: page.stem)
def test_every_test_that_a_page_names_is_in_its_file(page: Path) -> None:
    """Without asking pytest, so that a renamed test is found at once."""
    named = {test for row in rows_of(page.read_text(encoding="utf-8")) for test in row.tests}
    assert named
    absent = set()
    for test in named:
        path, *names = test.split("::")
        file = ROOT / path
        if not file.exists() or not _defines(file, names[0]):
            absent.add(test)
    assert not absent


def _defines(path: Path, name: str) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    named = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
             if isinstance(target, ast.Name)}  # fmt: skip
    return name in defined | named


def test_the_page_has_every_number_and_leaves_none_open() -> None:
    text = FAULTS.read_text(encoding="utf-8")
    rows = list(rows_of(text))
    assert list(gaps(rows, ENOUGH)) == []
    assert len(re.findall(r"\.py::", text)) == sum(len(row.tests) for row in rows), "a test that is not spelled as one"


def test_results_that_lack_everything_end_the_check_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = tmp_path / "nothing.xml"
    nothing.write_text("<testsuites/>")
    assert catalogue.main([str(nothing)]) == 1
    said = capsys.readouterr().err
    assert "did not run" in said
    assert "promise I18: no test marked with it ran and passed" in said
