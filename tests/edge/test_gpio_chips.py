"""Lines of chips that the kernel drives: how a chip is found, and what one that does not answer may cost.

A real chip is in tests/vm/test_vm_lamps.py; here a stand-in of the kernel's calls can hang, which no real one does when
it is asked to.
"""

import asyncio
import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dockd.domain.board import Expander, LampPins, Line
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId
from dockd.edges.gpio.chips import Chip
from dockd.edges.gpio.lamps import moving
from dockd.edges.gpio.lines import LineError
from dockd.edges.gpio.wired import BoardLines
from tests.lamp_parts import LoopClock

RGB = ("red", "green", "blue")
UNKNOWN = "the chip does not answer, and nobody knows what it drives"


def chip(folder: Path, *names: str) -> Chip:
    """Make a tree as the kernel's, with a chip of each of these names behind the device 1-0020."""
    (folder / "bus").mkdir()
    (folder / "dev").mkdir()
    for name in names:
        (folder / "i2c-1/1-0020" / name).mkdir(parents=True)
        (folder / "bus" / name).symlink_to(folder / "i2c-1/1-0020" / name)
    return Chip(Expander(device="1-0020", lines=16), devices=folder / "bus", dev=folder / "dev")


LINE = Line(number=3, expander="a")


def test_an_expander_that_is_not_there_is_named_by_its_device(tmp_path: Path) -> None:
    with (
        closing(chip(tmp_path)) as made,
        pytest.raises(LineError, match=r"a:3: none in .*bus, expected one chip of device 1-0020"),
    ):
        made.output(LINE)


def test_two_chips_of_one_device_are_neither(tmp_path: Path) -> None:
    with (
        closing(chip(tmp_path, "gpiochip3", "gpiochip2")) as made,
        pytest.raises(LineError, match=r"a:3: gpiochip2 gpiochip3 in .*, expected one chip"),
    ):
        made.output(LINE)


def test_a_chip_that_may_not_be_opened_or_is_none_is_an_error_of_its_line(tmp_path: Path) -> None:
    with closing(chip(tmp_path, "gpiochip2")) as made:
        with pytest.raises(LineError, match=r"a:3: .*/dev/gpiochip2: No such file or directory"):
            made.output(LINE)
        (tmp_path / "dev/gpiochip2").touch()
        with pytest.raises(LineError, match=f"a:3: 1-0020: {os.strerror(errno.ENOTTY)}"):
            made.output(LINE)


def test_a_machine_without_any_chips_is_an_error_of_the_line(tmp_path: Path) -> None:
    made = Chip(Expander(device="1-0020", lines=16), devices=tmp_path / "bus", dev=tmp_path)
    with closing(made), pytest.raises(LineError, match=r"a:3: .*bus: No such file or directory"):
        made.output(LINE)


