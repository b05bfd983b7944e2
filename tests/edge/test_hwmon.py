"""Currents, temperatures and the supply, read from trees of files such as the kernel makes."""

import asyncio
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from dockd.domain.board import Sensor
from dockd.domain.model import BayId
from dockd.edges.hwmon import Hwmon
from dockd.errors import Reason, TransientError

ONE, TWO, THREE = BayId(1), BayId(2), BayId(3)


def chip(root: Path, number: int, name: str, device: str, files: Mapping[str, str]) -> Path:
    """Make a chip as the kernel shows it: a link in the class to a folder below its device."""
    at = root / "devices" / device
    folder = at / "hwmon" / f"hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "device").symlink_to(at)
    (folder / "name").write_text(f"{name}\n")
    for file, text in files.items():
        (folder / file).write_text(text)
    hwmon = root / "class"
    hwmon.mkdir(exist_ok=True)
    (hwmon / f"hwmon{number}").symlink_to(folder)
    return folder


def sensors(**chips: tuple[str, int]) -> Mapping[BayId, Sensor]:
    return {BayId(int(bay[1:])): Sensor(chip=name, channel=channel) for bay, (name, channel) in chips.items()}


async def test_the_channels_of_one_chip_are_bays_of_their_own(tmp_path: Path) -> None:
    chip(tmp_path, 2, "ina3221", "1-0040", {"curr1_input": "412\n", "curr2_input": "0\n", "curr3_input": "-3\n"})
    wired = sensors(b1=("ina3221", 1), b2=("ina3221", 2), b3=("ina3221", 3))
    assert await Hwmon(wired, root=tmp_path / "class").read() == {ONE: 412, TWO: 0, THREE: -3}


async def test_of_two_chips_of_one_name_each_is_known_by_its_device_and_the_bare_name_is_neither(
    tmp_path: Path,
) -> None:
    chip(tmp_path, 0, "ina219", "1-0040", {"curr1_input": "100\n"})
    chip(tmp_path, 1, "ina219", "1-0041", {"curr1_input": "200\n"})
    wired = sensors(b1=("ina219@1-0041", 1), b2=("ina219@1-0040", 1), b3=("ina219", 1))
    assert await Hwmon(wired, root=tmp_path / "class").read() == {ONE: 200, TWO: 100}


async def test_chips_may_be_numbered_anew_between_two_readings(tmp_path: Path) -> None:
    hwmon = Hwmon(sensors(b1=("ina238", 1)), root=tmp_path / "class")
    chip(tmp_path, 0, "ina238", "1-0040", {"curr1_input": "100\n"})
    assert await hwmon.read() == {ONE: 100}
    (tmp_path / "class" / "hwmon0").unlink()
    chip(tmp_path, 7, "ina238", "1-0045", {"curr1_input": "300\n"})
    assert await hwmon.read() == {ONE: 300}


@pytest.mark.parametrize("text", ["", "many\n", "\x00", "1 2\n"])
async def test_what_is_no_number_is_its_bays_alone(tmp_path: Path, text: str) -> None:
    chip(tmp_path, 0, "ina3221", "1-0040", {"curr1_input": text, "curr2_input": "50\n"})
    wired = sensors(b1=("ina3221", 1), b2=("ina3221", 2), b3=("ina3221", 3))
    assert await Hwmon(wired, root=tmp_path / "class").read() == {TWO: 50}


async def test_a_channel_that_gives_an_error_is_its_bays_alone(tmp_path: Path) -> None:
    folder = chip(tmp_path, 0, "ina3221", "1-0040", {"curr2_input": "50\n"})
    (folder / "curr1_input").mkdir()  # reading it is EISDIR, as a channel that is switched off is ENODATA
    wired = sensors(b1=("ina3221", 1), b2=("ina3221", 2))
    assert await Hwmon(wired, root=tmp_path / "class").read() == {TWO: 50}


async def test_a_chip_without_a_name_and_one_that_is_not_there_are_nobodys(tmp_path: Path) -> None:
    folder = chip(tmp_path, 0, "ina219", "1-0040", {"curr1_input": "100\n"})
    (folder / "name").unlink()
    assert await Hwmon(sensors(b1=("ina219", 1)), root=tmp_path / "class").read() == {}


