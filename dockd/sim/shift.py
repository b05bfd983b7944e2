"""A whole simulated shift: cameras with recordings on them, officers who dock them, and the truth of it all.

Owns the making of a shift from its seed. What a station does with it is real; how it went is `reckoning`'s to say.
"""

import asyncio
import http.client
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from dockd.app.ports import CameraFeed, Cards, Clock
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial, StationId
from dockd.errors import InvariantError
from dockd.sim.battery import Battery
from dockd.sim.cards import DockedCards
from dockd.sim.feed import ShiftFeed
from dockd.sim.footage import fill
from dockd.sim.itinerary import plan_shift
from dockd.sim.lamps import ShownLamps
from dockd.sim.manifest import Manifest, Put
from dockd.sim.paced import PacedBus, PacedCards
from dockd.sim.rack import Rack
from dockd.sim.reader import StoreReader
from dockd.sim.reckoning import Reckoning, reckon
from dockd.sim.witness import Witness

RECORDINGS = (3, 9)
BATTERY_PCT = (30.0, 90.0)
TELLS_BATTERY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A shift that is ready to begin: two ports for the station, a wrapping for its cards, and what is true.

    `reader` and `witness` are None where nobody looks on.
    """

    manifest: Manifest
    feed: CameraFeed
    lamps: ShownLamps
    rack: Rack
    bus: PacedBus
    reader: StoreReader | None = None
    witness: Witness | None = None

    def watched(self, store_url: str, *, station: StationId) -> "Shift":
        """Give the same shift with somebody looking on, who asks the store itself what it holds for a station."""
        reader = StoreReader(store_url, station=station)
        witness = Witness(manifest=self.manifest, holds=lambda put: asyncio.to_thread(_holds, reader, put))
        return replace(self, reader=reader, witness=witness)

    def pace(self, cards: Cards) -> Cards:
        """Put a station's cards into the simulated bays: paced, watched, and gone when a camera is pulled."""
        paced: Cards = PacedCards(cards, bus=self.bus)
        if self.witness is not None:
            paced = self.witness.watching(paced)
        return DockedCards(paced, rack=self.rack)

    def reckon(self) -> Reckoning:
        """Read every clip back from the store and say how it went. Blocks; only of a shift that was watched.

        Raises:
            OSError, HTTPException, ValueError: the store does not answer as it should.

        """
        if self.reader is None or self.witness is None:
            raise InvariantError("a shift that nobody watched cannot be judged")
        puts = self.manifest.puts
        return reckon(
            puts,
            stored=self.reader.stored(frozenset(put.clip_id for put in puts)),
            still_there=frozenset(put for put in puts if self.rack.holds(put.camera, put.path)),
            sightings=self.witness.sightings,
        )


def simulated_shift(
    *,
    root: Path,
    cameras: int,
    bays: Sequence[BayId],
    seed: int,
    clock: Clock,
    bus_bytes_s: int | None = None,
    speed: float = 1.0,
) -> Shift:
    """Make a shift below an empty folder: everything about it follows from `seed`, `cameras` and `bays`.

    `bus_bytes_s` is what the bus of all bays carries, None as much as it can; the plan's times pass `speed` times as
    fast as the clock's. Writes some megabytes a camera: call it from a thread.
    """
    chance = Random(seed)
    rack = Rack(root)
    docked = [_camera(number) for number in range(1, cameras + 1)]
    manifest = Manifest(
        tuple(
            put
            for camera in docked
            for put in fill(rack.shelf(camera), camera=camera, recordings=chance.randint(*RECORDINGS), chance=chance)
        )
    )
    lamps = ShownLamps()
    feed = ShiftFeed(
        visits=plan_shift(cameras=cameras, bays=bays, chance=chance),
        cameras=docked,
        batteries=[_battery(chance) for _ in docked],
        bays=bays,
        rack=rack,
        lamps=lamps,
        clock=clock,
        speed=speed,
    )
    return Shift(
        manifest=manifest,
        feed=feed,
        lamps=lamps,
        rack=rack,
        bus=PacedBus(clock=clock, bytes_s=bus_bytes_s),
    )


def _holds(reader: StoreReader, put: Put) -> bool:
    try:
        return reader.holds(put)
    except (OSError, http.client.HTTPException, ValueError):
        # A store that cannot say so does not hold it: the reckoning will name the clip.
        return False


def _camera(number: int) -> Camera:
    return Camera(serial=CameraSerial(f"DKD-{number:04d}"), volume=FOLDER_VOLUME, model="DKD-1", firmware="1.4")


def _battery(chance: Random) -> Battery:
    return Battery(level_pct=chance.uniform(*BATTERY_PCT), tells=chance.random() < TELLS_BATTERY)
