"""A whole simulated shift: cameras with recordings on them, officers who dock them, and the truth of it all.

Owns the making of a shift from its seed. What a station does with it is real; how it went is `reckoning`'s to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from dockd.app.ports import CameraFeed, Cards, Clock
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial, ClipId
from dockd.sim.battery import Battery
from dockd.sim.cards import DockedCards
from dockd.sim.feed import ShiftFeed
from dockd.sim.footage import fill
from dockd.sim.itinerary import plan_shift
from dockd.sim.lamps import ShownLamps
from dockd.sim.manifest import Manifest
from dockd.sim.paced import PacedBus, PacedCards
from dockd.sim.rack import Rack
from dockd.sim.reckoning import Reckoning, Stored, reckon
from dockd.sim.witness import Holds, Witness

RECORDINGS = (3, 9)
BATTERY_PCT = (30.0, 90.0)
TELLS_BATTERY = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A shift that is ready to begin: two ports for the station, a wrapping for its cards, and what is true.

    `witness` is None where nobody looks on.
    """

    manifest: Manifest
    feed: CameraFeed
    lamps: ShownLamps
    rack: Rack
    bus: PacedBus
    witness: Witness | None

    def pace(self, cards: Cards) -> Cards:
        """Put a station's cards into the simulated bays: paced, watched, and gone when a camera is pulled."""
        paced: Cards = PacedCards(cards, bus=self.bus)
        if self.witness is not None:
            paced = self.witness.watching(paced)
        return DockedCards(paced, rack=self.rack)

    def wanted(self) -> frozenset[ClipId]:
        """Name every clip that the store must hold at the end."""
        return frozenset(put.clip_id for put in self.manifest.puts)

    def reckon(self, stored: Mapping[ClipId, Stored | None]) -> Reckoning:
        """Say how it went, with what the store gives back."""
        still_there = frozenset(put for put in self.manifest.puts if self.rack.holds(put.camera, put.path))
        sightings = self.witness.sightings if self.witness else ()
        return reckon(self.manifest.puts, stored=stored, still_there=still_there, sightings=sightings)


def simulated_shift(
    *,
    root: Path,
    cameras: int,
    bays: Sequence[BayId],
    seed: int,
    clock: Clock,
    bus_bytes_s: int | None = None,
    speed: float = 1.0,
    holds: Holds | None = None,
) -> Shift:
    """Make a shift below an empty folder: everything about it follows from `seed`, `cameras` and `bays`.

    `bus_bytes_s` is what the bus of all bays carries, None as much as it can; the plan's times pass `speed` times as
    fast as the clock's. `holds` asks the store about a clip at the moment before it is erased. Writes some megabytes a
    camera: call it from a thread.
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
        witness=Witness(manifest=manifest, holds=holds) if holds is not None else None,
    )


def _camera(number: int) -> Camera:
    return Camera(serial=CameraSerial(f"DKD-{number:04d}"), volume=FOLDER_VOLUME, model="DKD-1", firmware="1.4")


def _battery(chance: Random) -> Battery:
    return Battery(level_pct=chance.uniform(*BATTERY_PCT), tells=chance.random() < TELLS_BATTERY)
