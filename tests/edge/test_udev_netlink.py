"""The kernel's own announcements: a real netlink socket, and what happens when it overruns."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from dockd.app.ports import Attached, Detached, Empty
from dockd.domain.model import BayId
from dockd.domain.plugged import Devices
from dockd.edges.boards import load_board
from dockd.edges.udev.feed import UdevFeed
from dockd.edges.udev.watch import Came, Looking, Watch
from tests.plugs import HOST, Hub

MISSING = "a real netlink socket needs root, and a kernel that announces block devices here"


@pytest.fixture
def uevent() -> Path:
    """The file through which the kernel can be made to announce a block device again; harmless, a loop device's."""
    found = sorted(Path("/sys/devices/virtual/block").glob("loop*/uevent"))
    if not found or not os.access(found[0], os.W_OK):
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found[0]


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch(host=HOST, source="kernel")
    yield watch
    watch.close()


def storm(uevent: Path) -> None:
    for _ in range(400):
        uevent.write_text("add")


def small(watch: Watch) -> None:
    """Give the socket a buffer of a few announcements."""
    with socket.socket(fileno=os.dup(watch.fileno())) as itself:
        itself.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


def test_an_overrun_of_the_socket_is_said_once_and_what_comes_after_is_heard(watch: Watch, uevent: Path) -> None:
    """I17: the kernel drops what it cannot deliver, and leaves ENOBUFS on the socket."""
    small(watch)
    storm(uevent)
    heard = watch.hear()
    assert (heard.lost, heard.all) == (True, True)
    assert watch.hear().lost is False
    uevent.write_text("add")
    again = watch.hear()
    assert (again.lost, again.all) == (False, True)


def test_an_overrun_between_the_look_at_the_error_and_the_poll_is_said_too(
    watch: Watch, uevent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(watch)
    looked = iter([False])
    overran = Watch._overran

    def late(self: Watch) -> bool:
        # The first look finds no error: the storm comes right after it.
        for answer in looked:
            storm(uevent)
            return answer
        return overran(self)

    monkeypatch.setattr(Watch, "_overran", late)
    assert watch.hear().lost is True
    assert watch.hear().lost is False


def test_a_broken_socket_is_no_overrun(watch: Watch) -> None:
    with Path("/dev/null").open("rb") as other:
        os.dup2(other.fileno(), watch._monitor.fileno(), inheritable=False)
    with pytest.raises(OSError, match="Socket operation on non-socket"):
        watch.hear()


def test_devices_that_are_in_no_port_of_the_controller_are_no_news(watch: Watch, uevent: Path) -> None:
    uevent.write_text("add")
    heard = watch.hear()
    assert [one for one in heard.news if isinstance(one, Came)] == []
    assert (heard.lost, heard.all) == (False, True)
    assert watch.look() == {}


def test_a_storm_is_heard_in_parts_so_that_others_get_their_turn(watch: Watch, uevent: Path) -> None:
    with socket.socket(fileno=os.dup(watch.fileno())) as itself:
        itself.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUFFORCE if hasattr(socket, "SO_RCVBUFFORCE") else 33, 1 << 24
        )
    storm(uevent)
    parts = [watch.hear() for _ in range(3)]
    assert [part.all for part in parts] == [False, False, True]
    assert not any(part.lost for part in parts)


class ByHand(Watch):
    """The kernel's announcements, and a hub by hand in place of what is there."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(host=HOST, source="kernel")
        self.hub = hub

    def look(self, _: Looking | None = None) -> Devices:
        return self.hub.devices()


@pytest.mark.promise("I17")
async def test_after_an_overrun_no_bay_is_lost_though_nobody_heard_of_its_camera(uevent: Path) -> None:
    hub, board = Hub(), load_board("emulated-14")
    hub.plug("1.1", "CAM-GOES")
    watch = ByHand(hub)
    feed = UdevFeed(
        board=board,
        known=lambda _ids, _card: True,
        listen=lambda _: watch,
        reconcile_s=1e9,
        start=lambda work: work(),
    )
    events = feed.events()
    async with asyncio.timeout(60):
        assert [type(await anext(events)) for _ in board.bays] == [Attached] + 13 * [Empty]
        small(watch)
        hub.pull("1.1")
        for number, wiring in board.bays.items():
            hub.plug(wiring.port.rpartition(":")[2], f"CAM-{number}")
        storm(uevent)
        told = [await anext(events) for _ in range(15)]
    assert isinstance(events, AsyncGenerator)
    await events.aclose()
    assert told[0] == Detached(bay=BayId(1))
    serials = [(event.bay, event.camera.serial) for event in told[1:] if isinstance(event, Attached)]
    assert serials == [(number, f"CAM-{number}") for number in range(1, 15)]
