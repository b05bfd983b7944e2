"""What comes and goes in a bay oftener than hands plug: when it is left to rest, and when it is believed again.

Owns how often something may come into a bay, and how long it has to stay once it came too often. That a camera left is
none of it: whoever was told to be there is told to be gone at once. Must not know who announces anything, nor a clock.
"""

from dataclasses import dataclass, replace

from dockd.domain.plugged import Arriving, CameraThere, Nothing, Occupant, Stranger
from dockd.domain.usb import UsbIds

WHY = "it comes and goes too often, and is left alone until it stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often something may come into one bay.

    `free` may come at once, and one more after each `regain_s`: more than impatient hands plug. What comes oftener is
    believed once it was unchanged for a rest, `first_rest_s` at first, twice as long each time, `most_rest_s` at most.
    """

    free: int = 12
    regain_s: float = 30.0
    first_rest_s: float = 10.0
    most_rest_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Nothing of a bay is believed since `since_s`; it is told to be `told`. `comings` were counted in it."""

    told: Stranger
    since_s: float
    comings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaps:
    """One bay: what it holds since when, and how much more may come, as it was at `left_s`.

    `rest_s` is how long the rest lasts that there is, or comes next.
    """

    held: Occupant
    held_s: float
    left: float
    left_s: float
    rest_s: float
    rest: Rest | None = None

    @property
    def until_s(self) -> float | None:
        """Say when a rest is over if nothing changes; None where there is none."""
        return None if self.rest is None else self.held_s + self.rest_s


def fresh(pace: Pace, now_s: float) -> Flaps:
    """Give a bay of which nothing is known yet."""
    return Flaps(held=Nothing(), held_s=now_s, left=pace.free, left_s=now_s, rest_s=pace.first_rest_s)


def seen(flaps: Flaps, occupant: Occupant, *, pace: Pace, now_s: float) -> tuple[Flaps, tuple[Occupant, ...]]:
    """Take what a bay holds now; give what it is to be told to hold, one after the other."""
    if occupant != flaps.held:
        flaps = _changed(flaps, occupant, pace, now_s)
    if flaps.rest is None:
        return flaps, (occupant,)
    if now_s < flaps.held_s + flaps.rest_s:
        return flaps, (flaps.rest.told,)
    counted = f"it came {flaps.rest.comings} times within {now_s - flaps.rest.since_s:.0f} s, then stayed as it is"
    rested = replace(flaps, rest=None, rest_s=min(2 * flaps.rest_s, pace.most_rest_s))
    return rested, (replace(flaps.rest.told, why=counted), occupant)


def _changed(flaps: Flaps, occupant: Occupant, pace: Pace, now_s: float) -> Flaps:
    newcomer = _newcomer(flaps.held, occupant)
    flaps = replace(flaps, held=occupant, held_s=now_s)
    if newcomer is None:
        return flaps
    if flaps.rest is not None:
        return replace(flaps, left=0.0, left_s=now_s, rest=replace(flaps.rest, comings=flaps.rest.comings + 1))
    left = min(float(pace.free), flaps.left + (now_s - flaps.left_s) / pace.regain_s)
    rest_s = pace.first_rest_s if left == pace.free else flaps.rest_s
    if left >= 1:
        return replace(flaps, left=left - 1, left_s=now_s, rest_s=rest_s)
    rest = Rest(told=Stranger(ids=newcomer, why=WHY), since_s=now_s, comings=1)
    return replace(flaps, left=0.0, left_s=now_s, rest_s=rest_s, rest=rest)


def _newcomer(before: Occupant, now: Occupant) -> UsbIds | None:
    """Say who came; None where nobody did, or somebody who was arriving has arrived."""
    match now:
        case Nothing():
            return None
        case Arriving(ids=ids):
            return ids
        case CameraThere(ids=ids, usb_plugging=plugging):
            return None if isinstance(before, Arriving) and before.plugging == plugging else ids
        case Stranger(ids=ids):
            return None if isinstance(before, Arriving) and before.ids == ids else ids
