"""The port of a device by its path in sysfs, where udev's rules give it no ID_PATH.

Owns the names that the kernel gives USB devices. Source: Documentation/driver-api/usb/usb.rst, sysfs names.
"""

import re
from collections.abc import Iterable

from dockd.domain.usb import PortPath, port_path_of

_BELOW_ROOT = re.compile(
    r"/(?P<controller>[^/]+)/usb[0-9]+(?:/[0-9]+-[0-9.]+)*/[0-9]+-(?P<chain>[0-9.]+)(?=/|$)", re.ASCII
)


def port_of(devpath: str, id_path: str, *, host: str) -> PortPath | None:
    """Give the port that a device is in; None for what is in none of this controller.

    `host` is a controller as ID_PATH has it: it ends in the controller's own name, which is all that a path tells.
    """
    named = port_path_of(id_path)
    if named is not None:
        return named
    found = _BELOW_ROOT.search(devpath)
    if found is None or not host.endswith(f"-{found['controller']}"):
        return None
    return port_path_of(f"{host}-usb-0:{found['chain']}")


def host_above(above: Iterable[tuple[str, str]]) -> str:
    """Name the controller of a device, by subsystem and name of all that it is below, the nearest first; "" for none.

    Of bridges in a row only the nearest has a place in the name. Source: systemd, src/udev/udev-builtin-path_id.c.
    """
    host, below = "", ""
    for subsystem, name in above:
        if subsystem in {"pci", "platform"} and subsystem != below:
            host = f"{subsystem}-{name}-{host}"
        below = subsystem
    return host.removesuffix("-")
