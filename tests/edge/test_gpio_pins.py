"""The pins of a Raspberry Pi, by a stand-in for lgpio that treats its process as lgpio 0.2.2 does.

It makes a pipe in the folder that LG_WD names, or in the working folder, and goes there for good.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import gpiozero.pins
import pytest

from dockd.domain.board import Line
from dockd.edges.gpio.lines import LineError
from dockd.edges.gpio.pins import pi_pins
from dockd.errors import StartRefusedError

STAND_IN = """
import os

os.chdir(os.environ.get("LG_WD", "."))
os.mkfifo(".lgd-nfy0")

SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN, BOTH_EDGES, RISING_EDGE, FALLING_EDGE = range(6)
levels, outputs, broken = {}, set(), set()


class error(Exception):
    pass


def gpiochip_open(chip):
    if not os.path.exists(os.path.join(os.path.dirname(__file__), f"gpiochip{chip}")):
        raise error("can not open gpiochip")
    return chip


def gpiochip_close(handle):
    levels.clear()


def gpio_claim_input(handle, line, flags=0):
    outputs.discard(line)


def gpio_claim_output(handle, line):
    outputs.add(line)
    levels[line] = 0


def gpio_get_mode(handle, line):
    return 2 if line in outputs else 0


def gpio_write(handle, line, level):
    if line in broken:
        raise error("GPIO busy")
    levels[line] = int(level)
"""


@pytest.fixture
def lgpio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Raspberry Pi 4 with the stand-in installed; gives the folder in which its chips are."""
    library, here = tmp_path / "library", tmp_path / "here"
    library.mkdir()
    here.mkdir()
    (library / "lgpio.py").write_text(STAND_IN)
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(library)
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03115)
    yield library
    for name in ("lgpio", "gpiozero.pins.lgpio"):
        sys.modules.pop(name, None)
    vars(gpiozero.pins).pop("lgpio", None)


@pytest.mark.parametrize("before", [None, "/nowhere"])
def test_the_pins_of_a_pi_are_driven_and_no_file_is_left_in_the_working_folder(
    lgpio: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv("LG_WD", raising=False)
    if before is not None:
        monkeypatch.setenv("LG_WD", before)
    (lgpio / "gpiochip0").touch()
    here = Path.cwd()
    pins = pi_pins()
    assert (Path.cwd(), list(here.iterdir()), os.environ.get("LG_WD")) == (here, [], before)
    chip = sys.modules["lgpio"]
    output = pins.output(Line(number=17))
    assert (chip.outputs, chip.levels) == ({17}, {17: 0})
    output.on()
    assert chip.levels == {17: 1}
    chip.broken.add(17)
    with pytest.raises(LineError, match=r"^GPIO17: .*GPIO busy"):
        output.off()
    output.close()
    assert chip.outputs == set()
    pins.close()


@pytest.mark.usefixtures("lgpio")
def test_a_chip_that_may_not_be_opened_is_refused_in_words() -> None:
    here = Path.cwd()
    with pytest.raises(StartRefusedError, match=r"can not open gpiochip.*: expected the pins of a Raspberry Pi"):
        pi_pins()
    assert (Path.cwd(), list(here.iterdir())) == (here, [])


def test_a_machine_without_lgpio_is_refused_in_words(lgpio: Path) -> None:
    (lgpio / "lgpio.py").write_text("raise ImportError(\"No module named 'lgpio'\")\n")
    here = Path.cwd()
    with pytest.raises(StartRefusedError, match=r"No module named 'lgpio': expected lgpio to be installed"):
        pi_pins()
    assert Path.cwd() == here