async def test_a_chip_that_has_a_thermometer_tells_how_hot_its_bay_is(tmp_path: Path) -> None:
    chip(tmp_path, 0, "ina238", "1-0040", {"curr1_input": "100\n", "temp1_input": "41500\n"})
    chip(tmp_path, 1, "ina219", "1-0041", {"curr1_input": "100\n"})
    wired = sensors(b1=("ina238", 1), b2=("ina219", 1))
    assert await Hwmon(wired, root=tmp_path / "class").read_c() == {ONE: 41.5}


@pytest.mark.parametrize(("text", "weak"), [("1\n", True), ("0\n", False)])
async def test_the_firmwares_alarm_is_the_supply(tmp_path: Path, text: str, weak: bool) -> None:  # noqa: FBT001 - a parameter of the test
    chip(tmp_path, 0, "rpi_volt", "soc:firmware", {"in0_lcrit_alarm": text})
    assert await Hwmon({}, root=tmp_path / "class").weak() is weak


async def test_on_another_board_nobody_measures_the_supply(tmp_path: Path) -> None:
    chip(tmp_path, 0, "coretemp", "coretemp.0", {})
    assert await Hwmon({}, root=tmp_path / "class").weak() is None


async def test_an_alarm_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    chip(tmp_path, 0, "rpi_volt", "soc:firmware", {})
    with pytest.raises(TransientError, match=r"in0_lcrit_alarm: No such file") as caught:
        await Hwmon({}, root=tmp_path / "class").weak()
    assert caught.value.reason is Reason.POWER


async def test_a_machine_without_sensors_says_so(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="class: No such file or directory"):
        await Hwmon({}, root=tmp_path / "class").read()


async def under_way(hwmon: Hwmon) -> None:
    while not hwmon._sensors_at_work.locked():  # noqa: ASYNC110 - a lock of threads rings no bell
        await asyncio.sleep(0.01)


async def test_a_bays_sensor_that_hangs_leaves_the_supply_watched(tmp_path: Path) -> None:
    """It hangs with an I2C bus; the supply is the firmware's to know, and copying pauses by it."""
    folder = chip(tmp_path, 0, "ina219", "1-0040", {})
    chip(tmp_path, 1, "rpi_volt", "soc:firmware", {"in0_lcrit_alarm": "1\n"})
    os.mkfifo(folder / "curr1_input")
    hwmon = Hwmon(sensors(b1=("ina219", 1)), root=tmp_path / "class")
    hung = asyncio.create_task(hwmon.read(), name="hung reading")
    await under_way(hwmon)
    assert await hwmon.weak() is True
    (folder / "curr1_input").write_text("77\n")
    assert await hung == {ONE: 77}


def test_a_reading_that_hangs_delays_no_end_of_the_service(tmp_path: Path) -> None:
    folder = chip(tmp_path, 0, "ina219", "1-0040", {})
    os.mkfifo(folder / "curr1_input")
    hwmon = Hwmon(sensors(b1=("ina219", 1)), root=tmp_path / "class")
    answers = threading.Timer(8.0, lambda: (folder / "curr1_input").write_text("77\n"))
    answers.start()

    async def main() -> None:
        hung = asyncio.create_task(hwmon.read(), name="hung reading")
        await under_way(hwmon)
        hung.cancel()

    begun_s = time.monotonic()
    asyncio.run(main())
    took_s = time.monotonic() - begun_s
    answers.cancel()
    answers.join()
    (folder / "curr1_input").write_text("77\n")
    assert took_s < 5


async def test_where_no_thread_can_be_had_nothing_is_known_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    chip(tmp_path, 0, "ina219", "1-0040", {"curr1_input": "100\n"})
    hwmon = Hwmon(sensors(b1=("ina219", 1)), root=tmp_path / "class")
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", none)
        with pytest.raises(TransientError, match="can't start new thread") as caught:
            await hwmon.read()
    assert caught.value.reason is Reason.POWER
    assert await hwmon.read() == {ONE: 100}


async def test_a_reading_that_hangs_keeps_one_thread_and_no_more(tmp_path: Path) -> None:
    folder = chip(tmp_path, 0, "ina219", "1-0040", {})
    os.mkfifo(folder / "curr1_input")  # opening it waits for a writer, as a hanging bus does
    hwmon = Hwmon(sensors(b1=("ina219", 1)), root=tmp_path / "class")
    hung = asyncio.create_task(hwmon.read(), name="hung reading")
    await under_way(hwmon)
    with pytest.raises(TransientError, match="an earlier reading has not come back"):
        await hwmon.read_c()
    (folder / "curr1_input").write_text("77\n")
    assert await hung == {ONE: 77}
    assert await hwmon.read_c() == {}
