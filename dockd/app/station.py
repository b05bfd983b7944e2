"""The station: one task a bay, one a bus, the uplink, and the events that are routed between them.

Owns the wiring of the loops and their life. Must not know what any of them does, nor any edge.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from dockd.app.account_ports import Accounting
from dockd.app.accounting import Accountant
from dockd.app.bay import BayKeeper
from dockd.app.bus import Bus
from dockd.app.charging import Charging, Gear, InBay
from dockd.app.offload import WrongCopy
from dockd.app.pointing import Pointing
from dockd.app.policy import Policy
from dockd.app.ports import (
    Attached,
    Broker,
    CameraFeed,
    Cards,
    Chance,
    ChargeRead,
    Clock,
    Detached,
    Empty,
    FeedEvent,
    Keys,
    Lamps,
    Ledger,
    Spool,
    Unknown,
    Wire,
)
from dockd.app.quarantine import Quarantine
from dockd.app.reclaim import Reclaimer
from dockd.app.reporter import Reporter
from dockd.app.space import Space
from dockd.app.strays import StrayCopies
from dockd.app.uplink import Uplink
from dockd.app.view import BayView, StationView
from dockd.domain.bay import Bay, BayPower, Phase
from dockd.domain.model import BayId, Camera, Clip, ClipState, DockingId
from dockd.domain.schedule import ahead, minutes_to_ready
from dockd.errors import InvariantError, Reason

LIFTED_S = 10.0
"""Lifted and docked again within this: "this one first"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything a station needs of the world."""

    feed: CameraFeed
    cards: Cards
    spool: Spool
    ledger: Ledger
    wire: Wire
    keys: Keys
    lamps: Lamps
    clock: Clock
    chance: Chance
    broker: Broker | None = None
    accounting: Accounting
    gear: Gear | None = None


class Station:
    """A station. `run` works until cancelled; an error that nobody expected ends it, and losing nothing."""

    def __init__(self, *, bays: Mapping[BayId, str], ports: Ports, policy: Policy) -> None:
        """Wire the loops; `bays` gives each bay's bus by name."""
        self._ports = ports
        self._policy = policy
        self._docked: dict[BayId, Attached] = {}
        self._lifted_s: dict[Camera, float] = {}
        self._again_in: set[BayId] = set()
        self._feed_ended = False
        self._weak = False
        self._uplink = Uplink(
            ledger=ports.ledger,
            spool=ports.spool,
            wire=ports.wire,
            keys=ports.keys,
            clock=ports.clock,
            chance=ports.chance,
            policy=policy,
            moved=self._moved,
        )
        self._space = Space(spool=ports.spool, policy=policy)
        self._strays = StrayCopies(ledger=ports.ledger, spool=ports.spool)
        self.pointing = Pointing(ports.lamps, bays=bays, clock=ports.clock)
        self.quarantine = Quarantine(ledger=ports.ledger, spool=ports.spool, bays=self)
        self._reclaimer = Reclaimer(
            ledger=ports.ledger,
            spool=ports.spool,
            clock=ports.clock,
            policy=policy,
            space=self._space,
            crowded=self._crowded,
            wrong=self._next_wrong,
            made_room=self._made_room,
        )
        self._charging = None if ports.gear is None else Charging(ports.gear, bays=self, clock=ports.clock)
        self._reporter = self._reporter_of(ports.broker)
        self._accountant = Accountant(
            accounts=ports.accounting.store,
            book=ports.accounting.book,
            clock=ports.clock,
            chance=ports.chance,
            policy=policy,
        )
        self._buses = {name: self._bus() for name in sorted(set(bays.values()))}
        self._bus_of = {number: self._buses[name] for number, name in bays.items()}
        self._keepers = {number: self._keeper(number) for number in sorted(bays)}

    async def run(self) -> None:
        """Run every loop."""
        await self._strays.look()
        async with asyncio.TaskGroup() as group:
            for number, keeper in self._keepers.items():
                group.create_task(keeper.run(), name=f"bay {number}")
            for name, bus in self._buses.items():
                group.create_task(bus.run(), name=f"bus {name}")
            group.create_task(self._uplink.run(), name="uplink")
            group.create_task(self._reclaimer.run(), name="reclaim")
            if self._reporter is not None:
                group.create_task(self._reporter.run(), name="reporter")
            if self._charging is not None:
                group.create_task(self._charging.run(), name="charging")
            group.create_task(self._accountant.run(), name="accounts")
            group.create_task(self.quarantine.run(), name="quarantine")
            group.create_task(self.pointing.run(), name="pointing")
            group.create_task(self._route(), name="feed")

    @property
    def settled(self) -> bool:
        """Say whether nothing is left to do: all dockings are over or dealt with, every copy is where it should be."""
        return self._feed_ended and self.offloaded and self.uploaded

    @property
    def offloaded(self) -> bool:
        """Say whether nothing is left to do on any docked camera."""
        return all(keeper.quiet for keeper in self._keepers.values()) and all(
            bus.resting for bus in self._buses.values()
        )

    @property
    def uploaded(self) -> bool:
        """Say whether nothing is left to bring to the store; receipts that are overdue are not waited for."""
        return self._uplink.resting

    @property
    def accounted(self) -> bool:
        """Say whether every account is closed that can be closed now."""
        return self._accountant.resting

    @property
    def full(self) -> bool:
        """Say whether copying stands still on a bus for want of room in the spool."""
        return any(bus.full for bus in self._buses.values())

    @property
    def stuck(self) -> bool:
        """Say whether it stands still and nothing under way will make room."""
        return self.full and self.uploaded and self._reclaimer.resting

    def docking(self, bay: BayId) -> DockingId | None:
        """Say which docking a bay is in."""
        return self._keepers[bay].bay.docking

    # --- what quarantine needs of the bays ---

    def works_on(self, docking: DockingId) -> bool:
        """Say whether a camera is docked in that stay, and nothing is wrong with it."""
        return any(
            keeper.bay.docking == docking and keeper.bay.phase is not Phase.FAULT for keeper in self._keepers.values()
        )

    def goes_on(self, clip: Clip) -> None:
        """Have a clip worked on that has left quarantine."""
        for number, keeper in self._keepers.items():
            if keeper.bay.docking == clip.docking:
                self._bus_of[number].retry(clip.key)
        self._uplink.bell.ring()
        self._moved(clip)

    def read_again(self, docking: DockingId) -> bool:
        """Begin a new stay with the camera that is docked in that one; False where none is."""
        for number, keeper in self._keepers.items():
            if docking in keeper.dockings and number in self._docked:
                keeper.tell(self._docked[number])
                return True
        return False

    # --- what charging needs of the bays ---

    def in_bays(self) -> Mapping[BayId, InBay]:
        """Say what is in every bay."""
        return {number: keeper.in_bay() for number, keeper in self._keepers.items()}

    def charge_read(self, read: ChargeRead) -> None:
        """Take a charge that was inferred."""
        self._keepers[read.bay].charge_read(read)

    def power_changed(self, bay: BayId, power: BayPower, detail: str) -> None:
        """Hear why a bay has no power, or that it has."""
        self._keepers[bay].power_changed(power, detail)

    def rest(self, *, weak: bool) -> None:
        """Begin no more work on cards while the supply is weak."""
        self._weak = weak
        for bus in self._buses.values():
            bus.rest(weak=weak)

    async def undock_all(self) -> None:
        """End every stay as if the cameras were pulled now, and wait until that is on record."""
        for keeper in self._keepers.values():
            if keeper.bay.camera is not None:
                keeper.tell(Detached(bay=keeper.bay.number))
        for keeper in self._keepers.values():
            await keeper.taken()

    async def view(self) -> StationView:
        """Show the station as it is now."""
        return StationView(
            station=self._policy.station,
            bays=tuple(self._bay_view(keeper) for keeper in self._keepers.values()),
            uplink=self._uplink.view(),
            backlog=await self._ports.ledger.backlog(),
            spool_full=self._space.full,
            strays=await self._strays.count(),
            account=await self._accountant.view(),
            weak=self._weak,
        )

    async def _route(self) -> None:
        async for event in self._ports.feed.events():
            keeper = self._keepers.get(event.bay)
            if keeper is None:
                raise InvariantError(f"bay {event.bay}: an event came for it, expected one of {sorted(self._keepers)}")
            before = self._docked.get(event.bay)
            self._note(event)
            keeper.tell(event)
            if before is not None and self._docked.get(event.bay) is not before:
                self._left_alone(before)
            self._news()
        self._feed_ended = True

    def _note(self, event: FeedEvent) -> None:
        """Keep what is docked where, as the feed tells it: a bay's own word may lag behind another's."""
        now_s = self._ports.clock.monotonic_s()
        match event:
            case Attached(bay=bay, camera=camera) as attached:
                self._docked[bay] = attached
                self._again_in.discard(bay)
                if now_s - self._lifted_s.pop(camera, -LIFTED_S - 1) <= LIFTED_S:
                    self._again_in.add(bay)
            case Detached(bay=bay) | Empty(bay=bay) | Unknown(bay=bay):
                self._lifted_s = {other: at_s for other, at_s in self._lifted_s.items() if now_s - at_s <= LIFTED_S}
                if bay in self._docked:
                    self._lifted_s[self._docked.pop(bay).camera] = now_s
            case ChargeRead():
                pass

    def _left_alone(self, gone: Attached) -> None:
        """Begin anew with what was stopped as the twin of a camera that left, if it has none any more."""
        others = [it for number, it in self._docked.items() if number != gone.bay and _same(it.camera, gone.camera)]
        for attached in others:
            bay = self._keepers[attached.bay].bay
            # One that settles has perhaps just found its twin.
            stopped = bay.phase is Phase.SETTLING or bay.reason is Reason.DUPLICATE_CAMERA
            if stopped and self._twin(attached) is None:
                self._keepers[attached.bay].tell(attached)

    def _reporter_of(self, broker: Broker | None) -> Reporter | None:
        if broker is None:
            return None
        ports = self._ports
        return Reporter(
            ledger=ports.ledger, broker=broker, clock=ports.clock, chance=ports.chance, station=self._policy.station
        )

    def _news(self) -> None:
        if self._reporter is not None:
            self._reporter.bell.ring()

    def _bus(self) -> Bus:
        return Bus(
            ledger=self._ports.ledger,
            keys=self._ports.keys,
            spool=self._ports.spool,
            clock=self._ports.clock,
            policy=self._policy,
            space=self._space,
            strays=self._strays,
            uplink=self._uplink.bell,
            reclaim=self._reclaimer.bell,
        )

    def _keeper(self, number: BayId) -> BayKeeper:
        return BayKeeper(
            number,
            ledger=self._ports.ledger,
            cards=self._ports.cards,
            lamps=self.pointing,
            clock=self._ports.clock,
            bus=self._bus_of[number],
            policy=self._policy,
            again=lambda: number in self._again_in,
            twin=self._twin,
            ended=self._accountant.bell.ring,
        )

    def _twin(self, attached: Attached) -> BayKeeper | None:
        mine = attached.camera
        others = (number for number, it in self._docked.items() if number != attached.bay and _same(it.camera, mine))
        return next((self._keepers[number] for number in others), None)

    def _moved(self, clip: Clip) -> None:
        for number, keeper in self._keepers.items():
            if keeper.bay.docking == clip.docking:
                keeper.touched(clip.docking)
                self._bus_of[number].ring()
        if clip.state is ClipState.RECEIPTED:
            self._reclaimer.bell.ring()
        self._news()

    def _crowded(self) -> bool:
        return any(bus.crowded for bus in self._buses.values())

    def _next_wrong(self) -> WrongCopy | None:
        return next(filter(None, (bus.next_wrong() for bus in self._buses.values())), None)

    def _made_room(self) -> None:
        for bus in self._buses.values():
            bus.made_room()

    def _bay_view(self, keeper: BayKeeper) -> BayView:
        bay, bus = keeper.bay, self._bus_of[keeper.bay.number]
        underway = bus.underway
        mine = underway if underway is not None and underway.docking == bay.docking else None
        return BayView(
            number=bay.number,
            phase=bay.phase.value,
            lamp=keeper.lamp,
            camera=bay.camera,
            docking=bay.docking,
            work=bay.work,
            underway=mine,
            charge_pct=bay.charge_pct,
            minutes=self._minutes(bay, bus),
            reason=Reason.POWER if bay.power is BayPower.CUT else bay.reason,
            detail=bay.power_detail or bay.detail,
            inferred=bay.inferred,
            kept_files=bus.kept_files(bay.docking) if bay.docking is not None else 0,
        )

    def _minutes(self, bay: Bay, bus: Bus) -> int | None:
        if bay.docking is None or bay.phase not in {Phase.OFFLOADING, Phase.READY}:
            return None
        works = {
            keeper.bay.docking: keeper.bay.work
            for number, keeper in self._keepers.items()
            if self._bus_of[number] is bus and keeper.bay.docking is not None
        }
        files, bytes_ = ahead(works, docking=bay.docking, current=bus.underway.docking if bus.underway else None)
        copied = minutes_to_ready(bytes_before=bytes_, files_before=files, bytes_s=bus.rate_bytes_s)
        charged = self._charging.minutes(bay.number) if self._charging is not None else None
        return copied if copied is None or charged is None else max(copied, charged)


def _same(one: Camera, other: Camera) -> bool:
    """Say whether two cameras seem to be one: firmware and model are no part of that."""
    return (one.serial, one.volume) == (other.serial, other.volume)
