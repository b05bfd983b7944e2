"""Root's helper as processes: the one that listens, and one for each connection."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LONG_S = 100.0
"""More than any of these tests takes."""

# Bay 1 tells what it finds in its process and leaves something behind there, 2 hangs, 3 fails as no code should.
PROGRAM = f"""
import os, signal, socket, sys
sys.path.append({str(ROOT)!r})
from dockd.helper.__main__ import connected, serve

LEFT = []

def verbs(*, uid, gid):
    return Verbs

class Verbs:
    def perform(request):
        if request.bay == 2:
            signal.pause()
        if request.bay == 3:
            raise LookupError("no code of ours")
        found = dict(pid=os.getpid(), parent=os.getppid(), left=list(LEFT), fds=len(os.listdir("/proc/self/fd")))
        LEFT.append("something")
        return found, None

number, most, within_s = sys.argv[1:]
serve(connected(socket.socket(fileno=int(number)), most=int(most), within_s=float(within_s)), verbs, user=os.getuid())
os._exit(0)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd holds, whoever serves it or dies."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / "helper.sock"))
        listening.listen()
        yield listening


@pytest.fixture
def start(listener: socket.socket) -> Iterator[Start]:
    with ExitStack() as started:

        def begin(*, most: int = 9, within_s: float = LONG_S) -> "subprocess.Popen[str]":
            number = listener.fileno()
            command = [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(number), str(most), str(within_s)]
            process = subprocess.Popen(command, pass_fds=[number], stderr=subprocess.PIPE, text=True, process_group=0)
            started.enter_context(process)
            started.callback(stop, process)
            return process

        yield begin


def stop(process: "subprocess.Popen[str]") -> None:
    """End a helper as systemd does, with whatever it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        assert process.poll() is not None


@pytest.fixture
def ask(listener: socket.socket) -> Iterator[Callable[[int], socket.socket]]:
    with ExitStack() as asked:

        def connect(bay: int) -> socket.socket:
            asking = asked.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            asking.settimeout(LONG_S)
            asking.connect(listener.getsockname())
            asking.send(json.dumps({"do": "power", "bay": bay}).encode())
            return asking

        yield connect


Ask = Callable[[int], socket.socket]


def answer(asking: socket.socket) -> dict[str, object] | None:
    message = asking.recv(8192)
    return dict(json.loads(message)) if message else None


def processes_of(helper: "subprocess.Popen[str]") -> list[str]:
    """Name the processes of a helper, the dead that nobody waited for included."""
    return Path(f"/proc/{helper.pid}/task/{helper.pid}/children").read_text().split()


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_nothing_of_one_request_is_there_in_another(start: Start, ask: Ask) -> None:
    helper = start()
    for _ in range(3):
        ask(2)
    until(lambda: len(processes_of(helper)) == 3)
    answers = [answer(ask(1)) for _ in range(3)]
    # Three of every process, the connection, and the folder that is read to count them.
    expected = {"errno": 0, "parent": helper.pid, "left": [], "fds": 5}
    assert [{key: said[key] for key in expected} for said in answers if said] == [expected] * 3
    assert len({said["pid"] for said in answers if said} | {helper.pid}) == 4


def test_no_process_that_ended_is_left_behind(start: Start, ask: Ask) -> None:
    helper = start()
    assert all(answer(ask(1)) for _ in range(5))
    until(lambda: not processes_of(helper))


def test_a_request_that_hangs_is_ended_in_time_and_holds_up_nobody(start: Start, ask: Ask) -> None:
    hangs, silent = ask(2), ask(2)
    works = ask(1)
    helper = start(within_s=2.0)
    assert answer(works) is not None
    assert [answer(hangs), answer(silent)] == [None, None]
    _, said = helper.communicate()
    assert said.count(f"wait status {int(signal.SIGALRM)}\n") == 2


def test_a_failure_that_nobody_thought_of_ends_its_request_alone_and_is_told(start: Start, ask: Ask) -> None:
    failing, works = ask(3), ask(1)
    helper = start(within_s=2.0)
    assert answer(failing) is None
    assert answer(works) is not None
    _, said = helper.communicate()
    assert "LookupError: no code of ours" in said
    assert said.endswith("wait status 256\n")


def test_no_more_than_so_many_are_at_work_and_the_next_one_waits(start: Start, ask: Ask) -> None:
    helper = start(most=2)
    for _ in range(2):
        ask(2)
    until(lambda: len(processes_of(helper)) == 2)
    waiting = ask(1)
    waiting.settimeout(0.3)
    with pytest.raises(TimeoutError):
        waiting.recv(8192)
    os.kill(int(processes_of(helper)[0]), signal.SIGKILL)
    waiting.settimeout(LONG_S)
    assert answer(waiting) is not None


def test_a_helper_that_nobody_asks_ends_in_peace_and_not_while_it_works(start: Start, ask: Ask) -> None:
    hanging = ask(2)
    helper = start(within_s=1.0)
    assert answer(hanging) is None
    assert helper.wait() == 0
    # Who asks then waits in the socket for the next one.
    waiting = ask(1)
    start()
    assert answer(waiting) is not None


def test_a_helper_that_is_killed_takes_nobody_along_and_loses_nobody_who_waits(start: Start, ask: Ask) -> None:
    helper = start(most=1)
    working = ask(2)
    until(lambda: len(processes_of(helper)) == 1)
    waiting = ask(1)
    (process,) = processes_of(helper)
    helper.send_signal(signal.SIGKILL)
    assert helper.wait() == -signal.SIGKILL
    assert Path(f"/proc/{process}/stat").exists()
    start()
    said = answer(waiting)
    assert said is not None
    assert said["left"] == []
    os.kill(int(process), signal.SIGTERM)  # as systemd does
    assert answer(working) is None
