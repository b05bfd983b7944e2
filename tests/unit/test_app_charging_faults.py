"""The loop over the ports: bays that are cut, switches and sensors that fail, a weak supply, and the stop."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from dockd.app.charging import SETTLE_S, TICK_S, InBay
from dockd.domain.bay import BayPower
from dockd.domain.charging import Terms
from dockd.errors import Reason, TransientError
from tests.charging_parts import ON, ONE, THREE, TWO, WAITING, World


async def test_an_over_current_cuts_its_bay_says_how_much_and_tries_again() -> None:
    world = World({ONE: 70.0}, terms=Terms(budget_ma=6000))
    world.charger.short_ma[ONE] = 2000
    await world.looks(2)
    assert world.charger.dark == {ONE}
    assert world.bays.power[ONE] == (BayPower.CUT, "drew 2000 mA, expected at most 1600 mA")
    del world.charger.short_ma[ONE]
    await world.looks(121)
    assert (world.charger.dark, world.bays.power[ONE]) == (set(), ON)


async def test_a_hot_bay_is_cut_even_while_its_card_is_read() -> None:
    world = World({ONE: 70.0}, terms=Terms(budget_ma=6000), tells=False)
    world.bays.facts[ONE] = InBay(busy=True)
    world.charger.hot_c[ONE] = 71.0
    await world.looks()
    assert world.bays.power[ONE] == (BayPower.CUT, "at 71 °C, expected less than 60 °C")
    assert world.charger.dark == {ONE}


async def test_an_overload_that_cannot_be_cut_is_said() -> None:
    world = World({ONE: 70.0})
    world.charger.can, world.charger.hot_c = frozenset({TWO}), {ONE: 71.0}
    await world.looks()
    power, detail = world.bays.power[ONE]
    assert power is BayPower.CUT
    assert detail == "at 71 °C, expected less than 60 °C; it has power still, since this bay cannot be switched"


@pytest.mark.parametrize("error", [TransientError(Reason.POWER, "the hub is away"), TimeoutError()])
async def test_a_switch_that_fails_is_tried_again_and_nothing_is_said_that_is_not_so(error: BaseException) -> None:
    world = World({ONE: 70.0, TWO: 60.0})
    world.charger.broken[TWO] = error
    await world.looks(3)
    assert world.charger.asked.count("2 off") == 3
    assert world.bays.power[TWO] == ON
    del world.charger.broken[TWO]
    await world.looks()
    assert (world.charger.dark, world.bays.power[TWO]) == ({TWO}, WAITING)


async def test_a_switch_that_answers_too_late_and_switches_all_the_same_leaves_no_bay_dark() -> None:
    """What a bay is after a switch that failed, nobody knows: it may be dark, and looks empty then."""
    world = World({ONE: 70.0, TWO: 60.0}, terms=Terms(budget_ma=1000))
    await world.looks(2)
    world.charger.broken[TWO], world.charger.short_ma[ONE] = TimeoutError(), 800
    await world.looks(2)
    assert world.charger.asked[-1] == "2 off"
    world.charger.dark, world.bays.told = {TWO}, []
    del world.charger.broken[TWO], world.charger.short_ma[ONE]
    gone = world.bays.cameras.pop(ONE), world.charger.levels_pct.pop(ONE)
    assert gone
    await world.looks(int(SETTLE_S / TICK_S) + 3)
    assert world.charger.dark == set()


async def test_a_bay_of_which_nobody_knows_has_power_when_the_station_stops() -> None:
    world = World({ONE: 70.0, TWO: 60.0}, tells=False)
    world.bays.facts = {bay: InBay(charge_pct=int(pct)) for bay, pct in world.charger.levels_pct.items()}
    world.charger.can = frozenset({ONE, TWO})
    world.charger.broken[TWO] = TimeoutError()

    def late() -> bool:
        if "2 off" not in world.charger.asked:
            return False
        world.charger.dark.add(TWO)
        del world.charger.broken[TWO]
        return True

    await stopped(world, when=late)
    assert world.charger.dark == set()


async def test_a_station_that_stops_while_a_bay_is_being_switched_off_gives_it_its_power_back() -> None:
    world = World({ONE: 70.0, TWO: 60.0}, tells=False)
    world.bays.facts = {bay: InBay(charge_pct=int(pct)) for bay, pct in world.charger.levels_pct.items()}
    world.charger.slow = {TWO}
    await stopped(world, when=lambda: world.charger.dark == {TWO})
    assert world.charger.dark == set()


async def test_a_switch_that_only_hides_the_camera_is_found_out_by_its_current() -> None:
    world = World({ONE: 70.0, TWO: 60.0})
    await world.looks(3)
    assert world.charger.dark == {TWO}
    world.charger.dark.clear()  # VBUS is on; the bus says that nobody is there
    seen = world.bays.cameras.pop(TWO)
    await world.looks(5)
    world.bays.cameras[TWO] = seen
    await world.looks(100)
    # What cannot be saved there is saved elsewhere, once and for all.
    assert world.charger.asked == ["2 off", "1 on", "3 on", "1 off", "2 on"]


async def test_one_odd_reading_of_a_dark_bay_does_not_end_its_being_switched() -> None:
    world = World({ONE: 70.0, TWO: 60.0})
    await world.looks(6)
    assert world.charger.dark == {TWO}
    for _ in range(3):
        world.charger.odd_ma[TWO] = 1300
        await world.looks()
        del world.charger.odd_ma[TWO]
        await world.looks()
    assert world.charger.dark == {TWO}


async def test_a_cut_that_only_hides_the_camera_is_not_called_a_cut() -> None:
    world = World({ONE: 70.0}, terms=Terms(budget_ma=6000))
    world.charger.short_ma[ONE] = 2000
    await world.looks(2)
    assert world.bays.power[ONE] == (BayPower.CUT, "drew 2000 mA, expected at most 1600 mA")
    world.charger.odd_ma[ONE] = 2000  # the camera is off the bus, and its current flows
    await world.looks(int(SETTLE_S / TICK_S) + 3)
    power, detail = world.bays.power[ONE]
    assert power is BayPower.CUT
    assert detail.endswith("; it has power still, since this bay cannot be switched")


@pytest.mark.parametrize("how", ["deaf", "blind"])
async def test_sensors_that_do_not_answer_keep_nobody_from_charging(how: str) -> None:
    world = World({ONE: 70.0, TWO: 60.0}, terms=Terms(budget_ma=1000))
    world.charger.deaf, world.charger.blind = how == "deaf", {ONE, TWO}
    await world.looks(10)
    assert world.charger.dark == set()
    assert world.charging.minutes(ONE) == 54


async def test_a_sensor_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockd.app.charging.READ_S", 0.0)
    world = World({ONE: 70.0, TWO: 60.0})
    world.charger.hangs = True
    await world.looks(2)
    assert world.charger.dark == {TWO}


async def test_a_camera_that_draws_more_counts_within_two_readings() -> None:
    world = World({ONE: 70.0, TWO: 60.0}, terms=Terms(budget_ma=1100, least_on_s=0.0))
    await world.looks(10)
    assert world.charger.dark == set()
    world.charger.short_ma[ONE] = 800
    await world.looks(6)
    assert world.charger.dark == {TWO}


@pytest.mark.parametrize("copying", [False, True])
async def test_noise_at_the_edge_of_the_budget_switches_no_bay_to_and_fro(copying: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Three cameras that draw half an ampere each, as far as noisy sensors say, where three fit just so."""
    world, chance = World({ONE: 70.0, TWO: 60.0, THREE: 50.0}, terms=Terms(budget_ma=1500)), Random(4)
    world.bays.facts[ONE] = InBay(busy=copying)
    for _ in range(1440):
        world.charger.odd_ma = {
            bay: chance.randint(350, 650) for bay in (ONE, TWO, THREE) if bay not in world.charger.dark
        }
        await world.looks()
        await asyncio.sleep(0)  # each look is a turn of its own
    # In two hours; the first three give every bay its power.
    assert len(world.charger.asked) - 3 <= 12


