"""Files of hw/boards/ as boards: found by name or path, read, and every problem said with its file and TOML path.

Owns where hw/ lies, in a checkout and in an installed dockd, and how a file's tables become a `Board`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from dockd.config.board_table import BoardTable, PowerSwitch, WiringTable
from dockd.config.rules import of_bays
from dockd.config.single import Settings, checked, read_settings
from dockd.config.wording import MISSING, Finding, shown
from dockd.domain.board import (
    Board,
    Clash,
    Controller,
    Expander,
    LampPins,
    NoPower,
    PortPower,
    Power,
    Relay,
    Sensor,
    Wiring,
    line_of,
    problems,
)
from dockd.domain.usb import PortPath
from dockd.errors import ConfigError, Problem

ROOTS_BOARD = Path("/etc/dockd/board.toml")
"""The only board that root's helper reads."""


def hardware_folder(package: Path) -> Path:
    """Say where hw/ lies: inside the installed package, beside it in a checkout."""
    installed = package / "hw"
    return installed if installed.is_dir() else package.parent / "hw"


def load_board(name: str, *, hardware: Path | None = None) -> Board:
    """Read a board by the name of its file in hw/boards, or by its absolute path.

    Raises:
        ConfigError: every problem of the file, or that there is none of that name and which there are.

    """
    folder = (hardware or hardware_folder(Path(__file__).parents[1])) / "boards"
    path = Path(name) if Path(name).is_absolute() else folder / f"{name}.toml"
    if not path.is_file() and path.parent == folder:
        names = " ".join(sorted(found.stem for found in folder.glob("*.toml"))) or "none"
        expected = f"a board that there is ({names}), or the absolute path of a file"
        raise ConfigError([Problem(path="hardware.board", value=name, expected=expected)])
    return read_board(path)


def read_board(path: Path) -> Board:
    """Read one file.

    Raises:
        ConfigError: every problem.

    """
    settings = read_settings(path)
    table = checked(settings, BoardTable, where=str(path), rules=_between)
    board = _board(table)
    found = [_problem(clash, table, where=str(path)) for clash in problems(board)]
    if found:
        raise ConfigError(found)
    return board


def _between(settings: Settings) -> Iterator[Finding]:
    """Give what a `Board` could not say any more: names that are there twice, a relay without its line."""
    yield from of_bays(settings["bays"])
    yield from _once(settings, "expanders", "name", "a name of its own")
    yield from _once(settings, "more_controllers", "host", "a controller of its own", first={settings["host"]: "host"})
    for index, table in enumerate(_tables(settings, "bays")):
        wanted, given = table.get("power") == PowerSwitch.RELAY, "relay" in table
        if wanted and not given:
            yield Finding(path=("bays", index, "relay"), value=MISSING, expected='a line, with power = "relay"')
        if given and not wanted:
            path = ("bays", index, "relay")
            yield Finding(path=path, value=shown(path, table["relay"]), expected='no line unless power = "relay"')


def _once(
    settings: Settings, array: str, key: str, wanted: str, *, first: Mapping[object, str] = MappingProxyType({})
) -> Iterator[Finding]:
    """Give the tables of an array whose key has a value that an earlier one has, or that is had by something else."""
    had = dict(first)
    for index, table in enumerate(_tables(settings, array)):
        value, path = table[key], (array, index, key)
        if value in had:
            yield Finding(path=path, value=shown(path, value), expected=f"{wanted}: {had[value]} has it")
        had.setdefault(value, f"{array}[{index}]")


def _tables(settings: Settings, array: str) -> list[Settings]:
    found = settings.get(array)
    return [table for table in found if isinstance(table, dict)] if isinstance(found, list) else []


def _board(table: BoardTable) -> Board:
    return Board(
        name=table.name,
        host=table.host,
        most_usb_devices=table.most_usb_devices,
        other_usb_devices=table.other_usb_devices,
        more_controllers=tuple(
            Controller(host=it.host, most_usb_devices=it.most_usb_devices, other_usb_devices=it.other_usb_devices)
            for it in table.more_controllers
        ),
        budget_ma=table.budget_ma,
        gpio_lines=frozenset(line_of(text).number for text in table.gpio_lines),
        expanders={it.name: Expander(device=it.device, lines=it.lines) for it in table.expanders},
        bays={bay.number: _wiring(bay) for bay in table.bays},
    )


def _wiring(bay: WiringTable) -> Wiring:
    lamp, sensor = bay.lamp, bay.sensor
    return Wiring(
        port=PortPath(bay.port),
        bus=bay.bus,
        lamp=LampPins(red=line_of(lamp.red), green=line_of(lamp.green), blue=line_of(lamp.blue)) if lamp else None,
        power=_power(bay),
        sensor=Sensor(chip=sensor.chip, channel=sensor.channel) if sensor else None,
    )


def _power(bay: WiringTable) -> Power:
    match bay.power:
        case PowerSwitch.PORT:
            return PortPower()
        case PowerSwitch.RELAY:
            return Relay(line=line_of(bay.relay or ""))
        case PowerSwitch.NONE:
            return NoPower()


def _problem(clash: Clash, table: BoardTable, *, where: str) -> Problem:
    return Problem(path=_path(clash, table), value=clash.value, expected=clash.expected, where=where)


def _path(clash: Clash, table: BoardTable) -> str:
    if clash.bay is None or clash.part is None:
        return "bays"
    return f"bays[{[bay.number for bay in table.bays].index(clash.bay)}].{clash.part.value}"
