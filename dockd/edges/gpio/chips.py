"""Lines of any chip that the kernel drives, such as an expander's, through the chip's character device.

Owns the kernel's structs and how a chip is found: by the device that it is, since the numbers of chips change with the
order of drivers. Each line is one open file; what becomes of a line when that is closed is the chip's driver's affair.

Source: Linux, include/uapi/linux/gpio.h, version 2 of the interface (since 5.10).
"""

import fcntl
import os
import struct
from pathlib import Path

from dockd.domain.board import Expander, Line
from dockd.edges.gpio.lines import LineError, Output

DEVICES = Path("/sys/bus/gpio/devices")
DEV = Path("/dev")
CONSUMER = b"dockd"

# struct gpio_v2_line_request: 64 offsets, consumer, then its config (flags, number of attributes, 10 attributes of
# 24 bytes), number of lines, event buffer, file descriptor. Without an attribute that says otherwise a line is off.
_REQUEST = struct.Struct("=64I32sQI20x240xII20xi")
_VALUES = struct.Struct("=QQ")
_FLAG_OUTPUT = 1 << 3
_READ_WRITE, _TYPE = 3, 0xB4


def _iowr(number: int, size_bytes: int) -> int:
    return _READ_WRITE << 30 | size_bytes << 16 | _TYPE << 8 | number


_GET_LINE = _iowr(0x07, _REQUEST.size)
_SET_VALUES = _iowr(0x0F, _VALUES.size)


class Chip:
    """One chip. It is looked for each time a line is taken: a driver may come late, or anew."""

    def __init__(self, expander: Expander, *, devices: Path = DEVICES, dev: Path = DEV) -> None:
        """Take what the board's file says of it. Opens nothing yet."""
        self._device = expander.device
        self._devices = devices
        self._dev = dev

    def output(self, line: Line) -> Output:
        """Take a line, driven off. Raises LineError where it cannot be had."""
        try:
            return _ChipLine(self._taken(line), line)
        except OSError as error:
            raise LineError(f"{line}: {error.filename or self._device}: {error.strerror}") from error

    def _taken(self, line: Line) -> int:
        chip = os.open(self._dev / self._found(line), os.O_RDWR | os.O_CLOEXEC)
        try:
            request = bytearray(_REQUEST.pack(line.number, *[0] * 63, CONSUMER, _FLAG_OUTPUT, 0, 1, 0, -1))
            fcntl.ioctl(chip, _GET_LINE, request)
        finally:
            os.close(chip)
        return int(_REQUEST.unpack(request)[-1])

    def _found(self, line: Line) -> str:
        names = [path.name for path in self._devices.iterdir() if path.resolve().parent.name == self._device]
        if len(names) != 1:
            found = "none" if not names else " ".join(sorted(names))
            raise LineError(f"{line}: {found} in {self._devices}, expected one chip of device {self._device}")
        return names[0]


class _ChipLine:
    """One line that was taken."""

    def __init__(self, fd: int, line: Line) -> None:
        self._fd: int | None = fd
        self._line = line

    def on(self) -> None:
        """Drive it."""
        self._drive(1)

    def off(self) -> None:
        """Drive it off."""
        self._drive(0)

    def close(self) -> None:
        """Let go of it; fine where that was done already."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _drive(self, bit: int) -> None:
        if self._fd is None:
            raise LineError(f"{self._line}: it was let go of")
        try:
            fcntl.ioctl(self._fd, _SET_VALUES, _VALUES.pack(bit, 1))
        except OSError as error:
            raise LineError(f"{self._line}: {error.strerror}") from error
