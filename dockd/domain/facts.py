"""What is known of one file beside its bytes, as text by name: recorded time, trigger, marks, category, counter, clock.

Owns the names of these facts, the words for what is unknown, and how long one may be. A fact is said with its source,
or said to be unknown.
"""

from dataclasses import replace

from dockd.domain.contents import Contents, Known, Role, stem_group
from dockd.domain.model import Listing, Reading
from dockd.domain.profile import BatterySource, Profile
from dockd.domain.recorded import NO_OFFSET, ClockOffset

UNKNOWN = "unknown"
NAMES = (
    "battery",
    "battery_source",
    "category",
    "category_source",
    "chapter",
    "clock_offset",
    "counter",
    "marks",
    "profile",
    "recorded",
    "recorded_is",
    "recorded_utc",
    "recorded_zone",
    "role",
    "trigger",
)
"""Every fact there is, sorted."""
MOST_CHARS = 96
"""Of one fact: all of them must fit beside the longest name into 6 KB of header."""


def read(listing: Listing, contents: Contents, profile: Profile) -> Listing:
    """Give the same listing with what its profile read of each file; `contents` is what the profile made of it."""
    # A card may hold very many files, of which most facts are the same: those are kept once.
    alike: dict[tuple[str, str], tuple[str, str]] = {}
    files = []
    for file, known in zip(listing.files, contents.files, strict=True):
        facts = tuple(alike.setdefault(fact, fact) for fact in facts_of(known, profile).items())
        group = b"" if known.group == stem_group(file.path) else known.group
        reading = Reading(facts=facts, group=group, sidecar=known.role is Role.SIDECAR)
        files.append(replace(file, reading=reading))
    return replace(listing, files=tuple(files))


def facts_of(
    known: Known, profile: Profile, *, offset: ClockOffset = NO_OFFSET, battery_pct: int | None = None
) -> dict[str, str]:
    """Give every fact as printable ASCII, keys sorted, anything else escaped as in Python.

    Keys: profile, role, recorded (digits as written), recorded_zone, recorded_is (a `Standing`), recorded_utc (every
    moment that it can be, spaces between), trigger, marks (spaces between), category with category_source, counter
    (folder and file as numbers), chapter, battery with battery_source, clock_offset (a source, and with one how far the
    camera's clock was ahead and how sure that is, in ms). None is left out: what nobody knows is `unknown`.
    """
    start = known.start
    told = battery_pct is not None and profile.battery is not BatterySource.UNKNOWN
    facts = {
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
    return {name: ascii_text(facts[name], most=MOST_CHARS) for name in NAMES}


def ascii_text(text: str, *, most: int) -> str:
    """Write a text as printable ASCII of at most so many characters: what is not becomes an escape, the rest is cut.

    Written once more it stays as it is.
    """
    chars = (char if " " <= char <= "~" else char.encode("unicode_escape").decode("ascii") for char in text[:most])
    return "".join(chars)[:most]


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
