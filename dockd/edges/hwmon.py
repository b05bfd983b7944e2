"""The kernel's sensors: what each bay draws, how hot its sensor is, whether the Raspberry Pi's own supply holds.

Owns plain reads of /sys/class/hwmon, in a thread, since a chip behind a hanging I2C bus answers late. What fails
belongs to its bay alone, and no bay's sensor keeps the supply from being watched. Chips are found anew at each reading,
by name: their numbers change with the order of drivers.

Source: Documentation/hwmon/sysfs-interface.rst (curr in mA, temp in thousandths of a degree), ina3221.rst, ina2xx.rst.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from dockd.domain.board import Sensor
from dockd.domain.model import BayId
from dockd.errors import Reason, TransientError

T = TypeVar("T")

HWMON = Path("/sys/class/hwmon")
SUPPLY_CHIP = "rpi_volt"
SUPPLY_ALARM = "in0_lcrit_alarm"
"""1 where the firmware saw too low a voltage since it was last asked: every two seconds the driver asks and clears it.

Source: Linux, drivers/hwmon/raspberrypi-hwmon.c, rpi_firmware_get_throttled and rpi_read.
"""


class Hwmon:
    """Implements the ports Currents, Temperatures and Supply."""

    def __init__(self, sensors: Mapping[BayId, Sensor], *, root: Path = HWMON) -> None:
        """Take each bay's sensor; bays that have none are not in it."""
        self._sensors = sensors
        self._root = root
        self._sensors_at_work = threading.Lock()
        self._supply_at_work = threading.Lock()

    async def read(self) -> Mapping[BayId, int]:
        """Give the current of each bay whose sensor answers, in mA."""
        return await _threaded(self._currents_ma, self._sensors_at_work, self._root)

    async def read_c(self) -> Mapping[BayId, float]:
        """Give the temperature of each bay whose sensor has one (`temp1_input`), in degrees Celsius."""
        return await _threaded(self._temperatures_c, self._sensors_at_work, self._root)

    async def weak(self) -> bool | None:
        """Say whether the supply of the Raspberry Pi was too low just now; None on another board."""
        return await _threaded(self._weak, self._supply_at_work, self._root)

    def _currents_ma(self) -> Mapping[BayId, int]:
        chips = self._chips()
        read = {bay: _number(chips.get(it.chip), f"curr{it.channel}_input") for bay, it in self._sensors.items()}
        return {bay: current_ma for bay, current_ma in read.items() if current_ma is not None}

    def _temperatures_c(self) -> Mapping[BayId, float]:
        chips = self._chips()
        read = {bay: _number(chips.get(it.chip), "temp1_input") for bay, it in self._sensors.items()}
        return {bay: thousandths / 1000 for bay, thousandths in read.items() if thousandths is not None}

    def _weak(self) -> bool | None:
        chip = self._chips().get(SUPPLY_CHIP)
        return None if chip is None else (chip / SUPPLY_ALARM).read_bytes().strip() == b"1"

    def _chips(self) -> Mapping[str, Path]:
        """Find every chip by its name, and as `name@device`; a name that two chips have is nobody's."""
        found: dict[str, Path] = {}
        names: list[str] = []
        for folder in sorted(self._root.iterdir()):
            name = _text(folder / "name")
            if name is None:
                continue
            names.append(name)
            found[name] = folder
            found[f"{name}@{(folder / 'device').resolve().name}"] = folder
        return {name: folder for name, folder in found.items() if names.count(name) < 2}  # noqa: PLR2004 - two chips


async def _threaded(work: Callable[[], T], at_work: threading.Lock, root: Path) -> T:
    """Read in a thread that keeps no process from its end: the loop's own are waited for at the end of the loop."""
    # Whoever gave up on a reading left its thread behind: no second one is to hang beside it.
    if not at_work.acquire(blocking=False):
        raise TransientError(Reason.POWER, f"{root}: an earlier reading has not come back")
    loop = asyncio.get_running_loop()
    coming: asyncio.Future[T] = loop.create_future()

    def read() -> None:
        try:
            told = partial(_tell, coming, work())
        except OSError as error:
            told = partial(_fail, coming, f"{error.filename or root}: {error.strerror}")
        finally:
            at_work.release()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(told)

    try:
        threading.Thread(target=read, name="sensors", daemon=True).start()
    except RuntimeError as error:
        at_work.release()
        raise TransientError(Reason.POWER, f"{root}: {error}") from error
    return await coming


def _tell(coming: "asyncio.Future[T]", came: T) -> None:
    if not coming.done():
        coming.set_result(came)


def _fail(coming: "asyncio.Future[T]", wrong: str) -> None:
    if not coming.done():
        coming.set_exception(TransientError(Reason.POWER, wrong))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        # It left, its channel is switched off (ENODATA), or its bus gave an error: not known is all that means.
        return None


def _number(chip: Path | None, name: str) -> int | None:
    text = None if chip is None else _text(chip / name)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
