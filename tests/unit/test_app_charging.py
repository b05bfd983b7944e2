"""The loop over the ports: what it switches, tells and remembers, with batteries that fill as time is told to pass."""

from dockd.app.charging import SETTLE_S, TICK_S, InBay
from tests.charging_parts import ONE, THREE, TWO, WAITING, World, camera


async def test_at_start_every_bay_is_given_power_that_may_keep_it() -> None:
    world = World({ONE: 50.0, TWO: 60.0})
    world.charger.dark = {ONE, TWO, THREE}
    await world.looks()
    # Dark bays look empty: only once there is power is anybody seen.
    assert world.charger.asked == ["1 on", "2 on", "3 on"]


async def test_nothing_is_asked_of_a_switch_that_has_not_to_change() -> None:
    world = World({ONE: 50.0, TWO: 60.0})
    await world.looks(20)
    assert world.charger.asked == ["1 off", "2 on", "3 on"]
    assert world.charger.most_ma <= 500


async def test_people_hear_of_it_before_a_bay_goes_dark_and_after_it_is_lit() -> None:
    world = World({ONE: 79.9, TWO: 50.0})
    await world.looks(1)
    assert (world.bays.told, world.bays.power[TWO]) == (["2 waiting"], WAITING)
    await world.looks(300, every_s=30.0)
    assert world.bays.told[:3] == ["2 waiting", "1 waiting", "2 on"]


async def test_a_camera_that_is_ready_gives_way_and_everybody_is_ready_in_the_end() -> None:
    world = World({ONE: 70.0, TWO: 60.0, THREE: 75.0})
    await world.looks(900, every_s=30.0)
    assert min(world.charger.levels_pct.values()) >= 80
    assert world.charger.most_ma <= 500


async def test_a_dark_camera_is_remembered_and_goes_on_where_it_stopped() -> None:
    world = World({ONE: 70.0, TWO: 60.0})
    await world.looks(10)
    assert world.bays.in_bays()[TWO].camera is None
    assert world.charging.minutes(TWO) is not None
    assert world.charging.minutes(THREE) is None
    assert World({}).charging.minutes(ONE) is None


async def test_a_bay_that_has_power_again_and_stays_empty_was_left_in_the_dark() -> None:
    world = World({ONE: 70.0, TWO: 60.0})
    await world.looks(10)
    assert world.charger.dark == {TWO}
    del world.bays.cameras[TWO], world.charger.levels_pct[TWO], world.bays.cameras[ONE]
    world.bays.facts.clear()
    await world.looks(10)
    assert world.charger.dark == set()
    await world.looks(int(SETTLE_S / TICK_S) + 1)
    assert world.charging.minutes(TWO) is None


async def test_another_camera_in_a_bay_is_another_battery() -> None:
    world = World({ONE: 70.0}, tells=False)
    world.bays.facts[ONE] = InBay(charge_pct=70)
    await world.looks()
    assert world.charging.minutes(ONE) == 54
    world.bays.cameras[ONE] = camera("another")
    world.bays.facts[ONE] = InBay()
    await world.looks()
    assert world.charging.minutes(ONE) is None


async def test_a_camera_that_tells_no_more_is_unknown_again() -> None:
    world = World({ONE: 70.0}, tells=False)
    world.bays.facts[ONE] = InBay(charge_pct=70)
    await world.looks()
    world.bays.facts[ONE] = InBay()
    await world.looks()
    assert world.charging.minutes(ONE) == 54
    await world.looks(10)
    assert world.charging.minutes(ONE) is None


async def test_a_charge_is_inferred_from_the_taper_and_labelled_so_and_told_once() -> None:
    world = World({ONE: 78.0}, tells=False)
    await world.looks(30, every_s=60.0)
    assert world.bays.charges == {}
    await world.looks(60, every_s=60.0)
    told = world.bays.charges[ONE]
    assert told is not None
    assert abs(told - world.charger.levels_pct[ONE]) < 6
    assert world.charging.minutes(ONE) == 0
    # It stays what it was while the card is read, and is told again where the camera comes back.
    world.bays.facts[ONE] = InBay(busy=True)
    await world.looks(2)
    del world.bays.charges[ONE]
    await world.looks(1)
    assert world.bays.charges[ONE] == told


async def test_a_card_that_is_read_keeps_its_power() -> None:
    world = World({ONE: 70.0, TWO: 60.0, THREE: 65.0}, tells=False)
    world.bays.facts = {bay: InBay(busy=True) for bay in (ONE, TWO, THREE)}
    await world.looks(400, every_s=30.0)
    assert world.charger.dark == set()
