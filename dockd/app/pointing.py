"""Pointing at a bay: its light blinks white for a while instead of what the bay shows, so that people find it.

Owns which bays are pointed at and until when. Nothing else changes: what the bay would show is kept and comes back, and
whoever asks what it shows is told that. When the station ends, all its lights go out at once, however long the rest of
its end takes: nobody looks at the bays any more.
"""

from collections.abc import Collection

from dockd.app.ports import Clock, Lamps
from dockd.app.waiting import Bell, Waiting
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId


class Pointing:
    """Stands before a station's lamps, and implements their port. `run` works until cancelled."""

    def __init__(self, lamps: Lamps, *, bays: Collection[BayId], clock: Clock) -> None:
        """Begin with every light its bay's own."""
        self._lamps = lamps
        self._clock = clock
        self._bell = Bell()
        self._own = dict.fromkeys(bays, Lamp.OFF)
        self._pointed_at = Waiting[BayId]()
        self._ended = False

    def show(self, bay: BayId, lamp: Lamp) -> None:
        """Show a bay's own lamp, now or when nobody points at it any more."""
        self._own[bay] = lamp
        if bay not in self._pointed_at.all():
            self._light(bay, lamp)

    def begin(self, bay: BayId, *, for_s: float) -> bool:
        """Point at a bay, from now for so long whatever was said before; False where there is no such bay."""
        if bay not in self._own:
            return False
        self._pointed_at.put_off(bay, until_s=self._clock.monotonic_s() + for_s)
        self._light(bay, Lamp.IDENTIFY)
        self._bell.ring()
        return True

    def end(self, bay: BayId) -> bool:
        """Point at a bay no more, if somebody does; False where there is no such bay."""
        if bay not in self._own:
            return False
        if bay in self._pointed_at.all():
            self._pointed_at.forget(bay)
            self._light(bay, self._own[bay])
        return True

    async def run(self) -> None:
        """End what has lasted long enough, for ever; then every light is dark, and stays so."""
        try:
            while True:
                now_s = self._clock.monotonic_s()
                self._end_due(now_s)
                await self._bell.heard(within_s=self._pointed_at.next_in_s(now_s))
        finally:
            for bay in self._own:
                self._light(bay, Lamp.OFF)
            self._ended = True

    def _end_due(self, now_s: float) -> None:
        pointed_at = self._pointed_at.all()
        for bay in pointed_at - self._pointed_at.now(now_s):
            self._light(bay, self._own[bay])

    def _light(self, bay: BayId, lamp: Lamp) -> None:
        if not self._ended:
            self._lamps.show(bay, lamp)
