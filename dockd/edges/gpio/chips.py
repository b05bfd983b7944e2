"""Lines of any chip that the kernel drives, such as an expander's, through the chip's character device.

Owns the kernel's structs and how a chip is found: by the device that it is, since the numbers of chips change with the
order of drivers. Each line is one open file; what becomes of a line when that is closed is the chip's driver's affair.
A chip that does not answer delays nobody for longer than `PATIENCE_S`: its lines are errors until it does.

Source: Linux, include/uapi/linux/gpio.h, version 2 of the interface (since 5.10).
"""

import fcntl
import os
import struct
from pathlib import Path

from dockd.domain.board import Expander, Line
from dockd.edges.gpio.hand import Hand, OverdueError
from dockd.edges.gpio.lines import LineError, Output

DEVICES = Path("/sys/bus/gpio/devices")
DEV = Path("/dev")
CONSUMER = b"dockd"
UNKNOWN = "the chip does not answer, and nobody knows what it drives"
PATIENCE_S = 0.25
"""A write to an I2C expander takes less than a thousandth of a second; to a bus that hangs a second, or for ever."""

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

    def __init__(
        self, expander: Expander, *, devices: Path = DEVICES, dev: Path = DEV, patience_s: float = PATIENCE_S
    ) -> None:
        """Take what the board's file says of it. Opens nothing yet."""
        self._device = expander.device
        self._devices = devices
        self._dev = dev
        self._hand = Hand(f"chip {expander.device}", patience_s=patience_s)

    def output(self, line: Line) -> Output:
        """Take a line, driven off. Raises LineError where it cannot be had."""
        try:
            return _ChipLine(self._hand.do(lambda: self._taken(line), undo=os.close), line, hand=self._hand)
        except OverdueError as error:
            raise LineError(f"{line}: {UNKNOWN}") from error
        except OSError as error:
            raise LineError(f"{line}: {error.filename or self._device}: {error.strerror}") from error

    def close(self) -> None:
        """Begin nothing more with it."""
        self._hand.close()

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
    """One line that was taken. What is to be off is off as soon as the chip answers, and nothing goes on late."""

    def __init__(self, fd: int, line: Line, *, hand: Hand) -> None:
        self._fd: int | None = fd
        self._line = line
        self._hand = hand
        self._off_waits = False

    def on(self) -> None:
        """Drive it."""
        self._drive(1)

    def off(self) -> None:
        """Drive it off, now or when the chip answers again."""
        self._drive(0)

    def close(self) -> None:
        """Let go of it; fine where that was done already."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            self._hand.do(lambda: os.close(fd), undo=_nothing)
        except OverdueError as error:
            if not error.begun:
                self._hand.later(lambda: os.close(fd))

    def _drive(self, bit: int) -> None:
        if self._fd is None:
            raise LineError(f"{self._line}: it was let go of")
        fd = self._fd
        try:
            self._hand.do(lambda: _written(fd, bit), undo=lambda _: _written(fd, 0) if bit else None)
        except OverdueError as error:
            if not bit and not error.begun:
                self._off_later(fd)
            raise LineError(f"{self._line}: {UNKNOWN}") from error
        except OSError as error:
            raise LineError(f"{self._line}: {error.strerror}") from error

    def _off_later(self, fd: int) -> None:
        """Have it off when the chip answers, once: it may be asked for many times until then."""
        if not self._off_waits:
            self._off_waits = True
            self._hand.later(lambda: self._went_off(fd))

    def _went_off(self, fd: int) -> None:
        self._off_waits = False
        _written(fd, 0)


def _written(fd: int, bit: int) -> None:
    fcntl.ioctl(fd, _SET_VALUES, _VALUES.pack(bit, 1))


def _nothing(_: object) -> None:
    pass
