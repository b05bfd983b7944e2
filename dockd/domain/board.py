"""A board: which USB port, lamp lines, power switch and current sensor each bay has, and what cannot be so.

Owns the values that files of hw/boards/ mean, and `problems`. Must not know TOML, pins' drivers or the kernel's names.
"""

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from dockd.domain.model import BayId
from dockd.domain.usb import PortPath, host_of, hubs_above

T = TypeVar("T", bound=Hashable)

_LINE = re.compile(r"(?P<chip>GPIO|[a-z][a-z0-9_-]{0,31}:)(?P<number>0|[1-9][0-9]{0,2})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One output line: of the board's header by its BCM number (`expander` None), or of an expander."""

    number: int
    expander: str | None = None

    def __str__(self) -> str:
        """Write it as board files do: `GPIO17`, `lamps:3`."""
        return f"GPIO{self.number}" if self.expander is None else f"{self.expander}:{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LampPins:
    """The lines of one RGB lamp."""

    red: Line
    green: Line
    blue: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class PortPower:
    """The bay's hub switches the power of its port, if the hub can: the kernel tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """A relay switches the bay's power. It feeds the bay while its line is not driven: a dead daemon charges."""

    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPower:
    """The bay always has power."""


Power = PortPower | Relay | NoPower


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """What measures the bay's current: a chip of the kernel's hwmon, and the number in `currN_input`.

    `chip` is the chip's name there (`ina3221`), and where there are several of that name also the device it is, as in
    `ina3221@1-0040`: bus and address.
    """

    chip: str
    channel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Everything that belongs to one bay. Bays of one `bus` share its speed and copy in turn."""

    port: PortPath
    bus: str
    lamp: LampPins | None
    power: Power
    sensor: Sensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expander:
    """A chip with more lines. `device` is its bus and address, as the kernel has it: `1-0020`."""

    device: str
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """One USB host controller.

    `most_usb_devices` is what it can have at once, hubs included; `other_usb_devices` what hangs there beside the bays
    and their hubs.
    """

    host: str
    most_usb_devices: int
    other_usb_devices: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board with its hubs and bays. Problems may be in it until `problems` says that there are none.

    The first controller is `host` and the two numbers beside it, as of a `Controller`; `gpio_lines` are the BCM lines
    that are free for bays.
    """

    name: str
    host: str
    most_usb_devices: int
    other_usb_devices: int
    more_controllers: tuple[Controller, ...] = ()
    budget_ma: int
    gpio_lines: frozenset[int]
    expanders: Mapping[str, Expander]
    bays: Mapping[BayId, Wiring]

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """All of them."""
        most, others = self.most_usb_devices, self.other_usb_devices
        return (Controller(host=self.host, most_usb_devices=most, other_usb_devices=others), *self.more_controllers)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Give their names, as ID_PATH begins."""
        return tuple(controller.host for controller in self.controllers)

    def bay_at(self, port: PortPath) -> BayId | None:
        """Say which bay a port is."""
        return next((number for number, wiring in self.bays.items() if wiring.port == port), None)


def line_of(text: str) -> Line:
    """Read a line as board files write it.

    Raises:
        ValueError: it is none.

    """
    found = _LINE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r}: expected a line such as GPIO17, or a:3 of an expander")
    chip = found["chip"]
    return Line(number=int(found["number"]), expander=None if chip == "GPIO" else chip[:-1])


class Part(StrEnum):
    """What of a bay a finding is about, as the key of a board file."""

    PORT = "port"
    RED = "lamp.red"
    GREEN = "lamp.green"
    BLUE = "lamp.blue"
    RELAY = "relay"
    SENSOR = "sensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """One thing that cannot be so: of which bay and part (None: of all bays), what stands there, what was expected."""

    bay: BayId | None
    part: Part | None
    value: str
    expected: str


def problems(board: Board) -> Iterator[Clash]:
    """Give everything that cannot be so."""
    yield from _ports(board)
    yield from _lines(board)
    yield from _sensors(board)
    yield from _devices(board)


def lines_of(wiring: Wiring) -> Iterator[tuple[Part, Line]]:
    """Give every line that a bay uses, and what for."""
    if wiring.lamp is not None:
        yield Part.RED, wiring.lamp.red
        yield Part.GREEN, wiring.lamp.green
        yield Part.BLUE, wiring.lamp.blue
    match wiring.power:
        case Relay(line=line):
            yield Part.RELAY, line
        case PortPower() | NoPower():
            pass


def _ports(board: Board) -> Iterator[Clash]:
    hubs = {hub: bay for bay, wiring in board.bays.items() for hub in hubs_above(wiring.port)}
    for bay, wiring in board.bays.items():
        port = wiring.port
        if host_of(port) not in board.hosts:
            yield Clash(bay=bay, part=Part.PORT, value=port, expected=f"a port of host {' or '.join(board.hosts)}")
        if port in hubs:
            expected = f"the port of a camera: bay {hubs[port]} is behind a hub in it"
            yield Clash(bay=bay, part=Part.PORT, value=port, expected=expected)
    ports = [(bay, Part.PORT, wiring.port) for bay, wiring in board.bays.items()]
    yield from _twice(ports, shown=str, wanted="a port of its own")


def _lines(board: Board) -> Iterator[Clash]:
    claims = [(bay, part, line) for bay, wiring in board.bays.items() for part, line in lines_of(wiring)]
    for bay, part, line in claims:
        expected = _unknown(board, line)
        if expected is not None:
            yield Clash(bay=bay, part=part, value=str(line), expected=expected)
    yield from _twice(claims, shown=str, wanted="a line of its own")


def _unknown(board: Board, line: Line) -> str | None:
    """Give the expectation that a line of no such name does not meet."""
    if line.expander is None:
        known = " ".join(str(number) for number in sorted(board.gpio_lines)) or "none"
        return None if line.number in board.gpio_lines else f"a line in gpio_lines, which are {known}"
    expander = board.expanders.get(line.expander)
    if expander is None:
        names = " ".join(sorted(board.expanders)) or "none"
        return f"a line of an expander that the board has, which are {names}"
    last = expander.lines - 1
    return None if line.number <= last else f"a line from {line.expander}:0 to {line.expander}:{last}"


def _sensors(board: Board) -> Iterator[Clash]:
    claims = [(bay, Part.SENSOR, wiring.sensor) for bay, wiring in board.bays.items() if wiring.sensor is not None]
    yield from _twice(claims, shown=lambda it: f"{it.chip} {it.channel}", wanted="a channel of its own")


def _devices(board: Board) -> Iterator[Clash]:
    for controller in board.controllers:
        ports = [wiring.port for wiring in board.bays.values() if host_of(wiring.port) == controller.host]
        hubs, others = {hub for port in ports for hub in hubs_above(port)}, controller.other_usb_devices
        if len(ports) + len(hubs) + others > controller.most_usb_devices:
            value = f"{len(ports)} bays, {len(hubs)} hubs, {others} others"
            most = controller.most_usb_devices
            expected = f"at most {most} USB devices, which is what {controller.host} can have at once"
            yield Clash(bay=None, part=None, value=value, expected=expected)


def _twice(claims: Sequence[tuple[BayId, Part, T]], *, shown: Callable[[T], str], wanted: str) -> Iterator[Clash]:
    first: dict[T, str] = {}
    for bay, part, claimed in claims:
        if claimed in first:
            expected = f"{wanted}: {first[claimed]} has it"
            yield Clash(bay=bay, part=part, value=shown(claimed), expected=expected)
        first.setdefault(claimed, f"bay {bay} {part.value}")
