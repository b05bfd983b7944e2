"""Who may charge: the plan by hand, and what holds of every plan."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from dockd.domain.charging import Basis, Charge, Decision, Plan, Slot, Terms, Why, draw_ma, need_s, plan
from dockd.domain.model import BayId
from dockd.domain.overload import Overload

HOUR_S = 3600.0
TERMS = Terms(budget_ma=1000, least_on_s=120.0, most_off_s=1200.0)
TWO_AMPS = replace(TERMS, budget_ma=2000)


def read(pct: int) -> Charge:
    return Charge(pct=pct, basis=Basis.READ)


def slot(number: int, pct: int | None = 50, *, on: bool = True, since_s: float = 600.0) -> Slot:
    charge = Charge() if pct is None else read(pct)
    return Slot(bay=BayId(number), docked=True, on=on, since_s=since_s, charge=charge)


def told(made: Plan) -> dict[int, str]:
    return {bay: f"{'on' if it.on else 'off'} {it.why.value}" for bay, it in made.decisions.items()}


def planned(*slots: Slot, terms: Terms = TERMS, shift_in_s: float | None = None) -> dict[int, str]:
    return told(plan(slots, terms=terms, shift_in_s=shift_in_s))


# --- by hand ------------------------------------------------------------------------------------------------------


def test_who_needs_least_charges_first_and_the_others_wait() -> None:
    slots = [slot(1, 20, on=False), slot(2, 70, on=False), slot(3, 60, on=False)]
    assert planned(*slots) == {1: "off waits", 2: "on charges", 3: "on charges"}


def test_who_charges_goes_on_though_another_needs_less() -> None:
    slots = [slot(1, 20), slot(2, 30), slot(3, 70, on=False)]
    assert planned(*slots) == {1: "on charges", 2: "on charges", 3: "off waits"}


def test_a_camera_that_copies_keeps_its_power_over_any_budget() -> None:
    slots = [replace(slot(number), transferring=True) for number in (1, 2, 3)]
    made = plan([*slots, slot(4)], terms=TERMS, shift_in_s=None)
    assert told(made) == {1: "on data", 2: "on data", 3: "on data", 4: "off too-much"}
    assert made.draw_ma == 1500


def test_an_empty_bay_has_power_so_that_a_camera_is_seen_there() -> None:
    assert planned(Slot(bay=BayId(1), on=False)) == {1: "on empty"}


def test_a_bay_that_cannot_be_switched_charges_and_counts() -> None:
    slots = [replace(slot(1), switchable=False), replace(slot(2), switchable=False), slot(3)]
    assert planned(*slots) == {1: "on always-on", 2: "on always-on", 3: "off too-much"}


@pytest.mark.parametrize(("overload", "why"), [(it, it.value) for it in Overload])
def test_an_overload_cuts_a_bay_whatever_it_does_and_says_so(overload: Overload, why: str) -> None:
    copying = replace(slot(1), transferring=True, overload=overload)
    assert planned(copying, slot(2)) == {1: f"off {why}", 2: "on charges"}
    assert planned(replace(copying, docked=False)) == {1: f"off {why}"}
    assert planned(replace(copying, switchable=False)) == {1: f"on {why}"}


def test_what_may_be_issued_gives_way_to_what_may_not() -> None:
    slots = [slot(1, 99), slot(2, 90), slot(3, 10, on=False), slot(4, 20, on=False)]
    assert planned(*slots) == {1: "off waits", 2: "off waits", 3: "on charges", 4: "on charges"}


def test_with_room_for_all_what_is_full_keeps_its_power_too() -> None:
    assert planned(slot(1, 99), slot(2, 85), slot(3, 10)) == {1: "off waits", 2: "on ready", 3: "on charges"}
    assert planned(slot(1, 99), slot(2, 85), slot(3, 10), terms=TWO_AMPS) == {
        1: "on ready",
        2: "on ready",
        3: "on charges",
    }


def test_shortly_before_the_shift_what_can_be_taken_is_lit() -> None:
    slots = [slot(1, 85, on=False), slot(2, 82, on=False), slot(3, 60)]
    assert planned(*slots, shift_in_s=901.0) == {1: "on ready", 2: "off waits", 3: "on charges"}
    assert planned(*slots, shift_in_s=900.0) == {1: "on ready", 2: "on ready", 3: "off waits"}


def test_who_cannot_be_ready_in_time_waits_for_those_who_can() -> None:
    # 10 per cent of nine hours are 54 minutes.
    slots = [slot(1, 30), slot(2, 70, on=False), slot(3, 65, on=False)]
    made = plan(slots, terms=TERMS, shift_in_s=2 * HOUR_S)
    assert told(made) == {1: "off waits", 2: "on charges", 3: "on charges"}
    assert made.in_time == {2, 3}


def test_no_more_are_called_in_time_than_the_budget_can_charge() -> None:
    # An ampere for an hour: two half amperes, each good for some eleven per cent.
    slots = [slot(number, pct) for number, pct in ((1, 70), (2, 71), (3, 72), (4, 80))]
    assert plan(slots, terms=TERMS, shift_in_s=HOUR_S).in_time == {2, 3, 4}
    assert plan(slots, terms=replace(TERMS, budget_ma=0), shift_in_s=HOUR_S).in_time == {4}


def test_who_has_no_time_to_lose_charges_before_who_needs_less() -> None:
    # 40 per cent are 3 h 36 min; another half an hour of waiting would be too much.
    slots = [slot(1, 40, on=False), slot(2, 70), slot(3, 70)]
    assert planned(*slots, shift_in_s=3.7 * HOUR_S) == {1: "on charges", 2: "on charges", 3: "off waits"}
    assert planned(*slots, shift_in_s=6 * HOUR_S) == {1: "off waits", 2: "on charges", 3: "on charges"}


def test_who_has_waited_too_long_has_its_turn() -> None:
    slots = [slot(1, 10, on=False, since_s=1300), slot(2, 70), slot(3, 70), slot(4, 75, on=False, since_s=1200)]
    assert planned(*slots) == {1: "on charges", 2: "off waits", 3: "off waits", 4: "on charges"}


def test_what_came_on_a_moment_ago_is_not_switched_off_again() -> None:
    slots = [slot(1, 10, since_s=119), slot(2, 90, since_s=5), slot(3, 70, on=False, since_s=5000)]
    assert planned(*slots) == {1: "on charges", 2: "on ready", 3: "off waits"}


def test_what_went_off_a_moment_ago_stays_off_and_nobody_takes_its_place_for_a_moment() -> None:
    slots = [slot(1, 70, on=False, since_s=59), slot(2, 70, on=False), slot(3, 60, on=False)]
    assert planned(*slots) == {1: "off rests", 2: "on charges", 3: "off waits"}
    assert planned(replace(slots[0], since_s=60.0), *slots[1:])[1] == "on charges"


def test_a_camera_whose_card_is_not_done_is_the_last_to_be_switched_off() -> None:
    undone = replace(slot(1, 90), settled=False)
    assert planned(undone, slot(2, 10), slot(3, 20)) == {1: "on ready", 2: "off waits", 3: "on charges"}


def test_a_camera_too_hungry_for_the_budget_keeps_nobody_waiting() -> None:
    assert planned(replace(slot(1, 79), draw_ma=1200), slot(2, 10)) == {1: "off too-much", 2: "on charges"}


def test_nobody_smaller_slips_past_who_does_not_fit() -> None:
    slots = [replace(slot(1, 79), draw_ma=600), replace(slot(2, 70), draw_ma=600), replace(slot(3, 10), draw_ma=100)]
    assert planned(*slots) == {1: "on charges", 2: "off waits", 3: "off waits"}


def test_a_camera_that_says_eighty_and_seventy_nine_in_turn_is_not_switched_each_time() -> None:
    waiting = slot(2, 30, on=False)
    for pct in (79, 80, 79):
        assert planned(slot(1, pct), waiting, terms=replace(TERMS, budget_ma=500))[1].startswith("on")
    assert planned(slot(1, 81), waiting, terms=replace(TERMS, budget_ma=500)) == {1: "off waits", 2: "on charges"}


def test_an_unknown_battery_is_planned_as_a_low_one_that_fills_with_time() -> None:
    unknown = slot(1, None)
    assert need_s(unknown, TERMS) == pytest.approx(4.5 * HOUR_S)
    assert need_s(replace(unknown, charged_s=3 * HOUR_S), TERMS) == pytest.approx(1.5 * HOUR_S)
    assert need_s(replace(unknown, charged_s=5 * HOUR_S), TERMS) == 0


@pytest.mark.parametrize(
    ("what", "expected_ma"),
    [
        (Slot(bay=BayId(1)), 0),
        (slot(1, 94), 500),
        (slot(1, 95), 100),
        (replace(slot(1, 95), draw_ma=7), 7),
        (replace(slot(1, None), charged_s=9 * HOUR_S), 100),
    ],
)
def test_what_a_bay_is_taken_to_draw(what: Slot, expected_ma: int) -> None:
    assert draw_ma(what, TERMS) == expected_ma


@pytest.mark.parametrize(
    ("what", "minutes", "basis"),
    [
        (slot(1, 80), 0, Basis.READ),
        (slot(1, 79), 6, Basis.READ),
        (slot(1, 70), 54, Basis.READ),
        (replace(slot(1, 70), draw_ma=250), 108, Basis.READ),
        (replace(slot(1, 70), draw_ma=3), 540, Basis.READ),
        (replace(slot(1), charge=Charge(pct=90, basis=Basis.INFERRED)), 0, Basis.INFERRED),
        (slot(1, None), None, Basis.UNKNOWN),
        (Slot(bay=BayId(1)), None, Basis.UNKNOWN),
        (replace(slot(1, 70), overload=Overload.OVER_CURRENT), None, Basis.READ),
    ],
)
def test_minutes_to_ready_say_how_they_are_known(what: Slot, minutes: int | None, basis: Basis) -> None:
    decision = plan([what], terms=TERMS, shift_in_s=None).decisions[BayId(1)]
    assert (decision.minutes, decision.basis) == (minutes, basis)


def test_who_waits_is_told_the_time_until_it_gets_its_turn_too() -> None:
    # Two of ten per cent at half an ampere each are done in 54 minutes; then come 108 of its own.
    made = plan([slot(1, 70), slot(2, 70), slot(3, 60, on=False)], terms=TERMS, shift_in_s=None)
    assert made.decisions[BayId(3)].minutes == 54 + 108
    none = plan([slot(1, 70, on=False)], terms=replace(TERMS, budget_ma=0), shift_in_s=None)
    assert none.decisions[BayId(1)] == Decision(
        bay=BayId(1), on=False, why=Why.TOO_MUCH, minutes=None, basis=Basis.READ
    )


# --- of every plan ------------------------------------------------------------------------------------------------

CHARGES = st.one_of(st.just(Charge()), st.builds(read, st.integers(0, 100)))
SLOTS = st.builds(
    Slot,
    bay=st.just(BayId(0)),
    docked=st.booleans(),
    transferring=st.booleans(),
    settled=st.booleans(),
    switchable=st.sampled_from([True, True, True, False]),
    on=st.booleans(),
    since_s=st.sampled_from([0.0, 30.0, 59.0, 60.0, 119.0, 120.0, 1199.0, 1200.0, 5000.0]),
    charge=CHARGES,
    charged_s=st.floats(0, 40000),
    draw_ma=st.none() | st.integers(0, 1500),
    overload=st.sampled_from([None, None, None, *Overload]),
)
STATIONS = st.lists(SLOTS, max_size=34).map(
    lambda slots: [replace(it, bay=BayId(number)) for number, it in enumerate(slots, 1)]
)
BUDGETS = st.integers(0, 17000)
SHIFTS = st.none() | st.floats(0, 12 * HOUR_S)


@given(STATIONS, BUDGETS, SHIFTS)
def test_the_budget_is_never_passed_but_for_what_is_not_its_to_decide(
    slots: Sequence[Slot], budget_ma: int, shift_in_s: float | None
) -> None:
    terms = replace(TERMS, budget_ma=budget_ma)
    made = plan(slots, terms=terms, shift_in_s=shift_in_s)
    on = [it for it in slots if made.decisions[it.bay].on]
    floor_ma = sum(draw_ma(it, terms) for it in on if it.transferring or not it.switchable)
    drawn_ma = sum(draw_ma(it, terms) for it in on)
    assert made.draw_ma == drawn_ma
    assert drawn_ma <= max(budget_ma, floor_ma)


@given(STATIONS, BUDGETS, SHIFTS)
def test_data_keeps_its_power_and_an_overload_never_does(
    slots: Sequence[Slot], budget_ma: int, shift_in_s: float | None
) -> None:
    made = plan(slots, terms=replace(TERMS, budget_ma=budget_ma), shift_in_s=shift_in_s)
    for it in slots:
        decision = made.decisions[it.bay]
        if it.overload is not None and it.switchable:
            assert not decision.on
        elif it.transferring or not it.docked or not it.switchable:
            assert decision.on


@given(STATIONS, BUDGETS, st.integers(0, 5000), SHIFTS)
def test_a_larger_budget_never_makes_fewer_ready(
    slots: Sequence[Slot], budget_ma: int, more_ma: int, shift_in_s: float | None
) -> None:
    less = plan(slots, terms=replace(TERMS, budget_ma=budget_ma), shift_in_s=shift_in_s)
    more = plan(slots, terms=replace(TERMS, budget_ma=budget_ma + more_ma), shift_in_s=shift_in_s)
    assert less.in_time <= more.in_time


@given(STATIONS, BUDGETS, SHIFTS)
def test_a_plan_carried_out_is_the_plan_again(slots: Sequence[Slot], budget_ma: int, shift_in_s: float | None) -> None:
    terms = replace(TERMS, budget_ma=budget_ma)
    made = plan(slots, terms=terms, shift_in_s=shift_in_s)
    then = [
        replace(it, on=made.decisions[it.bay].on, since_s=it.since_s if it.on == made.decisions[it.bay].on else 0.0)
        for it in slots
    ]
    again = plan(then, terms=terms, shift_in_s=shift_in_s)
    assert {bay: it.on for bay, it in again.decisions.items()} == {bay: it.on for bay, it in made.decisions.items()}


@given(STATIONS, BUDGETS, SHIFTS)
def test_every_bay_that_is_refused_is_told_why(slots: Sequence[Slot], budget_ma: int, shift_in_s: float | None) -> None:
    refusals = {Why.WAITS, Why.RESTS, Why.TOO_MUCH, Why.OVER_CURRENT, Why.OVER_TEMPERATURE}
    made = plan(slots, terms=replace(TERMS, budget_ma=budget_ma), shift_in_s=shift_in_s)
    assert list(made.decisions) == [it.bay for it in slots]
    assert all(it.on or it.why in refusals for it in made.decisions.values())


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(50, 900)), min_size=1, max_size=8),
    st.integers(900, 3000),
    st.none() | st.floats(3 * HOUR_S, 12 * HOUR_S),
)
def test_nobody_is_kept_in_the_dark_for_long(
    batteries: Sequence[tuple[int, int]], budget_ma: int, shift_in_s: float | None
) -> None:
    terms = replace(TERMS, budget_ma=budget_ma)
    slots = [replace(slot(number, pct), draw_ma=ma) for number, (pct, ma) in enumerate(batteries, 1)]
    for minutes in range(0, 100, 2):
        left_s = None if shift_in_s is None else shift_in_s - 60.0 * minutes
        made = plan(slots, terms=terms, shift_in_s=left_s)
        on = {it.bay: made.decisions[it.bay].on for it in slots}
        slots = [
            replace(it, on=on[it.bay], since_s=120.0 + (it.since_s if it.on == on[it.bay] else 0.0)) for it in slots
        ]
        # Those overdue before it each have their two minutes, where no two fit at once.
        assert all(it.on or it.since_s <= terms.most_off_s + 120.0 * (len(slots) + 1) for it in slots)
