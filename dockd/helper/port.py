"""Which port a bay is, by root's board file, and what is in it, by sysfs. Who left is a FileNotFoundError.

Source: Documentation/ABI/testing/sysfs-bus-usb, Documentation/usb/authorization.rst; systemd, udev-builtin-path_id.c.
"""

import errno
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PORT = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.:+-]{0,150})-usb-0:((?:[1-9][0-9]{0,2}\.){0,5}[1-9][0-9]{0,2})")
DRIVER = re.compile("usb-storage|uas|ums[-_][a-z0-9]+")
IDS = ("busnum", "devnum", "idVendor", "idProduct", "serial")
Identity = Mapping[str, str]
"""IDS as they are read, `path`, and `node`: its folder in sysfs, new with each plugging in, unlike other numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bay:
    """A port: its controller as udev names it, the chain below it (`1.3`), and whether its hub switches its power."""

    host: str
    chain: str
    switched: bool


def bay_of(path: Path, number: int) -> Bay:
    """Find a bay. Raises OSError: EUCLEAN (the file is not fit), ENOKEY (no such bay)."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status, text = os.fstat(file.fileno()), file.read()
        if not stat.S_ISREG(status.st_mode) or status.st_uid or status.st_mode & 0o022:
            raise PermissionError("expected a file that root alone may write")
        bays = tomllib.loads(text.decode("utf-8"))["bays"]
        ports = {bay["number"]: (PORT.fullmatch(bay["port"]), bay.get("power") == "port") for bay in bays}
        once = len(ports) == len(bays) == len({bay["port"] for bay in bays})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise OSError(errno.EUCLEAN, f"{path}: {error!a}") from error
    if number not in ports:
        raise OSError(errno.ENOKEY, f"{path}: there is no bay {number}")
    port, switched = ports[number]
    if port is None or not once:
        raise OSError(errno.EUCLEAN, f"{path}: bay {number}: expected each bay and port once, as udev names it")
    return Bay(host=port[1], chain=port[2], switched=switched)


class Usb:
    """The USB devices below one mount of sysfs."""

    def __init__(self, sys: Path) -> None:
        self._devices, self._usb = (sys / "devices").resolve(), sys / "bus" / "usb"

    def identity(self, bay: Bay) -> Identity:
        """Say who is in a bay. Raises OSError: ENODEV, ENOTUNIQ."""
        found = self._at(bay, bay.chain)
        if len(found) != 1:
            number = errno.ENOTUNIQ if found else errno.ENODEV
            raise OSError(number, f"{len(found)} devices are in port {bay.chain} of {bay.host}, expected one")
        ids = {name: _read(found[0] / name) for name in IDS if name != "serial" or (found[0] / name).exists()}
        return {"serial": "", **ids, "path": str(found[0]), "node": str(found[0].stat().st_ino)}

    def authorise(self, device: Identity) -> None:
        """Let the storage of a device in, and nothing else of it. Raises OSError: ENOTBLK, EIO."""
        path = Path(device["path"])
        # Before the device: its interfaces come up as their bus says, and a keyboard must not be one for a moment.
        (bus,) = (parent for parent in path.parents if parent.name == f"usb{device['busnum']}")
        _write(bus / "interface_authorized_default", "0")
        _write(path / "authorized", "1")
        for interface in (others := _interfaces(path, storage=False)):
            _write(interface / "authorized", "0")
        for interface in (storage := _interfaces(path, storage=True)):
            _write(interface / "authorized", "1")
            if not (interface / "driver").exists():
                (self._usb / "drivers_probe").write_text(interface.name)
        drivers = {(interface / "driver").resolve().name for interface in storage}
        if not drivers or not all(DRIVER.fullmatch(driver) for driver in drivers):
            _write(path / "authorized", "0")
            late = "driver" in drivers or not (others or drivers)  # left inside, it is any module's that comes
            raise OSError(errno.EIO if late else errno.ENOTBLK, f"{path.name}: no storage: {drivers}")

    def blocks(self, device: Identity) -> Mapping[str, int]:
        """Give the volumes of a device, name in /dev and number: partitions of its disks, and disks without any."""
        found = _interfaces(Path(device["path"]), storage=True)
        disks = [disk for interface in found for disk in interface.glob("host*/target*/*:*/block/sd*")]
        volumes = [part.parent for disk in disks for part in [*disk.glob("sd*/partition")] or [disk / "size"]]
        numbers = {path.name: _read(path / "dev").split(":") for path in volumes if _read(path / "size") != "0"}
        return {name: os.makedev(int(major), int(minor)) for name, (major, minor) in numbers.items()}

    def switch(self, bay: Bay, *, on: bool | None) -> bool:
        """Switch the power of a port, or only look. Raises OSError: EOPNOTSUPP, ENOTUNIQ."""
        above, _, port = bay.chain.rpartition(".")
        found = {path for hub in self._at(bay, above) for path in hub.glob(f"*:1.0/*-port{port}/disable")}
        if not bay.switched or not found:
            raise OSError(errno.EOPNOTSUPP, f"no switch of ours in port {bay.chain} of {bay.host}")
        # The two halves of a USB 3 connector share its power: it is off when both are.
        one = min(found)
        halves = {path for path in (one, (one.parent / "peer" / "disable").resolve()) if path.exists()}
        if not found <= halves:
            raise OSError(errno.ENOTUNIQ, f"port {bay.chain} of {bay.host} is two connectors")
        for half in halves if on is not None else ():
            _write(half, "0" if on else "1")
        return any(_read(half) == "0" for half in halves)

    def _at(self, bay: Bay, chain: str) -> list[Path]:
        """Find what a chain of ports below the bay's controller ends in; one of no port ends in its root hubs."""
        roots = [root for root in (self._usb / "devices").glob("usb[0-9]*") if self._host(root.resolve()) == bay.host]
        paths = [root.with_name(f"{root.name[3:]}-{chain}") if chain else root for root in roots]
        return [path.resolve() for path in paths if path.exists()]

    def _host(self, root: Path) -> str:
        """Name a controller as udev does: of bridges in a row, the nearest."""
        name, below = "", ""
        for folder in root.relative_to(self._devices).parents:
            kind = (self._devices / folder / "subsystem").resolve().name
            if kind in {"pci", "platform"} and kind != below:
                name = f"{kind}-{folder.name}-{name}"
            below = kind
        return name.removesuffix("-")


def _interfaces(path: Path, *, storage: bool) -> list[Path]:
    return [one for one in path.glob(f"{path.name}:*") if (_read(one / "bInterfaceClass") == "08") is storage]


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "backslashreplace").removesuffix("\n")


def _write(path: Path, value: str) -> None:
    if _read(path) != value:
        path.write_text(value)
