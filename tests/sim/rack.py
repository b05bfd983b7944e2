"""The bays as hardware: which camera is in which, and what the station is told of it, in order and a little late.

Owns where every camera is. Implements the port CameraFeed.
"""

import asyncio
from collections.abc import AsyncIterator

from dockd.app.ports import Attached, ChargeRead, Detached, Empty, FeedEvent
from dockd.domain.model import BayId
from tests.sim.cameras import SimCamera
from tests.sim.fate import Fate
from tests.sim.machine import Power


class SimFeed:
    """The port CameraFeed, of one run of the program."""

    def __init__(self, rack: "Rack", power: Power) -> None:
        self._rack = rack
        self._power = power
        self.queue: asyncio.Queue[FeedEvent | None] = asyncio.Queue()
        for event in rack.as_it_is():
            self.queue.put_nowait(event)

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Tell every bay, then every change."""
        while (event := await self.queue.get()) is not None:
            await self._power.step("feed", most_s=0.05)
            self._rack.heard(event)
            yield event


class Rack:
    """All bays."""

    def __init__(self, fate: Fate, *, bays: tuple[BayId, ...]) -> None:
        self._fate = fate
        self.cameras: dict[str, SimCamera] = {}
        self.bays: dict[BayId, SimCamera | None] = dict.fromkeys(bays)
        self.told: dict[BayId, tuple[SimCamera, int] | None] = dict.fromkeys(bays)
        self.latest: dict[BayId, tuple[SimCamera, int]] = {}
        """What the station was told of last in each bay, also once it left."""
        self._feed: SimFeed | None = None

    def find(self, source: str) -> SimCamera:
        """Give the camera that an Attached's source names."""
        return self.cameras[source.partition("/")[0]]

    def plug_feed(self, feed: SimFeed | None) -> None:
        """Let a run of the program hear what happens from now on; a new one was told of nothing yet."""
        self._feed = feed
        if feed is not None:
            self.told = dict.fromkeys(self.bays)

    def as_it_is(self) -> list[FeedEvent]:
        """Every bay as it is looked at, at start."""
        return [Empty(bay=bay) if camera is None else _attached(camera) for bay, camera in self.bays.items()]

    def dock(self, camera: SimCamera, bay: BayId) -> None:
        """Push a camera into a bay."""
        self._fate.note(f"dock {camera.name} into bay {bay}")
        self.bays[bay] = camera
        camera.bay = bay
        camera.stay += 1
        self._tell(_attached(camera))
        self._tell(ChargeRead(bay=bay, charge_pct=self._fate.random.choice((None, 30, 79, 80, 100))))

    def pull(self, camera: SimCamera) -> None:
        """Take a camera out."""
        if camera.bay is None:
            return
        bay = camera.bay
        self._fate.note(f"pull {camera.name} from bay {bay}")
        self.bays[bay] = None
        camera.bay = None
        camera.writable.clear()
        camera.settle_limbo(self._fate, what="at the pull")
        self._tell(Detached(bay=bay))

    def rename(self, camera: SimCamera) -> None:
        """Let the device come back under another name; nobody says that the old one went."""
        if camera.bay is None:
            return
        self._fate.note(f"rename {camera.name} in bay {camera.bay}")
        camera.stay += 1
        camera.writable.clear()
        camera.settle_limbo(self._fate, what="at the reset")
        self._tell(_attached(camera))

    def end(self) -> None:
        """Say that there will be no more dockings."""
        if self._feed is not None:
            self._feed.queue.put_nowait(None)

    def heard(self, event: FeedEvent) -> None:
        """Note what the station has been told."""
        if isinstance(event, Attached):
            stay = (self.find(event.source), int(event.source.partition("/")[2]))
            self.told[event.bay] = self.latest[event.bay] = stay
        elif not isinstance(event, ChargeRead):
            self.told[event.bay] = None

    def _tell(self, event: FeedEvent) -> None:
        if self._feed is not None:
            self._feed.queue.put_nowait(event)


def _attached(camera: SimCamera) -> Attached:
    assert camera.bay is not None
    return Attached(bay=camera.bay, camera=camera.identity, source=f"{camera.name}/{camera.stay}")
