"""udev's announcements and its database (pyudev): devices as frozen values, whatever is lost on the way said so.

Owns every object of pyudev: none leaves this file. Must not know bays.

- The monitor starts before anything is looked up: what happens in between is heard of twice, never not at all.
- A device is read when it is announced: later it may be gone, or another one. Of a removal only DEVPATH can be trusted.
- When the socket overruns, the kernel drops announcements and leaves an error on it. It is taken off (SO_ERROR) before
  the monitor is asked, since pyudev asks no more while it is there. Source: netlink(7), ENOBUFS; socket(7).
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyudev

from dockd.domain.matching import CardIds
from dockd.domain.plugged import Device, Devices, Kind
from dockd.domain.usb import UsbIds
from dockd.edges.udev.places import host_above, port_of

MOST_AT_ONCE = 200
"""Announcements taken in one go: other tasks get their turn in a storm."""

_KINDS: Mapping[tuple[str, str], Kind] = {
    ("usb", "usb_device"): Kind.USB,
    ("block", "disk"): Kind.DISK,
    ("block", "partition"): Kind.PARTITION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """A device was announced: new, changed, or again."""

    device: Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Went:
    """A device is gone."""

    devpath: str


News = Came | Went


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was announced, in order; `lost` says that some more was, and is lost. `all` says that nothing else waits.

    What still waits may be older than what was lost: everything is to be looked up after both.
    """

    news: tuple[News, ...]
    lost: bool
    all: bool


@dataclass(slots=True, kw_only=True)
class Looking:
    """A look under way: it writes down the devpath that it is `at`, and reads nothing of those that it is `without`."""

    without: frozenset[str] = frozenset()
    at: str = ""


