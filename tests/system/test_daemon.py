"""`dockd run` and `dockctl` as the processes that people start."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.programs import DOCKD, READY_WITHIN_S, StoreProcess, ingest

DOCKCTL = (sys.executable, "-m", "dockd.ctl")
SHIFT_WITHIN_S = 60.0


def configured(folder: Path, store: StoreProcess, *, more: str = "") -> Path:
    """Write a configuration of two bays for a simulated station in `folder`."""
    path = folder / "dockd.toml"
    path.write_text(f"""
        [station]
        id = "st-1"
        state_dir = "{folder}/state"
        [[bays]]
        number = 1
        [[bays]]
        number = 2
        name = "by the door"
        [store]
        url = "{store.url}"
        receipt_keys = ["{store.key}"]
        [simulate]
        cameras = 2
        seed = 3
        bus_bytes_s = 10000000000
        speed = 100
        [control]
        socket = "{folder}/control.sock"
        group = "root"
        {more}
    """)
    return path


def dockctl(*arguments: str) -> tuple[int, str, str]:
    """Run dockctl: exit code, standard output, standard error."""
    ended = subprocess.run([*DOCKCTL, *arguments], capture_output=True, check=False, timeout=30.0)
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


@contextmanager
def daemon(config: Path, *, simulated: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """Run a station until the block ends; it answers on its socket when the block begins."""
    command = [*DOCKD, "run", "--config", str(config), *(["--simulate"] if simulated else [])]
    with config.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + READY_WITHIN_S
        while dockctl("status", "--socket", str(config.parent / "control.sock"))[0] not in {0, 1}:
            assert process.poll() is None, config.with_suffix(".log").read_text()
            assert time.monotonic() < deadline_s, config.with_suffix(".log").read_text()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def asked(config: Path, question: str, *arguments: str) -> dict[str, Any]:
    """Ask the daemon in JSON."""
    code, said, errors = dockctl(question, "--json", "--socket", str(config.parent / "control.sock"), *arguments)
    assert code in {0, 1}, errors
    answer: dict[str, Any] = json.loads(said)
    return answer


def receipted(config: Path) -> int:
    """Wait until a simulated shift is over, and count its clips."""
    deadline_s = time.monotonic() + SHIFT_WITHIN_S
    while True:
        bays = asked(config, "bays")["bays"]
        clips = asked(config, "clips")["clips"]
        # Both cameras docked and done at once: neither is on its way to another bay.
        if {bay["phase"] for bay in bays} == {"ready"} and all(clip["state"] == "erased" for clip in clips):
            return len(clips)
        assert time.monotonic() < deadline_s, bays


@pytest.mark.promise("I1")
def test_a_simulated_station_brings_its_shift_home_and_says_so(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store)
    with daemon(config) as process:
        count = receipted(config)
        bays = asked(config, "bays")["bays"]
        verified = asked(config, "verify")
        receipts = asked(config, "receipts")["receipts"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20.0) == 0, config.with_suffix(".log").read_text()
    assert count == len(receipts)
    assert {(bay["bay"], bay["name"]) for bay in bays} == {(1, ""), (2, "by the door")}
    assert {bay["safe"] for bay in bays} == {"yes, receipted"}
    assert verified["problems"] == []
    assert verified["receipts"] == count
    assert verified["signatures"] == "signatures checked"
    assert not (tmp_path / "control.sock").exists()
    assert "Traceback" not in config.with_suffix(".log").read_text()


def test_the_socket_is_for_its_group_only(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store)
    with daemon(config):
        assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o660


def test_a_question_that_is_none_is_answered_with_what_was_expected(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store)
    with daemon(config):
        wrong = dockctl("clips", "--in", "lost", "--socket", str(tmp_path / "control.sock"))
        where = ("--socket", str(tmp_path / "control.sock"))
        listed = dockctl("quarantine", "list", *where)
        retried = dockctl("quarantine", "retry", "--all", *where)
        released = dockctl("quarantine", "release", "999999", "--why", "looked at it", *where)
    assert listed == retried == (0, "nothing is in quarantine\n", "")
    assert released == (66, "  999999  unknown: there is no such number here\n", "")
    assert wrong[0] == 1
    assert wrong[2] == (
        "dockctl: in: 'lost': expected one of found, copied, uploaded, receipted, erasing, erased, held\n"
    )


def test_a_daemon_that_was_killed_leaves_a_socket_that_the_next_one_replaces(
    store: StoreProcess, tmp_path: Path
) -> None:
    config = configured(tmp_path, store)
    with daemon(config) as process:
        process.kill()
        process.wait()
    assert (tmp_path / "control.sock").exists()
    assert dockctl("status", "--socket", str(tmp_path / "control.sock"))[0] == 69
    with daemon(config):
        assert asked(config, "status")["station"] == "st-1"


def test_a_second_daemon_on_one_state_folder_exits(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store)
    with daemon(config) as process:
        second = subprocess.run(
            [*DOCKD, "run", "--config", str(config), "--simulate"], capture_output=True, check=False, timeout=30.0
        )
        assert process.poll() is None
        assert asked(config, "status")["station"] == "st-1"
    assert second.returncode == 75
    assert f"in use by process {process.pid}" in second.stderr.decode()


def test_a_station_without_hardware_bays_says_what_to_do(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store)
    expected = "hardware.board: (missing): expected the board that the bays are wired to, or dockd run --simulate"
    for command in (["run"], ["run", "--check-config"]):
        ended = subprocess.run(
            [*DOCKD, *command, "--config", str(config)], capture_output=True, check=False, timeout=30.0
        )
        assert ended.returncode == 78
        assert expected in ended.stderr.decode()


def test_a_station_with_a_board_looks_at_its_bays_and_ends_when_it_is_told_to(
    store: StoreProcess, tmp_path: Path
) -> None:
    board = tmp_path / "board.toml"
    bays = "".join(f'[[bays]]\nnumber = {bay}\nport = "pci-0000:00:99.0-usb-0:{bay}"\n' for bay in (1, 2, 3))
    board.write_text(f'name = "b"\nhost = "pci-0000:00:99.0"\nmost_usb_devices = 8\nbudget_ma = 900\n{bays}')
    config = configured(tmp_path, store, more=f'[hardware]\nboard = "{board}"')
    checked = subprocess.run(
        [*DOCKD, "check-config", "--config", str(config)], capture_output=True, check=False, timeout=30.0
    )
    assert (checked.returncode, checked.stdout.decode()) == (0, f"{config}: nothing wrong\n")
    with daemon(config, simulated=False) as process:
        bays_now = asked(config, "bays")["bays"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20.0) == 0, config.with_suffix(".log").read_text()
    assert [(bay["bay"], bay["phase"]) for bay in bays_now] == [(1, "empty"), (2, "empty")]
    board.write_text(board.read_text().replace("0:2", "0:1"))
    ended = subprocess.run([*DOCKD, "run", "--config", str(config)], capture_output=True, check=False, timeout=30.0)
    assert ended.returncode == 78
    assert f"{board}: bays[1].port: pci-0000:00:99.0-usb-0:1: expected a port of its own" in ended.stderr.decode()


def test_every_problem_of_a_configuration_is_shown_at_once(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store, more='[spool]\nreserve_bytes = 1\n[log]\nlevle = "info"')
    for command in (["run", "--check-config"], ["check-config"], ["run", "--simulate"]):
        ended = subprocess.run(
            [*DOCKD, *command, "--config", str(config)], capture_output=True, check=False, timeout=30.0
        )
        assert ended.returncode == 78
        words = ended.stderr.decode()
        assert "spool.reserve_bytes: 1: expected" in words
        assert "log.levle" in words
        assert "level" in words


def test_a_right_configuration_passes(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store)
    for command in (["run", "--simulate", "--check-config"], ["check-config"]):
        ended = subprocess.run(
            [*DOCKD, *command, "--config", str(config)], capture_output=True, check=False, timeout=30.0
        )
        said = f"{config}: nothing wrong for dockd run --simulate; real bays want hardware.board\n"
        assert (ended.returncode, ended.stdout.decode()) == (0, said)


def test_systemd_is_told_that_it_is_ready_alive_and_stopping(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(READY_WITHIN_S)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        process = subprocess.Popen(
            [*DOCKD, "run", "--config", str(config), "--simulate"], stderr=subprocess.DEVNULL, env=environment
        )
        said = [notify.recv(4096).decode()]
        while said.count("WATCHDOG=1") < 3:
            said.append(notify.recv(4096).decode())
        process.send_signal(signal.SIGTERM)
        while said[-1] != "STOPPING=1":
            said.append(notify.recv(4096).decode())
        assert process.wait(timeout=20.0) == 0
    assert said[0] == "READY=1"


# --- dockctl on a state folder ------------------------------------------------------------------------------------


@pytest.fixture
def state(store: StoreProcess, tmp_path: Path) -> Path:
    """Give the state folder of a card that was brought home."""
    card = tmp_path / "card"
    card.mkdir()
    for name in ("A.MP4", "B.MP4", "esc\x1b[31m.MP4"):
        (card / name).write_bytes(name.encode() * 1000)
    assert ingest(card, to=store.url, state=tmp_path / "state", key=store.key).code == 0
    return tmp_path / "state"


def test_a_state_folder_is_read_without_a_daemon(state: Path) -> None:
    assert dockctl("status", "--state", str(state))[0] == 0
    code, said, _ = dockctl("clips", "--state", str(state))
    assert code == 0
    assert said.count("receipted") == 3
    assert "\x1b" not in said
    assert r"esc\x1b[31m.MP4" in said
    code, said, _ = dockctl("verify", "--state", str(state))
    assert code == 0
    assert "3 receipts (signatures checked): clean" in said


def test_a_receipt_is_exported_as_the_store_signed_it(state: Path) -> None:
    receipts = json.loads(dockctl("receipts", "--json", "--state", str(state))[1])["receipts"]
    first = receipts[0]
    code, said, _ = dockctl("receipts", first["clip_id"], "--state", str(state))
    assert code == 0
    assert said == f"{first['jws']}\n"
    assert said.count(".") == 2
    code, _, words = dockctl("receipts", "0" * 64, "--state", str(state))
    assert code == 66
    assert "there is no receipt" in words


def test_receipts_under_another_key_do_not_verify(state: Path, tmp_path: Path) -> None:
    other = StoreProcess(folder=tmp_path / "other")
    (tmp_path / "other").mkdir()
    code, said, _ = dockctl("verify", "--state", str(state), "--store-key", other.key)
    assert code == 1
    assert "signed by a key that is not pinned here" in said


def test_bays_are_a_running_daemons_to_tell(state: Path) -> None:
    code, _, words = dockctl("bays", "--state", str(state))
    assert code == 1
    assert "expected a running daemon" in words


def test_a_folder_without_a_ledger_is_named(tmp_path: Path) -> None:
    code, _, words = dockctl("verify", "--state", str(tmp_path))
    assert code in {66, 78}
    assert str(tmp_path) in words


def test_dockctl_without_a_daemon_says_so(tmp_path: Path) -> None:
    code, _, words = dockctl("status", "--socket", str(tmp_path / "none.sock"))
    assert code == 69
    assert "expected a running dockd" in words


def test_dockctl_names_a_wrong_command() -> None:
    assert dockctl("erase")[0] == 2
