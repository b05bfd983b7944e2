"""One simulated station in its world: cameras, bays, disk, store, power, and a program that is started over and over.

Owns the wiring of the simulated ports and the life of the program on them. What happens when is the shift's.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from dockd.app.account_ports import Accounting
from dockd.app.charging import Gear
from dockd.app.policy import Policy
from dockd.app.station import Ports, Station
from dockd.domain.model import Assurance, BayId, Camera, CameraSerial, StationId, VolumeId
from dockd.errors import TransientError
from tests.sim.accounts import SimAccounts, StoreAccounts
from tests.sim.auditor import Auditor
from tests.sim.books import Books
from tests.sim.broker import SimBroker
from tests.sim.cameras import SimCamera, SimCards, SimFile
from tests.sim.disk import Disk, SimSpool
from tests.sim.fate import Fate, Fault
from tests.sim.machine import Power, SimClock, SimLamps
from tests.sim.rack import Rack, SimFeed
from tests.sim.receipts import SimKeys
from tests.sim.store import ENDPOINT, Store
from tests.sim.wire import SimWire

STATION = StationId("station-1")
NAMES = (
    b"DCIM/100/ABCD0001.MP4",
    b"DCIM/100/ABCD0001.THM",
    b"DCIM/100/ABCD0002.MP4",
    b"DCIM/101/ABCD0001.MP4",
    "DCIM/100/stra\u00dfe \U0001f46e.mp4".encode(),
    b"DCIM/100/not\xffutf8\n.MOV",
    b"LOG",
)
ROOM_BYTES = (60_000, 60_000, 60_000, 6_000)
"""Most disks never fill up by themselves; without receipts nothing ever goes, and a small one would stay full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a station is set up: the policy, whether its store gives receipts, and its power, if it has any to share."""

    policy: Policy
    receipts: bool
    claims_early: bool = False
    broker: bool = True
    gear: Gear | None = None


def policy_of(fate: Fate, *, erase: bool | None = None, wanted: Assurance | None = None) -> Policy:
    """Choose settings; nearly always those of a real station."""
    chance = fate.random.random()
    chosen = Assurance.SIGNED if chance < 0.9 else Assurance.READBACK if chance < 0.95 else Assurance.ACCEPTED
    return Policy(
        station=STATION,
        endpoint=ENDPOINT,
        wanted=wanted or chosen,
        erase=fate.random.random() < 0.9 if erase is None else erase,
        reserve_bytes=1000,
        grace_s=fate.random.choice((0.0, 0.0, 120.0)),
        uploads_at_once=fate.random.choice((1, 2, 3)),
        growing_wait_s=5.0,
        receipt_s=60.0,
    )


class Run:
    """One life of the program, from its start to its end or a power cut."""

    def __init__(self, world: "World") -> None:
        self.power = Power(world.fate)
        self.spool = SimSpool(world.disk, self.power, claims_early=world.setup.claims_early)
        self.ledger, self.runner = world.books.open(self.power)
        self.feed = SimFeed(world.rack, self.power)
        world.rack.plug_feed(self.feed)
        cards = SimCards(
            world.fate, self.power, spool=self.spool, find=world.rack.find, pull=world.rack.pull, witness=world.auditor
        )
        ports = Ports(
            feed=self.feed,
            cards=cards,
            spool=self.spool,
            ledger=self.ledger,
            wire=SimWire(world.store, world.fate, self.power, self.spool),
            keys=world.keys,
            lamps=SimLamps(world.fate, self.power, shown=world.auditor.shown),
            clock=world.clock,
            chance=world.fate,
            broker=world.broker if world.setup.broker else None,
            accounting=Accounting(store=SimAccounts(world.accounts, world.fate, self.power), book=self.ledger.accounts),
            gear=world.setup.gear,
        )
        self.station = Station(bays=world.buses, ports=ports, policy=world.setup.policy)
        self.task = asyncio.create_task(self.station.run(), name="station")


class World:
    """Everything."""

    def __init__(self, fate: Fate, *, setup: Setup, buses: dict[BayId, str]) -> None:
        self.fate = fate
        self.setup = setup
        self.buses = buses
        self.clock = SimClock(fate)
        self.disk = Disk(
            fate,
            capacity_bytes=fate.random.choice(ROOM_BYTES) if setup.receipts else ROOM_BYTES[0],
            reserve_bytes=setup.policy.reserve_bytes,
        )
        self.store = Store(fate, now_s=self.clock.monotonic_s, gives_receipts=setup.receipts)
        self.accounts = StoreAccounts(store=self.store, offered=setup.receipts)
        self.keys = SimKeys(self.store.key) if setup.receipts else SimKeys()
        self.rack = Rack(fate, bays=tuple(buses))
        self.books = Books(fate, station=STATION, clock=self.clock, committed=self._committed)
        self.auditor = Auditor(
            connection=self.books.connection,
            disk=self.disk,
            store=self.store,
            rack=self.rack,
            now_s=self.clock.monotonic_s,
        )
        self.disk.discarding = self.auditor.discarding
        self.broker = SimBroker(fate)
        self.run: Run | None = None
        self.broken: list[BaseException] = []
        self.forgotten = False
        asyncio.get_running_loop().set_exception_handler(self._note_exception)
        self.replaced: list[tuple[SimCamera, bytes]] = []

    @property
    def cameras(self) -> list[SimCamera]:
        """Every camera there is."""
        return list(self.rack.cameras.values())

    def add_camera(self, *, twin_of: SimCamera | None = None, files: int | None = None) -> SimCamera:
        """Make a camera with files on it, some or so many."""
        number = len(self.rack.cameras) + 1
        identity = Camera(serial=CameraSerial(f"CAM{number}"), volume=VolumeId(f"{number:04X}-0001"), model="sim")
        camera = SimCamera(
            name=f"cam{number}", identity=twin_of.identity if twin_of is not None else identity, files={}
        )
        for path in self.fate.random.sample(NAMES, files or self.fate.random.randrange(1, 6)):
            self.add_file(camera, path)
        self.rack.cameras[camera.name] = camera
        return camera

    def add_file(self, camera: SimCamera, path: bytes) -> None:
        """Record a file."""
        random = self.fate.random
        size = random.choice((0, 1, 700, random.randrange(2000), random.randrange(2000)))
        camera.files[path] = SimFile(
            data=random.randbytes(size),
            mtime_ns=random.randrange(10**18, 10**18 + 10**15),
            urgent=random.random() < 0.15,
            grows=random.randrange(1, 3) if self.fate.strikes(Fault.GROWING, f"{camera.name} {path!r}") else 0,
        )

    def replace_file(self, camera: SimCamera) -> None:
        """Let the camera write other bytes of the same length under an old name."""
        paths = sorted(path for path, file in camera.files.items() if file.data)
        if paths and self.fate.strikes(Fault.REPLACED, camera.name):
            path = self.fate.random.choice(paths)
            old = camera.files[path]
            camera.files[path] = SimFile(
                data=self.fate.random.randbytes(len(old.data)), mtime_ns=old.mtime_ns + 60 * 10**9, urgent=old.urgent
            )
            self.replaced.append((camera, path))

    # --- the program ---

    def boot(self) -> Run:
        """Start the program."""
        self.fate.note("boot")
        self.auditor.dark()
        self.run = Run(self)
        return self.run

    async def lose_power(self) -> None:
        """End the program as a power cut does: nothing it still does has an effect, nothing unsynced stays."""
        run = self.running
        if run.power.on:
            run.power.fail("at any moment")
        self.fate.injected[Fault.POWER_CUT] += 0
        self.rack.plug_feed(None)
        self.auditor.dark()
        await self._gone(run)
        self.disk.lose_power()
        for camera in self.cameras:
            if camera.bay is not None:
                camera.settle_limbo(self.fate, what="at the power cut")

    async def kill(self) -> None:
        """End the program at once; the machine goes on, and what was written stays."""
        run = self.running
        self.fate.note("kill")
        run.power.on = False
        self.rack.plug_feed(None)
        self.auditor.dark()
        await self._gone(run)

    async def stop(self) -> None:
        """End the program as a service manager does."""
        run = self.running
        self.fate.note("stop")
        self.rack.plug_feed(None)
        await self._gone(run)
        await run.ledger.close()
        self.auditor.dark()
        run.power.on = False

    async def abandon(self) -> None:
        """End the program without a look at how it ends: the run has failed already."""
        if self.run is not None:
            self.run.power.on = False
            self.run.task.cancel()
            await asyncio.gather(self.run.task, return_exceptions=True)

    @property
    def running(self) -> Run:
        """The program that runs now."""
        assert self.run is not None
        return self.run

    async def _gone(self, run: Run) -> None:
        run.task.cancel()
        await asyncio.wait({run.task})
        if not run.task.cancelled():
            only_disk(run.task.exception())
        self.run = None

    def _note_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A port that is called by the loop itself cannot raise into the program: the run fails all the same.
        self.broken.append(context.get("exception") or AssertionError(context["message"]))

    def _committed(self) -> None:
        self.auditor.committed()


def only_disk(error: BaseException | None) -> None:
    """Let a program end by a ledger that cannot write, and by nothing else."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            only_disk(inner)
        return
    if error is not None and not isinstance(error, TransientError):
        raise error
