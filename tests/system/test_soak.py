"""The soak counts right, whatever happens to it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARNESS = """
import os, time
from pathlib import Path

HERE = Path(__file__).parent

def steady(numbers):
    for number in numbers:
        with (HERE / "ran").open("a") as file:
            file.write(f"{number}\\n")
        time.sleep(0.002)
        if number % 100 == 7 and not (HERE / "mended").exists():
            yield number, f"{number} is unlucky"

def deadly(numbers):
    for number in numbers:
        if number == 15:
            os._exit(3)
    return ()

def loud(numbers):
    print("this is no answer")
    raise ValueError("no")
"""


class Soak:
    """A soak over a harness of its own, and what it counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "soak.json"
        (folder / "soak_harness.py").write_text(HARNESS)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it."""
        path = os.pathsep.join((str(self.folder), os.environ.get("PYTHONPATH", "")))
        return subprocess.Popen(
            [sys.executable, str(ROOT / "scripts/soak"), *words, "--state", str(self.state)],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Run it to its end."""
        process = self.start(*words)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said

    def tally(self, function: str) -> dict[str, Any]:
        """What the file says."""
        tallies: dict[str, dict[str, Any]] = json.loads(self.state.read_text())
        return tallies[f"soak_harness:{function}"]

    def ran(self) -> list[int]:
        """Every number that the harness was given, in order."""
        file = self.folder / "ran"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def soak(tmp_path: Path) -> Soak:
    """Make one."""
    return Soak(tmp_path)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_soak_that_is_ended_at_any_moment_goes_on_and_counts_each_number_once(
    soak: Soak, how: signal.Signals
) -> None:
    words = ("soak_harness:steady", "--count", "2000", "--jobs", "2")
    for _ in range(2):
        before = len(soak.ran())
        process = soak.start(*words)
        deadline_s = time.monotonic() + 30
        while len(soak.ran()) < before + 700 and time.monotonic() < deadline_s:
            time.sleep(0.02)  # for another process to get somewhere
        process.send_signal(how)
        process.communicate(timeout=30)
        counted = soak.tally("steady")["next"] if soak.state.exists() else 0
        assert set(range(counted)) <= set(soak.ran())
    code, said = soak.run(*words)
    tally = soak.tally("steady")
    assert code == 1, said
    assert tally["next"] == 2000
    assert set(soak.ran()) == set(range(2000))
    assert [failure["number"] for failure in tally["failures"]] == list(range(7, 2000, 100))
    assert [(span["first"], span["end"]) for span in tally["spans"]] == [(0, 2000)]


def test_what_failed_is_run_again_and_no_longer_a_failure_once_it_passes(soak: Soak) -> None:
    assert soak.run("soak_harness:steady", "--count", "210")[0] == 1
    assert soak.run("soak_harness:steady", "--again")[0] == 1
    (soak.folder / "mended").touch()
    assert soak.run("soak_harness:steady", "--again")[0] == 0
    code, said = soak.run("--report")
    assert code == 0
    assert "soak_harness:steady: 210 done, 0 failed, 3 failed once and pass now" in said


def test_a_process_that_dies_is_a_failure_of_its_numbers_and_the_rest_goes_on(soak: Soak) -> None:
    code, said = soak.run("soak_harness:deadly", "--count", "40")
    assert code == 1
    assert soak.tally("deadly")["next"] == 40
    ((number, words),) = [(failure["number"], failure["words"]) for failure in soak.tally("deadly")["failures"]]
    assert number == 10
    assert words.startswith("range(10, 20): the process gave no answer")
    assert "soak_harness:deadly 10 failed" in said


def test_a_harness_that_raises_is_a_failure_and_what_it_prints_is_no_answer(soak: Soak) -> None:
    code, said = soak.run("soak_harness:loud", "--count", "10")
    assert code == 1
    assert "this is no answer" in said
    assert soak.tally("loud")["failures"][0]["words"] == "numbers 0 to 9: ValueError: no"


def test_two_soaks_of_one_harness_do_not_count_in_one_file(soak: Soak) -> None:
    first = soak.start("soak_harness:steady", "--count", "100000")
    deadline_s = time.monotonic() + 30
    while not soak.ran() and time.monotonic() < deadline_s:
        time.sleep(0.02)  # for another process to begin
    code, said = soak.run("soak_harness:steady", "--count", "10")
    first.terminate()
    first.communicate(timeout=30)
    assert code == 2
    assert "another process counts soak_harness:steady" in said


def test_the_seeds_of_the_simulation_are_a_harness(soak: Soak) -> None:
    code, said = soak.run("seeds", "--count", "12", "--jobs", "2")
    assert code == 0, said
    assert json.loads(soak.state.read_text())["seeds"]["next"] == 12


def test_a_reader_of_the_report_that_has_seen_enough_changes_nothing_of_what_is_answered(soak: Soak) -> None:
    assert soak.run("soak_harness:steady", "--count", "10")[0] == 1
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts/soak"), "--report", "--state", str(soak.state)],
        check=False, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
    )  # fmt: skip
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")
