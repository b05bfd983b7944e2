"""Three bays that charge: switches that fail when they are told to, batteries that fill as time is told to pass."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from dockd.app.charging import TICK_S, Bays, Charging, Gear, InBay
from dockd.app.ports import ChargeRead
from dockd.domain.bay import BayPower
from dockd.domain.charging import Terms
from dockd.domain.model import BayId, Camera, CameraSerial, VolumeId
from dockd.domain.overload import Bounds
from dockd.errors import Reason, TransientError
from dockd.sim.charger import SimCharger
from tests.clock_parts import HandClock

ONE, TWO, THREE = BayId(1), BayId(2), BayId(3)
ON = (BayPower.ON, "")
WAITING = (BayPower.WAITING, "waits for its turn to charge")
HALF_AN_AMPERE = Terms(budget_ma=500)


def camera(name: str) -> Camera:
    return Camera(serial=CameraSerial(name), volume=VolumeId("V"))


class SimBays(Bays):
    """Bays with cameras whose cards are done with; a dark one is not seen."""

    def __init__(self, charger: SimCharger) -> None:
        self.charger = charger
        self.cameras: dict[BayId, Camera] = {}
        self.facts: dict[BayId, InBay] = {}
        self.told: list[str] = []
        self.power: dict[BayId, tuple[BayPower, str]] = {}
        self.charges: dict[BayId, int | None] = {}
        self.weak: list[bool] = []

    def in_bays(self) -> Mapping[BayId, InBay]:
        seen = {bay: it for bay, it in self.cameras.items() if bay not in self.charger.dark}
        return {
            bay: replace(
                self.facts.get(bay, InBay()),
                camera=seen.get(bay),
                **({"charge_pct": self.charges[bay], "inferred": True} if bay in self.charges else {}),  # type: ignore[arg-type] # two fields
            )
            for bay in sorted({ONE, TWO, THREE})
        }

    def charge_read(self, read: ChargeRead) -> None:
        assert read.inferred
        self.charges[read.bay] = read.charge_pct

    def power_changed(self, bay: BayId, power: BayPower, detail: str) -> None:
        self.power[bay] = (power, detail)
        self.told.append(f"{bay} {power.value}{' already dark' if bay in self.charger.dark else ''}")

    def rest(self, *, weak: bool) -> None:
        self.weak.append(weak)


class Charger(SimCharger):
    """A charger whose switches fail or hang when they are told to, and which remembers what it was asked."""

    def __init__(self, levels_pct: Mapping[BayId, float]) -> None:
        super().__init__(can=frozenset({ONE, TWO, THREE}), levels_pct=dict(levels_pct))
        self.asked: list[str] = []
        self.broken: dict[BayId, BaseException] = {}
        self.deaf = False
        self.hangs = False
        self.odd_ma: dict[BayId, int] = {}
        self.slow: set[BayId] = set()

    async def set(self, bay: BayId, *, on: bool) -> None:
        self.asked.append(f"{bay} {'on' if on else 'off'}")
        if bay in self.broken:
            raise self.broken[bay]
        await super().set(bay, on=on)
        if bay in self.slow and not on:
            await asyncio.Event().wait()

    async def read(self) -> Mapping[BayId, int]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.deaf:
            raise TransientError(Reason.POWER, "no sensor answers")
        return {**await super().read(), **self.odd_ma}


class World:
    """Three bays, by default each with a camera that tells its charge once it is seen."""

    def __init__(self, levels_pct: Mapping[BayId, float], *, terms: Terms = HALF_AN_AMPERE, tells: bool = True) -> None:
        self.charger = Charger(levels_pct)
        self.clock = HandClock()
        self.bays = SimBays(self.charger)
        self.bays.cameras = {bay: camera(f"C{bay}") for bay in levels_pct}
        self.tells = tells
        gear = Gear(
            power=self.charger,
            currents=self.charger,
            temperatures=self.charger,
            supply=self.charger,
            terms=terms,
            bounds=Bounds(),
            shift_in_s=lambda: None,
        )
        self.charging = Charging(gear, bays=self.bays, clock=self.clock)

    async def looks(self, count: int = 1, *, every_s: float = TICK_S) -> None:
        for _ in range(count):
            if self.tells:
                self.bays.facts |= {
                    bay: replace(self.bays.facts.get(bay, InBay()), charge_pct=int(level_pct))
                    for bay, level_pct in self.charger.levels_pct.items()
                }
            await self.charging.look()
            self.clock.at_s += every_s
            self.charger.passes(every_s)
