"""The table that a file of hw/boards/ is: names, types and ranges.

Owns what each value for itself must look like. What they mean together is `dockd.domain.board`.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from dockd.config.tables import Label
from dockd.domain.board import Line, line_of
from dockd.domain.model import BayId
from dockd.domain.usb import port_path_of

MOST_LINES = 256


def _port(value: str) -> str | None:
    wanted = "a port path such as pci-0000:00:10.0-usb-0:1.3"
    return None if port_path_of(value) == value else wanted


def _host(value: str) -> str | None:
    wanted = "a USB controller as ID_PATH has it, such as pci-0000:00:10.0"
    return None if port_path_of(f"{value}-usb-0:1") == f"{value}-usb-0:1" else wanted


def _line(value: str) -> str | None:
    return None if _read(value) else "a line such as GPIO17, or a:3 of an expander"


def _header(value: str) -> str | None:
    line = _read(value)
    return None if line is not None and line.expander is None else "a line of the header such as GPIO17"


def _expander(value: str) -> str | None:
    wanted = "a name of 1 to 32 of the characters a-z, 0-9, '_' and '-', a letter first"
    return None if _read(f"{value}:0") else wanted


def _read(text: str) -> Line | None:
    try:
        return line_of(text)
    except ValueError:
        return None


LineText = Annotated[str, Meta(extra={"rule": _line})]


class PowerSwitch(StrEnum):
    """What switches a bay's power."""

    PORT = "port"
    RELAY = "relay"
    NONE = "none"


class HardwareTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tables of hw/ have in common."""


class LampTable(HardwareTable, frozen=True, kw_only=True):
    """One RGB lamp."""

    red: LineText
    green: LineText
    blue: LineText


class SensorTable(HardwareTable, frozen=True, kw_only=True):
    """One channel of a chip of hwmon."""

    chip: Label
    channel: Annotated[int, Meta(ge=1, le=16)]


class WiringTable(HardwareTable, frozen=True, kw_only=True):
    """One bay."""

    number: Annotated[BayId, Meta(ge=1, le=34)]
    port: Annotated[str, Meta(extra={"rule": _port})]
    bus: Label = "usb"
    lamp: LampTable | None = None
    power: PowerSwitch = PowerSwitch.NONE
    relay: LineText | None = None
    sensor: SensorTable | None = None


class ExpanderTable(HardwareTable, frozen=True, kw_only=True):
    """One chip with more lines."""

    name: Annotated[str, Meta(extra={"rule": _expander})]
    device: Label
    lines: Annotated[int, Meta(ge=1, le=MOST_LINES)]


class ControllerTable(HardwareTable, frozen=True, kw_only=True):
    """One USB host controller."""

    host: Annotated[str, Meta(extra={"rule": _host})]
    most_usb_devices: Annotated[int, Meta(ge=1, le=255)]
    other_usb_devices: Annotated[int, Meta(ge=0, le=255)] = 0


class BoardTable(ControllerTable, frozen=True, kw_only=True):
    """A board with its hubs and bays; its own controller is the first."""

    name: Label
    more_controllers: Annotated[tuple[ControllerTable, ...], Meta(min_length=0, max_length=7)] = ()
    budget_ma: Annotated[int, Meta(ge=100, le=100_000)]
    gpio_lines: tuple[Annotated[str, Meta(extra={"rule": _header})], ...] = ()
    expanders: Annotated[tuple[ExpanderTable, ...], Meta(min_length=0, max_length=16)] = ()
    bays: Annotated[tuple[WiringTable, ...], Meta(min_length=1, max_length=34)]
