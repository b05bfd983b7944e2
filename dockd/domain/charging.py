"""Who may charge now: a station's budget of current, shared so that the most cameras are ready for the next shift.

Owns the plan. Knows no ports, no sensors and no time: facts come in as values, times as seconds that have passed or
are left. A bay that is switched off is dark: its camera is gone from the bus and comes back as a new docking, so
bays whose camera is read, or would have to be read again, are the last to wait.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum, auto

from dockd.domain.model import BayId
from dockd.domain.overload import Overload

LEAST_CHARGING_MA = 50
"""Less than this charges nothing worth waiting for."""
ASSUMED_PCT = 30
"""What a battery of which nobody knows is planned as when it comes in: low, so that it gets its turn."""
MARGIN_PCT = 1
"""A camera that charges goes on for so much longer than it must: one that says 80 and 79 in turn is not switched."""
TIGHT_S = 3600.0
"""A camera with less time than this in hand charges before those that need less."""
PRESSED = 0.7
"""With more than this of the charge spoken for, all count as having no time: who has least in hand charges, in turn.
Otherwise who needs least charges to the end, so that some are ready early, should somebody come for one.
"""
STAYS_TIGHT_S = 600.0
"""One that charges counts as having so much less in hand: borders are crossed once, not at each look."""


class Basis(StrEnum):
    """How a charge is known."""

    READ = "read"
    INFERRED = "inferred"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A battery's charge in per cent, and how it is known; None goes with UNKNOWN."""

    pct: int | None = None
    basis: Basis = Basis.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What is known of one bay.

    `docked`: a camera is in it, or was when it was switched off. `transferring`: it is read, written or being looked
    at. `settled`: nothing is left to do on its card, so that docking it again costs nothing. `since_s` is how long it
    has been as it is, on or off; `charged_s` how long its camera has had power. `draw_ma` is what it draws, or drew
    when it was last on; None where that was never measured.
    """

    bay: BayId
    docked: bool = False
    transferring: bool = False
    settled: bool = True
    switchable: bool = True
    on: bool = True
    since_s: float = math.inf
    charge: Charge = Charge()
    charged_s: float = 0.0
    draw_ma: int | None = None
    overload: Overload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a station charges by.

    `budget_ma` is for all bays together. A camera may be issued at `issue_pct` and is full at `full_pct`. Where nothing
    was measured it is taken to draw `nominal_ma` (USB 2.0, 7.2.1.4: a configured device), `trickle_ma` when full, and
    to be full from empty in `full_s` at `nominal_ma`. Nothing is switched twice within `least_on_s` or `least_off_s`,
    and nobody waits for longer than about `most_off_s`. In the last `lit_s` before a shift what can be taken is lit.
    """

    budget_ma: int
    issue_pct: int = 80
    full_pct: int = 95
    nominal_ma: int = 500
    trickle_ma: int = 100
    full_s: float = 9 * 3600.0
    least_on_s: float = 180.0
    least_off_s: float = 60.0
    most_off_s: float = 3600.0
    lit_s: float = 900.0


class Why(StrEnum):
    """Why a bay has power, or has none."""

    EMPTY = "empty"
    DATA = "data"
    ALWAYS_ON = "always-on"
    CHARGES = "charges"
    READY = "ready"
    WAITS = "waits"
    RESTS = "rests"
    TOO_MUCH = "too-much"
    OVER_CURRENT = "over-current"
    OVER_TEMPERATURE = "over-temperature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is decided for one bay. `minutes` until its battery is ready: None where that cannot be known."""

    bay: BayId
    on: bool
    why: Why
    minutes: int | None
    basis: Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every bay's decision, what it all draws, and who is ready when the next shift begins, as far as one can say."""

    decisions: Mapping[BayId, Decision]
    draw_ma: int
    in_time: frozenset[BayId]


class _Rank(IntEnum):
    """Who comes before whom when the budget is given out."""

    JUST_ON = auto()
    LIT = auto()
    OVERDUE = auto()
    UNSETTLED = auto()
    TIGHT = auto()
    IN_TIME = auto()
    TOO_LATE = auto()
    READY = auto()
    FULL = auto()