async def test_a_camera_that_draws_less_makes_room_once_that_has_lasted() -> None:
    world = World({ONE: 70.0, TWO: 60.0}, terms=Terms(budget_ma=1100, least_on_s=0.0))
    world.charger.short_ma[ONE] = 800
    await world.looks(20)
    assert world.charger.dark == {TWO}
    world.charger.short_ma[ONE] = 400
    await world.looks(50)
    assert world.charger.dark == {TWO}
    await world.looks(15)
    assert world.charger.dark == set()


async def test_a_weak_supply_stops_work_on_cards_until_it_has_held_for_a_minute() -> None:
    world = World({ONE: 70.0})
    await world.looks(2)
    assert world.bays.weak == []
    world.charger.low = True
    await world.looks(3)
    assert world.bays.weak == [True]
    world.charger.low = None
    await world.looks(11)
    assert world.bays.weak == [True]
    await world.looks(2)
    assert world.bays.weak == [True, False]


async def stopped(world: World, *, when: Callable[[], bool]) -> None:
    running = asyncio.create_task(world.charging.run(), name="charging")
    for _ in range(1000):
        if when():
            break
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()


async def test_a_station_that_stops_leaves_every_bay_with_power_but_those_it_cut() -> None:
    world = World({ONE: 70.0, TWO: 60.0, THREE: 50.0}, tells=False)
    world.bays.facts = {bay: InBay(charge_pct=int(pct)) for bay, pct in world.charger.levels_pct.items()}
    world.charger.hot_c[THREE] = 90.0
    await stopped(world, when=lambda: world.charger.dark == {TWO, THREE} and world.clock.at_s > 10)
    assert world.charger.dark == {THREE}


async def test_a_switch_that_fails_at_the_stop_keeps_the_others_from_nothing() -> None:
    world = World({ONE: 70.0, TWO: 60.0, THREE: 50.0}, tells=False)
    world.bays.facts = {bay: InBay(charge_pct=int(pct)) for bay, pct in world.charger.levels_pct.items()}

    def dark() -> bool:
        if world.charger.dark != {TWO, THREE} or world.clock.at_s <= 10:
            return False
        world.charger.broken[TWO] = TransientError(Reason.POWER, "the hub is away")
        return True

    await stopped(world, when=dark)
    assert world.charger.dark == {TWO}
