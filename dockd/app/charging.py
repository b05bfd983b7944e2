"""The station's power at work: looks at every bay every few seconds, plans, and switches what changed.

Owns what is remembered of each bay's camera while it is dark, and what an unreadable sensor or a switch that fails
means: a bay that nobody knows about has power. Who may charge is `domain.charging`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from dockd.app.ports import ChargeRead, Clock
from dockd.app.power_ports import Currents, Power, Supply, Temperatures
from dockd.domain.bay import BayPower
from dockd.domain.charging import LEAST_CHARGING_MA, Basis, Charge, Decision, Slot, Terms, Why, plan
from dockd.domain.model import BayId, Camera
from dockd.domain.overload import Bounds, Guard, judged
from dockd.domain.taper import Trace, inferred_pct, noted
from dockd.errors import TransientError

T = TypeVar("T")

TICK_S = 5.0
READ_S = 2.0
SWITCH_S = 10.0
"""Somebody may have to be started who switches, on a machine that is busy."""
SETTLE_S = 20.0
"""So long after it was given power a camera may take to be seen, and to draw what it will draw."""
FALL_S = 300.0
"""Who draws less counts as drawing less once that has lasted: at the edge of the budget, noise would switch bays."""
ODD = 3
"""Of so many readings the middle one counts: one that jumps says nothing."""
WEAK_S = 60.0
"""The supply has to hold for so long before copying goes on."""
SHAM_READINGS = 3
"""So many readings of a current in a row, in a dark bay, are a switch that switches nothing: one may be odd."""
WAITS = "waits for its turn to charge"
STAYS_ON = "it has power still, since this bay cannot be switched"


@dataclass(frozen=True, slots=True, kw_only=True)
class InBay:
    """What a station knows of the camera in a bay.

    `busy` is a card that is worked on or looked at, `settled` one with nothing left to do. `inferred` is a charge that
    came from here.
    """

    camera: Camera | None = None
    busy: bool = False
    settled: bool = True
    charge_pct: int | None = None
    inferred: bool = False


class Bays(Protocol):
    """The bays as this loop sees them."""

    def in_bays(self) -> Mapping[BayId, InBay]:
        """Say what is in every bay."""
        ...

    def charge_read(self, read: ChargeRead) -> None:
        """Take a charge that was inferred."""
        ...

    def power_changed(self, bay: BayId, power: BayPower, detail: str) -> None:
        """Hear why a bay has no power, or that it has."""
        ...

    def rest(self, *, weak: bool) -> None:
        """Begin no more work on cards while the supply is weak."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gear:
    """A station's power: its switches and sensors, and what it charges by. `shift_in_s` is asked at every look."""

    power: Power
    currents: Currents
    temperatures: Temperatures
    supply: Supply
    terms: Terms
    bounds: Bounds
    shift_in_s: Callable[[], float | None]


