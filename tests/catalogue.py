"""The catalogue of faults against what really ran: every test that a table names is there, and passed.

Owns the form of the tables in FAULTS.md and MUTANTS.md and the reading of JUnit files. Must not know what a fault is.

    python -m tests.catalogue                  every test that the tables name is collected
    python -m tests.catalogue RESULTS.xml ...  every one of them ran and passed, and every promise had a test that did
    python -m tests.catalogue --without tests/vm RESULTS.xml ...  the same, but those of that folder need only be there
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
FAULTS, MUTANTS, README = HERE / "FAULTS.md", HERE / "MUTANTS.md", HERE.parent / "README.md"
NUMBERS = tuple(str(number) for number in range(1, 68))
LEAST_MUTANTS = 15
NOT_YET = "not yet: needs "
VM = "tests/vm"
"""Which pytest collects only where it is named."""

_TEST = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")
_PROMISE = re.compile(r"^- \*\*(I[0-9]+)\b", re.MULTILINE)
_COLLECTED = re.compile(r"^(tests/[\w/]+\.py(?:::\w+)+)(?:\[.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table: its first cell, the tests that it names, and whether it says what is missing for one."""

    name: str
    tests: tuple[str, ...]
    put_off: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What the JUnit files say: tests that passed in each of their cases, what became of others, promises held."""

    passed: frozenset[str]
    otherwise: Mapping[str, str]
    promises: frozenset[str]


def rows_of(page: str) -> Iterator[Row]:
    """Read every line of every table of a page, headings and rules left out."""
    lines = [line.strip() for line in page.splitlines()]
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        heading = set(after) <= set("|- ") and after.startswith("|")
        if line.startswith("|") and not heading and not set(line) <= set("|- "):
            name = line.split("|")[1].strip()
            yield Row(name=name, tests=tuple(_TEST.findall(line)), put_off=NOT_YET in line)


def gaps(faults: Sequence[Row], mutants: Sequence[Row]) -> Iterator[str]:
    """Say what the tables themselves lack."""
    names = [row.name for row in faults]
    yield from (f"fault {number} has no row in FAULTS.md" for number in NUMBERS if number not in names)
    yield from (
        f"{name} has {names.count(name)} rows in FAULTS.md" for name in sorted({*names}) if names.count(name) > 1
    )
    for row in faults:
        if not row.tests and not row.put_off:
            yield f"{row.name}: names no test, and does not say '{NOT_YET}...'"
    if len(mutants) < LEAST_MUTANTS:
        yield f"MUTANTS.md has {len(mutants)} rows, expected at least {LEAST_MUTANTS}"
    yield from (f"mutant {row.name}: names no test that catches it" for row in mutants if not row.tests)


def missing(rows: Iterable[Row], there: frozenset[str]) -> Iterator[str]:
    """Say which tests are named and not there."""
    yield from (f"{row.name}: {test} does not exist" for row in rows for test in row.tests if test not in there)


def of_folder(rows: Iterable[Row], folder: str, *, inside: bool) -> list[Row]:
    """Give the rows with only those of their tests that are in a folder, or only those that are not."""
    return [
        replace(row, tests=tuple(test for test in row.tests if test.startswith(f"{folder}/") is inside)) for row in rows
    ]


def unproven(rows: Iterable[Row], ran: Ran) -> Iterator[str]:
    """Say which tests are named and did not pass."""
    for row in rows:
        for test in row.tests:
            if test in ran.otherwise:
                yield f"{row.name}: {test} {ran.otherwise[test]}"
            elif test not in ran.passed:
                yield f"{row.name}: {test} did not run"


def unkept(promises: Iterable[str], ran: Ran) -> Iterator[str]:
    """Say which promises no test held."""
    yield from (
        f"promise {name}: no test marked with it ran and passed" for name in promises if name not in ran.promises
    )


def promises_of(readme: str) -> list[str]:
    """Read the names of the promises."""
    return _PROMISE.findall(readme)


def read_results(paths: Iterable[Path]) -> Ran:
    """Read JUnit files, as `pytest --junitxml` writes them.

    A test of several cases passed if all of them did; a case that was skipped did not pass.
    """
    passed: set[str] = set()
    otherwise: dict[str, str] = {}
    promises: set[str] = set()
    for path in paths:
        for case in ET.parse(path).iter("testcase"):  # noqa: S314 - written by our own pytest a moment ago
            test = _node(case.get("classname", ""), case.get("name", ""))
            bad = next((child for child in case if child.tag in {"failure", "error", "skipped"}), None)
            if bad is None:
                passed.add(test)
                promises.update(
                    each.get("value", "") for each in case.iter("property") if each.get("name") == "promise"
                )
            else:
                verb = "was skipped" if bad.tag == "skipped" else "failed"
                otherwise[test] = f"{verb}: {(bad.get('message') or '').partition(chr(10))[0]}"
    return Ran(passed=frozenset(passed), otherwise=otherwise, promises=frozenset(promises))


def collected(folder: str) -> frozenset[str]:
    """Ask pytest which tests there are in a folder."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", folder]
    said = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, timeout=300, check=True).stdout
    return names_in(said)


def names_in(said: str) -> frozenset[str]:
    """Read what `pytest --collect-only -q` prints: one test a line, its cases as one."""
    return frozenset(_COLLECTED.findall(said))


def main(arguments: Sequence[str]) -> int:
    """Say everything that is wrong; 1 if anything is."""
    asked = _asked(arguments)
    faults = list(rows_of(FAULTS.read_text(encoding="utf-8")))
    mutants = list(rows_of(MUTANTS.read_text(encoding="utf-8"))) if MUTANTS.exists() else []
    problems = list(gaps(faults, mutants))
    rows = [*faults, *mutants]
    verb = "are there"
    if asked.results:
        verb = f"ran, but for those of {asked.without}" if asked.without else "ran"
        ran = read_results(asked.results)
        problems += unproven(of_folder(rows, asked.without, inside=False) if asked.without else rows, ran)
        problems += unkept(promises_of(README.read_text(encoding="utf-8")), ran)
    if asked.without:
        problems += missing(of_folder(rows, asked.without, inside=True), collected(asked.without))
    elif not asked.results:
        problems += missing(rows, collected("tests") | collected(VM))
    for problem in problems:
        print(f"check-faults: {problem}", file=sys.stderr)  # noqa: T201 - a program's words
    tested, put_off = sum(bool(row.tests) for row in faults), sum(not row.tests for row in faults)
    print(f"check-faults: {tested} faults and threats have tests that {verb}, {put_off} are put off")  # noqa: T201 - the same
    return 1 if problems else 0


class _Asked(argparse.Namespace):
    without: str | None
    results: list[Path]


def _asked(arguments: Sequence[str]) -> _Asked:
    parser = argparse.ArgumentParser(prog="scripts/check-faults")
    parser.add_argument("--without", metavar="FOLDER", help="its tests did not run, and need only be there")
    parser.add_argument("results", nargs="*", type=Path, metavar="RESULTS.xml")
    return parser.parse_args(arguments, _Asked())


def _node(classname: str, name: str) -> str:
    """Turn a JUnit address back into pytest's, without the case: tests.unit.test_a.Class and test_b[x]."""
    *folders, last = classname.split(".")
    inside: list[str] = []
    while folders and not last.startswith("test_"):
        inside.insert(0, last)
        last = folders.pop()
    return "::".join(["/".join([*folders, f"{last}.py"]), *inside, name.partition("[")[0]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
