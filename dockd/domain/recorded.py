"""When something was recorded, as the camera wrote it: raw, with the zone that is assumed and all that it can mean.

Owns the reading of a camera's local time. Never mends one: what the clocks skipped, what they showed twice and what no
calendar has stays as it was written and is said to be so (I13). Zones come as values: this module reads no tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum

from dockd.domain.moment import utc_text


class Standing(StrEnum):
    """How sure a recorded time is, the camera's clock being as right as it is."""

    CERTAIN = "certain"
    TWICE = "twice"
    SKIPPED = "skipped"
    UNZONED = "zone-unknown"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """What a camera's clock is taken to show: `rules` are those of `name`, None where nobody knows."""

    name: str
    rules: tzinfo | None


UNKNOWN_ZONE = Zone(name="unknown", rules=None)
UTC_ZONE = Zone(name="UTC", rules=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTime:
    """One time as the camera wrote it: `raw` is its digits as `YYYY-MM-DDThh:mm:ss`, whatever they mean.

    `utc` holds every moment that it can be: one, two where the clocks were set back, none where it cannot be told.
    """

    raw: str
    zone: str
    standing: Standing
    utc: tuple[str, ...] = ()


class OffsetSource(StrEnum):
    """How a camera's clock was compared with ours."""

    READ = "read"
    BOUNDED = "bounded"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset:
    """How far a camera's clock was ahead of ours when it was docked. Kept beside its times, never worked into them."""

    source: OffsetSource = OffsetSource.NONE
    ahead_ms: int | None = None
    uncertainty_ms: int | None = None


NO_OFFSET = ClockOffset()

_FIELDS = frozenset("YMDhms")


def recorded_time(digits: Mapping[str, bytes], *, zone: Zone) -> RecordedTime | None:
    """Read the fields `Y M D h m s` of a name; None where it has not all of them."""
    if not digits.keys() >= _FIELDS:
        return None
    year, month, day, hour, minute, second = (digits[name].decode("ascii") for name in "YMDhms")
    raw = f"{year}-{month}-{day}T{hour}:{minute}:{second}"
    try:
        shown = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return RecordedTime(raw=raw, zone=zone.name, standing=Standing.IMPOSSIBLE)
    if zone.rules is None:
        return RecordedTime(raw=raw, zone=zone.name, standing=Standing.UNZONED)
    try:
        moments = _moments(shown, zone.rules)
    except OverflowError:  # the first or last hours of the calendar, moved beyond it
        return RecordedTime(raw=raw, zone=zone.name, standing=Standing.IMPOSSIBLE)
    standing = (Standing.SKIPPED, Standing.CERTAIN, Standing.TWICE)[len(moments)]
    return RecordedTime(raw=raw, zone=zone.name, standing=standing, utc=moments)


def _moments(shown: datetime, rules: tzinfo) -> tuple[str, ...]:
    """Give the moments at which the clocks of a zone show these digits."""
    both = sorted({shown.replace(tzinfo=rules, fold=fold).astimezone(UTC) for fold in (0, 1)})
    # What clocks skip is read as a moment, too, at which they show something else.
    real = [moment for moment in both if moment.astimezone(rules).replace(tzinfo=UTC, fold=0) == shown]
    return tuple(map(utc_text, real))
