"""A station's power: which switches, sensors and bounds its board and its configuration make together.

Owns which edge stands behind which port of power. Decides nothing else: who charges is `dockd.app.charging`.
"""

import logging
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from dockd.app.charging import Gear
from dockd.app.ports import Clock
from dockd.config import Charging, Switch
from dockd.domain.board import Board, Line, PortPower, Relay
from dockd.domain.charging import Terms
from dockd.domain.model import BayId
from dockd.domain.overload import Bounds
from dockd.domain.shifts import shift_in_s
from dockd.edges.gpio.lines import Lines
from dockd.edges.gpio.relays import Relays
from dockd.edges.hwmon import Hwmon
from dockd.edges.power import HubPower, PortSwitch, StationPower
from dockd.errors import Problem, TransientError

LOCAL = Path("/etc/localtime")
HOUR_S = 3600.0
TRICKLE_MA = 100

_log = logging.getLogger(__name__)


def problems(board: Board, config: Charging) -> Iterator[Problem]:
    """Give what a configuration wants that its board cannot give."""
    if config.budget_ma is not None and config.budget_ma > board.budget_ma:
        expected = f"at most {board.budget_ma} mA, which is the budget_ma of {board.name}"
        yield Problem(path="charging.budget_ma", value=str(config.budget_ma), expected=expected)


def terms_of(board: Board, config: Charging) -> Terms:
    """Say what a station charges by."""
    return Terms(
        budget_ma=board.budget_ma if config.budget_ma is None else config.budget_ma,
        issue_pct=config.issue_pct,
        full_pct=config.full_pct,
        nominal_ma=config.camera_ma,
        trickle_ma=min(TRICKLE_MA, config.camera_ma),
        full_s=config.battery_mah / config.camera_ma * HOUR_S,
    )


def local_zone(path: Path = LOCAL) -> tzinfo:
    """Give the time zone of this machine, as it is when this is asked; UTC where none is set."""
    try:
        with path.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifts:
    """When shifts begin, by the wall clock."""

    at: tuple[time, ...]
    clock: Clock
    zone: tzinfo

    def next_in_s(self) -> float | None:
        """Say in how many seconds the next one begins; None where nobody knows."""
        return shift_in_s(self.at, now=datetime.fromisoformat(self.clock.now().utc), zone=self.zone)


@asynccontextmanager
async def gear_of(
    board: Board, config: Charging, *, ports: PortSwitch, lines: Lines, clock: Clock
) -> AsyncIterator[Gear]:
    """Find a station's power, and say which bays can be switched; relays feed their bays again when the block ends."""
    with closing(Relays(dict(_relays(board)), lines=lines)) as relays:
        wanted = [bay for bay, wiring in board.bays.items() if isinstance(wiring.power, PortPower)]
        hubs, missing = await HubPower.found(ports, wanted=wanted)
        power = StationPower([hubs, relays])
        _tell(power.switchable(), {**missing, **relays.missing}, switch=config.switch)
        if config.switch is Switch.NEVER:
            await _lit(power)
            power = StationPower([])
        hwmon = Hwmon({bay: wiring.sensor for bay, wiring in board.bays.items() if wiring.sensor is not None})
        shifts = Shifts(at=tuple(time.fromisoformat(text) for text in config.shifts), clock=clock, zone=local_zone())
        yield Gear(
            power=power,
            currents=hwmon,
            temperatures=hwmon,
            supply=hwmon,
            terms=terms_of(board, config),
            bounds=Bounds(most_ma=config.most_ma, hot_c=config.hot_c, cool_c=config.cool_c),
            shift_in_s=shifts.next_in_s,
        )


def _relays(board: Board) -> Iterator[tuple[BayId, Line]]:
    for bay, wiring in board.bays.items():
        if isinstance(wiring.power, Relay):
            yield bay, wiring.power.line


def _tell(bays: Collection[BayId], missing: Mapping[BayId, str], *, switch: Switch) -> None:
    found = " ".join(map(str, sorted(bays))) or "none"
    _log.info("power: bays that can be switched: %s%s", found, ", and never are" if switch is Switch.NEVER else "")
    for _, why in sorted(missing.items()):
        _log.warning("power: it cannot be switched, and is always on: %s", why)


async def _lit(power: StationPower) -> None:
    """Give every bay its power: who switched them last may have left some dark."""
    for bay in sorted(power.switchable()):
        try:
            await power.set(bay, on=True)
        except TransientError as error:
            _log.warning("power: %s", error)
