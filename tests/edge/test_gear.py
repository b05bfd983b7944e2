"""What a board and a configuration make of a station's power, and what is said of it at the start."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dockd.app.charging import Gear
from dockd.config import Charging, Switch
from dockd.domain.board import Board, Line, NoPower, PortPower, Power, Relay, Wiring
from dockd.domain.charging import Terms
from dockd.domain.model import BayId, Timestamp
from dockd.domain.overload import Bounds
from dockd.domain.usb import PortPath
from dockd.edges.gpio.pins import Pins
from dockd.errors import PermanentError, Problem, Reason, TransientError
from dockd.gear import Shifts, gear_of, local_zone, problems, terms_of
from tests.lamp_parts import LoopClock, WatchedPin, WatchedPins

ONE, TWO, THREE, FOUR = BayId(1), BayId(2), BayId(3), BayId(4)


class Ports:
    """Root's helper: bay 1 has a switch, and was left dark; bay 2 has none."""

    def __init__(self) -> None:
        self.on = {ONE: False}
        self.away = False

    async def power(self, bay: BayId, *, on: bool) -> None:
        await self.powered(bay)
        if self.away:
            raise TransientError(Reason.POWER, f"bay {bay}: the hub does not answer")
        self.on[bay] = on

    async def powered(self, bay: BayId) -> bool:
        if bay not in self.on:
            raise PermanentError(Reason.POWER, f"bay {bay}: no switch in its port")
        return self.on[bay]


def wiring(number: int, power: Power) -> Wiring:
    return Wiring(port=PortPath(f"pci-0000:00:10.0-usb-0:1.{number}"), bus="usb", lamp=None, power=power, sensor=None)


BOARD = Board(
    name="two hubs",
    host="pci-0000:00:10.0",
    most_usb_devices=32,
    other_usb_devices=0,
    budget_ma=4000,
    gpio_lines=frozenset({5}),
    expanders={},
    bays={
        ONE: wiring(1, PortPower()),
        TWO: wiring(2, PortPower()),
        THREE: wiring(3, Relay(line=Line(number=5))),
        FOUR: wiring(4, NoPower()),
    },
)


class Station:
    """The gear of a board, its ports and its pins."""

    def __init__(self) -> None:
        self.ports = Ports()
        self.pins = WatchedPins()

    @asynccontextmanager
    async def gear(self, config: Charging) -> AsyncIterator[Gear]:
        lines = Pins(factory=self.pins)
        async with gear_of(BOARD, config, ports=self.ports, lines=lines, clock=LoopClock()) as gear:
            yield gear

    def relay(self) -> WatchedPin:
        pin = self.pins.pin(5)
        assert isinstance(pin, WatchedPin)
        return pin


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "dockd.gear"]


async def test_which_bays_can_be_switched_is_found_by_asking_and_said_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    station = Station()
    async with station.gear(Charging()) as gear:
        assert gear.power.switchable() == {ONE, THREE}
        assert said(caplog) == [
            ("INFO", "power: bays that can be switched: 1 3"),
            ("WARNING", "power: it cannot be switched, and is always on: bay 2: no switch in its port"),
        ]
        assert station.ports.on == {ONE: False}  # only looked at
        await gear.power.set(THREE, on=False)
        assert station.relay().state
    assert (station.relay().state, station.relay().function) == (False, "input")


async def test_where_nothing_is_ever_switched_a_bay_that_was_left_dark_has_power_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    station = Station()
    async with station.gear(Charging(switch=Switch.NEVER)) as gear:
        assert gear.power.switchable() == frozenset()
        assert station.ports.on == {ONE: True}
        assert ("INFO", "power: bays that can be switched: 1 3, and never are") in said(caplog)
    station.ports.on[ONE], station.ports.away = False, True
    async with station.gear(Charging(switch=Switch.NEVER)):
        assert said(caplog)[-1] == ("WARNING", "power: bay 1: the hub does not answer")


async def test_terms_and_bounds_are_those_of_the_configuration() -> None:
    config = Charging(
        issue_pct=70, full_pct=90, budget_ma=3000, camera_ma=900, battery_mah=1800, most_ma=2000, hot_c=50, cool_c=40
    )
    async with Station().gear(config) as gear:
        assert gear.bounds == Bounds(most_ma=2000, hot_c=50.0, cool_c=40.0)
        assert gear.terms == Terms(
            budget_ma=3000, issue_pct=70, full_pct=90, nominal_ma=900, trickle_ma=100, full_s=7200.0
        )
        assert gear.shift_in_s() is None


def test_the_defaults_are_those_of_the_planner_and_the_boards_budget() -> None:
    assert terms_of(BOARD, Charging()) == Terms(budget_ma=4000)
    default = Charging()
    assert Bounds(most_ma=default.most_ma, hot_c=default.hot_c, cool_c=default.cool_c) == Bounds()


def test_a_budget_above_the_boards_is_refused() -> None:
    expected = "at most 4000 mA, which is the budget_ma of two hubs"
    wrong = Problem(path="charging.budget_ma", value="4001", expected=expected)
    assert [list(problems(BOARD, Charging(budget_ma=most_ma))) for most_ma in (4000, 4001)] == [[], [wrong]]


async def test_a_board_without_switches_or_sensors_is_one_whose_bays_are_always_on(tmp_path: Path) -> None:
    board = replace(BOARD, bays={FOUR: BOARD.bays[FOUR]})
    lines = Pins(factory=WatchedPins())
    async with gear_of(board, Charging(), ports=Ports(), lines=lines, clock=LoopClock()) as gear:
        assert gear.power.switchable() == frozenset()


# --- shifts -------------------------------------------------------------------------------------------------------


class WallClock(LoopClock):
    """A wall clock that stands."""

    def __init__(self, utc: str) -> None:
        super().__init__()
        self.utc = utc

    def now(self) -> Timestamp:
        return Timestamp(utc=self.utc, source="ntp", uncertainty_ms=5)


LONDON = ZoneInfo("Europe/London")
NEXT: Mapping[str, float | None] = {
    "2026-07-03T04:30:00.000000Z": 1800.0,
    "2026-02-03T04:30:00.000000Z": 5400.0,
    "1970-01-01T00:00:30.000000Z": None,
}


@pytest.mark.parametrize(("utc", "left_s"), NEXT.items())
def test_the_next_shift_is_by_the_wall_clock_whatever_it_says_now(utc: str, left_s: float | None) -> None:
    clock = WallClock("2026-01-01T00:00:00.000000Z")
    shifts = Shifts(at=(time(6, 0),), clock=clock, zone=LONDON)
    clock.utc = utc
    assert shifts.next_in_s() == left_s


def offset_h(zone: tzinfo) -> float:
    offset = datetime(2026, 7, 1, tzinfo=UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return offset.total_seconds() / 3600


def test_the_zone_is_that_of_this_machine_and_utc_where_none_is_set(tmp_path: Path) -> None:
    assert offset_h(local_zone(tmp_path / "localtime")) == 0
    (tmp_path / "localtime").write_text("no zone")
    assert offset_h(local_zone(tmp_path / "localtime")) == 0
    (tmp_path / "localtime").unlink()
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert offset_h(local_zone(tmp_path / "localtime")) == 9
