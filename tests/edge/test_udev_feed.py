"""The feed of a board: what is told of the bays, whatever is doubled, dropped or late."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from dockd.app.ports import Attached, ChargeRead, Detached, Empty, FeedEvent, Unknown
from dockd.domain.board import Board, Controller
from dockd.domain.matching import CardIds
from dockd.domain.model import BayId, Camera, CameraSerial, VolumeId
from dockd.domain.usb import PortPath, UsbIds
from dockd.edges.boards import load_board
from dockd.edges.udev.feed import UdevFeed
from dockd.edges.udev.plugs import plugged_in
from dockd.edges.udev.watch import Came, News, Went
from tests.plugs import HOST, Hub, Time, Told

BOARD = load_board("emulated-14")
TWO = replace(BOARD, bays={bay: BOARD.bays[bay] for bay in (BayId(1), BayId(2))})
ONE = replace(BOARD, bays={BayId(1): BOARD.bays[BayId(1)]})


def known(ids: UsbIds, card: CardIds | None) -> bool:
    return ids.vendor == "46f4" and (card is None or card.filesystem != "")


def attached(bay: int, serial: str) -> Attached:
    camera = Camera(
        serial=CameraSerial(serial), volume=VolumeId(f"{serial}-VOL"), model="QEMU_USB_HARDDRIVE", firmware="2.5+"
    )
    return Attached(bay=BayId(bay), camera=camera, source=f"bay:{bay}", device=f"bay:{bay}")


class Listener:
    """A feed under way: `next` gives the next events, and fails if they do not come."""

    def __init__(
        self,
        hub: Hub,
        *,
        board: Board = ONE,
        reconcile_s: float = 60.0,
        settle_s: float = 30.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.told = Told(hub)
        self.hosts: list[str | None] = []
        self.arrivals: list[str] = []
        feed = UdevFeed(
            board=board,
            known=known,
            arriving=lambda bay, ids: self.arrivals.append(f"{bay}: {ids}"),
            listen=self._listen,
            reconcile_s=reconcile_s,
            settle_s=settle_s,
            now_s=now_s,
            start=lambda work: work(),
        )
        self.events = feed.events()

    async def next(self, count: int = 1) -> list[FeedEvent]:
        async with asyncio.timeout(20):
            return [await anext(self.events) for _ in range(count)]

    async def close(self) -> None:
        assert isinstance(self.events, AsyncGenerator)
        await self.events.aclose()

    def _listen(self, host: str | None) -> Told:
        self.hosts.append(host)
        return self.told


@asynccontextmanager
async def listening(
    hub: Hub, *, board: Board = ONE, now_s: Callable[[], float] = time.monotonic, **times_s: float
) -> AsyncIterator[Listener]:
    listener = Listener(hub, board=board, now_s=now_s, **times_s)
    try:
        yield listener
    finally:
        await listener.close()
        assert listener.told.closed


async def test_every_bay_is_told_at_the_start_and_the_feed_listens_to_the_boards_controller() -> None:
    hub = Hub()
    hub.plug("1.2", "CAM-2")
    async with listening(hub, board=TWO) as listener:
        assert await listener.next(2) == [Empty(bay=BayId(1)), attached(2, "CAM-2")]
        assert listener.hosts == [HOST]


async def test_bays_on_two_controllers_are_told_alike_and_the_feed_listens_to_every_controller() -> None:
    port = PortPath("pci-0000:00:11.0-usb-0:1.1")
    second = Controller(host="pci-0000:00:11.0", most_usb_devices=32)
    board = replace(
        TWO, more_controllers=(second,), bays={**ONE.bays, BayId(2): replace(ONE.bays[BayId(1)], port=port)}
    )
    hub = Hub()
    hub.plug("1.1", "CAM-2", lambda it: replace(it, port=port))
    async with listening(hub, board=board) as listener:
        assert await listener.next(2) == [Empty(bay=BayId(1)), attached(2, "CAM-2")]
        assert listener.hosts == [None]


async def test_a_camera_is_told_once_when_it_comes_and_once_when_it_goes_however_often_it_is_announced() -> None:
    hub = Hub()
    async with listening(hub) as listener:
        assert await listener.next() == [Empty(bay=BayId(1))]
        hub.plug("1.1", "CAM-1")
        plugged = list(hub.news)
        listener.told.say(plugged[:2])
        listener.told.say(plugged[2:])
        listener.told.say(plugged)
        assert await listener.next() == [attached(1, "CAM-1")]
        hub.pull("1.1")
        listener.told.say(hub.news[len(plugged) :])
        assert await listener.next() == [Detached(bay=BayId(1))]
        assert listener.arrivals == ["1: 46f4:0001 CAM-1"]


async def test_another_camera_whose_predecessors_removal_was_lost_is_a_new_one() -> None:
    hub = Hub()
    hub.plug("1.1", "CAM-1")
    async with listening(hub) as listener:
        assert await listener.next() == [attached(1, "CAM-1")]
        hub.plug("1.1", "CAM-2")
        listener.told.say([one for one in hub.news[5:] if isinstance(one, Came)])
        assert await listener.next(2) == [Detached(bay=BayId(1)), attached(1, "CAM-2")]


async def test_the_same_camera_plugged_in_again_is_a_new_docking_even_if_nobody_heard_it_go() -> None:
    hub = Hub()
    hub.plug("1.1", "CAM-1")
    async with listening(hub) as listener:
        assert await listener.next() == [attached(1, "CAM-1")]
        hub.plug("1.1", "CAM-1")
        listener.told.say([], lost=True)
        assert await listener.next(2) == [Detached(bay=BayId(1)), attached(1, "CAM-1")]


async def test_after_a_loss_all_is_heard_before_everything_is_looked_up() -> None:
    hub = Hub()
    async with listening(hub) as listener:
        assert await listener.next() == [Empty(bay=BayId(1))]
        hub.plug("1.1", "CAM-1")
        stale = list(hub.news)
        hub.pull("1.1")
        hub.plug("1.1", "CAM-2")
        listener.told.say([], lost=True, everything=False)
        listener.told.say(stale)
        assert await listener.next() == [attached(1, "CAM-2")]
        assert listener.told.looks == 2


async def test_what_was_lost_without_a_word_is_found_by_looking_now_and_then() -> None:
    hub = Hub()
    async with listening(hub, reconcile_s=0.05) as listener:
        assert await listener.next() == [Empty(bay=BayId(1))]
        hub.plug("1.1", "CAM-1")
        assert await listener.next() == [attached(1, "CAM-1")]


async def test_a_device_that_never_becomes_a_camera_is_unknown_after_a_while_and_told_once() -> None:
    hub = Hub()
    hub.plug("1.1", "CAM-1", lambda device: replace(device, card=None))
    async with listening(hub, settle_s=0.05, reconcile_s=0.2) as listener:
        assert await listener.next() == [Empty(bay=BayId(1))]
        ids = UsbIds(vendor="46f4", product="0001", serial="CAM-1")
        why = "no card came to be read within 0.05 s"
        assert await listener.next() == [Unknown(bay=BayId(1), ids=ids, why=why)]
        coming = asyncio.ensure_future(listener.next())
        for _ in range(listener.told.looks + 2):
            await listener.told.looked.get()
        assert not coming.done()
        hub.pull("1.1")
        assert await coming == [Detached(bay=BayId(1))]
        assert set(listener.arrivals) == {"1: 46f4:0001 CAM-1"}


async def heard(listener: Listener, news: list[News]) -> None:
    """Have the feed hear something, and tell what comes of it before anybody else gets a turn."""
    await listener.told.hearing(news)


@asynccontextmanager
async def following(hub: Hub, now: Time) -> AsyncIterator[tuple[Listener, list[FeedEvent]]]:
    """Follow a feed whose clock stands still; gives the events as they are told."""
    events: list[FeedEvent] = []

    async def follow(listener: Listener) -> None:
        async for event in listener.events:
            events.append(event)  # noqa: PERF401 - they are looked at meanwhile

    async with listening(hub, now_s=now, reconcile_s=1e9) as listener, asyncio.timeout(60):
        task = asyncio.create_task(follow(listener), name="follow")
        await listener.told.looked.get()
        try:
            yield listener, events
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.mark.promise("I17")
async def test_who_does_not_become_a_camera_is_let_in_again_now_and_then_and_may_become_one() -> None:
    now, hub = Time(), Hub()
    hub.plug("1.1", "CAM-1", lambda device: replace(device, card=None))
    asked: list[float] = []
    async with following(hub, now) as (listener, events):
        assert len(listener.arrivals) == 1
        for wait_s in (29.0, 1.0, 59.0, 1.0, 119.0, 1.0, 240.0, 480.0, 600.0, 599.0, 1.0):
            now.s += wait_s
            before = len(listener.arrivals)
            await heard(listener, [])
            asked += [now.s - 1000.0] * (len(listener.arrivals) - before)
        assert asked == [30.0, 90.0, 210.0, 450.0, 930.0, 1530.0, 2130.0]
        ids = UsbIds(vendor="46f4", product="0001", serial="CAM-1")
        late = [Empty(bay=BayId(1)), Unknown(bay=BayId(1), ids=ids, why="no card came to be read within 30 s")]
        assert events == late
        _, disk, part = hub.in_port["1.1"]
        card = CardIds(filesystem="vfat", label="CAM")
        await heard(listener, [Came(device=disk), Came(device=replace(part, card=card))])
        assert events == [*late, Detached(bay=BayId(1)), attached(1, "CAM-1")]


@pytest.mark.promise("I17")
async def test_a_camera_that_is_plugged_in_again_several_times_a_second_is_told_and_let_in_a_few_times() -> None:
    now, hub = Time(), Hub()
    async with following(hub, now) as (listener, events):
        for number in range(300):
            before = len(hub.news)
            hub.plug("1.1", f"CAM-{number}")
            came = hub.news[before:]
            await heard(listener, came[:1])
            await heard(listener, came[1:])
            now.s += 0.1
            before = len(hub.news)
            hub.pull("1.1")
            await heard(listener, hub.news[before:])
            now.s += 0.2
        ids = UsbIds(vendor="46f4", product="0001", serial="CAM-12")
        rest = Unknown(bay=BayId(1), ids=ids, why="it comes and goes too often, and is left alone until it stays")
        assert (len(events), len(listener.arrivals)) == (26, 12)
        assert events[22:] == [Detached(bay=BayId(1)), attached(1, "CAM-11"), Detached(bay=BayId(1)), rest]
        before = len(hub.news)
        hub.plug("1.1", "CAM-300")
        came = hub.news[before:]
        await heard(listener, came[:1])
        now.s += 9.9
        await heard(listener, [])
        assert (len(events), len(listener.arrivals)) == (26, 12)
        now.s += 0.2
        await heard(listener, [])
        counted = replace(rest, why="it came 289 times within 96 s, then stayed as it is")
        assert events[26:] == [counted, Detached(bay=BayId(1))]
        assert listener.arrivals[12:] == ["1: 46f4:0001 CAM-300"]
        await heard(listener, came[1:])
        assert events[28:] == [attached(1, "CAM-300")]


async def test_a_stranger_is_told_with_its_ids_and_a_camera_after_it_is_a_camera() -> None:
    hub = Hub()
    strange = UsbIds(vendor="dead", product="beef", serial="../../<script>")
    hub.plug("1.1", "X", lambda device: replace(device, ids=strange))
    async with listening(hub) as listener:
        why = "no profile is of such a device"
        assert await listener.next() == [Unknown(bay=BayId(1), ids=strange, why=why)]
        before = len(hub.news)
        hub.plug("1.1", "CAM-1")
        listener.told.say(hub.news[before:])
        assert await listener.next(2) == [Detached(bay=BayId(1)), attached(1, "CAM-1")]


async def test_a_second_filesystem_behind_the_first_ends_the_docking() -> None:
    hub = Hub()
    hub.plug("1.1", "CAM-1")
    async with listening(hub) as listener:
        assert await listener.next() == [attached(1, "CAM-1")]
        first = hub.in_port["1.1"][2]
        listener.told.say([Came(device=replace(first, devpath=f"{first.devpath}x", volume="B"))])
        why = "it has 2 filesystems, expected one"
        assert await listener.next() == [Unknown(bay=BayId(1), ids=first.ids, why=why)]


async def test_a_card_that_is_taken_out_of_its_reader_is_gone() -> None:
    hub = Hub()
    hub.plug("1.1", "CAM-1")
    async with listening(hub) as listener:
        assert await listener.next() == [attached(1, "CAM-1")]
        listener.told.say([Went(devpath=hub.in_port["1.1"][2].devpath)])
        assert await listener.next() == [Detached(bay=BayId(1))]
        listener.told.say([Went(devpath=hub.in_port["1.1"][0].devpath)])
        hub.plug("1.1", "CAM-2")
        listener.told.say([], lost=True)
        assert await listener.next() == [attached(1, "CAM-2")]


STEPS = st.lists(st.tuples(st.sampled_from(["1.1", "1.2"]), st.sampled_from(["A", "B", ""])), max_size=8)


@settings(max_examples=60)
@given(steps=STEPS, data=st.data())
def test_after_a_storm_in_any_order_doubled_and_with_losses_the_bays_are_as_they_are(
    steps: list[tuple[str, str]], data: st.DataObject
) -> None:
    """I17: a rescan makes up for whatever was lost."""
    hub = Hub()
    for chain, serial in steps:
        hub.plug(chain, serial) if serial else hub.pull(chain)
    storm = data.draw(st.permutations([*hub.news, *hub.news]))
    kept = storm[: data.draw(st.integers(0, len(storm)))]
    there = {
        number: hub.in_port[chain][0].ids.serial for number, chain in ((1, "1.1"), (2, "1.2")) if chain in hub.in_port
    }

    assert asyncio.run(_after(kept, hub)) == there


async def _after(storm: list[News], hub: Hub) -> dict[int, str]:
    """Give the serials in the bays after a storm in which something was lost, by what was told."""
    seen = Hub()
    bays: dict[int, str] = {}

    async def follow(listener: Listener) -> None:
        async for event in listener.events:
            match event:
                case Attached(bay=bay, camera=camera):
                    bays[bay] = camera.serial
                case Detached(bay=bay) | Empty(bay=bay) | Unknown(bay=bay) | ChargeRead(bay=bay):
                    bays.pop(bay, None)

    async with listening(seen, board=TWO) as listener, asyncio.timeout(20):
        following = asyncio.create_task(follow(listener))
        await listener.told.looked.get()
        listener.told.say(storm, everything=False)
        seen.now = dict(hub.now)
        listener.told.say([], lost=True)
        # What a look changes is told before anybody else gets a turn.
        await listener.told.looked.get()
        following.cancel()
        await asyncio.wait({following})
    return bays


# --- what is plugged in just now ------------------------------------------------------------------------------------


def test_who_is_quicker_than_the_first_look_at_the_announcements_is_told_too() -> None:
    hub = Hub()
    with closing(Told(hub)) as told:
        devices = plugged_in(told, within_s=5.0)
        hub.plug("1.3", "CAM-3")
        told.say(hub.news)
        assert next(devices).ids.serial == "CAM-3"
