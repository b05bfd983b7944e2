"""What is docked, as udev announces it: implements the port CameraFeed for the bays of a board.

Owns when devices are looked up anew, how long a device may take to become a camera, and what is told. What a bay holds
is `dockd.domain.plugged`, and whether that is believed `dockd.domain.flapping`. Knows nothing of pyudev.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

from dockd.app.ports import Attached, Detached, Empty, FeedEvent, Unknown
from dockd.domain.board import Board
from dockd.domain.flapping import Pace, fresh, seen
from dockd.domain.model import BayId
from dockd.domain.plugged import Arriving, CameraThere, Devices, Known, Nothing, Occupant, Stranger, occupants
from dockd.domain.usb import UsbIds
from dockd.edges.udev.looking import LOOK_S, Looks, after, in_thread
from dockd.edges.udev.watch import Heard, Looking, Watch

RECONCILE_S = 60.0
"""Devices are looked up anew this often, whatever was announced: what was lost without a word is found then."""
SETTLE_S = 30.0
"""How long a device may take from its port to its filesystem; a camera with a large card takes some ten seconds."""
MOST_AGAIN_S = 600.0
"""Between two times at most that whoever takes longer is let in again; each wait is twice the one before."""


class Announcements(Protocol):
    """What a `Watch` does."""

    def fileno(self) -> int:
        """Give the descriptor that is readable when there is something to hear."""
        ...

    def hear(self) -> Heard:
        """Take what was announced."""
        ...

    def look(self, looking: Looking | None = None) -> Devices:
        """Look up every device, in any thread; one that hangs keeps it waiting."""
        ...

    def close(self) -> None:
        """Stop to listen."""
        ...


class UdevFeed:
    """The cameras in the bays of one board.

    `arriving` is told who may become a camera: once a plugging in, and now and then while it does not become one. The
    driver may have failed to take it, or what kept it from being let in may have passed.
    """

    def __init__(
        self,
        *,
        board: Board,
        known: Known,
        arriving: Callable[[BayId, UsbIds], None] = lambda _bay, _ids: None,
        listen: Callable[[str | None], Announcements] = lambda host: Watch(host=host),
        reconcile_s: float = RECONCILE_S,
        settle_s: float = SETTLE_S,
        pace: Pace | None = None,
        now_s: Callable[[], float] = time.monotonic,
        look_s: float = LOOK_S,
        start: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        """Take what is needed; `listen` opens the announcements of a controller, or of all."""
        self._bays = {wiring.port: bay for bay, wiring in board.bays.items()}
        self._host = None if board.more_controllers else board.host
        self._known = known
        self._arriving = arriving
        self._listen = listen
        self._reconcile_s = reconcile_s
        self._settle_s = settle_s
        self._pace = pace or Pace()
        self._now_s = now_s
        self._look_s = look_s
        self._start = start
        self._flaps = dict.fromkeys(self._bays.values(), fresh(self._pace, now_s()))
        self._seen: dict[BayId, Occupant] = {}
        self._waits: dict[BayId, _Wait] = {}

    def camera_in(self, bay: BayId) -> CameraThere | None:
        """Give the camera that a bay holds, as it was told last; None where it holds none."""
        occupant = self._seen.get(bay)
        return occupant if isinstance(occupant, CameraThere) else None

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Tell every bay once, then what changes, in order; never ends."""
        with closing(self._listen(self._host)) as watch:
            looks = Looks(watch.look, now_s=self._now_s, most_s=self._look_s, start=self._start)
            looks.begin()
            devices: Devices = {}
            due_s = self._now_s() + self._reconcile_s
            lost, looked, blind = False, False, True
            while True:
                # What is heard after a loss may be older than the loss: it is told with what the look finds. No bay is
                # told of before the first look.
                telling = looked and (not blind or looks.stalled)
                if telling:
                    for event in self._changes(devices, self._now_s()):
                        yield event
                until_s = [looks.until_s, due_s if looks.answer is None else inf, self._until_s() if telling else inf]
                await _woken(watch.fileno(), looks.answer, min(until_s) - self._now_s())
                heard = watch.hear()
                lost = lost or heard.lost
                looks.heard(heard.news)
                devices = after(devices, heard.news)
                found = looks.taken(devices)
                if found is not None:
                    devices, looked, blind = found, True, False
                if looks.answer is None and ((lost and heard.all) or self._now_s() >= due_s):
                    looks.begin()
                    lost, blind, due_s = False, lost, self._now_s() + self._reconcile_s

    def _until_s(self) -> float:
        """Say when a bay is to be told of though nothing was heard."""
        rests = (flaps.until_s for flaps in self._flaps.values() if flaps.until_s is not None)
        return min([inf, *rests, *(wait.until_s for wait in self._waits.values())])

    def _changes(self, devices: Devices, now_s: float) -> Iterator[FeedEvent]:
        held = occupants(devices, self._bays, known=self._known)
        for port, bay in self._bays.items():
            self._flaps[bay], believed = seen(self._flaps[bay], held[port], pace=self._pace, now_s=now_s)
            for one in believed:
                occupant = self._patient(bay, one, now_s)
                before = self._seen.get(bay)
                if occupant != before:
                    self._seen[bay] = occupant
                    yield from _news(bay, before, occupant)

    def _patient(self, bay: BayId, occupant: Occupant, now_s: float) -> Occupant:
        """Give what is in a bay: who takes too long to become a camera is a stranger, and may become one yet."""
        if not isinstance(occupant, Arriving):
            self._waits.pop(bay, None)
            return occupant
        wait = self._waits.get(bay)
        if wait is None or wait.arriving != occupant:
            wait = _Wait(arriving=occupant, until_s=now_s + self._settle_s, next_s=2 * self._settle_s)
            self._waits[bay] = wait
            self._arriving(bay, occupant.ids)
        elif now_s >= wait.until_s:
            next_s = min(2 * wait.next_s, MOST_AGAIN_S)
            wait = replace(wait, until_s=now_s + wait.next_s, next_s=next_s, late=True)
            self._waits[bay] = wait
            self._arriving(bay, occupant.ids)
        if not wait.late:
            return occupant
        return Stranger(ids=occupant.ids, why=f"no card came to be read within {self._settle_s:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """Somebody who may become a camera, and is let in again then; `next_s` is the wait after that."""

    arriving: Arriving
    until_s: float
    next_s: float
    late: bool = False


def _news(bay: BayId, before: Occupant | None, occupant: Occupant) -> Iterator[FeedEvent]:
    """Tell what a bay holds now that held something else, or was not looked at."""
    if isinstance(before, CameraThere | Stranger) and not isinstance(occupant, Stranger):
        yield Detached(bay=bay)
    match occupant:
        case Nothing():
            if before is None:
                yield Empty(bay=bay)
        case Arriving():
            # The bay's lamp says nothing of it: it becomes a camera within seconds, or a stranger.
            if before is None:
                yield Empty(bay=bay)
        case CameraThere(camera=camera):
            yield Attached(bay=bay, camera=camera, source=f"bay:{bay}", device=f"bay:{bay}")
        case Stranger(ids=ids, why=why):
            yield Unknown(bay=bay, ids=ids, why=why)


async def _woken(descriptor: int, answer: Future[Devices] | None, most_s: float) -> None:
    """Wait until there is something to read or an answer, or for so long. In between nobody is woken by it."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def answered(_: Future[Devices]) -> None:
        with suppress(RuntimeError):  # the loop may be over when a thread that hung goes on
            loop.call_soon_threadsafe(told.set)

    if answer is not None:
        if answer.done():
            return
        answer.add_done_callback(answered)
    loop.add_reader(descriptor, told.set)
    try:
        async with asyncio.timeout(max(most_s, 0.0)):
            await told.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(descriptor)
