"""What is known of one file beside its bytes, as text by name: recorded time, trigger, marks, category, counter, clock.

Owns the names of these facts and the words for what is unknown. A fact is said with its source, or said to be unknown.
"""

from dockd.domain.contents import Known, Role
from dockd.domain.profile import BatterySource, Profile
from dockd.domain.recorded import NO_OFFSET, ClockOffset

UNKNOWN = "unknown"


def facts_of(
    known: Known, profile: Profile, *, offset: ClockOffset = NO_OFFSET, battery_pct: int | None = None
) -> dict[str, str]:
    """Give every fact as ASCII text, keys sorted.

    Keys: profile, role, recorded (digits as written), recorded_zone, recorded_is (a `Standing`), recorded_utc (every
    moment that it can be, spaces between), trigger, marks (spaces between), category with category_source, counter
    (folder and file as numbers), chapter, battery with battery_source, clock_offset (a source, and with one how far the
    camera's clock was ahead and how sure that is, in ms). None is left out: what nobody knows is `unknown`.
    """
    start = known.start
    told = battery_pct is not None and profile.battery is not BatterySource.UNKNOWN
    return {
        "battery": f"{battery_pct}" if told else UNKNOWN,
        "battery_source": profile.battery.value if told else UNKNOWN,
        "category": known.category or UNKNOWN,
        "category_source": "camera" if known.category else UNKNOWN,
        "chapter": _number(known.chapter),
        "clock_offset": _offset(offset),
        "counter": _number(known.counter) if known.folder is None else f"{known.folder}-{_number(known.counter)}",
        "marks": _marks(known, profile),
        "profile": profile.name,
        "recorded": UNKNOWN if start is None else start.raw,
        "recorded_is": UNKNOWN if start is None else start.standing.value,
        "recorded_utc": " ".join(start.utc) if start is not None and start.utc else UNKNOWN,
        "recorded_zone": UNKNOWN if start is None else start.zone,
        "role": known.role.value,
        "trigger": known.trigger.value,
    }


def _marks(known: Known, profile: Profile) -> str:
    """Write marks; `none` only where the camera would have written one."""
    marking = any(meaning.marks for meaning in profile.meanings.values()) or any(profile.sidecars.values())
    nothing = "none" if marking and known.role is not Role.STRANGER else UNKNOWN
    return " ".join(sorted(mark.value for mark in known.marks)) or nothing


def _number(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)


def _offset(offset: ClockOffset) -> str:
    if offset.ahead_ms is None:
        return offset.source.value
    sure = UNKNOWN if offset.uncertainty_ms is None else str(offset.uncertainty_ms)
    return f"{offset.source.value} {offset.ahead_ms:+d} {sure}"
