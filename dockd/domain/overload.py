"""When a bay is cut for drawing too much or being too hot, and when it is tried again.

Owns that judgement of one bay. Knows no budget: a bay that is merely to wait is the planner's.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

READINGS = 2
"""So many readings in a row are an over-current: a camera that starts up draws more for a moment."""
CUTS = 3
"""After so many over-currents a bay stays cut until the service starts anew: somebody has to look at it."""
CALM_S = 86_400.0
"""After so long without one, those before it count no more."""


class Overload(StrEnum):
    """Why a bay is cut."""

    OVER_CURRENT = "over-current"
    OVER_TEMPERATURE = "over-temperature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a bay may draw and how hot it may be.

    `most_ma` has room above the 1.5 A that USB Battery Charging 1.2, table 5-2, lets a charging port give. From `hot_c`
    a bay is cut until `cool_c`. An over-current is tried again after `rest_s`.
    """

    most_ma: int = 1600
    hot_c: float = 60.0
    cool_c: float = 45.0
    rest_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What is known of one bay's overloads: whether it is cut, why, since when, and how often it was.

    `calm_s` is for how long it was seen to draw what it may, since the last over-current.
    """

    cut: Overload | None = None
    detail: str = ""
    cut_s: float = 0.0
    over: int = 0
    cuts: int = 0
    calm_s: float = 0.0


def judged(
    guard: Guard, *, current_ma: int | None, temperature_c: float | None, seconds: float, bounds: Bounds
) -> Guard:
    """Take one more look, `seconds` after the one before; None is what could not be read, and proves nothing."""
    if guard.cut is not None:
        return _still_cut(replace(guard, cut_s=guard.cut_s + seconds), temperature_c, bounds)
    if temperature_c is not None and temperature_c >= bounds.hot_c:
        detail = f"at {temperature_c:.0f} °C, expected less than {bounds.hot_c:.0f} °C"
        return replace(guard, cut=Overload.OVER_TEMPERATURE, detail=detail, cut_s=0.0, over=0)
    if current_ma is None:
        return guard
    over = guard.over + 1 if current_ma > bounds.most_ma else 0
    if over < READINGS:
        return _calmer(replace(guard, over=over), seconds)
    detail = f"drew {current_ma} mA, expected at most {bounds.most_ma} mA"
    return Guard(cut=Overload.OVER_CURRENT, detail=detail, cuts=guard.cuts + 1)


def _calmer(guard: Guard, seconds: float) -> Guard:
    if guard.over or not guard.cuts:
        return guard
    calm_s = guard.calm_s + seconds
    return Guard() if calm_s >= CALM_S else replace(guard, calm_s=calm_s)


def _still_cut(guard: Guard, temperature_c: float | None, bounds: Bounds) -> Guard:
    if guard.cut is Overload.OVER_TEMPERATURE:
        stays = temperature_c is None or temperature_c > bounds.cool_c
    else:
        stays = guard.cuts >= CUTS or guard.cut_s < bounds.rest_s
    return guard if stays else Guard(cuts=guard.cuts)
