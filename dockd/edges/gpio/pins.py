"""Lines of a board as outputs: which pin factory drives them, and what an error of one is.

Owns gpiozero, and what its driver for a Raspberry Pi does to the process that loads it. Must not know what a line is
for.
"""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from gpiozero import Factory, GPIOZeroError, OutputDevice

from dockd.domain.board import Line
from dockd.edges.gpio.lines import LineError, Output
from dockd.errors import StartRefusedError

_WORK_DIR = "LG_WD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """A board's header. `errors` is what its pin factory raises, beside gpiozero's own."""

    factory: Factory
    errors: tuple[type[Exception], ...] = ()

    def output(self, line: Line) -> Output:
        """Take a line, driven off.

        Raises:
            LineError: it is not there, is in use, or is not the header's.

        """
        if line.expander is not None:
            raise LineError(f"{line}: it is on an expander, expected a line of the header")
        with self.telling(line):
            return _Driven(OutputDevice(line.number, pin_factory=self.factory), line, pins=self)

    @contextmanager
    def telling(self, line: Line) -> Iterator[None]:
        """Raise whatever goes wrong with a line as LineError, by its name."""
        try:
            yield
        except (GPIOZeroError, OSError, *self.errors) as error:
            raise LineError(f"{line}: {error}") from error

    def close(self) -> None:
        """Let go of every line."""
        self.factory.close()


class _Driven:
    """A device of gpiozero, whose errors name its line."""

    def __init__(self, device: OutputDevice, line: Line, *, pins: Pins) -> None:
        self._device = device
        self._line = line
        self._pins = pins

    def on(self) -> None:
        """Drive it."""
        with self._pins.telling(self._line):
            self._device.on()

    def off(self) -> None:
        """Drive it off."""
        with self._pins.telling(self._line):
            self._device.off()

    def close(self) -> None:
        """Let go of it: an input again."""
        with self._pins.telling(self._line):
            self._device.close()


def pi_pins() -> Pins:
    """Open the header of the Raspberry Pi that this is.

    Its driver, lgpio, makes a pipe in the working folder while it is loaded, goes into that folder, and stays there:
    it gets a folder that is gone afterwards, and this process stays where it was.

    Raises:
        StartRefusedError: this is none, lgpio is not installed, or its chip may not be opened.

    """
    with TemporaryDirectory(prefix="dockd-lgpio-") as folder, _working_in(folder):
        try:
            from gpiozero.pins import lgpio  # noqa: PLC0415 - it works on this process while it is loaded
        except (ImportError, OSError) as error:
            raise StartRefusedError(f"lamps: {error}: expected lgpio to be installed (python3-lgpio)") from error
        errors: tuple[type[Exception], ...] = (lgpio.lgpio.error,)
        try:
            return Pins(factory=lgpio.LGPIOFactory(), errors=errors)
        except (GPIOZeroError, OSError, *errors) as error:
            expected = "expected the pins of a Raspberry Pi, and leave to use them"
            raise StartRefusedError(f"lamps: {error}: {expected}") from error


@contextmanager
def _working_in(folder: str) -> Iterator[None]:
    before = os.environ.get(_WORK_DIR)
    os.environ[_WORK_DIR] = folder
    try:
        with chdir(folder):
            yield
    finally:
        del os.environ[_WORK_DIR]
        if before is not None:
            os.environ[_WORK_DIR] = before
