"""Looking devices up while one of them hangs: everybody else is found, and nobody waits for the one."""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dockd.app.ports import Attached, Detached, FeedEvent, Unknown
from dockd.domain.model import BayId, Camera, CameraSerial, VolumeId
from dockd.domain.plugged import Device, Devices, Kind
from dockd.domain.usb import PortPath, UsbIds
from dockd.edges.boards import load_board
from dockd.edges.udev.feed import UdevFeed
from dockd.edges.udev.looking import Looks
from dockd.edges.udev.watch import Looking, Watch
from tests.plugs import HOST, ROOT, Hub, Time, Told, port

HANGS = f"{ROOT}/1-1/1-1.1"
MUTE = Device(devpath=HANGS, kind=Kind.USB, port=port("1.1"), ids=UsbIds(vendor="", product="", serial=""), mute=True)
BOARD = load_board("emulated-14")
TWO = replace(BOARD, bays={bay: BOARD.bays[bay] for bay in (BayId(1), BayId(2))})


class Hanging:
    """A hub of which one device keeps its reader waiting while it `hangs`."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.go = threading.Event()
        self.hung = threading.Semaphore(0)

    def look(self, looking: Looking | None = None) -> Devices:
        assert looking is not None
        found: dict[str, Device] = {}
        for devpath, device in self.hub.devices().items():
            if devpath in looking.without:
                found[devpath] = MUTE
                continue
            looking.at = devpath
            if devpath == HANGS and not self.go.is_set():
                self.hung.release()
                assert self.go.wait(60)
            found[devpath] = device
        return found

    def end(self) -> None:
        """Hang no more, and see the readers come back."""
        self.go.set()
        for thread in threading.enumerate():
            if thread.name == "look":
                thread.join(60)

    async def hangs(self) -> None:
        """Wait until somebody is kept waiting."""
        assert await asyncio.to_thread(self.hung.acquire, timeout=60)


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.plug("1.1", "CAM-1")
    hub.plug("1.2", "CAM-2")
    return hub


def found(looks: Looks, before: Devices) -> Devices:
    """Give what the look under way finds."""
    assert looks.answer is not None
    looks.answer.result(timeout=60)
    devices = looks.taken(before)
    assert devices is not None
    return devices


@pytest.mark.promise("I17")
def test_a_device_that_hangs_is_looked_past_until_its_reader_comes_back(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    now, card = Time(), Hanging(hub)
    looks = Looks(card.look, now_s=now, most_s=5.0)
    looks.begin()
    assert card.hung.acquire(timeout=60)
    assert (looks.taken({}), looks.until_s) == (None, now.s + 5.0)
    now.s += 4.9
    assert (looks.taken({}), looks.stalled) == (None, False)
    now.s += 0.2
    assert (looks.taken({}), looks.stalled) == (None, True)
    say = f"looking devices up: {HANGS} gives no answer for 5 s, and is looked past"
    assert caplog.messages == [say]
    assert found(looks, {}) == {**hub.devices(), HANGS: MUTE}
    looks.begin()
    assert found(looks, hub.devices()) == hub.devices(), "what was known of it stays"
    assert not card.hung.acquire(blocking=False), "nobody else waits for it"
    card.end()
    looks.begin()
    assert looks.stalled is False
    assert found(looks, {}) == hub.devices()
    assert (looks.answer, looks.taken({})) == (None, None)


def test_what_is_heard_while_a_look_is_under_way_is_newer_than_what_it_finds(hub: Hub) -> None:
    now, card = Time(), Hanging(hub)
    looks = Looks(card.look, now_s=now)
    looks.begin()
    assert card.hung.acquire(timeout=60)
    begin = len(hub.news)
    hub.pull("1.2")
    looks.heard(hub.news[begin:])
    card.go.set()
    assert found(looks, {}) == hub.devices()


def test_a_look_that_has_not_come_to_any_device_is_waited_for_and_an_error_is_whoever_takes_it(hub: Hub) -> None:
    now, begun = Time(), threading.Event()

    def look(_: Looking) -> Devices:
        begun.wait(60)
        raise OSError("no sysfs")

    looks = Looks(look, now_s=now, most_s=5.0)
    looks.begin()
    now.s += 6.0
    assert (looks.taken({}), looks.until_s) == (None, now.s + 5.0)
    begun.set()
    with pytest.raises(OSError, match="no sysfs"):
        found(looks, {})


@pytest.mark.promise("I16")
@pytest.mark.parametrize("of", ["threads", "descriptors"])
def test_a_station_short_of_something_looks_again_later_and_believes_nothing_meanwhile(
    hub: Hub, of: str, caplog: pytest.LogCaptureFixture
) -> None:
    now, short = Time(), [True]

    def look(_: Looking) -> Devices:
        if of == "descriptors" and short.pop():
            raise OSError(24, "Too many open files")
        return hub.devices()

    def start(work: Callable[[], None]) -> None:
        if of == "threads" and short.pop():
            raise RuntimeError("can't start new thread")
        work()

    short.insert(0, False)
    looks = Looks(look, now_s=now, most_s=5.0, start=start)
    looks.begin()
    assert looks.answer is not None
    assert (looks.taken({}), looks.answer.done(), looks.until_s) == (None, False, now.s + 5.0)
    now.s += 5.0
    assert looks.taken({}) is None
    why = {"threads": "can't start new thread", "descriptors": "[Errno 24] Too many open files"}[of]
    assert caplog.messages == [f"looking devices up: {why}; begun anew"]
    assert found(looks, {}) == hub.devices()


def test_a_device_that_hung_until_descriptors_were_short_is_read_again(hub: Hub) -> None:
    now, card = Time(), Hanging(hub)

    def look(looking: Looking) -> Devices:
        devices = card.look(looking)
        if not looking.without and not again:
            raise OSError(24, "Too many open files")
        return devices

    again: list[bool] = []
    looks = Looks(look, now_s=now, most_s=5.0)
    looks.begin()
    assert card.hung.acquire(timeout=60)
    assert looks.taken({}) is None
    now.s += 5.0
    assert looks.taken({}) is None
    assert found(looks, {})[HANGS] == MUTE
    card.end()
    again.append(True)
    looks.begin()
    assert found(looks, {}) == hub.devices()


def test_of_a_device_that_hangs_nothing_is_known_any_more_once_it_is_gone(hub: Hub) -> None:
    now, card = Time(), Hanging(hub)
    looks, before = Looks(card.look, now_s=now, most_s=5.0), hub.devices()
    looks.begin()
    assert card.hung.acquire(timeout=60)
    assert looks.taken(before) is None
    hub.pull("1.1")
    now.s += 5.0
    assert looks.taken(before) is None
    assert found(looks, before) == hub.devices(), "its removal was not heard"
    card.end()


@asynccontextmanager
async def feeding(told: Told, now: Time) -> AsyncIterator[asyncio.Queue[FeedEvent]]:
    events: asyncio.Queue[FeedEvent] = asyncio.Queue()
    feed = UdevFeed(
        board=TWO,
        known=lambda ids, _: ids.vendor == "46f4",
        listen=lambda _: told,
        reconcile_s=60.0,
        now_s=now,
        look_s=5.0,
    )

    async def follow() -> None:
        async for event in feed.events():
            events.put_nowait(event)

    async with asyncio.timeout(60):
        task = asyncio.create_task(follow(), name="follow")
        try:
            yield events
        finally:
            task.cancel()
            await asyncio.wait({task})


def attached(bay: int) -> Attached:
    camera = Camera(
        serial=CameraSerial(f"CAM-{bay}"),
        volume=VolumeId(f"CAM-{bay}-VOL"),
        model="QEMU_USB_HARDDRIVE",
        firmware="2.5+",
    )
    return Attached(bay=BayId(bay), camera=camera, source=f"bay:{bay}", device=f"bay:{bay}")


@pytest.mark.promise("I17")
async def test_while_one_device_hangs_its_bay_says_so_and_the_others_come_and_go_as_ever(hub: Hub) -> None:
    now, card = Time(), Hanging(hub)
    told = Told(hub, look=card.look)
    async with feeding(told, now) as events:
        await card.hangs()
        await told.hearing([])
        now.s += 5.0
        await told.hearing([])
        why = "it hangs: the kernel keeps whoever reads it waiting"
        ids = UsbIds(vendor="", product="", serial="")
        assert [await events.get(), await events.get()] == [Unknown(bay=BayId(1), ids=ids, why=why), attached(2)]
        begin = len(hub.news)
        hub.pull("1.2")
        told.say(hub.news[begin:])
        assert await events.get() == Detached(bay=BayId(2))
        await asyncio.to_thread(card.end)
        now.s += 60.0
        told.say([])
        assert [await events.get(), await events.get()] == [Detached(bay=BayId(1)), attached(1)]


@pytest.mark.promise("I17")
async def test_a_camera_that_leaves_while_devices_are_looked_up_now_and_then_is_told_to_be_gone_at_once(
    hub: Hub,
) -> None:
    now, card = Time(), Hanging(hub)
    card.go.set()
    told = Told(hub, look=card.look)
    async with feeding(told, now) as events:
        assert [await events.get(), await events.get()] == [attached(1), attached(2)]
        card.go.clear()
        now.s += 60.0
        told.say([])
        await card.hangs()
        begin = len(hub.news)
        hub.pull("1.2")
        told.say(hub.news[begin:])
        assert await events.get() == Detached(bay=BayId(2))
        card.go.set()


def test_of_a_device_that_is_left_out_its_port_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [Path(f"/sys{HANGS}"), Path("/sys/devices/virtual/block/usb-none")]
    monkeypatch.setattr("dockd.edges.udev.watch._listed", lambda _: iter(listed))
    watch = Watch(host=HOST, source="kernel")
    try:
        assert watch.look(Looking(without=frozenset({HANGS}))) == {HANGS: MUTE}
        disk = f"{HANGS}/1-1.1:1.0/host1/target1:0:0/1:0:0:0/block/sda"
        listed[0] = Path(f"/sys{disk}")
        assert watch.look(Looking(without=frozenset({disk}))) == {disk: replace(MUTE, devpath=disk, kind=Kind.DISK)}
        # Neither is there.
        assert watch.look() == {}
    finally:
        watch.close()


@pytest.mark.promise("I17")
def test_of_a_device_that_is_left_out_the_port_is_told_on_a_board_with_several_controllers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = tmp_path / "pci0000:00/0000:00:11.0/usb1/1-1/1-1.1"
    hangs.mkdir(parents=True)
    for above, subsystem in ((hangs.parents[0], "usb"), (hangs.parents[1], "usb"), (hangs.parents[2], "pci")):
        (above / "subsystem").symlink_to(f"/sys/bus/{subsystem}")
    monkeypatch.setattr("dockd.edges.udev.watch._listed", lambda _: iter([hangs]))
    watch = Watch(source="kernel")
    try:
        mute = replace(MUTE, devpath=str(hangs), port=PortPath("pci-0000:00:11.0-usb-0:1.1"))
        assert watch.look(Looking(without=frozenset({str(hangs)}))) == {str(hangs): mute}
    finally:
        watch.close()


@pytest.mark.promise("I17")
def test_a_list_of_devices_that_cannot_be_read_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def listing(folder: Path) -> Iterator[Path]:
        raise OSError(problem, os.strerror(problem), str(folder))

    monkeypatch.setattr(Path, "iterdir", listing)
    watch = Watch(host=HOST, source="kernel")
    try:
        problem = errno.EMFILE
        with pytest.raises(OSError, match="Too many open files"):
            watch.look()
        problem = errno.ENOENT
        assert watch.look() == {}, "a kernel without USB"
    finally:
        watch.close()
