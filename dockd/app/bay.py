"""One bay at work: takes events in order, steps the machine, performs its effects.

Owns one bay's state, its stay and its lamp. What an event leads to is `domain.bay`; what a lamp says is `domain.lamps`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from dockd.app.bus import Bus
from dockd.app.charging import InBay
from dockd.app.policy import Policy
from dockd.app.ports import Attached, Cards, ChargeRead, Clock, Detached, Empty, FeedEvent, Lamps, Ledger, Unknown
from dockd.app.stay import Stay
from dockd.app.waiting import Bell
from dockd.domain.bay import (
    Bay,
    BayEvent,
    BayPower,
    BeginStay,
    Broke,
    CameraIn,
    CameraOut,
    CardListed,
    ChargeChanged,
    Effect,
    EndStay,
    EraseWindow,
    Phase,
    PowerChanged,
    RecordStranger,
    SeenEmpty,
    StrangerIn,
    WorkChanged,
    step,
    work_of,
)
from dockd.domain.lamps import Lamp, lamp_for
from dockd.domain.model import BayId, Camera, DockingId
from dockd.errors import CameraGoneError, ListingError, Reason, TransientError

OPENINGS = 3
OPENING_WAIT_S = 2.0
REFRESH_S = 0.1
"""Counts are read at most this often: a card of small files moves hundreds of clips a second."""


class BayKeeper:
    """Keeps one bay. `run` works until cancelled; it is also the `Watch` of its stays."""

    def __init__(
        self,
        number: BayId,
        *,
        ledger: Ledger,
        cards: Cards,
        lamps: Lamps,
        clock: Clock,
        bus: Bus,
        policy: Policy,
        again: Callable[[], bool],
        twin: Callable[[Attached], "BayKeeper | None"],
        ended: Callable[[], None],
    ) -> None:
        """Begin knowing nothing of the bay.

        `again` says whether a camera was lifted only just before it was docked ("this one first"); `twin` finds another
        bay in which the same camera seems to be docked; `ended` hears of every docking whose end is on record.
        """
        self._ledger = ledger
        self._cards = cards
        self._lamps = lamps
        self._clock = clock
        self._bus = bus
        self._policy = policy
        self._again = again
        self._twin = twin
        self._ended = ended
        self._bay = Bay(number=number)
        self._lamp = Lamp.OFF
        self._mailbox: asyncio.Queue[FeedEvent] = asyncio.Queue()
        self._told = 0
        self._dirty = Bell()
        self._counting = False
        # The open docking and its stay: one, or none where no camera is.
        self._open: dict[DockingId, asyncio.Task[None]] = {}

    @property
    def bay(self) -> Bay:
        """The bay as it is now."""
        return self._bay

    @property
    def dockings(self) -> frozenset[DockingId]:
        """The open docking, also one that broke before it was listed."""
        return frozenset(self._open)

    @property
    def lamp(self) -> Lamp:
        """What its light shows."""
        return self._lamp

    def tell(self, event: FeedEvent) -> None:
        """Put an event into the mailbox; events are taken in order."""
        self._told += 1
        self._mailbox.put_nowait(event)

    async def taken(self) -> None:
        """Wait until every event told so far was taken, and its effects are done."""
        await self._mailbox.join()

    @property
    def quiet(self) -> bool:
        """Say whether every event was taken, counts are fresh, and no card is being opened."""
        counting = self._dirty.rung or self._counting
        return not self._told and not counting and self._bay.phase not in {Phase.UNKNOWN, Phase.SETTLING}

    def in_bay(self) -> InBay:
        """Say what charging has to know: a card with anything left on it would have to be read again, were it dark."""
        bay = self._bay
        busy = bay.phase in {Phase.SETTLING, Phase.OFFLOADING} or bay.erasing
        settled = bay.phase is Phase.READY and bay.work.files == bay.work.erased_files
        return InBay(camera=bay.camera, busy=busy, settled=settled, charge_pct=bay.charge_pct, inferred=bay.inferred)

    def charge_read(self, read: ChargeRead) -> None:
        """Take a charge that was inferred of the camera that is here now: it waits behind no news of another one."""
        self._take(_news(read))

    def power_changed(self, power: BayPower, detail: str) -> None:
        """Hear why the bay has no power, or that it has: before its camera leaves the bus for want of it."""
        self._take(PowerChanged(power=power, detail=detail))

    # --- Watch ---

    def touched(self, docking: DockingId) -> None:
        """Hear that clips of a stay moved."""
        if docking == self._bay.docking:
            self._dirty.ring()

    def erasing(self, docking: DockingId, *, opened: bool) -> None:
        """Hear that the card is being cleared, or no more."""
        if docking == self._bay.docking:
            self._take(EraseWindow(opened=opened))

    def broke(self, docking: DockingId, reason: Reason, detail: str) -> None:
        """Hear that the camera cannot be worked on; late news of one that left is not for the next."""
        if docking == self._bay.docking:
            self._take(Broke(reason=reason, detail=detail))

    async def part(self, twin: Camera, reason: Reason, detail: str) -> None:
        """End all work on the docked camera and show why; it keeps everything it holds.

        Nothing happens where the camera has not been heard of here yet: then it is this bay that finds its twin.
        """
        mine = self._bay.camera
        if mine is None or (mine.serial, mine.volume) != (twin.serial, twin.volume):
            return
        # At once: its own stay, while it lists, looks at the phase before it joins the bus.
        self._take(Broke(reason=reason, detail=detail))
        for docking in tuple(self._open):
            await self._bus.leave(docking)
            await self._ledger.broke(docking, reason, detail)

    # --- the loop ---

    async def run(self) -> None:
        """Take events for ever."""
        self._show()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_counts(), name=f"bay {self._bay.number} counts")
            while True:
                await self._perform(self._take(_news(await self._mailbox.get())), group)
                self._mailbox.task_done()
                self._told -= 1

    async def _perform(self, effects: Sequence[Effect], group: asyncio.TaskGroup) -> None:
        for effect in effects:
            match effect:
                case EndStay(listed=listed):
                    await self._end(listed=listed)
                case BeginStay(camera=camera, source=source, device=device):
                    attached = Attached(bay=self._bay.number, camera=camera, source=source, device=device)
                    # Not in the stay's own task: a docking that is begun is always ended, however short it is.
                    docking = await self._ledger.dock(attached)
                    stay = self._stay(attached, docking)
                    self._open[docking] = group.create_task(stay, name=f"bay {self._bay.number} stay")
                case RecordStranger(ids=ids, why=why):
                    said = {"vendor": ids.vendor, "product": ids.product, "serial": ids.serial}
                    facts = {"reason": Reason.UNKNOWN_DEVICE.value, **said, "detail": why}
                    await self._ledger.note("stranger", actor="bay", bay=self._bay.number, facts=facts)

    async def _stay(self, attached: Attached, docking: DockingId) -> None:
        """Open, list, put on record, and leave the rest to the bus until the camera is gone."""
        twin = self._twin(attached)
        if twin is not None:
            detail = f"camera {attached.camera.serial} seems to be docked twice"
            await twin.part(attached.camera, Reason.DUPLICATE_CAMERA, detail)
            await self._broken(docking, Reason.DUPLICATE_CAMERA, detail)
            return
        async with AsyncExitStack() as closing:
            stay = await self._list(attached, docking, closing)
            if stay is None:
                return
            self._take(CardListed(docking=docking, work=work_of(await self._ledger.tally(docking))))
            # The uplink may have moved clips while they were counted, and nobody listened for this docking yet.
            self.touched(docking)
            # Its twin may have come while its card was listed.
            if self._bay.phase is Phase.FAULT:
                return
            self._bus.join(stay, first=self._again())
            closing.push_async_callback(self._bus.leave, docking)
            await asyncio.Event().wait()

    async def _list(self, attached: Attached, docking: DockingId, closing: AsyncExitStack) -> Stay | None:
        """Open the card and list it, with a few tries against a bus that still settles; None where it broke."""
        attempt = 0
        while True:
            attempt += 1
            try:
                card = await self._cards.open(attached)
                closing.push_async_callback(card.close)
                stay = Stay(
                    bay=attached.bay,
                    docking=docking,
                    camera=attached.camera,
                    card=card,
                    watch=self,
                    alone=lambda: self._twin(attached) is None,
                )
                await stay.list_card(ledger=self._ledger)
            except ListingError as error:
                await self._broken(docking, error.reason, str(error))
                return None
            except (CameraGoneError, TransientError) as error:
                if attempt == OPENINGS:
                    reason = error.reason if isinstance(error, TransientError) else Reason.USB
                    await self._broken(docking, reason, str(error))
                    return None
                await self._clock.sleep(OPENING_WAIT_S)
            else:
                return stay

    async def _broken(self, docking: DockingId, reason: Reason, detail: str) -> None:
        await self._ledger.broke(docking, reason, detail)
        self._take(Broke(reason=reason, detail=detail))

    async def _end(self, *, listed: bool) -> None:
        """Stop all work on the card before anything else happens in this bay, and put the end on record."""
        for docking, stay in tuple(self._open.items()):
            stay.cancel()
            await asyncio.wait({stay})
            left_files = work_of(await self._ledger.tally(docking)).left_files
            await self._ledger.undock(docking, early=not listed or left_files > 0, left_files=left_files)
            self._ended()
            del self._open[docking]

    async def _keep_counts(self) -> None:
        while True:
            await self._dirty.heard()
            self._counting = True
            docking = self._bay.docking
            if docking is not None:
                tally = await self._ledger.tally(docking)
                if docking == self._bay.docking:
                    self._take(WorkChanged(work=work_of(tally)))
            self._counting = False
            await self._clock.sleep(REFRESH_S)

    def _take(self, event: BayEvent) -> tuple[Effect, ...]:
        self._bay, effects = step(self._bay, event)
        self._show()
        return effects

    def _show(self) -> None:
        lamp = lamp_for(self._bay, issue_charge_pct=self._policy.issue_charge_pct)
        if lamp is not self._lamp:
            self._lamp = lamp
            self._lamps.show(self._bay.number, lamp)


def _news(event: FeedEvent) -> BayEvent:
    match event:
        case Attached(camera=camera, source=source, device=device):
            return CameraIn(camera=camera, source=source, device=device)
        case Detached():
            return CameraOut()
        case Empty():
            return SeenEmpty()
        case Unknown(ids=ids, why=why):
            return StrangerIn(ids=ids, why=why)
        case ChargeRead(charge_pct=charge_pct, inferred=inferred):
            return ChargeChanged(charge_pct=charge_pct, inferred=inferred)