def plan(slots: Sequence[Slot], *, terms: Terms, shift_in_s: float | None) -> Plan:
    """Decide for every bay; `shift_in_s` is the time left to the next shift, None where none is known.

    Bays that are read, empty or cannot be switched keep their power whatever the budget says. The rest of it is given
    out in order until somebody does not fit: nobody smaller slips past him, so a larger budget never takes from anyone.
    """
    in_time, pressed = _in_time(slots, terms=terms, shift_in_s=shift_in_s)
    tight_s = math.inf if pressed else TIGHT_S
    fixed = {slot.bay: why for slot in slots if (why := _fixed(slot)) is not None}
    floor_ma = sum(draw_ma(slot, terms) for slot in slots if slot.bay in fixed and _powered(slot, fixed[slot.bay]))
    queue = sorted(
        (slot for slot in slots if slot.bay not in fixed),
        key=lambda slot: _place(slot, terms=terms, shift_in_s=shift_in_s, in_time=slot.bay in in_time, tight_s=tight_s),
    )
    given, used_ma = _give_out(queue, terms=terms, floor_ma=floor_ma)
    waits_s = _waits_s(queue, terms=terms, free_ma=terms.budget_ma - floor_ma)
    decisions = {}
    for slot in slots:
        why = fixed.get(slot.bay) or given[slot.bay]
        on = _powered(slot, why)
        wait_s = 0.0 if on else waits_s.get(slot.bay, math.inf)
        decisions[slot.bay] = Decision(
            bay=slot.bay,
            on=on,
            why=why,
            minutes=_minutes(slot, terms=terms, wait_s=wait_s),
            basis=slot.charge.basis,
        )
    return Plan(decisions=decisions, draw_ma=floor_ma + used_ma, in_time=in_time)


def draw_ma(slot: Slot, terms: Terms) -> int:
    """Say what a bay draws, or would draw, with power."""
    if not slot.docked:
        return 0
    if slot.draw_ma is not None:
        return slot.draw_ma
    return terms.trickle_ma if _level_pct(slot, terms) >= terms.full_pct else terms.nominal_ma


def need_s(slot: Slot, terms: Terms) -> float:
    """Say for how long a camera has to charge until it may be issued; 0 for one that may be.

    At the current it was last seen to draw: past the bend of its charge that is less, and the time longer.
    """
    return _until_s(slot, terms.issue_pct, terms)


def _until_s(slot: Slot, pct: int, terms: Terms) -> float:
    missing_pct = max(0.0, pct - _level_pct(slot, terms))
    rate_ma = terms.nominal_ma if slot.draw_ma is None else max(LEAST_CHARGING_MA, slot.draw_ma)
    return missing_pct / 100 * terms.full_s * terms.nominal_ma / rate_ma


def _level_pct(slot: Slot, terms: Terms) -> float:
    """Take a charge that is known, or make one up for the plan alone, from the time it has charged."""
    if slot.charge.pct is not None:
        return slot.charge.pct
    return min(100.0, ASSUMED_PCT + 100 * slot.charged_s / terms.full_s)


def _fixed(slot: Slot) -> Why | None:
    """Say why a bay is not the budget's to decide on; None where it is."""
    if slot.overload is not None:
        return Why.OVER_CURRENT if slot.overload is Overload.OVER_CURRENT else Why.OVER_TEMPERATURE
    if not slot.docked:
        return Why.EMPTY
    if slot.transferring:
        return Why.DATA
    return None if slot.switchable else Why.ALWAYS_ON


def _powered(slot: Slot, why: Why) -> bool:
    match why:
        case Why.EMPTY | Why.DATA | Why.ALWAYS_ON | Why.CHARGES | Why.READY:
            return True
        case Why.WAITS | Why.RESTS | Why.TOO_MUCH:
            return False
        case Why.OVER_CURRENT | Why.OVER_TEMPERATURE:
            return not slot.switchable


