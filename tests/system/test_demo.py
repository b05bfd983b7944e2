"""`dockd demo` as a whole: real copiers, ledger, uploads, store and receipts, and a check at its end that can fail."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

import pytest

WITHIN_S = 100.0
"""A shift takes five seconds on an idle machine."""


def demo(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "dockd", "demo", *arguments)


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a demo whose temporary files go below `folder`, and see to it that it has ended."""
    (folder / "tmp").mkdir()
    process = subprocess.Popen(
        demo(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=WITHIN_S)
    return process.returncode, out, err


def wait_for(what: Callable[[], object], *, process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not what():
        assert process.poll() is None, f"the demo ended before: {process.communicate()}"
        assert time.monotonic() < deadline_s, "it never happened"
        time.sleep(0.005)


@pytest.mark.promise("I4")
@pytest.mark.promise("I18")
@pytest.mark.parametrize(("seed", "cameras", "bays"), [(7, 8, 8), (1, 6, 8), (2, 5, 2), (3, 1, 1)], ids=str)
def test_every_clip_of_a_shift_is_receipted_and_erased_after_that(
    tmp_path: Path, seed: int, cameras: int, bays: int
) -> None:
    """Early removals, cameras put back, queues and odd files included."""
    given = ("--once", "--seed", str(seed), "--cameras", str(cameras), "--bays", str(bays), "--json")
    with started(tmp_path, *given) as process:
        code, out, err = ended(process)
    assert (code, err) == (0, "")
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert summary.keys() == {"clips", "bytes", "receipted", "quarantined", "erased", "elapsed_s"}
    assert summary["clips"] >= 3 * cameras
    assert summary["receipted"] == summary["erased"] == summary["clips"]
    assert summary["quarantined"] == 0
    assert not list((tmp_path / "tmp").iterdir()), "it leaves nothing behind"


def test_what_happens_is_told_in_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    with started(tmp_path, "--once", "--seed", "7", "--cameras", "4") as process:
        code, out, _ = ended(process)
    assert code == 0
    assert "\x1b" not in out
    assert "left early" in out
    for words in ("yellow, 1 Hz", "green, steady", "may I take it? yes", "is my evidence safe? yes, receipted"):
        assert words in out
    assert re.fullmatch(
        r"seed 7: (\d+) clips, [0-9.]+ MB: \1 receipted and read back from the store, \1 erased after that, in .* s",
        out.splitlines()[-1],
    )


# --- the check can fail -------------------------------------------------------------------------------------------


def receipted_object(url: str, objects: Path) -> Path:
    """Give the stored bytes of one clip that the store lists, not empty ones."""
    with urlopen(f"{url.removesuffix('/files/')}/clips") as answer:  # noqa: S310 - the store on loopback
        clips = json.load(answer)["clips"]
    wanted = {clip["sha256"] for clip in clips if clip["length"]}
    return next(
        path for path in objects.rglob("*") if path.is_file() and sha256(path.read_bytes()).hexdigest() in wanted
    )


def store_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.search(r"store (http://\S+)", process.stdout.readline())
    assert found is not None
    return found[1]


def listed(url: str) -> bool:
    with urlopen(f"{url.removesuffix('/files/')}/clips") as answer:  # noqa: S310 - the store on loopback
        return any(clip["length"] for clip in json.load(answer)["clips"])


@pytest.mark.promise("I2")
def test_a_store_that_loses_a_receipted_clip_is_found_out(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with started(tmp_path, "--once", "--seed", "7", "--cameras", "3", "--dir", str(kept)) as process:
        url = store_of(process)
        wait_for(lambda: listed(url), process=process)
        receipted_object(url, kept / "store" / "objects").unlink()
        code, _, err = ended(process)
    assert code == 1
    assert re.fullmatch(r"dockd demo: DKD-000\d:b'.*' is listed by the store, which does not give it\n", err)


@pytest.mark.promise("I5")
def test_a_store_that_changes_a_receipted_clip_is_found_out(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with started(tmp_path, "--once", "--seed", "7", "--cameras", "3", "--dir", str(kept)) as process:
        url = store_of(process)
        wait_for(lambda: listed(url), process=process)
        path = receipted_object(url, kept / "store" / "objects")
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.write(b"\x00other")
        code, _, err = ended(process)
    assert code == 1
    assert re.fullmatch(r"dockd demo: DKD-000\d:b'.*' is \d+ bytes with sha256 \S+ at the store, .*\n", err)


@pytest.mark.promise("I4")
def test_a_file_that_vanishes_from_a_camera_behind_the_stations_back_is_found_out(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    given = ("--once", "--seed", "7", "--cameras", "3", "--bays", "1", "--json", "--dir", str(kept))
    with started(tmp_path, *given) as process:
        # Every card is written before the first camera is docked; the third camera waits for the only bay.
        wait_for(lambda: list(kept.glob("cameras/*/bay-01/*")), process=process)
        (victim,) = kept.glob("cameras/*/shelf/DKD-0003/DCIM/100DOCKD/DKD_0001.MP4")
        victim.unlink()
        code, out, err = ended(process)
    assert code == 1
    assert err.splitlines() == [
        "dockd demo: DKD-0003:b'DCIM/100DOCKD/DKD_0001.MP4' is not receipted at the store",
        "dockd demo: DKD-0003:b'DCIM/100DOCKD/DKD_0001.MP4' is gone from its camera, and the station never erased it",
    ]
    summary = json.loads(out)
    assert summary["receipted"] == summary["erased"] == summary["clips"] - 1


ERASES_TOO_SOON = """
import sys
from dockd import cli
from dockd.app import bus
from dockd.domain.erasure import ErasePermit

copy_clip = bus.copy_clip

async def copy_and_erase(clip, stay, **rest):
    copied = await copy_clip(clip, stay, **rest)
    if clip.path.endswith(b"/DKD_0001.MP4"):
        digest = (await stay.card.reread(stay.file(clip))).sha256
        await stay.card.erase(ErasePermit(
            clip=clip.key, docking=stay.docking, path=clip.path, length_bytes=clip.length_bytes, sha256=digest
        ))
    return copied

bus.copy_clip = copy_and_erase
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.promise("I1")
def test_a_station_that_erases_once_it_has_copied_is_found_out(tmp_path: Path) -> None:
    """Every clip reaches the store in the end, so that nothing but the order gives it away."""
    given = ("demo", "--once", "--seed", "7", "--cameras", "2", "--json")
    ran = subprocess.run(
        (sys.executable, "-c", ERASES_TOO_SOON, *given),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        f"dockd demo: DKD-000{number}:b'DCIM/100DOCKD/DKD_0001.MP4' was erased before the store held it"
        for number in (1, 2)
    ]
    summary = json.loads(ran.stdout)
    assert summary["receipted"] == summary["clips"] == summary["erased"] + 2


# --- its ends -----------------------------------------------------------------------------------------------------


def test_a_kept_folder_can_be_used_again(tmp_path: Path) -> None:
    """The same cameras with the same recordings: the store has them all, and says so with the receipts of then."""
    kept = tmp_path / "kept"
    clips = []
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        given = ("--once", "--seed", "7", "--cameras", "2", "--json", "--dir", str(kept))
        with started(tmp_path / run, *given) as process:
            code, out, err = ended(process)
        assert (code, err) == (0, "")
        summary = json.loads(out)
        assert summary["erased"] == summary["clips"]
        clips.append(summary["clips"])
    objects = [path for path in (kept / "store" / "objects").rglob("*") if path.is_file()]
    assert [len(objects)] * 2 == clips


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("once", "expected"), [(True, 130), (False, 0)])
def test_an_interrupted_demo_ends_cleanly(tmp_path: Path, number: signal.Signals, *, once: bool, expected: int) -> None:
    """No traceback, no child, no folder; without --once Ctrl-C is how it ends, with it the shift was not checked."""
    with started(tmp_path, *(("--once", "--speed", "1") if once else ())) as process:
        store_of(process)
        assert process.stdout is not None
        while "Hz" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(number)
        code, _, err = ended(process)
    assert (code, err) == (expected, "")
    assert not list((tmp_path / "tmp").iterdir())


def test_an_interrupted_check_prints_no_summary_that_could_be_taken_for_one(tmp_path: Path) -> None:
    with started(tmp_path, "--once", "--speed", "1", "--json") as process:
        wait_for(lambda: list((tmp_path / "tmp").glob("*/cameras/*/bay-*/*")), process=process)
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "", "")


def test_an_interrupted_row_of_shifts_prints_the_sum_of_those_that_ended(tmp_path: Path) -> None:
    with started(tmp_path, "--json") as process:
        wait_for(lambda: list((tmp_path / "tmp").glob("*/cameras/*/bay-*/*")), process=process)
        process.send_signal(signal.SIGINT)
        code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "clips": 0,
        "bytes": 0,
        "receipted": 0,
        "quarantined": 0,
        "erased": 0,
        "elapsed_s": 0.0,
    }


def test_a_terminal_shows_the_live_table_and_is_given_back_on_control_c(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    master, slave = pty.openpty()
    surroundings = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    process = subprocess.Popen(
        demo("--seed", "7"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**surroundings, "TMPDIR": str(tmp_path / "tmp"), "TERM": "xterm-256color", "COLUMNS": "150"},
    )
    os.close(slave)
    shown = b""

    def read() -> bool:
        nonlocal shown
        ready, _, _ = select.select([master], [], [], WITHIN_S)
        assert ready, "nothing is shown"
        try:
            part = os.read(master, 65536)
        except OSError:  # the end of a pseudo-terminal
            return False
        shown += part
        return bool(part)

    try:
        while b"copying" not in shown and read():
            pass
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does on Ctrl-C: to the whole group, copiers included
        while read():
            pass
        assert process.wait(WITHIN_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    text = shown.decode()
    assert "may I take it?" in text
    assert "is my evidence safe?" in text
    assert "Traceback" not in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is back"
    assert re.search(r"\x1b\[[0-9;]*33m", text), "yellow is yellow"
    assert not list((tmp_path / "tmp").iterdir())


def test_shift_follows_shift_until_it_is_interrupted(tmp_path: Path) -> None:
    with started(tmp_path, "--seed", "7", "--cameras", "1", "--bays", "2", "--speed", "40") as process:
        assert process.stdout is not None
        seen: list[str] = []
        while not any(line.startswith("dockd demo: 1 cameras, 2 bays, seed 8") for line in seen):
            seen.append(process.stdout.readline())
            assert process.poll() is None, seen
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
    assert (code, err) == (0, "")
    assert any(re.match(r"seed 7: \d+ clips", line) for line in seen)


@pytest.mark.parametrize(
    ("given", "expectation"),
    [
        (("--cameras", "0"), "'0': expected a whole number from 1 to 200"),
        (("--cameras", "many"), "'many': expected a whole number from 1 to 200"),
        (("--bays", "35"), "'35': expected a whole number from 1 to 34"),
        (("--speed", "0"), "'0': expected a number from 0.1 to 1000"),
        (("--speed", "nan"), "'nan': expected a number from 0.1 to 1000"),
        (("--speed", "fast"), "'fast': expected a number from 0.1 to 1000"),
        (("--seed", "x"), "invalid int value: 'x'"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_was_expected(given: tuple[str, ...], expectation: str) -> None:
    ran = subprocess.run(demo(*given), capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert ran.returncode == 2
    assert expectation in ran.stderr
