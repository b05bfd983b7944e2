"""People who pull cameras out at any moment, the erasure of their clips included, and push them into any bay.

Owns the cameras, where they are, chance, and what must hold each time one was pulled out: every clip is on its card or
the store has signed for it, and before the card lost it. Must not know how dockd works.
"""

import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from tests.vm import contents
from tests.vm.cards import Card
from tests.vm.proofs import signed
from tests.vm.station import Station
from tests.vm.usb import Stick

TICK_S = 0.02
SLOWEST_S = 120
"""For so long an erasure is waited for that does not come."""
WINDOW_S = 2.0
"""An erasure is pulled into within this, half of the time within an eighth: an idle machine takes no longer for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A camera in a bay, and when it is to be pulled out: at `until_s`, or `window_s` after its card is written to."""

    bay: int
    stick: Stick
    image_ns: int
    until_s: float
    window_s: float | None


@dataclass(slots=True)
class Camera:
    """A camera; `back_s` is when it is pushed in again. `gone` are clips that were seen not to be on its card.

    `shift` gives the card of its first shift, of its second and so on; `put` is everything that it recorded.
    """

    serial: str
    shift: Callable[[int], Card]
    card: Card = field(init=False)
    put: dict[str, str] = field(default_factory=dict)
    shifts: int = 0
    stay: Stay | None = None
    back_s: float = 0.0
    seen_ns: int = 0
    gone: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Go out for the first time."""
        self.record()

    def record(self) -> None:
        """Go out for a shift, with an empty card."""
        self.shifts += 1
        self.card = self.shift(self.shifts)
        self.put |= self.card.digests
        self.gone.clear()
        self.seen_ns = self.image_ns

    @property
    def image_ns(self) -> int:
        """When its card was written last."""
        return self.card.image.stat().st_mtime_ns

    def left(self) -> Collection[str]:
        """Say which clips are on the card; fails where one is there that is not what the camera recorded."""
        found = contents.digests(self.card.image)
        altered = {name for name, digest in found.items() if digest not in {None, self.card.digests.get(name)}}
        assert not altered, f"{self.serial}: not what the camera recorded: {altered}"
        return {name for name, digest in found.items() if digest is not None}

    def see_nothing_lost(self, left: Collection[str], receipts: Callable[[], Mapping[str, float]]) -> None:
        """See that the store has signed for every clip that is not on the card, as soon as that is seen."""
        gone = self.card.digests.keys() - set(left) - self.gone
        if not gone:
            return
        signed_s = receipts()
        for name in gone:
            digest = self.card.digests[name]
            assert digest in signed_s, f"{self.serial}: {name} is neither on the card nor receipted"
            early_s = signed_s[digest] - self.image_ns / 1e9
            assert early_s < 0, f"{self.serial}: {name} left the card {early_s:.3f} s before its receipt"
        self.gone |= gone


@dataclass(slots=True)
class Yanks:
    """So many of them. `in_erasure` counts those after the card was first written and before it was all erased."""

    station: Station
    cameras: Collection[Camera]
    chance: random.Random
    in_work_s: float
    """A camera is pulled out within this time, on an idle machine, unless it is left to be erased."""
    pulled: int = 0
    in_erasure: int = 0
    bays: set[int] = field(default_factory=set)

    def pull(self, times: int) -> None:
        """Pull cameras out so many times, one in ten in its erasure, and have all in again, each in a bay of its own.

        Fails where that takes three times as many.
        """
        while not (over := self.pulled >= times and self.in_erasure >= times // 10) or self._any_out():
            assert self.pulled < times * 3, f"{self.in_erasure} of {self.pulled} came while a card was erased"
            for camera in self.cameras:
                self._see(camera, over=over)
            time.sleep(TICK_S)

    def _any_out(self) -> bool:
        return any(camera.stay is None for camera in self.cameras)

    def _see(self, camera: Camera, *, over: bool) -> None:
        now_s = time.monotonic()
        if camera.stay is None:
            if over or now_s >= camera.back_s:
                if not camera.left():
                    camera.record()
                self._push(camera, now_s)
            return
        if camera.image_ns != camera.seen_ns:
            camera.seen_ns = camera.image_ns
            camera.see_nothing_lost(contents.digests(camera.card.image), self._receipts)
            if camera.stay.window_s is not None and camera.seen_ns != camera.stay.image_ns:
                camera.stay = replace(camera.stay, until_s=now_s + camera.stay.window_s, window_s=None)
        if not over and now_s >= camera.stay.until_s:
            self._yank(camera, camera.stay)

    def _push(self, camera: Camera, now_s: float) -> None:
        taken = {other.stay.bay for other in self.cameras if other.stay is not None}
        bay = self.chance.choice([bay for bay in self.station.bays if bay not in taken])
        slowness = self.station.machine.agent.slowness
        waits = self.chance.random() < 0.5
        camera.stay = Stay(
            bay=bay,
            image_ns=camera.image_ns,
            stick=self.station.plug(bay, camera.card.image, serial=camera.serial),
            until_s=now_s + slowness * (SLOWEST_S if waits else self.chance.uniform(0, self.in_work_s)),
            window_s=WINDOW_S * self.chance.random() ** 3 * slowness if waits else None,
        )

    def _yank(self, camera: Camera, stay: Stay) -> None:
        stay.stick.yank()
        camera.stay = None
        camera.back_s = time.monotonic() + self.chance.uniform(0, 3)
        left = camera.left()
        self.pulled += 1
        self.bays.add(stay.bay)
        self.in_erasure += camera.image_ns != stay.image_ns and bool(left)
        camera.see_nothing_lost(left, self._receipts)

    def _receipts(self) -> Mapping[str, float]:
        return signed(self.station.store)
