"""How many cameras are ready at six in the morning, beside a planner that takes them first come, first served.

    .venv/bin/python -m tests.bench.bench_charging [--nights 20] [--budget-ma 6000] [--hours 8]

The loop is the station's own, over simulated switches, sensors and batteries, with a look a minute. Cameras come in all
at once, between 30 and 70 per cent; half of them tell nobody how full they are. First come, first served is what a hub
with a budget does: who came first charges until he is full, and then the next. `could` is what nobody can beat: the
budget's charge, all of it, given to those who need least.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from dockd.app.charging import Charging, Gear, InBay
from dockd.app.ports import ChargeRead
from dockd.domain.bay import BayPower
from dockd.domain.charging import Terms
from dockd.domain.model import BayId, Camera, CameraSerial, Timestamp, VolumeId
from dockd.domain.overload import Bounds
from dockd.sim.charger import FULL_MAS, SimCharger, current_ma

LOOK_S = 60.0
ISSUE_PCT = 80
LEVELS_PCT = (30.0, 70.0)


@dataclass(slots=True)
class Night:
    """A station by night: its bays and its clock."""

    charger: SimCharger
    tells: frozenset[BayId]
    left_s: float
    at_s: float = 0.0
    inferred: dict[BayId, int | None] = field(default_factory=dict)
    switched: int = 0

    def monotonic_s(self) -> float:
        """Seconds since the evening."""
        return self.at_s

    def now(self) -> Timestamp:
        """Say nothing of the wall clock."""
        return Timestamp(utc="2026-01-01T22:00:00.000000Z", source="simulated", uncertainty_ms=0)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.at_s += seconds

    def in_bays(self) -> Mapping[BayId, InBay]:
        """Say what is in every bay: cards that are done with."""
        bays = {}
        for bay, level_pct in self.charger.levels_pct.items():
            known = int(level_pct) if bay in self.tells else self.inferred.get(bay)
            camera = Camera(serial=CameraSerial(f"C{bay}"), volume=VolumeId("V"))
            bays[bay] = InBay(camera=camera, charge_pct=known, inferred=bay not in self.tells)
            if bay in self.charger.dark:
                bays[bay] = InBay()
        return bays

    def charge_read(self, read: ChargeRead) -> None:
        """Take a charge that was inferred."""
        self.inferred[read.bay] = read.charge_pct

    def power_changed(self, bay: BayId, power: BayPower, detail: str) -> None:  # noqa: ARG002 - as the port has it
        """Count switchings."""
        self.switched += 1

    def rest(self, *, weak: bool) -> None:
        """Have no work on cards."""

    def shift_in_s(self) -> float:
        """Say how long it is until the shift."""
        return max(0.0, self.left_s - self.at_s)


def evening(cameras: int, seed: int) -> tuple[dict[BayId, float], frozenset[BayId]]:
    """Say how full each camera comes in, and which of them tell."""
    chance = Random(seed)
    levels_pct = {BayId(number): chance.uniform(*LEVELS_PCT) for number in range(1, cameras + 1)}
    return levels_pct, frozenset(bay for bay in levels_pct if chance.random() < 0.5)


def ready(levels_pct: Mapping[BayId, float]) -> int:
    """Count who may be issued, in truth."""
    return sum(level_pct >= ISSUE_PCT for level_pct in levels_pct.values())


async def planned(cameras: int, seed: int, *, budget_ma: int, hours: float) -> tuple[int, int, int]:
    """Spend a night with the station's loop: who is ready, the most that was ever drawn, how often it switched."""
    levels_pct, tells = evening(cameras, seed)
    charger = SimCharger(can=frozenset(levels_pct), levels_pct=dict(levels_pct))
    night = Night(charger, tells, left_s=hours * 3600)
    gear = Gear(
        power=charger,
        currents=charger,
        temperatures=charger,
        supply=charger,
        terms=Terms(budget_ma=budget_ma, issue_pct=ISSUE_PCT),
        bounds=Bounds(),
        shift_in_s=night.shift_in_s,
    )
    charging = Charging(gear, bays=night, clock=night)
    while night.shift_in_s():
        await charging.look()
        charger.passes(LOOK_S)
        await night.sleep(LOOK_S)
    return ready(charger.levels_pct), charger.most_ma, night.switched


def first_come(cameras: int, seed: int, *, budget_ma: int, hours: float) -> int:
    """Spend a night first come, first served."""
    levels_pct, _ = evening(cameras, seed)
    for _ in range(int(hours * 3600 / LOOK_S)):
        free_ma = budget_ma
        for bay, level_pct in levels_pct.items():
            draws_ma = current_ma(level_pct)
            if level_pct >= 99 or draws_ma > free_ma:
                continue
            free_ma -= draws_ma
            levels_pct[bay] = min(100.0, level_pct + 100 * draws_ma * LOOK_S / FULL_MAS)
    return ready(levels_pct)


def could(cameras: int, seed: int, *, budget_ma: int, hours: float) -> int:
    """Count who could be ready by any plan: the budget's charge to those who need least."""
    levels_pct, _ = evening(cameras, seed)
    left_mas, count = budget_ma * hours * 3600, 0
    for missing_pct in sorted(max(0.0, ISSUE_PCT - level_pct) for level_pct in levels_pct.values()):
        left_mas -= missing_pct / 100 * FULL_MAS
        count += left_mas >= 0
    return count


def report(cameras: int, nights: Sequence[int], *, budget_ma: int, hours: float) -> str:
    """Sum nights up in a line."""
    runs = [asyncio.run(planned(cameras, seed, budget_ma=budget_ma, hours=hours)) for seed in nights]
    naive = sum(first_come(cameras, seed, budget_ma=budget_ma, hours=hours) for seed in nights) / len(nights)
    best = sum(could(cameras, seed, budget_ma=budget_ma, hours=hours) for seed in nights) / len(nights)
    ours = sum(run[0] for run in runs) / len(runs)
    most_ma, switched = max(run[1] for run in runs), sum(run[2] for run in runs) / len(runs)
    return (
        f"{cameras:2d} cameras: ready {ours:5.1f}, first come {naive:5.1f}, could {best:5.1f};"
        f" ratio {ours / max(naive, 0.1):4.2f}; drew at most {most_ma} mA; {switched:.0f} switchings a night"
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nights", type=int, default=20)
    parser.add_argument("--budget-ma", type=int, default=6000)
    parser.add_argument("--hours", type=float, default=8.0)
    wanted = parser.parse_args()
    for cameras in (14, 34):
        line = report(cameras, range(wanted.nights), budget_ma=wanted.budget_ma, hours=wanted.hours)
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
