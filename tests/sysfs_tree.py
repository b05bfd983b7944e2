"""A sysfs of our own, in a folder: controllers, hubs, devices in ports, with the files that root's helper looks at."""

import shutil
from dataclasses import dataclass
from pathlib import Path

KEYBOARD, STORAGE, SERIAL_LINE = "03", "08", "02"


@dataclass(frozen=True, slots=True)
class Tree:
    """The folder that stands for /sys."""

    sys: Path

    @property
    def usb(self) -> Path:
        return self.sys / "bus" / "usb"

    def controller(self, *folders: str, bus: int, ports: int = 4) -> Path:
        """Make a controller (folders as `pci:0000:00:10.0`, or bare ones of no subsystem) with a root hub; give it."""
        path = self.sys / "devices"
        for folder in folders:
            kind, marked, name = folder.partition("=")
            path = path / (name if marked else folder)
            path.mkdir(parents=True, exist_ok=True)
            if marked and not (path / "subsystem").is_symlink():
                (self.sys / "bus" / kind).mkdir(parents=True, exist_ok=True)
                (path / "subsystem").symlink_to(self.sys / "bus" / kind)
        root = path / f"usb{bus}"
        _files(root, authorized_default="0", interface_authorized_default="1")
        self._listed(root)
        self._switches(root, f"{bus}-0:1.0", f"usb{bus}", ports)
        return root

    def hub(self, below: Path, name: str, *, ports: int = 4) -> Path:
        """Plug a hub in, and give it."""
        _files(below / name, bDeviceClass="09", authorized="1")
        self._listed(below / name)
        self._switches(below / name, f"{name}:1.0", name, ports)
        return below / name

    def device(
        self,
        below: Path,
        name: str,
        *,
        devnum: int,
        serial: str | None = "CAM-0001",
        ids: tuple[str, str] = ("2672", "0049"),
        interfaces: tuple[str, ...] = (STORAGE,),
        driver: str | None = "usb-storage",
    ) -> Path:
        """Plug a device in that nobody has authorised yet, and give it. Its storage has its driver from then on."""
        path = below / name
        _files(path, busnum=name.partition("-")[0], devnum=str(devnum), idVendor=ids[0], idProduct=ids[1])
        _files(path, authorized="0", **({} if serial is None else {"serial": serial}))
        for number, kind in enumerate(interfaces):
            _files(path / f"{name}:1.{number}", bInterfaceClass=kind, authorized="0")
            if kind == STORAGE and driver is not None:
                self.bind(path / f"{name}:1.{number}", driver)
        self._listed(path)
        return path

    def bind(self, interface: Path, driver: str) -> None:
        """Give an interface another driver."""
        (self.usb / "drivers" / driver).mkdir(parents=True, exist_ok=True)
        (interface / "driver").unlink(missing_ok=True)
        (interface / "driver").symlink_to(self.usb / "drivers" / driver)

    def disk(
        self, device: Path, name: str, dev: str, *, parts: tuple[tuple[str, str], ...] = (), size: int = 9
    ) -> None:
        """Give a device's first interface a disk, and its partitions as (name, number)."""
        interface = device / f"{device.name}:1.0"
        path = interface / "host2" / "target2:0:0" / f"2:0:0:{ord(name[-1]) - ord('b')}" / "block" / name
        _files(path, dev=dev, size=str(size))
        for part, number in parts:
            _files(path / part, dev=number, size=str(size), partition=part[-1])

    def unplug(self, device: Path) -> None:
        """Pull a device out."""
        (self.usb / "devices" / device.name).unlink()
        shutil.rmtree(device)

    def _listed(self, path: Path) -> None:
        (self.usb / "devices").mkdir(parents=True, exist_ok=True)
        (self.usb / "drivers_probe").touch()
        (self.usb / "devices" / path.name).symlink_to(path)

    @staticmethod
    def _switches(hub: Path, interface: str, name: str, ports: int) -> None:
        for port in range(1, ports + 1):
            _files(hub / interface / f"{name}-port{port}", disable="0")


def text(path: Path) -> str:
    """Give what an attribute holds."""
    return path.read_text(encoding="utf-8").removesuffix("\n")


def _files(folder: Path, **attributes: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in attributes.items():
        (folder / name).write_text(f"{value}\n", encoding="utf-8")
