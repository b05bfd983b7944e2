"""What every switch and sensor does, the simulated ones and the real ones over a tree of files alike."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dockd.app.power_ports import Currents, Power, Supply, Temperatures
from dockd.domain.board import Line, Sensor
from dockd.domain.model import BayId
from dockd.edges.gpio.pins import Pins
from dockd.edges.gpio.relays import Relays
from dockd.edges.gpio.wired import BoardLines
from dockd.edges.hwmon import Hwmon
from dockd.edges.power import HubPower, StationPower
from dockd.errors import InvariantError, PermanentError, Reason
from dockd.sim.charger import SimCharger
from tests.lamp_parts import WatchedPins

ONE, TWO, THREE = BayId(1), BayId(2), BayId(3)
"""The first has a switch and a sensor with a thermometer, the second a switch alone, the third nothing."""


@dataclass(frozen=True, slots=True)
class Wired:
    """Three bays, and whether one of them is dark in truth."""

    power: Power
    currents: Currents
    temperatures: Temperatures
    supply: Supply
    dark: Callable[[BayId], bool]


class TreePorts:
    """Root's helper over files named as the kernel's: it writes what it would write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, bay: BayId) -> Path:
        return self.folder / f"1-1-port{bay}" / "disable"

    async def power(self, bay: BayId, *, on: bool) -> None:
        self.file(bay).write_text("0\n" if on else "1\n")

    async def powered(self, bay: BayId) -> bool:
        if not self.file(bay).exists():
            raise PermanentError(Reason.POWER, f"bay {bay}: no switch in its port")
        return self.file(bay).read_text() == "0\n"


async def real(folder: Path) -> Wired:
    for port in (1, 2):
        (folder / f"1-1-port{port}").mkdir()
        (folder / f"1-1-port{port}" / "disable").write_text("0\n")
    chip, supply = folder / "hwmon" / "hwmon0", folder / "hwmon" / "hwmon1"
    for made, name in ((chip, "ina238"), (supply, "rpi_volt")):
        made.mkdir(parents=True)
        (made / "name").write_text(f"{name}\n")
    (chip / "curr1_input").write_text("500\n")
    (chip / "temp1_input").write_text("25000\n")
    (supply / "in0_lcrit_alarm").write_text("0\n")
    ports = TreePorts(folder)
    hub, _ = await HubPower.found(ports, wanted=[ONE, TWO, THREE])
    hwmon = Hwmon({ONE: Sensor(chip="ina238", channel=1)}, root=folder / "hwmon")
    return Wired(
        power=StationPower([hub]),
        currents=hwmon,
        temperatures=hwmon,
        supply=hwmon,
        dark=lambda bay: ports.file(bay).read_text() == "1\n",
    )


async def relays(folder: Path) -> Wired:
    pins = WatchedPins()
    lines = BoardLines(header=Pins(factory=pins), expanders={})
    found = Relays({ONE: Line(number=5), TWO: Line(number=6), THREE: Line(number=7, expander="gone")}, lines=lines)
    return replace(await real(folder), power=StationPower([found]), dark=lambda bay: pins.pin(4 + bay).state)


async def simulated(folder: Path) -> Wired:
    levels_pct = {ONE: 50.0, TWO: 50.0, THREE: 50.0}
    charger = SimCharger(can=frozenset({ONE, TWO}), levels_pct=levels_pct, blind=frozenset({TWO, THREE}))
    return Wired(
        power=charger,
        currents=charger,
        temperatures=charger,
        supply=charger,
        dark=lambda bay: bay in charger.dark,
    )


Maker = Callable[[Path], Awaitable[Wired]]
each = pytest.mark.parametrize("make", [real, relays, simulated])


@each
async def test_only_bays_with_a_switch_can_be_switched(make: Maker, tmp_path: Path) -> None:
    wired = await make(tmp_path)
    assert wired.power.switchable() == {ONE, TWO}
    with pytest.raises(InvariantError, match=r"bay 3: it cannot be switched, expected one of \[1, 2\]"):
        await wired.power.set(THREE, on=False)


@each
async def test_a_bay_is_switched_off_and_on_again_and_twice_is_as_once(make: Maker, tmp_path: Path) -> None:
    wired = await make(tmp_path)
    for on in (False, False, True, True):
        await wired.power.set(TWO, on=on)
        assert (wired.dark(ONE), wired.dark(TWO)) == (False, not on)


@each
async def test_a_bay_without_a_sensor_is_not_told(make: Maker, tmp_path: Path) -> None:
    wired = await make(tmp_path)
    assert await wired.currents.read() == {ONE: 500}
    assert await wired.temperatures.read_c() == {ONE: 25.0}


@each
async def test_a_supply_that_holds_is_not_weak(make: Maker, tmp_path: Path) -> None:
    assert await (await make(tmp_path)).supply.weak() is False


async def test_a_hub_port_alone_keeps_its_word_too(tmp_path: Path) -> None:
    await real(tmp_path)
    hub, _ = await HubPower.found(TreePorts(tmp_path), wanted=[ONE])
    with pytest.raises(InvariantError, match=r"bay 2: it cannot be switched, expected one of \[1\]"):
        await hub.set(TWO, on=False)
    await hub.set(ONE, on=False)
    assert not await TreePorts(tmp_path).powered(ONE)
