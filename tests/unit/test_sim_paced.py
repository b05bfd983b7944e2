from collections.abc import Callable

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Card, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.lamps import Lamp
from dockd.domain.listing import listing_of
from dockd.domain.model import (
    FOLDER_VOLUME,
    BayId,
    Camera,
    CameraSerial,
    ClipId,
    ClipKey,
    DockingId,
    ListedFile,
    Listing,
    Sha256,
)
from dockd.sim.battery import Battery
from dockd.sim.lamps import ShownLamps
from dockd.sim.paced import PacedBus, PacedCards
from tests.clock_parts import HandClock

FILE = ListedFile(path=b"A.MP4", length_bytes=8_000_000, mtime_ns=0)
ATTACHED = Attached(
    bay=BayId(1), camera=Camera(serial=CameraSerial("DKD-0001"), volume=FOLDER_VOLUME), source="/somewhere"
)
PERMIT = ErasePermit(clip=ClipKey(1), docking=DockingId(1), path=b"A.MP4", length_bytes=8, sha256=Sha256("d"))


class QuickCard:
    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self.log: list[tuple[str, float]] = []

    def _note(self, what: str) -> None:
        self.log.append((what, round(self._clock.at_s - 100.0, 3)))

    async def listing(self) -> Listing:
        self._note("listing")
        return listing_of([FILE])

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        self._note("copy")
        progress(1)
        return Copied(clip_id=ClipId("c"), sha256=Sha256("d"), length_bytes=file.length_bytes)

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        self._note("salvage")
        progress(1)
        return Salvaged(clip_id=ClipId("c"), sha256=Sha256("d"), length_bytes=file.length_bytes, gaps=())

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        self._note("reread")
        progress(file.length_bytes)
        return ReadAgain(sha256=Sha256("d"), length_bytes=file.length_bytes, uncached=True)

    async def erase(self, permit: ErasePermit) -> None:
        assert permit == PERMIT
        self._note("erase")

    async def rest(self) -> None:
        self._note("rest")

    async def close(self) -> None:
        self._note("close")


class QuickCards:
    def __init__(self, card: QuickCard) -> None:
        self._card = card

    async def open(self, attached: Attached) -> Card:
        assert attached == ATTACHED
        return self._card


async def test_a_copy_takes_what_the_bus_needs_and_happens_in_its_middle() -> None:
    clock = HandClock(at_s=100.0)
    inner = QuickCard(clock)
    card = await PacedCards(QuickCards(inner), bus=PacedBus(clock=clock, bytes_s=1_000_000)).open(ATTACHED)
    seen: list[int] = []
    copied = await card.copy(FILE, progress=seen.append)
    assert copied.length_bytes == 8_000_000
    assert seen == [million * 1_000_000 for million in range(1, 9)], "even steps, and none of the copier's own"
    # A quarter of a second may go at once after a pause, and the last step is waited for by whoever comes next.
    assert inner.log == [("copy", 2.75)]
    assert clock.at_s == 106.75


async def test_reading_again_and_erasing_take_their_turn_on_the_same_bus() -> None:
    clock = HandClock(at_s=100.0)
    inner = QuickCard(clock)
    bus = PacedBus(clock=clock, bytes_s=1_000_000)
    card = await PacedCards(QuickCards(inner), bus=bus).open(ATTACHED)
    other = await PacedCards(QuickCards(inner), bus=bus).open(ATTACHED)
    await card.reread(FILE)
    await other.erase(PERMIT)
    await other.listing()
    await other.rest()
    await other.close()
    assert inner.log == [("reread", 0.0), ("erase", 7.75), ("listing", 7.75), ("rest", 7.75), ("close", 7.75)]


async def test_salvaging_takes_its_turn_on_the_same_bus() -> None:
    clock = HandClock(at_s=100.0)
    inner = QuickCard(clock)
    card = await PacedCards(QuickCards(inner), bus=PacedBus(clock=clock, bytes_s=1_000_000)).open(ATTACHED)
    await card.reread(FILE)
    assert (await card.salvage(FILE, progress=lambda _: None)).length_bytes == 8_000_000
    assert inner.log == [("reread", 0.0), ("salvage", 7.75)]


async def test_a_bus_without_a_limit_takes_no_time() -> None:
    clock = HandClock(at_s=100.0)
    inner = QuickCard(clock)
    card = await PacedCards(QuickCards(inner), bus=PacedBus(clock=clock, bytes_s=None)).open(ATTACHED)
    await card.copy(FILE, progress=lambda _: None)
    await card.reread(FILE)
    assert clock.at_s == 100.0


def test_a_battery_fills_and_stays_full() -> None:
    battery = Battery(level_pct=97.5, tells=True)
    assert battery.told_pct == 97
    assert not battery.full
    later = battery.charged(seconds=1.0, rate_pct_s=2.0)
    assert later.told_pct == 99
    assert later.charged(seconds=60.0, rate_pct_s=2.0) == Battery(level_pct=100, tells=True)
    assert later.charged(seconds=60.0, rate_pct_s=2.0).full


def test_a_camera_that_says_nothing_of_its_battery_keeps_nobody_waiting() -> None:
    silent = Battery(level_pct=10.0, tells=False)
    assert silent.told_pct is None
    assert silent.full


def test_a_lamp_is_what_it_was_last_told() -> None:
    lamps = ShownLamps()
    assert lamps.shown(BayId(1)) is Lamp.OFF
    lamps.show(BayId(1), Lamp.WAIT)
    lamps.show(BayId(2), Lamp.EMPTY)
    lamps.show(BayId(1), Lamp.GO_RECEIPTED)
    assert lamps.shown(BayId(1)) is Lamp.GO_RECEIPTED
