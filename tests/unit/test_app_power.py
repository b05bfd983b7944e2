"""A station whose bays have switches: what a dark bay shows, and what a weak supply stops."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from dockd.app.charging import Gear, InBay
from dockd.app.ports import ChargeRead
from dockd.domain.bay import (
    Bay,
    BayEvent,
    BayPower,
    CameraIn,
    CameraOut,
    ChargeChanged,
    Phase,
    PowerChanged,
    SeenEmpty,
    StrangerIn,
    step,
)
from dockd.domain.charging import Terms
from dockd.domain.lamps import Lamp, lamp_for
from dockd.domain.model import BayId, Camera, CameraSerial, VolumeId
from dockd.domain.overload import Bounds
from dockd.domain.usb import UsbIds
from dockd.errors import Reason
from dockd.sim.charger import SimCharger
from tests.sim.scene import Scene, play

ONE, TWO = BayId(1), BayId(2)
CAMERA = Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL"))
CLIP = {"A.MP4": b"a" * 900}
WAITS = PowerChanged(power=BayPower.WAITING, detail="waits for its turn to charge")


def gear(charger: SimCharger, *, budget_ma: int = 6000) -> Gear:
    return Gear(
        power=charger,
        currents=charger,
        temperatures=charger,
        supply=charger,
        terms=Terms(budget_ma=budget_ma),
        bounds=Bounds(),
        shift_in_s=lambda: None,
    )


# --- the machine and its lamp -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", Phase)
def test_power_is_the_bays_own_and_changes_no_phase(phase: Phase) -> None:
    bay, effects = step(Bay(number=ONE, phase=phase), WAITS)
    assert (bay.phase, bay.power, bay.power_detail, effects) == (phase, BayPower.WAITING, WAITS.detail, ())


@pytest.mark.parametrize(
    "event",
    [
        CameraOut(),
        SeenEmpty(),
        CameraIn(camera=CAMERA, source="usb"),
        StrangerIn(ids=UsbIds(vendor="1", product="2", serial=""), why="odd"),
    ],
)
def test_whoever_comes_or_goes_a_bay_that_was_cut_is_cut(event: BayEvent) -> None:
    cut = Bay(number=ONE, phase=Phase.SETTLING, camera=CAMERA, power=BayPower.CUT, power_detail="drew 2000 mA")
    bay, _ = step(cut, event)
    assert (bay.power, bay.power_detail) == (BayPower.CUT, "drew 2000 mA")


def test_a_charge_that_was_inferred_is_labelled_until_the_camera_tells_its_own() -> None:
    ready = Bay(number=ONE, phase=Phase.READY, camera=CAMERA)
    inferred = step(ready, ChargeChanged(charge_pct=91, inferred=True))[0]
    assert (inferred.charge_pct, inferred.inferred) == (91, True)
    assert not step(inferred, ChargeChanged(charge_pct=90))[0].inferred


@pytest.mark.promise("I8")
@pytest.mark.parametrize("phase", Phase)
def test_a_dark_bay_never_says_that_anything_is_safe_or_may_be_taken(phase: Phase) -> None:
    bay = Bay(number=ONE, phase=phase, charge_pct=100)
    assert lamp_for(replace(bay, power=BayPower.WAITING), issue_charge_pct=80) is Lamp.WAIT
    assert lamp_for(replace(bay, power=BayPower.CUT), issue_charge_pct=80) is Lamp.LEAVE


# --- the station --------------------------------------------------------------------------------------------------


def test_a_camera_whose_card_is_done_may_wait_in_the_dark_and_one_at_work_may_not() -> None:
    async def scene(world: Scene) -> None:
        station = world.running.station
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.until(lambda: station.in_bays()[ONE].busy)
        assert not station.in_bays()[ONE].settled
        await world.rest()
        inside = station.in_bays()
        assert (inside[ONE].camera, inside[ONE].busy, inside[ONE].settled) == (camera.identity, False, True)
        assert inside[TWO] == InBay(settled=False)

    play(scene)


def test_a_bay_that_was_cut_shows_it_with_its_reason_and_works_again_after_that() -> None:
    charger = SimCharger(can=frozenset({ONE}), levels_pct={ONE: 50.0})

    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        charger.hot_c[ONE] = 80.0
        await asyncio.sleep(6)
        assert charger.dark == {ONE}
        bay = await world.bay(1)
        assert (bay.lamp, bay.reason, bay.detail) == (Lamp.LEAVE, Reason.POWER, "at 80 °C, expected less than 60 °C")
        charger.hot_c[ONE] = 40.0
        await asyncio.sleep(70)
        assert charger.dark == set()
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"

    play(scene, gear=gear(charger))


def test_minutes_to_ready_are_those_of_the_battery_where_they_are_more() -> None:
    charger = SimCharger(can=frozenset({ONE}), levels_pct={ONE: 50.0})

    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        world.running.station._keepers[ONE].tell(ChargeRead(bay=ONE, charge_pct=70))
        await asyncio.sleep(6)
        assert (await world.bay(1)).minutes == 54

    play(scene, gear=gear(charger))


def test_an_inferred_charge_is_shown_as_such() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        world.running.station.charge_read(ChargeRead(bay=ONE, charge_pct=64, inferred=True))
        bay = await world.bay(1)
        assert (bay.charge_pct, bay.inferred, bay.lamp) == (64, True, Lamp.CHARGING_RECEIPTED)

    play(scene)


class Sockets(SimCharger):
    """Bays whose camera leaves the bus with its power and comes back with it. `turn` holds a switch up."""

    def __init__(self, levels_pct: Mapping[BayId, float]) -> None:
        super().__init__(can=frozenset({ONE, TWO}), levels_pct=dict(levels_pct))
        self.world: Scene | None = None
        self.switched = 0
        self.turn = asyncio.Event()
        self.turn.set()

    async def set(self, bay: BayId, *, on: bool) -> None:
        await self.turn.wait()
        before = bay not in self.dark
        await super().set(bay, on=on)
        if self.world is not None and before is not on:
            self.switched += 1
            camera = self.world.rack.cameras[f"cam {bay}"]
            (self.world.dock(camera, bay) if on else self.world.pull(camera))


def test_a_dark_camera_whose_card_is_done_waits_its_turn_and_does_not_come_first_for_being_dark() -> None:
    """Every switch wears a relay and makes a docking: two cameras that share one place change over once an hour."""
    charger = Sockets({ONE: 50.0, TWO: 60.0})

    async def scene(world: Scene) -> None:
        charger.world = world
        for bay in (ONE, TWO):
            world.dock(world.camera(f"cam {bay}", CLIP), bay)
        for _ in range(3 * 720):
            await asyncio.sleep(5)
            charger.passes(5)
        assert 2 <= charger.switched <= 3 * 4

    play(scene, gear=gear(charger, budget_ma=600))


@pytest.mark.promise("I8")
def test_a_station_that_takes_long_to_stop_shows_nothing_meanwhile() -> None:
    """Nobody looks at the bays any more: a camera that is pushed in now must not find the green of the one before."""
    charger = Sockets({ONE: 50.0, TWO: 60.0})

    async def scene(world: Scene) -> None:
        charger.world = world
        for bay in (ONE, TWO):
            world.dock(world.camera(f"cam {bay}", CLIP), bay)
        await world.until(lambda: charger.dark)
        await world.rest()
        (dark,) = charger.dark
        green = ONE if dark == TWO else TWO
        await world.until(lambda: world.auditor._lamps[green] is Lamp.GO_RECEIPTED)
        charger.turn.clear()
        stopping = asyncio.create_task(world.stop(), name="stop")
        await asyncio.sleep(0.01)
        assert charger.dark == {dark}  # it is on its way out, and not out
        assert world.auditor._lamps[green] is Lamp.OFF
        charger.turn.set()
        await stopping
        assert charger.dark == set()

    play(scene, gear=gear(charger, budget_ma=600))


@pytest.mark.promise("I17")
def test_a_weak_supply_begins_no_work_on_cards_and_all_goes_on_once_it_holds() -> None:
    charger = SimCharger(can=frozenset(), low=True)

    async def scene(world: Scene) -> None:
        await asyncio.sleep(1)
        world.dock(world.camera("cam", CLIP), 1)
        await asyncio.sleep(600)
        station = world.running.station
        assert world.clips("A.MP4")[0].state == "found"
        assert ((await station.view()).weak, station.offloaded) == (True, False)
        charger.low = False
        await asyncio.sleep(70)
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"
        assert not (await station.view()).weak

    play(scene, gear=gear(charger))


@pytest.mark.promise("I4", "I17")
def test_undervoltage_in_the_middle_of_a_card_pauses_copying_and_what_is_left_is_copied_when_it_is_over() -> None:
    charger = SimCharger(can=frozenset())
    clips = {f"{number:04}.MP4": bytes([number]) * 900 for number in range(250)}

    async def scene(world: Scene) -> None:
        def states() -> Counter[str]:
            return Counter(str(row.state) for row in world.auditor.rows())

        world.dock(world.camera("cam", clips), 1)
        await world.until(lambda: states()["found"] < 245)
        charger.low = True
        await world.until(lambda: world.running.station._weak)
        await asyncio.sleep(5)  # what was under way ends
        left = states()["found"]
        assert left > 0
        await asyncio.sleep(1800)
        assert states()["found"] == left
        bay = await world.bay(1)
        assert (bay.lamp, (await world.running.station.view()).weak) == (Lamp.WAIT, True)
        charger.low = False
        await asyncio.sleep(50)
        assert states()["found"] == left  # the supply has to hold for a minute
        await asyncio.sleep(20)
        await world.rest()
        assert states() == {"erased": 250}

    play(scene, gear=gear(charger))
