"""The light of a bay: which lamp a bay shows, how it blinks, and the same in words.

Owns the language of the lamps. One RGB lamp a bay, on/off channels, every rhythm used once, so that it reads without
colour and no dead channel shows a safer state than the true one. Knows no pins.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from types import MappingProxyType

from dockd.domain.bay import Bay, BayPower, Phase

_BLINKS = 2
"""From so many phases on a lamp changes: one is steady, none is dark."""


class Colour(StrEnum):
    """The colours that on/off channels can mix and people tell apart."""

    DARK = "dark"
    WHITE = "white"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    RED = "red"


class Channel(StrEnum):
    """The three lights in one RGB lamp."""

    RED = "red"
    GREEN = "green"
    BLUE = "blue"


CHANNELS: Mapping[Colour, frozenset[Channel]] = MappingProxyType(
    {
        Colour.DARK: frozenset[Channel](),
        Colour.WHITE: frozenset(Channel),
        Colour.YELLOW: frozenset({Channel.RED, Channel.GREEN}),
        Colour.GREEN: frozenset({Channel.GREEN}),
        Colour.BLUE: frozenset({Channel.BLUE}),
        Colour.RED: frozenset({Channel.RED}),
    }
)
"""What is on where a colour is seen."""


class Lamp(StrEnum):
    """What a bay's light says."""

    OFF = "off"
    EMPTY = "empty"
    WAIT = "wait"
    CHARGING_RECEIPTED = "charging-receipted"
    CHARGING_COPIED = "charging-copied"
    GO_COPIED = "go-copied"
    GO_RECEIPTED = "go-receipted"
    LEAVE = "leave"
    IDENTIFY = "identify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """How a lamp looks and what it answers.

    `phases` alternate on and off seconds, on first, and repeat; a single phase is steady. `take` answers "may I take
    this camera?", `safe` answers "is my evidence safe?".
    """

    colour: Colour
    phases: tuple[float, ...]
    rhythm: str
    take: str
    safe: str


PATTERNS: Mapping[Lamp, Pattern] = MappingProxyType(
    {
        Lamp.OFF: Pattern(
            colour=Colour.DARK, phases=(), rhythm="dark", take="unknown: do not trust this bay", safe="unknown"
        ),
        Lamp.EMPTY: Pattern(
            colour=Colour.WHITE, phases=(0.1, 4.9), rhythm="blip every 5 s", take="dock here", safe="-"
        ),
        Lamp.WAIT: Pattern(colour=Colour.YELLOW, phases=(0.5, 0.5), rhythm="1 Hz", take="please wait", safe="not yet"),
        Lamp.CHARGING_RECEIPTED: Pattern(
            colour=Colour.GREEN,
            phases=(1.0, 1.0),
            rhythm="1 s on, 1 s off",
            take="rather not: charging",
            safe="yes, receipted",
        ),
        Lamp.CHARGING_COPIED: Pattern(
            colour=Colour.BLUE,
            phases=(2.0, 2.0),
            rhythm="2 s on, 2 s off",
            take="rather not: charging",
            safe="copied here, upload goes on",
        ),
        Lamp.GO_COPIED: Pattern(
            colour=Colour.BLUE,
            phases=(1.8, 0.2),
            rhythm="steady, dip every 2 s",
            take="yes",
            safe="copied here, upload goes on",
        ),
        Lamp.GO_RECEIPTED: Pattern(
            colour=Colour.GREEN, phases=(1.0,), rhythm="steady", take="yes", safe="yes, receipted"
        ),
        Lamp.LEAVE: Pattern(
            colour=Colour.RED,
            phases=(0.25, 0.25, 0.25, 1.25),
            rhythm="two blinks and a pause",
            take="leave it, take another",
            safe="held, nothing lost",
        ),
        Lamp.IDENTIFY: Pattern(
            colour=Colour.WHITE, phases=(0.25, 0.25), rhythm="2 Hz", take="IT is pointing at it", safe="ask the page"
        ),
    }
)


def lamp_for(bay: Bay, *, issue_charge_pct: int) -> Lamp:
    """Say what a bay's light shows. A battery that cannot be read does not keep a camera back.

    Of a dark bay nobody knows what is in it: it says nothing of anybody's evidence that is not so of every camera.
    """
    match bay.power:
        case BayPower.ON:
            return _lit(bay, issue_charge_pct=issue_charge_pct)
        case BayPower.WAITING:
            return Lamp.WAIT
        case BayPower.CUT:
            return Lamp.LEAVE


def _lit(bay: Bay, *, issue_charge_pct: int) -> Lamp:
    match bay.phase:
        case Phase.UNKNOWN:
            return Lamp.OFF
        case Phase.EMPTY:
            return Lamp.EMPTY
        case Phase.FAULT:
            return Lamp.LEAVE
        case Phase.SETTLING | Phase.OFFLOADING:
            return Lamp.WAIT
        case Phase.READY:
            return _ready(bay, issue_charge_pct=issue_charge_pct)


def _ready(bay: Bay, *, issue_charge_pct: int) -> Lamp:
    if bay.erasing:
        return Lamp.WAIT
    if bay.work.held_files:
        return Lamp.LEAVE
    charging = bay.charge_pct is not None and bay.charge_pct < issue_charge_pct
    if bay.work.unreceipted_files:
        return Lamp.CHARGING_COPIED if charging else Lamp.GO_COPIED
    return Lamp.CHARGING_RECEIPTED if charging else Lamp.GO_RECEIPTED


IDENTIFY_S = 60
"""How long a bay is pointed at, if nobody says otherwise."""
MOST_IDENTIFY_S = 600
"""For so long at most its light does not say what the bay shows."""


def is_lit(lamp: Lamp, *, elapsed_s: float) -> bool:
    """Say whether a lamp is on, `elapsed_s` after it began to show; patterns repeat for ever."""
    phases = PATTERNS[lamp].phases
    if len(phases) < _BLINKS:
        return bool(phases)
    ends_s = tuple(accumulate(phases))
    return bisect_right(ends_s, elapsed_s % ends_s[-1]) % 2 == 0


def channels_lit(lamp: Lamp, *, elapsed_s: float) -> frozenset[Channel]:
    """Say which channels of a lamp are on, `elapsed_s` after it began to show."""
    return CHANNELS[PATTERNS[lamp].colour if is_lit(lamp, elapsed_s=elapsed_s) else Colour.DARK]


def next_change_s(lamp: Lamp, *, elapsed_s: float) -> float | None:
    """Say when a lamp next goes on or off, in seconds after it began to show; None where it never does."""
    phases = PATTERNS[lamp].phases
    if len(phases) < _BLINKS:
        return None
    ends_s = tuple(accumulate(phases))
    turns, within_s = divmod(elapsed_s, ends_s[-1])
    return turns * ends_s[-1] + ends_s[bisect_right(ends_s, within_s)]
