"""What tests of lamps share: mock pins that keep a record, a clock in the loop's own time, and an eye that reads lamps.

The looks are written by hand here, apart from those of the code.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from gpiozero.pins.mock import MockFactory, MockPin

from dockd.domain.board import LampPins, Line
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId, Timestamp
from dockd.edges.gpio.lamps import GpioLamps, moving
from dockd.edges.gpio.pins import Pins

LOOKS: Mapping[Lamp, tuple[str, tuple[float, ...]]] = {
    Lamp.OFF: ("", ()),
    Lamp.EMPTY: ("RGB", (0.1, 4.9)),
    Lamp.WAIT: ("RG", (0.5, 0.5)),
    Lamp.CHARGING_RECEIPTED: ("G", (1.0, 1.0)),
    Lamp.CHARGING_COPIED: ("B", (2.0, 2.0)),
    Lamp.GO_COPIED: ("B", (1.8, 0.2)),
    Lamp.GO_RECEIPTED: ("G", (1.0,)),
    Lamp.LEAVE: ("R", (0.25, 0.25, 0.25, 1.25)),
    Lamp.IDENTIFY: ("RGB", (0.25, 0.25)),
}
STEP_S = 0.05
"""Every phase above is a whole number of these."""
STEPS = 400
BEAT_S = 0.5
"""On multiples of this lamps begin."""

Seen = Sequence[frozenset[str]]
"""What is lit at each step of twenty seconds, from the beginning of a lamp."""


def look_of(lamp: Lamp, dead: frozenset[str] = frozenset()) -> Seen:
    """Say what an eye sees of a lamp some channels of which are dead."""
    channels, phases = LOOKS[lamp]
    flips = [lit for turn, phase_s in enumerate(phases) for lit in [turn % 2 == 0] * round(phase_s / STEP_S)]
    lit = frozenset(channels) - dead
    return [lit if flips and flips[step % len(flips)] else frozenset() for step in range(STEPS)]


def lamps_like(seen: Seen) -> set[Lamp]:
    """Name every lamp that looks so."""
    return {lamp for lamp in Lamp if look_of(lamp) == list(seen)}


class LoopClock:
    """The port Clock, in the time of the loop. `asked` counts how often the time was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def monotonic_s(self) -> float:
        self.asked += 1
        return asyncio.get_running_loop().time()

    def now(self) -> Timestamp:
        return Timestamp(utc="2026-03-01T08:00:00.000000Z", source="simulated", uncertainty_ms=-1)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class WatchedPin(MockPin):  # type: ignore[misc]  # gpiozero ships no types
    """A pin that keeps what was written to it, and can be made to fail. It has no PWM."""

    writes: list[bool]
    broken = False

    def _set_state(self, value: object) -> None:
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        self.writes.append(bool(value))
        self.factory.trace.append((self, bool(value)))
        super()._set_state(value)

    def clear_states(self) -> None:
        """Begin a new record."""
        super().clear_states()
        self.writes = []


class WatchedPins(MockFactory):  # type: ignore[misc]  # gpiozero ships no types
    """Pins that keep every write, in order, in `trace`."""

    def __init__(self) -> None:
        super().__init__(pin_class=WatchedPin)
        self.trace: list[tuple[WatchedPin, bool]] = []


class Rack:
    """Bays with lamps on the header of a mock board: bay 1 on lines 2, 3 and 4, and so on."""

    def __init__(self, bays: int = 2) -> None:
        self.factory = WatchedPins()
        self.clock = LoopClock()
        self.wiring = {BayId(number): _lines_of(number) for number in range(1, bays + 1)}

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[GpioLamps]:
        """Move its lamps."""
        async with moving(self.wiring, pins=Pins(factory=self.factory), clock=self.clock) as lamps:
            yield lamps

    def pin(self, bay: int, channel: str) -> WatchedPin:
        """Give one pin; it is there from when its line was taken."""
        pin = self.factory.pin(_lines(self.wiring[BayId(bay)])[channel].number)
        assert isinstance(pin, WatchedPin)
        return pin

    def pins(self, bay: int) -> Iterator[tuple[str, WatchedPin]]:
        """Give a bay's pins."""
        return ((channel, self.pin(bay, channel)) for channel in "RGB")

    def lit(self, bay: int) -> frozenset[str]:
        """Say what is lit now."""
        return frozenset(channel for channel, pin in self.pins(bay) if pin.state)

    def writes(self, bay: int) -> int:
        """Count what was written to a bay's pins."""
        return sum(len(pin.writes) for _, pin in self.pins(bay))

    async def beat(self) -> None:
        """Wait for the next moment at which a lamp can begin, and a little longer."""
        now_s = asyncio.get_running_loop().time()
        await asyncio.sleep(BEAT_S - now_s % BEAT_S + STEP_S / 5)

    async def seen(self, bay: int) -> Seen:
        """Look at a bay for twenty seconds, from the next beat."""
        await self.beat()
        begun_s, seen = asyncio.get_running_loop().time(), []
        for step in range(STEPS):
            await asyncio.sleep(begun_s + step * STEP_S - asyncio.get_running_loop().time())
            seen.append(self.lit(bay))
        return seen


def _lines(pins: LampPins) -> Mapping[str, Line]:
    return {"R": pins.red, "G": pins.green, "B": pins.blue}


def _lines_of(number: int) -> LampPins:
    first = 3 * number - 1
    return LampPins(red=Line(number=first), green=Line(number=first + 1), blue=Line(number=first + 2))