@dataclass(slots=True, kw_only=True)
class _Known:
    """One bay as it is remembered. `on` is None until it was switched once: a former run may have left it dark.

    `settled` is what was last seen of the camera's card: a dark bay looks as if nobody had done anything there.
    `unsure` is a switch that failed, or has not answered: it is asked again, whatever the bay was. `leaks` counts
    currents in the dark; `sham` is a switch that took the camera off the bus and left its current on: it saves nothing,
    and is let be.
    """

    on: bool | None = None
    unsure: bool = False
    since_s: float
    camera: Camera | None = None
    settled: bool = True
    trace: Trace = field(default_factory=Trace)
    guard: Guard = field(default_factory=Guard)
    charge: Charge = field(default_factory=Charge)
    charged_s: float = 0.0
    draw_ma: int | None = None
    recent_ma: tuple[int, ...] = ()
    below_ma: int = 0
    below_s: float = 0.0
    leaks: int = 0
    sham: bool = False
    told: tuple[BayPower, str] = (BayPower.ON, "")

    def take(self, camera: Camera | None) -> None:
        """Begin to know another camera, or none."""
        self.camera = camera
        self.trace, self.charge, self.charged_s = Trace(), Charge(), 0.0
        self.draw_ma, self.recent_ma, self.below_ma, self.below_s = None, (), 0, 0.0

    def measure(self, current_ma: int | None, *, seconds: float, copying: bool) -> None:
        """Take a reading of a bay that has power: a rise counts with the second reading, a fall once it lasts."""
        self.charged_s += seconds
        self.trace = noted(self.trace, current_ma, seconds=seconds, copying=copying)
        if current_ma is None:
            return
        self.recent_ma = (*self.recent_ma, max(0, current_ma))[-ODD:]
        now_ma = sorted(self.recent_ma)[(len(self.recent_ma) - 1) // 2]
        self.below_ma, self.below_s = max(self.below_ma, now_ma), self.below_s + seconds
        if self.draw_ma is None or now_ma >= self.draw_ma or self.below_s >= FALL_S:
            self.draw_ma, self.below_ma, self.below_s = max(self.below_ma, now_ma), 0, 0.0

    def estimate(self, inside: InBay, *, settling: bool) -> None:
        """Believe the camera before its current; while it is dark, or comes back, what was last known stands."""
        if inside.charge_pct is not None and not inside.inferred:
            self.charge = Charge(pct=inside.charge_pct, basis=Basis.READ)
            return
        if self.charge.basis is Basis.READ and (inside.camera is None or settling):
            return
        known = self.charge if self.charge.basis is Basis.INFERRED else Charge()
        pct = inferred_pct(self.trace)
        self.charge = known if pct is None else Charge(pct=pct, basis=Basis.INFERRED)


class Charging:
    """Charges a station's cameras. `run` works until cancelled, and leaves no bay without power but what was cut."""

    def __init__(self, gear: Gear, *, bays: Bays, clock: Clock) -> None:
        """Begin knowing nothing of any bay."""
        self._gear = gear
        self._bays = bays
        self._clock = clock
        self._known: dict[BayId, _Known] = {}
        self._looked_s: float | None = None
        self._weak_until_s: float | None = None
        self._decisions: Mapping[BayId, Decision] = {}

    async def run(self) -> None:
        """Look, plan and switch for ever."""
        try:
            while True:
                await self.look()
                await self._clock.sleep(TICK_S)
        finally:
            await self._light_up()

    def minutes(self, bay: BayId) -> int | None:
        """Say in how many minutes a bay's battery is ready; None where nobody can say."""
        decision = self._decisions.get(bay)
        return None if decision is None else decision.minutes

    async def look(self) -> None:
        """Look at everything once, and do what follows."""
        gear = self._gear
        currents_ma = await _asked(gear.currents.read()) or {}
        temperatures_c = await _asked(gear.temperatures.read_c()) or {}
        weak = await _asked(gear.supply.weak())
        now_s = self._clock.monotonic_s()
        seconds, self._looked_s = now_s - (now_s if self._looked_s is None else self._looked_s), now_s
        self._rest(weak=bool(weak), now_s=now_s)
        switchable = gear.power.switchable()
        slots = []
        for bay, inside in self._bays.in_bays().items():
            known = self._known.setdefault(bay, _Known(since_s=now_s))
            self._recognise(known, inside, now_s=now_s)
            self._measure(known, inside, currents_ma.get(bay), temperatures_c.get(bay), seconds=seconds, now_s=now_s)
            self._tell_charge(bay, known, inside)
            slots.append(_slot(bay, known, inside, switchable=bay in switchable and not known.sham, now_s=now_s))
        made = plan(slots, terms=gear.terms, shift_in_s=gear.shift_in_s())
        self._decisions = made.decisions
        await self._carry_out(made.decisions, switchable)

    def _rest(self, *, weak: bool, now_s: float) -> None:
        if weak:
            if self._weak_until_s is None:
                self._bays.rest(weak=True)
            self._weak_until_s = now_s + WEAK_S
        elif self._weak_until_s is not None and now_s >= self._weak_until_s:
            self._weak_until_s = None
            self._bays.rest(weak=False)

    def _recognise(self, known: _Known, inside: InBay, *, now_s: float) -> None:
        """Keep in mind which camera is in a bay: one in a dark bay is not seen, and believed to be there still."""
        if inside.camera is not None:
            if inside.camera != known.camera:
                known.take(inside.camera)
            known.settled = inside.settled
            return
        seen = known.on is not False and not known.unsure and now_s - known.since_s >= SETTLE_S
        if seen and known.camera is not None:
            known.take(None)

    def _measure(
        self,
        known: _Known,
        inside: InBay,
        current_ma: int | None,
        temperature_c: float | None,
        *,
        seconds: float,
        now_s: float,
    ) -> None:
        lit, settling = known.on is not False, now_s - known.since_s < SETTLE_S
        if not lit and not settling and current_ma is not None:
            known.leaks = known.leaks + 1 if current_ma >= LEAST_CHARGING_MA else 0
            known.sham = known.sham or known.leaks >= SHAM_READINGS
        if lit:
            known.measure(current_ma, seconds=seconds, copying=inside.busy or settling)
        known.guard = judged(
            known.guard,
            current_ma=current_ma if lit else None,
            temperature_c=temperature_c,
            seconds=seconds,
            bounds=self._gear.bounds,
        )
        known.estimate(inside, settling=settling)

    def _tell_charge(self, bay: BayId, known: _Known, inside: InBay) -> None:
        """Tell what was inferred, again where a camera came back; what the camera itself says is told by its feed."""
        inferred = known.charge.basis is Basis.INFERRED
        if inferred and inside.camera is not None and inside.charge_pct != known.charge.pct:
            self._bays.charge_read(ChargeRead(bay=bay, charge_pct=known.charge.pct, inferred=True))

    async def _carry_out(self, decisions: Mapping[BayId, Decision], switchable: Collection[BayId]) -> None:
        """Switch off first, so that the budget is not passed for a moment; people hear before a bay goes dark."""
        known = self._known
        could = [it for it in decisions.values() if it.bay in switchable]
        changes = [it for it in could if it.on is not known[it.bay].on or known[it.bay].unsure]
        for it in changes:
            if not it.on:
                self._tell_power(it, dark=True)
        for on in (False, True):
            async with asyncio.TaskGroup() as group:
                for it in changes:
                    if it.on is on:
                        group.create_task(self._switch(it.bay, on=on), name=f"power of bay {it.bay}")
        for decision in decisions.values():
            self._tell_power(decision, dark=known[decision.bay].on is False)

    def _tell_power(self, decision: Decision, *, dark: bool) -> None:
        known = self._known[decision.bay]
        told = BayPower.WAITING if dark else BayPower.ON, WAITS if dark else ""
        if decision.why in {Why.OVER_CURRENT, Why.OVER_TEMPERATURE}:
            told = BayPower.CUT, known.guard.detail if dark else f"{known.guard.detail}; {STAYS_ON}"
        if told != known.told:
            known.told = told
            self._bays.power_changed(decision.bay, *told)

    async def _switch(self, bay: BayId, *, on: bool) -> None:
        """Switch a bay; one that fails is taken for what it was, and asked again at the next look."""
        known = self._known[bay]
        known.unsure = True
        try:
            async with asyncio.timeout(SWITCH_S):
                await self._gear.power.set(bay, on=on)
        except (TransientError, TimeoutError):
            return
        known.unsure = False
        if known.on is on:
            return
        known.on, known.since_s = on, self._clock.monotonic_s()

    async def _light_up(self) -> None:
        """Give every bay that merely waited its power back: a station that stands still charges."""
        async with asyncio.TaskGroup() as group:
            for bay, known in self._known.items():
                if (known.on is False or known.unsure) and known.guard.cut is None:
                    group.create_task(self._switch(bay, on=True), name=f"power of bay {bay}")


async def _asked(asking: Awaitable[T]) -> T | None:
    """Ask a sensor, for a while; None where it does not answer: what is not known keeps nobody from charging."""
    try:
        async with asyncio.timeout(READ_S):
            return await asking
    except (TransientError, TimeoutError):
        return None


def _slot(bay: BayId, known: _Known, inside: InBay, *, switchable: bool, now_s: float) -> Slot:
    return Slot(
        bay=bay,
        docked=known.camera is not None,
        transferring=inside.busy,
        settled=known.settled,
        switchable=switchable,
        on=known.on is not False,
        since_s=now_s - known.since_s,
        charge=known.charge,
        charged_s=known.charged_s,
        draw_ma=known.draw_ma,
        overload=known.guard.cut,
    )
