"""What systemd is told of the daemon: ready, alive, in what state, on the way out.

Owns the notification protocol. Without systemd every message goes nowhere, so that nobody has to ask.
Source: sd_notify(3), systemd.service(5) WatchdogSec=.
"""

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Systemd:
    """The other end of a notification socket; `address` is empty where there is none."""

    address: str
    watchdog_s: float | None
    """How often `alive` is expected at least, or None where nobody waits for it."""

    def ready(self) -> None:
        """Say that the daemon has started."""
        self._send("READY=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={' '.join(text.split())}")

    def stopping(self) -> None:
        """Say that the daemon is on its way out."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self.address:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        # As sd_notify(3) advises, a failed message changes nothing: systemd misses the next one and acts.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.setblocking(False)  # noqa: FBT003 - its parameter is positional only
            notify.sendto(message.encode(), address)


def systemd_of(environ: Mapping[str, str], *, pid: int) -> Systemd:
    """Read from the environment where systemd listens, and how often it wants to hear from process `pid`."""
    for_us = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
    usec = environ.get("WATCHDOG_USEC", "")
    watchdog_s = int(usec) / 1_000_000 if for_us and usec.isascii() and usec.isdigit() and int(usec) else None
    return Systemd(environ.get("NOTIFY_SOCKET", ""), watchdog_s)
