"""The lamps of a board: one task moves all of them, and sleeps until the next one changes.

Owns when a line is written: on change only. What a lamp looks like is `domain.lamps`; the station's work never waits
for a lamp, and never ends by one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil

from dockd.app.ports import Clock
from dockd.app.waiting import Bell
from dockd.domain.board import LampPins
from dockd.domain.lamps import Channel, Lamp, channels_lit, next_change_s
from dockd.domain.model import BayId
from dockd.edges.gpio.lines import LineError, Lines, Output

BEAT_S = 0.5
"""Lamps begin on a common beat, dark until then: what many lamps do falls together, and one waking serves them all."""
EARLY_S = 0.002
"""A change that is due so soon is made now: a timer that comes a hair early costs no second waking."""
MEND_S = 10.0
"""A lamp of which a line gave an error is looked at again so often."""

_GREEN_LAST = (Channel.RED, Channel.BLUE, Channel.GREEN)
"""Green goes on last and off first: what stops half way never claims more than the lamp was to say."""
_CLAIMS = frozenset({Channel.GREEN, Channel.BLUE})
"""Alone these say that something is safe, or may be taken."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Showing:
    """What a lamp shows, and since when on the monotonic clock; a time to come is the beat on which it begins."""

    lamp: Lamp
    since_s: float

    def lit(self, at_s: float) -> frozenset[Channel]:
        """Say what is on."""
        return frozenset() if at_s < self.since_s else channels_lit(self.lamp, elapsed_s=at_s - self.since_s)

    def due_s(self, at_s: float) -> float | None:
        """Say when that changes; None where it never does."""
        if at_s < self.since_s:
            return self.since_s
        elapsed_s = next_change_s(self.lamp, elapsed_s=at_s - self.since_s)
        return None if elapsed_s is None else self.since_s + elapsed_s


class GpioLamps:
    """Lamps on lines of a board; implements the port Lamps. Every wired lamp is dark until it is told what to show."""

    def __init__(self, wiring: Mapping[BayId, LampPins], *, pins: Lines, clock: Clock) -> None:
        """Take every line, dark; a lamp whose lines cannot be had stays dark, and is told of."""
        self._clock = clock
        self._bell = Bell()
        self._shown: dict[BayId, _Showing] = {}
        self._lights = {bay: _Light(bay, wired, pins=pins) for bay, wired in wiring.items()}
        for light in self._lights.values():
            light.show(frozenset(), now_s=clock.monotonic_s())

    @property
    def faults(self) -> Mapping[BayId, str]:
        """What is wrong with the lamps that show nothing for an error of a line."""
        return {bay: light.fault for bay, light in self._lights.items() if light.fault}

    def show(self, bay: BayId, lamp: Lamp) -> None:
        """Show a lamp until told otherwise: dark at once, then from the next beat. Nothing for a bay without a lamp."""
        now = self._shown.get(bay)
        if bay in self._lights and (now is None or now.lamp is not lamp):
            beat_s = ceil(self._clock.monotonic_s() / BEAT_S) * BEAT_S
            self._shown[bay] = _Showing(lamp=lamp, since_s=beat_s)
            self._bell.ring()

    async def run(self) -> None:
        """Move the lamps until cancelled."""
        while True:
            now_s = self._clock.monotonic_s()
            due_s = self._move(now_s)
            await self._bell.heard(within_s=None if due_s is None else max(0.0, due_s - now_s))

    def close(self) -> None:
        """Leave every lamp dark, and let go of its lines."""
        self._shown.clear()
        for light in self._lights.values():
            light.close()
        self._lights.clear()

    def _move(self, now_s: float) -> float | None:
        """Bring every lamp up to now; give the time of the next change, None where there is none."""
        at_s = now_s + EARLY_S
        due: list[float] = []
        for bay, light in self._lights.items():
            showing = self._shown.get(bay)
            light.show(frozenset() if showing is None else showing.lit(at_s), now_s=now_s)
            next_s = showing.due_s(at_s) if showing is not None and not light.fault else light.mend_s
            if next_s is not None:
                due.append(next_s)
        return min(due, default=None)


