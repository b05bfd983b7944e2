"""Cards in the machine's USB ports: plugged in, slow or unreadable where asked, and pulled out.

Owns the emulator's words for a stick and its image. Must not know what is on a card.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vm import qemu
from tests.vm.machine import Machine
from tests.vm.wire import RefusedError

VENDOR, PRODUCT = "46f4", "0001"
"""What every emulated stick says of itself; for other identities there is `gadget`, in the guest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stick:
    """A card in a port, such as port 3 of hub 1: "1.3"; or "9", a port of the root hub."""

    machine: Machine
    name: str
    port: str
    node: str
    throttle: str | None

    @property
    def id_path(self) -> str:
        """What udev calls ID_PATH of the disk and its partitions."""
        return f"{qemu.CONTROLLER}-usb-0:{self.port}:1.0-scsi-0:0:0:0"

    @property
    def partition(self) -> str:
        """The first partition, by a name that says where it is plugged in."""
        return f"/dev/disk/by-path/{self.id_path}-part1"

    def settle(self, *, within_s: float = 60) -> None:
        """Wait until the guest has found the partition and all of udev's rules have run."""
        self.machine.agent.until(f"[ -e {self.partition} ]", within_s=within_s)
        self.machine.agent.shell("udevadm settle", within_s=within_s)

    def yank(self) -> None:
        """Pull it out, whatever is being done with it; its image is closed then, and may be looked at."""
        machine = self.machine
        patience_s = 30 * machine.agent.slowness
        machine.ask("device_del", id=self.name)
        machine.monitor.event("DEVICE_DELETED", self.name, within_s=patience_s)
        deadline_s = time.monotonic() + patience_s
        while True:
            try:
                machine.ask("blockdev-del", node_name=self.node)
            except RefusedError:
                # Requests that were under way hold it for a moment.
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)
            else:
                break
        if self.throttle is not None:
            machine.ask("object-del", id=self.throttle)


def plug(
    machine: Machine,
    image: Path,
    port: str,
    *,
    serial: str,
    bytes_per_s: int | None = None,
    unreadable: Collection[int] = (),
) -> Stick:
    """Push a card into a port. Of the sectors that cannot be read, each fails every read that touches it."""
    name = f"stick-{port.replace('.', '-')}"
    node: dict[str, Any] = {"driver": "file", "filename": str(image), "locking": "off"}
    if unreadable:
        rules = [{"event": "read_aio", "errno": 5, "sector": sector, "iotype": "read"} for sector in sorted(unreadable)]
        node = {"driver": "blkdebug", "image": node, "inject-error": rules}
    node = {"driver": "raw", "node-name": f"{name}-raw", "file": node}
    throttle = f"{name}-pace" if bytes_per_s is not None else None
    if throttle is not None:
        machine.ask("object-add", qom_type="throttle-group", id=throttle, limits={"bps-total": bytes_per_s})
        node = {"driver": "throttle", "node-name": f"{name}-slow", "throttle-group": throttle, "file": node}
    machine.ask("blockdev-add", **node)
    top = str(node["node-name"])
    machine.ask(
        "device_add", driver="usb-storage", id=name, bus="xhci.0", port=port, serial=serial, drive=top, removable=True
    )
    return Stick(machine=machine, name=name, port=port, node=top, throttle=throttle)


def disk(machine: Machine, image: Path, *, serial: str, read_only: bool = False) -> str:
    """Add an ordinary disk, such as a station's own, and give its name in the guest."""
    # The host's cache outlives the emulator: a flush that goes no further loses nothing that a cut of its power would.
    file = {"driver": "file", "filename": str(image), "locking": "off", "cache": {"no-flush": True}}
    machine.ask("blockdev-add", driver="raw", node_name=f"disk-{serial}", read_only=read_only, file=file)
    machine.ask("device_add", driver="scsi-hd", id=serial, bus="scsi0.0", drive=f"disk-{serial}", serial=serial)
    name = f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{serial}"
    machine.agent.until(f"[ -b {name} ]")
    return name