def _in_time(slots: Iterable[Slot], *, terms: Terms, shift_in_s: float | None) -> tuple[frozenset[BayId], bool]:
    """Say who can be ready when the shift begins, and whether that takes nearly all of the charge there is.

    All end at one time, so who needs least comes first: no other choice of cameras gets more of them ready out of the
    charge that the budget gives until then.
    """
    limit_s = math.inf if shift_in_s is None else shift_in_s
    could = [slot for slot in slots if slot.docked and slot.overload is None and need_s(slot, terms) <= limit_s]
    all_mas = math.inf if shift_in_s is None else max(0, terms.budget_ma) * shift_in_s
    used_mas, chosen = 0.0, set[BayId]()
    for slot in sorted(could, key=lambda slot: (_charge_mas(slot, terms), slot.bay)):
        if used_mas + _charge_mas(slot, terms) > all_mas:
            return frozenset(chosen), True
        used_mas += _charge_mas(slot, terms)
        chosen.add(slot.bay)
    return frozenset(chosen), used_mas > PRESSED * all_mas


def _charge_mas(slot: Slot, terms: Terms) -> float:
    return need_s(slot, terms) * draw_ma(slot, terms)


def _place(
    slot: Slot, *, terms: Terms, shift_in_s: float | None, in_time: bool, tight_s: float
) -> tuple[int, bool, float, int]:
    """Give a bay's place in the queue: rank, what is on before what is off, who needs least, number."""
    wants_s = _until_s(slot, terms.issue_pct + (MARGIN_PCT if slot.on else 0), terms)
    in_hand_s = math.inf if shift_in_s is None else shift_in_s - wants_s
    if slot.on:
        in_hand_s -= STAYS_TIGHT_S
    ready = not need_s(slot, terms)
    rank = next(
        rank
        for applies, rank in (
            (slot.on and slot.since_s < terms.least_on_s, _Rank.JUST_ON),
            (ready and shift_in_s is not None and shift_in_s <= terms.lit_s, _Rank.LIT),
            (not slot.on and slot.since_s >= terms.most_off_s, _Rank.OVERDUE),
            (not slot.settled, _Rank.UNSETTLED),
            (ready and _level_pct(slot, terms) >= terms.full_pct, _Rank.FULL),
            (not wants_s, _Rank.READY),
            (not in_time, _Rank.TOO_LATE),
            (not ready and in_hand_s < tight_s, _Rank.TIGHT),
            (True, _Rank.IN_TIME),
        )
        if applies
    )
    by = {_Rank.OVERDUE: -slot.since_s, _Rank.TIGHT: in_hand_s}.get(rank, wants_s)
    return rank, not slot.on and rank is not _Rank.TIGHT, by, slot.bay


def _give_out(queue: Sequence[Slot], *, terms: Terms, floor_ma: int) -> tuple[Mapping[BayId, Why], int]:
    """Give the budget out in order; say why each has power or not, and what those who have it draw."""
    given: dict[BayId, Why] = {}
    free_ma, used_ma, closed = terms.budget_ma - floor_ma, 0, False
    for slot in queue:
        wants_ma = draw_ma(slot, terms)
        if wants_ma > terms.budget_ma - floor_ma:
            # It would not fit if it were alone: nobody is kept waiting behind it.
            given[slot.bay] = Why.TOO_MUCH
            continue
        closed = closed or wants_ma > free_ma
        if closed:
            given[slot.bay] = Why.WAITS
            continue
        # One that was switched off a moment ago keeps its place, so that nobody is let in for a moment only.
        free_ma -= wants_ma
        if not slot.on and slot.since_s < terms.least_off_s:
            given[slot.bay] = Why.RESTS
            continue
        used_ma += wants_ma
        given[slot.bay] = Why.CHARGES if need_s(slot, terms) else Why.READY
    return given, used_ma


def _waits_s(queue: Sequence[Slot], *, terms: Terms, free_ma: int) -> Mapping[BayId, float]:
    """Estimate how long each waits: until those before it have what they need, at all that the budget gives."""
    waits_s, before_mas = {}, 0.0
    for slot in queue:
        waits_s[slot.bay] = before_mas / free_ma if free_ma > 0 else math.inf
        before_mas += _charge_mas(slot, terms)
    return waits_s


def _minutes(slot: Slot, *, terms: Terms, wait_s: float) -> int | None:
    if not slot.docked or slot.overload is not None or slot.charge.pct is None:
        return None
    needs_s = need_s(slot, terms)
    if not needs_s:
        return 0
    return None if math.isinf(wait_s) else math.ceil((wait_s + needs_s) / 60)
