"""The doors of bays: who is plugged in is let in, and their card mounted, by root's helper.

Owns that a bay has one request at a time, that what is mounted is of the camera that was seen in the bay, and how long
a helper that says "later" is asked again. Must not know how long a mount lives, nor what is done with it.
"""

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dockd.domain.model import BayId
from dockd.domain.usb import UsbIds
from dockd.edges.helper import Helper
from dockd.edges.opening import FOLDER, closed, see_device
from dockd.errors import CameraGoneError, ListingError, PermanentError, TransientError

PATIENCE_S = 10.0
"""How long "later" is taken for an answer: the old mount goes a moment after its close, a disk comes some seconds after
its interface was let in."""
FIRST_WAIT_S, MOST_WAIT_S = 0.05, 1.0
MOST_REST_S = 60.0
"""Between two such times for who is not let in yet: a device that never answers must not fill the journal."""
CLOSE_S = 5.0
"""How long a mount that came to nothing is waited for to be gone."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugged:
    """What was seen in a bay: its ids, and its node, which is another one each time it is plugged in.

    `diskseq` is the kernel's count of disks for its card: another one when a card is changed inside its reader, before
    anybody announces that. Empty where the kernel does not count (before 5.15).
    """

    ids: UsbIds
    devname: str
    diskseq: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mounted card: the descriptor of its root, and that of what it lies in. Whoever has them closes them."""

    folder: int
    device: int | None


class Doors:
    """The bays of a station, by the helper. Calls for one bay are done one after another.

    Whom the helper has pinned in a bay is known here, as nobody else asks it: what it mounts is of that device.
    """

    def __init__(self, helper: Helper, *, patience_s: float = PATIENCE_S, sys: Path = Path("/sys")) -> None:
        """Ask nothing yet; only tests have another `sys`."""
        self._helper = helper
        self._patience_s = patience_s
        self._sys = sys
        self._uncounted: set[BayId] = set()
        self._turns: defaultdict[BayId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._arrivals: dict[BayId, asyncio.Task[None]] = {}
        self._pinned: dict[BayId, str] = {}

    def arriving(self, bay: BayId, ids: UsbIds, group: asyncio.TaskGroup) -> None:
        """Let somebody in who may become a camera, in a task of the group; whoever came there before is not waited for.

        What is no camera is logged, and stays a stranger. A helper that says nothing, "later" or "no" is asked as long
        as somebody is there: on a station that is short of everything a camera would otherwise wait for ever.
        """
        before = self._arrivals.get(bay)
        if before is not None:
            before.cancel()
        self._arrivals[bay] = group.create_task(self._arrival(bay, ids), name=f"arrival in bay {bay}")

    def close(self) -> None:
        """Let nobody in any more."""
        for arrival in self._arrivals.values():
            arrival.cancel()

    async def mount(self, bay: BayId, plugged: Plugged, *, writable: bool) -> Mount:
        """Mount the card of a camera, and no other's. One for reading comes with the device that it lies in.

        A camera that was in its bay before this process was, or whose pin the helper has lost, is let in again first.

        Raises as `Helper.mount` and `Helper.authorise` do; CameraGoneError also where another device is in the bay.
        """
        async with self._turns[bay]:
            held: list[int] = []
            try:
                held.append(await self._root(bay, plugged, writable=writable))
                held.append(folder := _folder_of(held[0], bay))
                device = None
                if not writable:
                    held.append(device := await self._patiently(lambda: self._helper.device(bay)))
                    see_device(f"bay {bay}", os.fstat(device), os.fstat(folder).st_dev)
                # Last: who opens a device is the one by whom the kernel learns that its card is another one.
                self._see_count(bay, plugged, os.fstat(folder).st_dev)
            except BaseException:
                # Not here: it is its unmounting, which may hang with the device.
                await closed(*held, most_s=CLOSE_S)
                raise
            os.close(held[0])
            return Mount(folder=folder, device=device)

    async def _root(self, bay: BayId, plugged: Plugged, *, writable: bool) -> int:
        ask = self._helper.writable if writable else self._helper.mount
        if self._pinned.get(bay) == plugged.devname:
            with suppress(CameraGoneError):  # or the helper's pin is gone
                return await self._patiently(lambda: ask(bay))
        await self._let_in(bay, plugged.ids)
        if self._pinned[bay] != plugged.devname:
            say = f"{self._pinned[bay]} is in it, expected {plugged.devname or 'a camera that was announced'}"
            raise CameraGoneError(f"bay {bay}: {say}")
        return await self._patiently(lambda: ask(bay))

    def _see_count(self, bay: BayId, plugged: Plugged, volume: int) -> None:
        """Refuse the card that was put into a reader in the place of the one that was seen."""
        if not plugged.diskseq:
            if bay not in self._uncounted:
                self._uncounted.add(bay)
                _log.warning("bay %s: this kernel does not count disks: a changed card is seen when announced", bay)
            return
        count = _count_of(self._sys / "dev" / "block" / f"{os.major(volume)}:{os.minor(volume)}")
        if count != plugged.diskseq:
            say = f"the card in it is disk {count or 'none'} by the kernel's count, expected {plugged.diskseq}"
            raise CameraGoneError(f"bay {bay}: {say}")

    async def _let_in(self, bay: BayId, ids: UsbIds) -> None:
        self._pinned.pop(bay, None)
        ask = self._helper.authorise
        let_in = await self._patiently(lambda: ask(bay, vendor=ids.vendor, product=ids.product))
        self._pinned[bay] = let_in.devname

    async def _arrival(self, bay: BayId, ids: UsbIds) -> None:
        rest_s = MOST_WAIT_S
        while True:
            try:
                async with self._turns[bay]:
                    await self._let_in(bay, ids)
            except CameraGoneError as error:
                _log.info("bay %s: %s left before it was let in: %s", bay, ids, error)
            except (TransientError, PermanentError) as error:
                # A refusal is not of the device: root's board file may be mended while it is there.
                _log.warning("bay %s: %s is not let in yet: %s", bay, ids, error)
                await asyncio.sleep(rest_s)
                rest_s = min(2 * rest_s, MOST_REST_S)
                continue
            except ListingError as error:
                _log.warning("bay %s: %s is not let in: %s", bay, ids, error)
            return

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again for a bounded time while the answer is "later"."""
        loop = asyncio.get_running_loop()
        until_s, wait_s = loop.time() + self._patience_s, FIRST_WAIT_S
        while True:
            try:
                return await ask()
            except TransientError:
                if loop.time() + wait_s > until_s:
                    raise
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MOST_WAIT_S)


def _count_of(volume: Path) -> str:
    """Give the kernel's count of the disk that a volume is, or is a part of; empty where there is none.

    Source: Documentation/ABI/stable/sysfs-block, diskseq.
    """
    for disk in (volume, volume.resolve().parent):
        with suppress(OSError):
            return (disk / "diskseq").read_text(encoding="ascii").strip()
    return ""


def _folder_of(root: int, bay: BayId) -> int:
    """Open a mount's root as a folder that can be read: what the helper gives only names it."""
    try:
        return os.open(".", FOLDER, dir_fd=root)
    except OSError as error:
        raise CameraGoneError(f"bay {bay}: opening its card: {error.strerror}") from error
