"""A dock of mock devices (umockdev), and beside it whoever watches them: started by `mock_udev` in tests/edge.

    umockdev-wrapper /usr/bin/python3 tests/mock_dock.py WATCHER...

Runs under the system's Python, for which umockdev has its bindings, and starts WATCHER among the same mock devices.
Takes a JSON array a line, a verb and its arguments, until its input ends. No device announces its own removal: the news
are sent first. Whoever lets more than about twenty news wait is killed by umockdev: storms come in small parts.
"""

import json
import subprocess
import sys

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402 - which one is said before

HOST = "pci-0000:00:10.0"


class Dock:
    """A controller with one hub in port 1."""

    def __init__(self) -> None:
        self.bed = UMockdev.Testbed.new()
        pci = self.bed.add_device("pci", "0000:00:10.0", None, ["class", "0x0c0330"], [])
        root = self.bed.add_device("usb", "usb1", pci, ["busnum", "1"], ["DEVTYPE", "usb_device"])
        self.hub = self.bed.add_device("usb", "1-1", root, ["idVendor", "0409"], ["DEVTYPE", "usb_device"])
        self.bays: dict[int, list[str]] = {}
        self.number = 0

    def plug(self, bay: int, serial: str, filesystem: str) -> None:
        """Put a camera into a bay; without a filesystem it is announced as far as its disk."""
        self.number += 1
        said = ["ID_VENDOR_ID", "2672", "ID_MODEL_ID", "0049", "ID_MODEL", "Cam", "ID_SERIAL_SHORT", serial]
        path = f"{HOST}-usb-0:1.{bay}"
        name = f"/dev/bus/usb/001/{self.number:03}"
        # udev of some versions gives no ID_PATH to the device itself.
        usb = self._add("usb", f"1-1.{bay}", self.hub, ["DEVTYPE", "usb_device", "DEVNAME", name, *said])
        interface = self._add("usb", f"1-1.{bay}:1.0", usb, ["DEVTYPE", "usb_interface", "DRIVER", "usb-storage"])
        self.bed.uevent(usb, "add")
        self.bed.uevent(usb, "bind")
        path += ":1.0-scsi-0:0:0:0"
        common = ["ID_PATH", path, "DISKSEQ", str(self.number), *said]
        # As the kernel's, the letter moves on: umockdev keeps a link of every one that there was.
        letter = chr(96 + self.number)
        disk = self._add("block", f"sd{letter}", interface, ["DEVTYPE", "disk", *common])
        self.bays[bay] = [disk, interface, usb]
        if filesystem:
            card = ["ID_FS_USAGE", "filesystem", "ID_FS_TYPE", filesystem, "ID_FS_UUID", "12-34", "ID_FS_LABEL", "CAM"]
            part = self._add("block", f"sd{letter}1", disk, ["DEVTYPE", "partition", *common, *card])
            self.bays[bay].insert(0, part)
        self.bed.uevent(disk, "change")

    def begun(self, bay: int) -> None:
        """Put a camera into a bay that the kernel has found, and udev has not looked at yet: nobody is told."""
        self.number += 1
        usb = self._add("usb", f"1-1.{bay}", self.hub, ["DEVNAME", f"/dev/bus/usb/001/{self.number:03}"])
        # umockdev announces whatever is added: until here it was nothing that anybody listens for.
        self.bed.set_property(usb, "DEVTYPE", "usb_device")
        self.bays[bay] = [usb]

    def pull(self, bay: int, heard: str) -> None:
        """Take the camera out of a bay; `unheard` nobody is told."""
        for device in self.bays.pop(bay):
            if heard == "heard":
                self.bed.uevent(device, "remove")
            self.bed.remove_device(device)

    def again(self, bay: int, count: int) -> None:
        """Announce a bay's devices so many times more."""
        for number in range(count):
            self.bed.uevent(self.bays[bay][number % len(self.bays[bay])], "change")

    def _add(self, subsystem: str, name: str, parent: str, properties: list[str]) -> str:
        path: str = self.bed.add_device(subsystem, name, parent, [], properties)
        return path


def main() -> None:
    """Do what is asked until there is no more."""
    dock = Dock()
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as watcher:
        for line in sys.stdin:
            verb, *arguments = json.loads(line)
            getattr(dock, verb)(*arguments)
        watcher.terminate()


if __name__ == "__main__":
    main()