class _Light:
    """One lamp: its lines, which of them are on, and what is wrong with it. An error of one line makes it dark.

    A line that cannot be put out then gets company: lit alone, it would say what is not so.
    """

    def __init__(self, bay: BayId, wired: LampPins, *, pins: Lines) -> None:
        self._bay = bay
        self._lines = {Channel.RED: wired.red, Channel.GREEN: wired.green, Channel.BLUE: wired.blue}
        self._pins = pins
        self._outputs = dict[Channel, Output]()
        self._lit: frozenset[Channel] | None = None
        self._maybe_lit = set[Channel]()
        self._told = ""
        self.fault = ""
        self.mend_s: float | None = None

    def show(self, wanted: frozenset[Channel], *, now_s: float) -> None:
        """Write what differs. Of a lamp that gave an error nothing is written but, at times, that it is dark."""
        if self.mend_s is not None and now_s < self.mend_s:
            return
        try:
            if self._lit is None:
                self._begin()
            self._write(wanted)
        except LineError as error:
            self._break(str(error), now_s=now_s)

    def close(self) -> None:
        """Leave it dark, and let go of its lines; what cannot be done is told."""
        for output in self._outputs.values():
            for wrong in (_tried(output.off), _tried(output.close)):
                if wrong:
                    _log.warning("lamp of bay %s may not be dark: %s", self._bay, wrong)

    def _begin(self) -> None:
        """Have every line, and have it off."""
        for channel, line in self._lines.items():
            if channel not in self._outputs:
                self._outputs[channel] = self._pins.output(line)
        for channel in reversed(_GREEN_LAST):
            self._off(channel)
        self._lit, self.fault, self.mend_s = frozenset(), "", None

    def _write(self, wanted: frozenset[Channel]) -> None:
        lit = self._lit or frozenset()
        for channel in reversed(_GREEN_LAST):
            if channel in lit - wanted:
                self._off(channel)
        for channel in _GREEN_LAST:
            if channel in wanted - lit:
                self._on(channel)
        self._lit = wanted

    def _on(self, channel: Channel) -> None:
        self._outputs[channel].on()
        self._maybe_lit.add(channel)

    def _off(self, channel: Channel) -> None:
        self._outputs[channel].off()
        self._maybe_lit.discard(channel)

    def _break(self, fault: str, *, now_s: float) -> None:
        """Go dark as far as that can be done, until it can."""
        left = self._put_out()
        self._lit, self.mend_s = None, now_s + MEND_S
        self.fault = f"{fault}; it may be lit: {' '.join(sorted(left))}" if left else fault
        if self.fault != self._told:
            self._told = self.fault
            _log.warning("lamp of bay %s %s: %s", self._bay, "cannot be believed" if left else "is dark", self.fault)

    def _put_out(self) -> frozenset[Channel]:
        """Put out what can be, and see that nothing that cannot is lit alone; give what may be lit then."""
        refuse = {channel for channel in reversed(_GREEN_LAST) if channel in self._outputs and self._refuses(channel)}
        left = frozenset(refuse & self._maybe_lit)
        if left & _CLAIMS:
            for channel in _GREEN_LAST:
                if channel in self._outputs.keys() - refuse and not _tried(partial(self._on, channel)):
                    break
        return left

    def _refuses(self, channel: Channel) -> bool:
        return bool(_tried(partial(self._off, channel)))


def _tried(step: Callable[[], None]) -> str:
    """Do something to a line, and say what went wrong."""
    try:
        step()
    except LineError as error:
        return str(error)
    return ""


@asynccontextmanager
async def moving(wiring: Mapping[BayId, LampPins], *, pins: Lines, clock: Clock) -> AsyncIterator[GpioLamps]:
    """Give the lamps of a board, moved for as long as the block runs, and dark before and after."""
    lamps = GpioLamps(wiring, pins=pins, clock=clock)
    try:
        async with asyncio.TaskGroup() as group:
            mover = group.create_task(lamps.run(), name="lamps")
            try:
                yield lamps
            finally:
                mover.cancel()
    finally:
        lamps.close()
