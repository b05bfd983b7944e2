"""The machine's clocks and its randomness.

Owns what the kernel says of the wall clock: who set it, and how far it may be off. Decides nothing.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom

from dockd.domain.model import Timestamp

UNKNOWN_MS = -1

LIBC = ctypes.CDLL(None, use_errno=True)
_STA_UNSYNC = 0x40  # Source: adjtimex(2), <sys/timex.h>


class Timex(ctypes.Structure):
    """The kernel's struct timex. Source: adjtimex(2); the reserved end is what <sys/timex.h> leaves room for."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_s", ctypes.c_long),
        ("time_us", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("pps", ctypes.c_long * 8),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Discipline:
    """How well the kernel believes its clock to be kept: `maxerror_us` is its bound on the error."""

    synchronised: bool
    maxerror_us: int


def ask_kernel() -> Timex:
    """Read the kernel's struct timex; changes nothing.

    Raises:
        OSError: the call is not allowed here, as under systemd's ProtectClock=.

    """
    timex = Timex(modes=0)
    if LIBC.adjtimex(ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return timex


def kernel_discipline() -> Discipline:
    """Ask the kernel how well its clock is kept. Raises as `ask_kernel` does."""
    timex = ask_kernel()
    return Discipline(synchronised=not timex.status & _STA_UNSYNC, maxerror_us=timex.maxerror)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemClock:
    """This machine's clock; implements the port Clock. The fields are what it asks, given otherwise in tests only."""

    discipline: Callable[[], Discipline] = kernel_discipline
    rtc_folder: Path = field(default=Path("/sys/class/rtc"))
    timesyncd_mark: Path = field(default=Path("/run/systemd/timesync/synchronized"))

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def now(self) -> Timestamp:
        """Give the wall time, with who set it and how far it may be off."""
        source, uncertainty_ms = self._kept()
        utc = datetime.now(tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return Timestamp(utc=utc, source=source, uncertainty_ms=uncertainty_ms)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def _kept(self) -> tuple[str, int]:
        try:
            found = self.discipline()
        except OSError:  # not allowed to ask: timesyncd at least leaves a mark
            return ("ntp" if self.timesyncd_mark.exists() else self._unsynchronised()), UNKNOWN_MS
        if found.synchronised:
            return "ntp", -(-found.maxerror_us // 1000)  # rounded up: an error bound never shrinks
        return self._unsynchronised(), UNKNOWN_MS

    def _unsynchronised(self) -> str:
        """Say whether the kernel set its clock from a battery-backed one at boot.

        Source: Documentation/ABI/testing/sysfs-class-rtc, hctosys.
        """
        for path in self.rtc_folder.glob("*/hctosys"):
            try:
                if path.read_text().strip() == "1":
                    return "rtc"
            except OSError:  # it went away while we looked
                continue
        return "unset"


class SystemChance:
    """The kernel's randomness; implements the port Chance."""

    def jitter(self) -> float:
        """Give a number in [0, 1)."""
        return SystemRandom().random()
