"""Carries a planned shift out: docks, pulls and charges cameras when it is time, and tells the station.

Owns the times of a shift and who waits for which bay. Moves cameras by the rack; what a camera holds it does not know.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from dockd.app.ports import Attached, ChargeRead, Clock, Detached, Empty, FeedEvent
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId, Camera
from dockd.sim.battery import Battery
from dockd.sim.itinerary import After, Leaving, Visit, WhenDone, WhileCopying
from dockd.sim.lamps import ShownLamps
from dockd.sim.rack import Docked, Rack

LOOK_S = 0.05
"""How soon after a pull the station is told: about what udev takes."""
CHARGE_PCT_S = 1.2
"""Quick, so that a shift change can be watched: a real battery takes hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stay:
    """A visit that was told to the station and not yet told to be over."""

    visit: Visit
    docked: Docked
    began_s: float


class ShiftFeed:
    """Implements the port CameraFeed for one shift. It ends when no camera comes, goes or charges any more."""

    def __init__(
        self,
        *,
        visits: Sequence[Visit],
        cameras: Sequence[Camera],
        batteries: Sequence[Battery],
        bays: Sequence[BayId],
        rack: Rack,
        lamps: ShownLamps,
        clock: Clock,
        speed: float,
    ) -> None:
        """Take the plan; its times pass `speed` times as fast as the clock's."""
        self._cameras = cameras
        self._batteries = list(batteries)
        self._bays = bays
        self._rack = rack
        self._lamps = lamps
        self._clock = clock
        self._speed = speed
        self._to_come = list(visits)
        self._stays: dict[BayId, _Stay] = {}
        self._last_left_s: dict[int, float] = {}
        self._told: dict[BayId, int | None] = {}
        self._looked_s = 0.0

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Tell every bay once, then what happens in the shift, in order."""
        began_s = self._clock.monotonic_s()
        for event in self._first_look(self._arrivals(0.0)):
            yield event
        while not self.over:
            await self._clock.sleep(LOOK_S)
            for event in self.happens((self._clock.monotonic_s() - began_s) * self._speed):
                yield event

    @property
    def over(self) -> bool:
        """Say whether nothing more will happen of itself."""
        staying = all(isinstance(stay.visit.leaving, WhenDone) for stay in self._stays.values())
        charged = all(self._batteries[stay.visit.camera].full for stay in self._stays.values())
        return not self._to_come and staying and charged

    def happens(self, now_s: float) -> Iterator[FeedEvent]:
        """Let everything happen that is due `now_s` seconds into the shift."""
        yield from self._charge(now_s)
        yield from self._departures(now_s)
        yield from self._arrivals(now_s)

    def _first_look(self, arrivals: Iterator[FeedEvent]) -> Iterator[FeedEvent]:
        yield from arrivals
        yield from (Empty(bay=bay) for bay in self._bays if bay not in self._stays)

    def _departures(self, now_s: float) -> Iterator[FeedEvent]:
        for bay, stay in tuple(self._stays.items()):
            if not stay.docked.gone and self._leaves(stay, now_s):
                self._rack.pull(bay)
            if stay.docked.gone:
                del self._stays[bay]
                self._told.pop(bay, None)
                self._last_left_s[stay.visit.camera] = now_s
                yield Detached(bay=bay)

    def _leaves(self, stay: _Stay, now_s: float) -> bool:
        match stay.visit.leaving:
            case WhileCopying():
                return False
            case After(stay_s=stay_s):
                return now_s - stay.began_s >= stay_s
            case WhenDone():
                bay = stay.visit.bay
                wanted = any(visit.bay == bay and self._is_due(visit, now_s) for visit in self._to_come)
                go = self._lamps.shown(bay) is Lamp.GO_RECEIPTED
                return wanted and go and self._rack.is_clean(stay.docked.camera)

    def _arrivals(self, now_s: float) -> Iterator[FeedEvent]:
        for visit in tuple(self._to_come):
            before = next(other for other in self._to_come if other.bay == visit.bay)
            if visit is before and visit.bay not in self._stays and self._is_due(visit, now_s):
                self._to_come.remove(visit)
                yield from self._dock(visit, now_s)

    def _is_due(self, visit: Visit, now_s: float) -> bool:
        if any(stay.visit.camera == visit.camera for stay in self._stays.values()):
            return False
        if next(other for other in self._to_come if other.camera == visit.camera) is not visit:
            return False
        return now_s >= self._last_left_s.get(visit.camera, 0.0) + visit.after_s

    def _dock(self, visit: Visit, now_s: float) -> Iterator[FeedEvent]:
        camera = self._cameras[visit.camera]
        docked = self._rack.dock(camera, visit.bay, pull_at=_pull_at(visit.leaving))
        self._stays[visit.bay] = _Stay(visit=visit, docked=docked, began_s=now_s)
        yield Attached(bay=visit.bay, camera=camera, source=str(docked.folder))
        yield from self._charge_news(visit.bay)

    def _charge(self, now_s: float) -> Iterator[FeedEvent]:
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        for bay, stay in self._stays.items():
            if not stay.docked.gone:
                battery = self._batteries[stay.visit.camera]
                self._batteries[stay.visit.camera] = battery.charged(seconds=passed_s, rate_pct_s=CHARGE_PCT_S)
                yield from self._charge_news(bay)

    def _charge_news(self, bay: BayId) -> Iterator[FeedEvent]:
        level = self._batteries[self._stays[bay].visit.camera].told_pct
        if bay not in self._told or self._told[bay] != level:
            self._told[bay] = level
            yield ChargeRead(bay=bay, charge_pct=level)


def _pull_at(leaving: Leaving) -> int | None:
    match leaving:
        case WhileCopying(file_number=file_number):
            return file_number
        case After() | WhenDone():
            return None
