"""What systemd hears, on a real notification socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockd.edges.systemd import Systemd, systemd_of


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def heard(listening: socket.socket) -> str:
    return listening.recv(4096).decode()


def test_each_thing_said_is_one_datagram(listener: socket.socket) -> None:
    systemd = systemd_of({"NOTIFY_SOCKET": listener.getsockname()}, pid=1)
    systemd.ready()
    systemd.status("2 bays, 1 copying")
    systemd.alive()
    systemd.stopping()
    assert [heard(listener) for _ in range(4)] == ["READY=1", "STATUS=2 bays, 1 copying", "WATCHDOG=1", "STOPPING=1"]


def test_a_status_cannot_say_anything_else(listener: socket.socket) -> None:
    Systemd(listener.getsockname(), None).status("camera é\nREADY=1\n")
    assert heard(listener) == "STATUS=camera é READY=1"


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel chooses an abstract name
        listening.settimeout(5)
        systemd_of({"NOTIFY_SOCKET": f"@{listening.getsockname()[1:].decode()}"}, pid=1).alive()
        assert heard(listening) == "WATCHDOG=1"


def test_without_systemd_nothing_happens() -> None:
    systemd = systemd_of({}, pid=1)
    assert systemd == Systemd("", None)
    systemd.ready()


def test_a_socket_that_is_gone_or_full_stops_nobody(tmp_path: Path, listener: socket.socket) -> None:
    Systemd(str(tmp_path / "gone"), None).ready()
    Systemd("/" + "x" * 200, None).ready()
    systemd = Systemd(listener.getsockname(), None)
    for _ in range(2000):  # more than net.unix.max_dgram_qlen, and nobody reads
        systemd.alive()


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_only_where_it_waits_for_this_process(
    environ: dict[str, str], watchdog_s: float | None
) -> None:
    assert systemd_of(environ, pid=7).watchdog_s == watchdog_s
