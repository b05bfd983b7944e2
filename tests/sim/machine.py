"""The station's hardware that every simulated port stands on: its power, its clock and its lamps.

Owns what dies in a power cut: after it, nothing that the old program still does has any effect.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId, Timestamp
from dockd.domain.moment import utc_text
from tests.sim.fate import Fate, Fault

BORN = datetime(2024, 3, 1, 6, 0, 0, tzinfo=UTC)
JUMPS_S = (-3 * 86_400.0, 400 * 86_400.0, -3600.0, 3600.0)


class Power:
    """The power of one run of the program, from its start to a cut."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.on = True
        self.cut = asyncio.Event()

    def fail(self, where: str) -> None:
        """Cut it: from this very moment nothing has any effect."""
        self._fate.note(f"power cut {where}")
        self.on = False
        self.cut.set()

    async def step(self, where: str, *, least_s: float = 0.001, most_s: float = 0.02) -> None:
        """Let time pass in a port, in which the power may go."""
        await asyncio.sleep(self._fate.between(least_s, most_s))
        if self.on and self._fate.strikes(Fault.POWER_CUT, where):
            self.fail(where)
        if not self.on:
            await self.never()

    async def needed(self) -> None:
        """Go on only with power."""
        if not self.on:
            await self.never()

    async def never(self) -> NoReturn:
        """Wait until the task is cancelled."""
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody answers a dead program")


class SimClock:
    """The port Clock: monotonic time is the loop's, the wall clock may jump."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self.ahead_s = 0.0

    def start_in_1970(self) -> None:
        """Forget the time, as a machine without a battery does."""
        self.ahead_s = -BORN.timestamp() - self.monotonic_s()

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return asyncio.get_running_loop().time()

    def now(self) -> Timestamp:
        """The wall time, as wrong as it is."""
        if self._fate.lasts(Fault.CLOCK_HOSTILE):
            self.ahead_s = self._fate.random.choice(JUMPS_S)
        moment = BORN + timedelta(seconds=self.monotonic_s() + self.ahead_s)
        return Timestamp(utc=utc_text(moment), source="simulated", uncertainty_ms=-1)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SimLamps:
    """The port Lamps: who looks at them is told of every change."""

    def __init__(self, fate: Fate, power: Power, *, shown: Callable[[BayId, Lamp], None]) -> None:
        self._fate = fate
        self._power = power
        self._shown = shown

    def show(self, bay: BayId, lamp: Lamp) -> None:
        """Show a lamp."""
        if self._power.on:
            self._fate.note(f"bay {bay} lamp {lamp.value}")
            self._shown(bay, lamp)