class Kernel:
    """What the kernel does with the lines of one chip. Each call waits while `answers` is not set, as a bus may."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.driven: dict[int, list[int]] = {}
        self.calls = 0
        self._line_of: dict[int, int] = {}

    def ioctl(self, fd: int, _request: int, data: bytes | bytearray) -> int:
        self.calls += 1
        self.answers.wait()
        if isinstance(data, bytearray):
            taken = os.dup(fd)
            self._line_of[taken] = struct.unpack_from("=I", data)[0]
            struct.pack_into("=i", data, len(data) - 4, taken)
            self.driven.setdefault(self._line_of[taken], []).append(0)
        else:
            bits, _ = struct.unpack("=QQ", data)
            self.driven[self._line_of[fd]].append(bits)
        return 0

    def levels(self) -> dict[int, int]:
        return {line: bits[-1] for line, bits in self.driven.items()}

    def until(self, levels: dict[int, int]) -> None:
        """Wait until lines are driven so."""
        end_s = time.monotonic() + 10
        while self.levels() != levels:
            assert time.monotonic() < end_s, self.driven
            time.sleep(0.01)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    stand_in = Kernel()
    monkeypatch.setattr(fcntl, "ioctl", stand_in.ioctl)
    yield stand_in
    stand_in.answers.set()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Chip]:
    with closing(chip(tmp_path, "gpiochip2")) as made:
        (tmp_path / "dev/gpiochip2").touch()
        yield made


def test_a_line_does_as_it_is_told_until_it_is_let_go_of(one: Chip, kernel: Kernel) -> None:
    line = one.output(LINE)
    line.on()
    line.off()
    line.close()
    line.close()
    assert kernel.driven == {3: [0, 1, 0]}
    with pytest.raises(LineError, match="a:3: it was let go of"):
        line.on()


def test_a_chip_that_hangs_costs_a_moment_and_then_nothing_and_goes_off_when_it_answers(
    one: Chip, kernel: Kernel
) -> None:
    lines = [one.output(Line(number=number, expander="a")) for number in range(16)]
    lines[0].on()
    kernel.answers.clear()
    begun_s, calls = time.monotonic(), kernel.calls
    for _ in range(50):
        for number, line in enumerate(lines):
            with pytest.raises(LineError, match=f"a:{number}: {UNKNOWN}"):
                line.on()
            with pytest.raises(LineError, match=f"a:{number}: {UNKNOWN}"):
                line.off()
    assert time.monotonic() - begun_s < 5  # each of the 1600 would wait for ever
    with pytest.raises(LineError, match=f"a:20: {UNKNOWN}"):
        one.output(Line(number=20, expander="a"))
    assert kernel.calls == calls + 1  # what hangs is the first one
    kernel.answers.set()
    kernel.until(dict.fromkeys(range(16), 0))
    # Nothing was kept for later but that each line is to be off, once: and what came on late is off again.
    assert kernel.calls <= calls + 2 + 16
    lines[0].on()
    assert kernel.levels()[0] == 1


def test_a_line_that_is_had_too_late_or_let_go_of_while_the_chip_hangs_stays_nobodys(one: Chip, kernel: Kernel) -> None:
    fds = len(list(Path("/proc/self/fd").iterdir()))
    mine = one.output(LINE)
    kernel.answers.clear()
    with pytest.raises(LineError, match=f"a:4: {UNKNOWN}"):
        one.output(Line(number=4, expander="a"))
    mine.close()
    kernel.answers.set()
    end_s = time.monotonic() + 10
    while len(list(Path("/proc/self/fd").iterdir())) > fds:
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_an_error_of_the_bus_is_the_lines_even_if_it_is_that_of_a_patience(
    one: Chip, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = one.output(LINE)

    def late(*_: object) -> int:
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    monkeypatch.setattr(fcntl, "ioctl", late)
    with pytest.raises(LineError, match="a:3: Connection timed out"):
        line.off()


def test_where_no_thread_can_be_had_the_line_cannot_either(
    one: Chip, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", none)
        with pytest.raises(LineError, match="a:3: 1-0020: can't start new thread"):
            one.output(LINE)
    one.output(LINE).on()
    assert kernel.levels() == {3: 1}


@pytest.mark.promise("I8", "I17")
async def test_lamps_on_a_chip_that_hangs_stop_nobody_and_are_dark_when_it_answers(one: Chip, kernel: Kernel) -> None:
    """The loop is the station's: it copies, and feeds the watchdog, while no lamp can be moved."""
    wiring = {
        BayId(bay): LampPins(**{name: Line(number=3 * bay + at, expander="a") for at, name in enumerate(RGB)})
        for bay in range(14)
    }
    lines = BoardLines(header=None, expanders={"a": one})
    async with moving(wiring, pins=lines, clock=LoopClock()) as lamps:
        for bay in wiring:
            lamps.show(bay, Lamp.GO_RECEIPTED)
        await asyncio.sleep(0.6)
        assert sum(kernel.levels().values()) == 14
        kernel.answers.clear()
        for bay in wiring:
            lamps.show(bay, Lamp.WAIT)
        begun_s = time.monotonic()
        await asyncio.sleep(0.01)
        assert time.monotonic() - begun_s < 1.0
        assert set(lamps.faults) == set(wiring)
        assert lamps.faults[BayId(0)] == f"a:1: {UNKNOWN}; it may be lit: green"
        kernel.answers.set()
        await asyncio.to_thread(kernel.until, dict.fromkeys(range(42), 0))
