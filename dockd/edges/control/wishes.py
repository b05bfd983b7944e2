"""What may be wished of quarantine, of the accounts and of a bay's light over the socket, as JSON.

Owns the form of a wish and its limits. Nothing here names a file, and there is no word for erasing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dockd.domain.lamps import IDENTIFY_S, MOST_IDENTIFY_S
from dockd.domain.model import BayId, ClipKey, DockingId
from dockd.domain.quarantine import Wish

MOST_NUMBERS = 10_000
MOST_WORDS = 1000
"""Characters of a reason: it goes into the custody log as it is."""

_KNOWN = {
    Wish.RETRY: frozenset({"clips", "dockings", "everything", "camera"}),
    Wish.RELEASE: frozenset({"clips", "dockings", "why"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Which clips and cameras are meant: by number, or everything, or everything of one camera."""

    clips: Sequence[ClipKey]
    dockings: Sequence[DockingId]
    everything: bool
    serial: str | None
    why: str


def wishes_in(body: bytes, wish: Wish) -> Wishes:
    """Read a wish.

    Raises:
        ValueError: it is none; the message says what was expected.

    """
    told = _object(body, _KNOWN[wish])
    match told.get("everything", False), told.get("camera"), told.get("why", ""):
        case [bool(everything), str() | None as serial, str(why)]:
            pass
        case _:
            raise ValueError("everything, camera, why: expected true or false, a serial, and text")
    why = _reason(why) if wish is Wish.RELEASE else why.strip()
    clips = [ClipKey(number) for number in _numbers(told, "clips")]
    dockings = [DockingId(number) for number in _numbers(told, "dockings")]
    every = everything or serial is not None
    if every == bool(clips or dockings):
        raise ValueError("clips, dockings: expected numbers, or everything, or a camera, and one of these only")
    return Wishes(clips=clips, dockings=dockings, everything=every, serial=serial, why=why)


def acknowledged_in(body: bytes) -> tuple[int, str]:
    """Read up to which number differences were looked at, and what was found.

    Raises:
        ValueError: it is no such wish; the message says what was expected.

    """
    match _object(body, frozenset({"up_to", "why"})):
        case {"up_to": up_to, "why": str(why)} if _is_number(up_to):
            return up_to, _reason(why)
        case told:
            raise ValueError(f"body: {told!r:.100}: expected up_to, the number of a difference, and why, a text")


def identify_in(body: bytes) -> tuple[BayId, int]:
    """Read which bay is to be pointed at, and for how many seconds; 0 says no more.

    Raises:
        ValueError: it is no such wish; the message says what was expected.

    """
    told = _object(body, frozenset({"bay", "seconds"}))
    bay, seconds = told.get("bay", ""), told.get("seconds", IDENTIFY_S)
    if not _is_number(bay):
        raise ValueError(f"bay: {bay!r:.100}: expected the number of a bay")
    if type(seconds) is not int or not 0 <= seconds <= MOST_IDENTIFY_S:
        raise ValueError(f"seconds: {seconds!r:.100}: expected a whole number from 0 to {MOST_IDENTIFY_S}")
    return BayId(bay), seconds


def _object(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"body: {body!r:.100}: expected JSON") from error
    if not isinstance(told, dict) or not told.keys() <= known:
        raise ValueError(f"body: {told!r:.100}: expected an object with {', '.join(sorted(known))}")
    return told


def _reason(why: str) -> str:
    why = why.strip()
    if not 0 < len(why) <= MOST_WORDS:
        raise ValueError(f"why: {why!r:.100}: expected 1 to {MOST_WORDS} characters: it goes on record")
    return why


def _numbers(told: dict[str, object], name: str) -> list[int]:
    numbers = told.get(name, [])
    if not isinstance(numbers, list) or len(numbers) > MOST_NUMBERS or not all(map(_is_number, numbers)):
        raise ValueError(f"{name}: {numbers!r:.100}: expected up to {MOST_NUMBERS} whole numbers")
    return numbers


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 62
