"""The feed and dockctl map by the real pyudev, on mock devices: umockdev stands in for sysfs, udev and netlink."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"
BINDINGS = "import gi; gi.require_version('UMockdev', '1.0'); from gi.repository import UMockdev"
MISSING = "umockdev with the bindings of the system's Python is needed: scripts/setup --tests installs both"
PATIENCE_S = 40.0


class MockDock:
    """A dock of mock devices, and the feed that watches it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._said: queue.Queue[list[Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="mock dock")
        self._reader.start()
        self.heard = 0

    def do(self, *words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def told(self, count: int) -> list[list[Any]]:
        """Give the next events that are told; how much was heard in between is `heard`."""
        events: list[list[Any]] = []
        while len(events) < count:
            said = self._said.get(timeout=PATIENCE_S)
            if said[0] == "heard":
                self.heard = said[1]
            else:
                events.append(said)
        return events

    def until_heard(self, total: int) -> None:
        """Wait until so much was heard; nothing may be told meanwhile."""
        while self.heard < total:
            said = self._said.get(timeout=PATIENCE_S)
            assert said[0] == "heard", said
            self.heard = said[1]

    def close(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(timeout=PATIENCE_S)
        finally:
            # umockdev ends a dock that misuses it, and not who watches.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join(timeout=PATIENCE_S)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._said.put(json.loads(line) if line.startswith("[") else ["said", line])


def mocked(*watcher: object) -> MockDock:
    """Start who watches, among mock devices."""
    wrapper = shutil.which("umockdev-wrapper")
    bound = Path(SYSTEM_PYTHON).exists() and not subprocess.run([SYSTEM_PYTHON, "-c", BINDINGS], check=False).returncode
    if wrapper is None or not bound:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    process = subprocess.Popen(
        [wrapper, SYSTEM_PYTHON, ROOT / "tests/mock_dock.py", sys.executable, *map(str, watcher)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return MockDock(process)


@pytest.fixture
def dock() -> Iterator[MockDock]:
    dock = mocked(ROOT / "tests/mock_watcher.py")
    try:
        assert dock.told(14) == [["empty", bay] for bay in range(1, 15)]
        yield dock
    finally:
        code = dock.close()
    assert code == 0


def attached(bay: int, serial: str) -> list[Any]:
    return ["attached", bay, serial, "12-34", "Cam"]


def test_cameras_come_and_go_and_what_is_announced_twice_is_told_once(dock: MockDock) -> None:
    dock.do("plug", 3, "CAM-3", "vfat")
    assert dock.told(1) == [attached(3, "CAM-3")]
    dock.do("plug", 4, "CAM-4", "exfat")
    assert dock.told(1) == [attached(4, "CAM-4")]
    dock.do("pull", 3, "heard")
    assert dock.told(1) == [["detached", 3]]
    dock.do("plug", 3, "CAM-4B", "vfat")
    assert dock.told(1) == [attached(3, "CAM-4B")]


def test_a_card_that_is_never_mounted_and_a_device_without_one_are_unknown(dock: MockDock) -> None:
    dock.do("plug", 1, "CAM-1", "ext4")
    assert dock.told(1) == [["unknown", 1, "2672:0049 CAM-1", "its filesystem is ext4, expected vfat or exfat"]]
    dock.do("plug", 2, "CAM-2", "")
    assert dock.told(1) == [["unknown", 2, "2672:0049 CAM-2", "no card came to be read within 1 s"]]


@pytest.mark.promise("I17")
def test_a_removal_that_nobody_announced_is_found_by_looking(dock: MockDock) -> None:
    dock.do("plug", 5, "CAM-5", "vfat")
    assert dock.told(1) == [attached(5, "CAM-5")]
    dock.do("pull", 5, "unheard")
    assert dock.told(1) == [["detached", 5]]


def test_a_camera_that_is_looked_at_before_udev_has_is_no_stranger(dock: MockDock) -> None:
    dock.do("plug", 5, "CAM-5", "vfat")
    assert dock.told(1) == [attached(5, "CAM-5")]
    dock.do("begun", 1)
    dock.do("pull", 5, "unheard")
    assert dock.told(1) == [["detached", 5]], "nothing was told of bay 1, though it was looked at"
    dock.do("pull", 1, "unheard")
    dock.do("plug", 1, "CAM-1", "vfat")
    assert dock.told(1) == [attached(1, "CAM-1")]


@pytest.mark.promise("I17")
def test_a_storm_of_2000_announcements_tells_nothing_new_and_hides_nothing(dock: MockDock) -> None:
    dock.do("plug", 6, "CAM-6", "vfat")
    assert dock.told(1) == [attached(6, "CAM-6")]
    dock.do("plug", 7, "CAM-7", "vfat")
    assert dock.told(1) == [attached(7, "CAM-7")]
    dock.do("pull", 7, "heard")
    assert dock.told(1) == [["detached", 7]]
    for _ in range(250):
        before = dock.heard
        dock.do("again", 6, 8)
        dock.until_heard(before + 6)
    dock.do("pull", 6, "heard")
    assert dock.told(1) == [["detached", 6]]


# --- dockctl map ----------------------------------------------------------------------------------------------------


@pytest.fixture
def mapping() -> Iterator[Callable[..., MockDock]]:
    docks: list[MockDock] = []

    def start(*options: str) -> MockDock:
        docks.append(mocked("-m", "dockd.ctl", "map", "--board", ROOT / "hw/boards/emulated-14.toml", *options))
        assert docks[-1].told(1) == [["said", "dockctl: plug a camera into a bay; Ctrl-C ends\n"]]
        return docks[-1]

    try:
        yield start
    finally:
        for dock in docks:
            dock.close()


def test_an_installer_is_told_port_and_bay_of_what_was_just_plugged_in(mapping: Callable[..., MockDock]) -> None:
    dock = mapping("--json")
    for number, (bay, serial) in enumerate([(3, "CAM-3"), (8, "../../\x1b[31m<script>"), (3, "CAM-3")], start=1):
        dock.do("plug", bay, serial, "vfat")
        ((_, line),) = dock.told(1)
        assert line.isascii()
        assert json.loads(line) == {
            "port": f"pci-0000:00:10.0-usb-0:1.{bay}",
            "bay": {3: 3, 8: None}[bay],
            "vendor": "2672",
            "product": "0049",
            "serial": serial,
            "model": "Cam",
        }, number
        dock.do("again", bay, 3)
        dock.do("pull", bay, "heard")


def test_whoever_waits_for_one_is_told_it_in_words_and_is_done(mapping: Callable[..., MockDock]) -> None:
    dock = mapping("--once", "--timeout", "60")
    dock.do("plug", 4, "a\u202eb", "vfat")
    ((_, line),) = dock.told(1)
    assert line == "pci-0000:00:10.0-usb-0:1.4  bay 4  2672:0049  Cam  serial a\\u202eb\n"


def test_whoever_waits_in_vain_is_told_by_the_exit_code() -> None:
    arguments = [sys.executable, "-m", "dockd.ctl", "map", "--timeout", "0.05"]
    ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (ended.returncode, ended.stdout) == (1, "")


@pytest.mark.parametrize(("option", "value", "code"), [("--timeout", "0", 2), ("--board", "no-such-board", 78)])
def test_a_wrong_option_is_said_before_anything_is_waited_for(option: str, value: str, code: int) -> None:
    arguments = [sys.executable, "-m", "dockd.ctl", "map", option, value]
    ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert value in ended.stderr
