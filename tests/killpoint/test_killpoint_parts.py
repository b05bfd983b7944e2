"""The parts that could make the harness blind: the listener against strace, the names of points, what a strike does."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.killpoint.calls import NUMBERS, OPENS, all_changes
from tests.killpoint.campaign import quick_folder
from tests.killpoint.family import Ended, Family
from tests.killpoint.faults import CHILD, PARENT, Fault, Point, Strike, fits, plain
from tests.killpoint.notify import machine
from tests.killpoint.order import Unwatched

DATA = b"0123456789"


# --- against strace -----------------------------------------------------------------------------------------------

LINE = re.compile(r"(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")
AT = re.compile(r"(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, \"(?P<name>[^\"]*)\"")
BY_PATH = re.compile(r"\"(?P<path>[^\"]*)\"")


def seen_by_strace(log: Path, root: Path) -> Counter[tuple[str, str]]:
    """Count the calls that change a file below `root`, of all processes but the first, which is the harness."""
    seen: Counter[tuple[str, str]] = Counter()
    harness = ""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = LINE.match(line)
        if found is None:
            continue
        harness = harness or found["pid"]
        path = path_in(found["call"], found["rest"])
        if found["pid"] == harness or not path.startswith(str(root)):
            continue
        if found["call"] in OPENS and not re.search(r"O_CREAT|O_TRUNC", found["rest"]):
            continue
        if re.search(r"ingest\.std(out|err)$", path):
            continue  # made by the child before it is the program
        seen[found["call"], plain(os.fsencode(path), root)] += 1
    return seen


def path_in(call: str, rest: str) -> str:
    if re.search(r"at2?$", call) and (found := AT.match(rest)) is not None:
        return os.path.join(found["folder"], found["name"])  # noqa: PTH118 - as it was written
    if (found := re.match(r"\d+<([^>]*)>", rest)) is not None:
        return found[1]
    found = BY_PATH.match(rest)
    return "" if found is None else found["path"]


def test_the_listener_sees_the_very_calls_that_strace_sees() -> None:
    calls = ",".join(f"?{name}" for name in NUMBERS[machine()])
    with quick_folder() as folder:
        log = folder / "trace"
        command = ("strace", "-f", "-qq", "-y", "-s", "4", "-o", str(log), "-e", f"trace={calls}")
        worker = (sys.executable, "-B", "-m", "tests.killpoint.worker", str(folder / "runs"), "station", "none")
        said = subprocess.run([*command, *worker, "points"], capture_output=True, text=True, timeout=60, check=False)
        assert said.returncode == 0, said.stderr
        points = [Point.of(line) for line in said.stdout.splitlines()]
        points = [point for point in points if not point.what.startswith("../")]  # the store syncs those as well
        seen = seen_by_strace(log, folder / "runs" / "camera-0")
    assert len(points) > 200
    assert Counter((point.call, point.what.rstrip("/")) for point in points) == Counter(
        {(call, what.rstrip("/")): number for (call, what), number in seen.items()}
    )


# --- what a strike does -------------------------------------------------------------------------------------------


def write_once(arguments: Sequence[str]) -> int:
    """Write ten bytes in one of the ways there are, and say how many went."""
    name, path = arguments
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    ways = {
        "write": lambda: os.write(fd, DATA),
        "pwrite64": lambda: os.pwrite(fd, DATA, 0),
        "writev": lambda: os.writev(fd, [DATA[:3], DATA[3:]]),
        "pwritev2": lambda: os.pwritev(fd, [DATA[:3], DATA[3:]], 0),
    }
    try:
        sys.stdout.write(f"{ways[name]()}\n")
        os.write(fd, b"!")
    except OSError as error:
        sys.stdout.write(f"{error.strerror}\n")
    return 0


def run(root: Path, name: str, fault: Fault) -> tuple[Ended, bytes]:
    path = root / "file"
    strike = Strike(point=Point(who=PARENT, call=name, what="file", nth=1), fault=fault)
    family = Family.start(
        write_once, (name, str(path)), root=root, choices=all_changes(), watch=Unwatched(), strike=strike
    )
    ended = family.ended()
    assert ended.struck
    return ended, path.read_bytes()


@pytest.mark.parametrize("name", ["write", "pwrite64", "writev", "pwritev2"])
def test_a_write_cut_short_leaves_half_of_its_bytes_and_says_so(tmp_path: Path, name: str) -> None:
    ended, left = run(tmp_path, name, Fault.SHORT)
    assert ended.stdout == "5\n"
    # After a write at the file's own place the next one goes on from there.
    assert left == (b"01234!" if name in {"write", "writev"} else b"!1234")


def test_a_call_that_fails_has_done_nothing(tmp_path: Path) -> None:
    ended, left = run(tmp_path, "write", Fault.ENOSPC)
    assert (ended.stdout, left) == ("No space left on device\n", b"")
    ended, left = run(tmp_path, "pwrite64", Fault.EIO)
    assert (ended.stdout, left) == ("Input/output error\n", b"")


def test_a_call_whose_process_is_killed_never_happens(tmp_path: Path) -> None:
    ended, left = run(tmp_path, "write", Fault.KILL)
    assert (ended.code, ended.stdout, left) == (-9, "", b"")


def test_a_torn_write_leaves_half_of_its_bytes_and_nobody_who_knows(tmp_path: Path) -> None:
    ended, left = run(tmp_path, "pwrite64", Fault.TORN)
    assert (ended.code, ended.stdout, left) == (-9, "", b"01234")


# --- names --------------------------------------------------------------------------------------------------------


def test_a_strike_is_found_again_by_its_words() -> None:
    words = "lost@child:fdatasync:state/spool/PART:2"
    strike = Strike.of(words)
    assert strike == Strike(point=Point(who=CHILD, call="fdatasync", what="state/spool/PART", nth=2), fault=Fault.LOST)
    assert str(strike) == words


def test_what_is_random_in_a_path_is_not_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "objects" / "ab").mkdir(parents=True)
    named = {
        "objects/ab": "objects/../",
        f"objects/ab/{'0' * 64}": "objects/../ID",
        f"spool/{'a' * 64}.clip": "spool/ID.clip",
        "spool/0123456789abcdef-12.part": "spool/PART",
        "": "./",
        "..": "../",
    }
    assert {path: plain(os.fsencode(tmp_path / path), tmp_path) for path in named} == named


def test_a_fault_strikes_only_where_it_means_something() -> None:
    write = Point(who=PARENT, call="pwrite64", what="state/ledger.db", nth=1)
    folder = Point(who=CHILD, call="fsync", what="state/spool/", nth=1)
    assert {fault for fault in Fault if fits(fault, write)} == {
        Fault.KILL, Fault.EIO, Fault.ENOSPC, Fault.SHORT, Fault.TORN
    }  # fmt: skip
    card = Point(who=CHILD, call="fdatasync", what="card/DCIM/A.MP4", nth=1)
    assert Fault.LOST not in {fault for fault in Fault if fits(fault, card)}
    assert {fault for fault in Fault if fits(fault, folder)} == {Fault.KILL, Fault.POWER, Fault.EIO, Fault.ENOSPC}
