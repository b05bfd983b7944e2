"""Where on the USB a device hangs, and what it says it is.

Owns port paths: the host controller and the chain of ports below it, as udev's ID_PATH has them. They are the same
after every boot and whatever is plugged in, which numbers of buses and devices are not. Must not know sysfs.
"""

import re
from dataclasses import dataclass
from typing import NewType

PortPath = NewType("PortPath", str)
"""As in `pci-0000:00:10.0-usb-0:1.3`: the third port of the hub that is in the first port of that controller."""

MOST_TIERS = 6
"""Ports in a chain: five hubs and the device. Source: USB 2.0 specification, 4.1.1."""
MOST_PORT = 255
"""Source: USB 2.0 specification, 11.23.2.1: bNbrPorts is one byte."""

_ID_PATH = re.compile(
    r"(?P<port>(?P<host>[A-Za-z0-9][A-Za-z0-9_.:+-]{0,150})-usb-0:(?P<chain>[1-9][0-9]{0,2}(?:\.[1-9][0-9]{0,2})*))"
    r"(?::[0-9]+\.[0-9]+(?:-.*)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbIds:
    """What a device says it is: claims, all of them. Empty where it says nothing."""

    vendor: str
    product: str
    serial: str

    def __str__(self) -> str:
        """One word for people: `2672:0049 S123`."""
        return f"{self.vendor or '?'}:{self.product or '?'} {self.serial}".rstrip()


def port_path_of(id_path: str) -> PortPath | None:
    """Give the port that an ID_PATH names, without what follows it (`:1.0-scsi-0:0:0:0`); None where it names none.

    Source: systemd, src/udev/udev-builtin-path_id.c, handle_usb.
    """
    found = _ID_PATH.fullmatch(id_path)
    if found is None or not _is_chain(found["chain"]):
        return None
    return PortPath(found["port"])


def port_path(host: str, chain: tuple[int, ...]) -> PortPath:
    """Put a port path together."""
    return PortPath(f"{host}-usb-0:{'.'.join(map(str, chain))}")


def host_of(port: PortPath) -> str:
    """Give the controller of a port, as in `pci-0000:00:10.0`."""
    return port.rpartition("-usb-0:")[0]


def chain_of(port: PortPath) -> tuple[int, ...]:
    """Give the ports on the way from the controller to this one, as in (1, 3)."""
    return tuple(int(number) for number in port.rpartition("-usb-0:")[2].split("."))


def hubs_above(port: PortPath) -> tuple[PortPath, ...]:
    """Give the ports in which the hubs on the way hang, from the controller down."""
    chain = chain_of(port)
    return tuple(port_path(host_of(port), chain[:tier]) for tier in range(1, len(chain)))


def _is_chain(chain: str) -> bool:
    numbers = chain.split(".")
    return len(numbers) <= MOST_TIERS and all(int(number) <= MOST_PORT for number in numbers)