class Watch:
    """The USB and block devices below one controller, or below all of them."""

    def __init__(self, *, host: str | None = None, source: Literal["udev", "kernel"] = "udev") -> None:
        """Begin to listen; `kernel` hears of devices before udev has looked at them, and where no udev runs.

        Raises:
            OSError: there is no netlink socket to be had.

        """
        self._host = host
        self._context = pyudev.Context()
        self._monitor = pyudev.Monitor.from_netlink(self._context, source=source)
        self._monitor.filter_by("block")
        self._monitor.filter_by("usb", "usb_device")
        self._monitor.start()
        self._socket = socket.socket(fileno=os.dup(self._monitor.fileno()))

    def close(self) -> None:
        """Stop to listen."""
        self._socket.close()
        del self._monitor

    def fileno(self) -> int:
        """Give the descriptor that is readable when something was announced, or lost."""
        return self._socket.fileno()

    def hear(self) -> Heard:
        """Take what was announced, some hundreds at most: the descriptor stays readable while there is more.

        Raises:
            OSError: the socket is broken: nothing will be heard from it any more.

        """
        lost = self._overran()
        news: list[News] = []
        for _ in range(MOST_AT_ONCE):
            try:
                device = self._monitor.poll(timeout=0)
            except OSError as error:
                if error.errno != errno.ENOBUFS and not self._overran():
                    raise
                lost = True  # it overran since
                continue
            if device is None:
                return Heard(news=tuple(news), lost=lost, all=True)
            news.extend(self._news(device))
        return Heard(news=tuple(news), lost=lost, all=False)

    def look(self, looking: Looking | None = None) -> Devices:
        """Look up every device that there is now. May be called in another thread, and hang where a device does.

        Of a device that is left out only its path is told. udev's own list is not asked for: it reads every device.
        What udev has not looked at itself yet is left out too: it is announced once it has.

        Raises:
            OSError: the lists themselves cannot be read: what is there is not known.

        """
        looking = looking or Looking()
        # Objects of udev's library are of one thread.
        context = pyudev.Context()
        found: dict[str, Device] = {}
        for path in _listed(Path(context.sys_path)):
            devpath = str(path).removeprefix(context.sys_path)
            # It may go while it is read; its removal is announced.
            with contextlib.suppress(pyudev.DeviceNotFoundError, FileNotFoundError):
                read = self._named(devpath, path)
                if devpath not in looking.without:
                    looking.at = devpath
                    device = pyudev.Devices.from_sys_path(context, str(path))
                    read = self._read(device)
                    if read is not None and not read.ids.vendor and not device.is_initialized:
                        continue
                if read is not None:
                    found[read.devpath] = read
        return found

    def _named(self, devpath: str, path: Path) -> Device | None:
        """Give what a path alone tells of a device in a port."""
        port = port_of(devpath, "", host=self._controller(path))
        if port is None:
            return None
        kind = Kind.DISK if "/block/" in devpath else Kind.USB
        return Device(devpath=devpath, kind=kind, port=port, ids=UsbIds(vendor="", product="", serial=""), mute=True)

    def _overran(self) -> bool:
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _news(self, device: pyudev.Device) -> Iterator[News]:
        if device.action == "remove":
            yield Went(devpath=device.device_path)
            return
        read = self._read(device)
        if read is not None:
            yield Came(device=read)

    def _controller(self, path: Path) -> str:
        return self._host if self._host is not None else host_above(_above(path))

    def _read(self, device: pyudev.Device) -> Device | None:
        said = _Said(device.properties)
        kind = _KINDS.get((said["SUBSYSTEM"], said["DEVTYPE"]))
        port = port_of(device.device_path, said["ID_PATH"], host=self._controller(Path(device.sys_path)))
        if kind is None or port is None:
            return None
        return Device(
            devpath=device.device_path,
            kind=kind,
            port=port,
            ids=UsbIds(
                vendor=said["ID_USB_VENDOR_ID"] or said["ID_VENDOR_ID"],
                product=said["ID_USB_MODEL_ID"] or said["ID_MODEL_ID"],
                serial=said["ID_USB_SERIAL_SHORT"] or said["ID_SERIAL_SHORT"],
            ),
            plugging=said["DEVNAME"] if kind is Kind.USB else said["DISKSEQ"],
            model=said["ID_USB_MODEL"] or said["ID_MODEL"],
            firmware=said["ID_USB_REVISION"] or said["ID_REVISION"],
            volume=said["ID_FS_UUID"],
            card=_card(said) if kind is not Kind.USB else None,
        )


class _Said:
    """Properties as texts: empty where there is none, or it is no text."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = properties

    def __getitem__(self, name: str) -> str:
        try:
            return self._properties.get(name, "")
        except UnicodeDecodeError:  # a device may say anything
            return ""


def _listed(sys: Path) -> Iterator[Path]:
    """Give every USB device, and every disk and partition below one, without reading any; interfaces are neither."""
    for link in _links(sys / "bus" / "usb" / "devices"):
        if ":" not in link.name:
            yield link.resolve()
    for link in _links(sys / "class" / "block"):
        path = link.resolve()
        if "/usb" in str(path):
            yield path


def _links(folder: Path) -> Iterable[Path]:
    """Give what a folder holds; an error is no emptiness, as `glob` would have it in some versions of Python."""
    try:
        return tuple(folder.iterdir())
    except FileNotFoundError:  # a kernel without USB
        return ()


def _above(path: Path) -> Iterator[tuple[str, str]]:
    """Give subsystem and name of everything that a device is below, the nearest first; none of them is read."""
    for above in path.parents:
        try:
            subsystem = (above / "subsystem").readlink().name
        except OSError:  # it is no device
            subsystem = ""
        yield subsystem, above.name


def _card(said: _Said) -> CardIds | None:
    """Give what a filesystem says of itself; that of an optical disc, which some cameras bring drivers on, is none."""
    if said["ID_FS_USAGE"] != "filesystem" or said["ID_CDROM"]:
        return None
    return CardIds(filesystem=said["ID_FS_TYPE"], label=said["ID_FS_LABEL"])
