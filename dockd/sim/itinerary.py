"""Who docks when, where, and when they take their camera away again: a shift change as a function of its seed.

Owns the plan. Pure: reads no clock and no folder. Who carries it out is the feed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from dockd.domain.model import BayId

LIFTED_STAY_S = (2.0, 4.0)
LIFTED_GAP_S = (2.0, 5.0)
REDOCK_GAP_S = (4.0, 12.0)
ARRIVAL_S = (1.0, 12.0)
LATE_ARRIVAL_S = (4.0, 16.0)
EARLY_SHARE = 3
"""One camera in so many is taken away while it is copied."""
LEAST_TO_LIFT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WhileCopying:
    """Pulled out in the middle of the copy of its nth file, counted from 1."""

    file_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """Lifted out after a time, whatever is going on."""

    stay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WhenDone:
    """Taken once it is clean and its lamp says go, if somebody waits for the bay; else it stays to the end."""


Leaving = WhileCopying | After | WhenDone


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One stay of a camera (counted from 0) in a bay.

    It comes `after_s` seconds into the shift, or after its own last visit ended, and waits until the bay is free of
    those that are before it in the plan.
    """

    camera: int
    bay: BayId
    after_s: float
    leaving: Leaving


def plan_shift(*, cameras: int, bays: Sequence[BayId], chance: Random) -> tuple[Visit, ...]:
    """Plan a shift change. Each visit waits only for visits before it, so that every plan comes to an end.

    A third of the cameras is in a bay from the start, the others come over a while; more cameras than bays queue.
    Some are pulled out while they are copied and go to another bay later, one is lifted and put back at once.
    """
    first = _first_bays(cameras, bays, chance)
    early = sorted(chance.sample(range(len(first)), max(1, len(first) // EARLY_SHARE)))
    others = sorted(set(range(len(first))) - set(early))
    lifted = chance.choice(others) if len(first) >= LEAST_TO_LIFT else None
    visits = [
        Visit(camera=camera, bay=bay, after_s=after_s, leaving=_leaving(camera, early, lifted, chance))
        for camera, (bay, after_s) in enumerate(first)
    ]
    visits += _again(visits, early=early, lifted=lifted, bays=bays, chance=chance)
    visits += [
        Visit(camera=camera, bay=bays[camera % len(bays)], after_s=chance.uniform(*LATE_ARRIVAL_S), leaving=WhenDone())
        for camera in range(len(first), cameras)
    ]
    return tuple(visits)


def _first_bays(cameras: int, bays: Sequence[BayId], chance: Random) -> list[tuple[BayId, float]]:
    docked = chance.sample(list(bays), min(cameras, len(bays)))
    at_start = len(docked) // 3
    return [(bay, 0.0 if index < at_start else chance.uniform(*ARRIVAL_S)) for index, bay in enumerate(docked)]


def _leaving(camera: int, early: Sequence[int], lifted: int | None, chance: Random) -> Leaving:
    if camera in early:
        return WhileCopying(file_number=chance.randint(1, 3))
    if camera == lifted:
        return After(stay_s=chance.uniform(*LIFTED_STAY_S))
    return WhenDone()


def _again(
    visits: Sequence[Visit], *, early: Sequence[int], lifted: int | None, bays: Sequence[BayId], chance: Random
) -> list[Visit]:
    """Plan the second visits: the lifted camera to its own bay, the pulled ones to others, each other's if need be."""
    taken = {visit.bay for visit in visits}
    left = [visits[camera].bay for camera in early]
    # Turned by one, so that two pulled cameras change places where no bay is free.
    places = [bay for bay in bays if bay not in taken] + left[1:] + left[:1]
    again: list[Visit] = []
    if lifted is not None:
        gap_s = chance.uniform(*LIFTED_GAP_S)
        again.append(Visit(camera=lifted, bay=visits[lifted].bay, after_s=gap_s, leaving=WhenDone()))
    for camera in early:
        own = visits[camera].bay
        bay = next((place for place in places if place != own), own)
        places.remove(bay)
        again.append(Visit(camera=camera, bay=bay, after_s=chance.uniform(*REDOCK_GAP_S), leaving=WhenDone()))
    return again
