"""The daemon and systemd's watchdog: fed while it works, hungry while it hangs, and no kill for a slow disk."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.programs import DOCKD, READY_WITHIN_S, StoreProcess
from tests.system.test_daemon import asked, configured, daemon, receipted

WATCHDOG_S = 0.4
STALL_S = 5.0


class Watched:
    """A daemon under a watchdog's eyes."""

    def __init__(self, process: subprocess.Popen[bytes], notify: socket.socket) -> None:
        """Listen to what it says."""
        self.process, self._notify = process, notify

    def said(self, *, within_s: float = READY_WITHIN_S) -> str:
        """Give the next thing that it says; fails if it says nothing."""
        self._notify.settimeout(within_s)
        return self._notify.recv(4096).decode()

    def fed(self, times: int = 1) -> None:
        """Wait until the watchdog was fed so often."""
        while times:
            times -= self.said() == "WATCHDOG=1"

    def drain(self) -> None:
        """Forget what was said so far."""
        self._notify.setblocking(False)  # noqa: FBT003 - its parameter is positional only
        try:
            while self._notify.recv(4096):
                pass
        except BlockingIOError:
            return


@contextmanager
def watched(config: Path, *, every_s: float = WATCHDOG_S, under: Sequence[str] = ()) -> Iterator[Watched]:
    """Start a daemon that systemd would expect to hear from this often."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        address = config.parent / "notify"
        address.unlink(missing_ok=True)
        notify.bind(str(address))
        environment = {**os.environ, "NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": str(int(every_s * 1e6))}
        command = [*under, *DOCKD, "run", "--config", str(config), "--simulate"]
        with config.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            yield Watched(process, notify)
        finally:
            process.kill()
            process.wait()


@pytest.mark.promise("I17")
def test_a_daemon_that_hangs_feeds_no_watchdog_and_one_that_goes_on_feeds_it_again(
    store: StoreProcess, tmp_path: Path
) -> None:
    with watched(configured(tmp_path, store)) as it:
        it.fed(3)
        it.process.send_signal(signal.SIGSTOP)
        it.drain()
        with pytest.raises(TimeoutError):
            it.said(within_s=4 * WATCHDOG_S)
        it.process.send_signal(signal.SIGCONT)
        it.fed(3)


@pytest.mark.promise("I17")
def test_a_daemon_killed_by_its_watchdog_goes_on_where_it_was(store: StoreProcess, tmp_path: Path) -> None:
    """systemd.service(5): SIGABRT, and then it is started again."""
    config = configured(tmp_path, store)
    with watched(config) as it:
        it.fed(3)
        it.process.send_signal(signal.SIGABRT)
        assert it.process.wait(timeout=READY_WITHIN_S) == -signal.SIGABRT
    with daemon(config):
        assert receipted(config) > 0
        assert asked(config, "verify")["problems"] == []


@pytest.mark.promise("I17")
def test_a_disk_that_stalls_for_five_seconds_does_not_keep_the_watchdog_hungry(
    store: StoreProcess, tmp_path: Path
) -> None:
    """A sync of the ledger's log takes five seconds; a watchdog of three times that hears from it in time."""
    config = configured(tmp_path, store)
    with watched(config) as it:
        it.fed(2)
    log = tmp_path / "state" / "ledger.db-wal"
    assert log.exists()
    trace = tmp_path / "trace"
    delay = f"inject=fdatasync:delay_enter={int(STALL_S * 1e6)}:when=3"
    strace = ("strace", "-D", "-f", "-qq", "-T", "-o", str(trace), "-P", str(log), "-e", "trace=fdatasync", "-e", delay)
    with watched(config, every_s=3 * STALL_S, under=strace) as it:
        while it.said() != "READY=1":
            pass
        last_s, longest_s = time.monotonic(), 0.0
        while time.monotonic() - last_s < 3 * STALL_S and "DELAYED" not in trace.read_text():
            it.fed()
            longest_s, last_s = max(longest_s, time.monotonic() - last_s), time.monotonic()
        it.fed()
        longest_s = max(longest_s, time.monotonic() - last_s)
        it.process.terminate()
        it.process.wait(timeout=READY_WITHIN_S)
    assert "DELAYED" in trace.read_text(), "no sync was held up"
    assert longest_s < 3 * STALL_S
