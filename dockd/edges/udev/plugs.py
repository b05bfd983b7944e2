"""What is plugged in just now, into whichever port: for whoever writes down which port is which bay.

Owns when a device is new. Must not know boards, and lets nobody in.
"""

import select
import time
from collections.abc import Iterator

from dockd.domain.plugged import Device, Devices, Kind
from dockd.edges.udev.feed import Announcements
from dockd.edges.udev.watch import Came, Went


def plugged_in(watch: Announcements, *, within_s: float | None) -> Iterator[Device]:
    """Give every USB device that is plugged in from this call on; ends when there was none for so long (None: never).

    Where announcements were lost, what is there is looked up anew.
    """
    # Now, and not when the first one is asked for: people who are told to plug in may be quick.
    return _news(watch, dict(_pluggings(watch.look())), within_s)


def _news(watch: Announcements, there: dict[str, str], within_s: float | None) -> Iterator[Device]:
    lost = False
    until_s = _from_now(within_s)
    while True:
        left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
        ready, _, _ = select.select([watch.fileno()], [], [], left_s)
        if not ready:
            return
        heard = watch.hear()
        found: list[Device] = []
        for news in heard.news:
            match news:
                case Came(device=device):
                    found.append(device)
                case Went(devpath=devpath):
                    there.pop(devpath, None)
        lost = lost or heard.lost
        if lost and heard.all:
            devices, lost = watch.look(), False
            there = {devpath: plugging for devpath, plugging in there.items() if devpath in devices}
            found += devices.values()
        for device in found:
            if device.kind is Kind.USB and there.get(device.devpath) != device.plugging:
                there[device.devpath] = device.plugging
                yield device
                until_s = _from_now(within_s)


def _pluggings(devices: Devices) -> Iterator[tuple[str, str]]:
    for devpath, device in devices.items():
        if device.kind is Kind.USB:
            yield devpath, device.plugging


def _from_now(within_s: float | None) -> float | None:
    return None if within_s is None else time.monotonic() + within_s
