"""Cameras that are plugged in and pulled out, as the devices and the news that come of it, in the kernel's order.

The names are those that a kernel gave in a virtual machine: hub 1 or 2 of an xHCI, a stick with one partition.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dockd.domain.matching import CardIds
from dockd.domain.plugged import Device, Devices, Kind
from dockd.domain.usb import PortPath, UsbIds
from dockd.edges.udev.watch import Came, Heard, Looking, News, Went

HOST = "pci-0000:00:10.0"
ROOT = "/devices/pci0000:00/0000:00:10.0/usb1"


def port(chain: str) -> PortPath:
    """Give the path of a port by its chain: `1.3`."""
    return PortPath(f"{HOST}-usb-0:{chain}")


def devices_of(chain: str, serial: str, *, number: int = 1, card: CardIds | None = None) -> list[Device]:
    """Give what one stick is made of, in the order in which it is announced; `number` is its plugging in."""
    usb = f"{ROOT}/1-{chain.split('.', maxsplit=1)[0]}/1-{chain}"
    disk = f"{usb}/1-{chain}:1.0/host{number}/target{number}:0:0/{number}:0:0:0/block/sda"
    common = Device(
        devpath=usb,
        kind=Kind.USB,
        port=port(chain),
        ids=UsbIds(vendor="46f4", product="0001", serial=serial),
        plugging=f"/dev/bus/usb/001/{number:03}",
        model="QEMU_USB_HARDDRIVE",
        firmware="2.5+",
    )
    whole = replace(common, devpath=disk, kind=Kind.DISK, plugging=str(number))
    card = card or CardIds(filesystem="vfat", label="CAM")
    part = replace(whole, devpath=f"{disk}/sda1", kind=Kind.PARTITION, volume=f"{serial}-VOL", card=card)
    return [common, whole, part]


@dataclass
class Hub:
    """What is plugged in, and the news of everything since the beginning."""

    news: list[News] = field(default_factory=list)
    now: dict[str, Device] = field(default_factory=dict)
    numbers: int = 0
    in_port: dict[str, list[Device]] = field(default_factory=dict)

    def plug(self, chain: str, serial: str, change: Callable[[Device], Device] = lambda it: it) -> None:
        """Plug a stick in, its devices changed; the news come as udev tells them, some of them twice."""
        self.pull(chain)
        self.numbers += 1
        devices = self.in_port[chain] = [change(it) for it in devices_of(chain, serial, number=self.numbers)]
        usb, disk, part = devices
        for device in (usb, usb, disk, part, disk):  # `bind` is told as the device again, and `change` of the disk
            self.news.append(Came(device=device))
        self.now |= {device.devpath: device for device in devices}

    def pull(self, chain: str) -> None:
        """Pull out what is in a port, if anything is."""
        for device in reversed(self.in_port.pop(chain, [])):
            self.news.append(Went(devpath=device.devpath))
            del self.now[device.devpath]

    def devices(self) -> Devices:
        """Give what is there now."""
        return dict(self.now)


class Told:
    """Announcements by hand: each entry of `heard` is one hearing; `look` stands for its own look, in any thread."""

    def __init__(self, hub: Hub, *, look: Callable[[Looking | None], Devices] | None = None) -> None:
        self.hub = hub
        self.another = look
        self.heard: list[Heard] = []
        self.looks = 0
        self.looked: asyncio.Queue[None] = asyncio.Queue()
        self.hears: asyncio.Queue[None] = asyncio.Queue()
        self.closed = False
        self._read, self._write = os.pipe()

    def say(self, news: list[News], *, lost: bool = False, everything: bool = True) -> None:
        self.heard.append(Heard(news=tuple(news), lost=lost, all=everything))
        os.write(self._write, b".")

    async def hearing(self, news: list[News]) -> None:
        """Say something, and wait until whoever listens has done what comes of it at once."""
        self.say(news)
        while self.heard:
            await self.hears.get()

    def fileno(self) -> int:
        return self._read

    def hear(self) -> Heard:
        self.hears.put_nowait(None)
        if not self.heard:
            return Heard(news=(), lost=False, all=True)
        os.read(self._read, 1)
        return self.heard.pop(0)

    def look(self, looking: Looking | None = None) -> Devices:
        if self.another is not None:
            return self.another(looking)
        self.looks += 1
        self.looked.put_nowait(None)
        return self.hub.devices()

    def close(self) -> None:
        self.closed = True
        os.close(self._read)
        os.close(self._write)


class Time:
    """A clock by hand; whoever waits is woken by what is said."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s
