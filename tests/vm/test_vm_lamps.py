"""Lamps on lines of a real chip: what they show, and that none stays lit when the daemon is killed."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from dockd.domain.lamps import Lamp
from tests.lamp_parts import LOOKS
from tests.system.programs import StoreProcess
from tests.vm.cards import card, clips
from tests.vm.machine import Machine
from tests.vm.station import Station, port_of
from tests.vm.warm import Bench

SHOW = """
import asyncio, json, os, sys, time
from pathlib import Path

from dockd.domain.board import Expander, LampPins, Line
from dockd.domain.lamps import Lamp
from dockd.edges.clock import SystemClock
from dockd.edges.gpio.chips import Chip
from dockd.edges.gpio.lamps import moving
from dockd.edges.gpio.wired import BoardLines

FOLDER, OUT = Path(sys.argv[1]), Path(sys.argv[2])
LEVELS = [os.open(FOLDER / f"sim_gpio{number}/value", os.O_RDONLY) for number in range(42)]

def lines_of(bay):
    return LampPins(**{name: Line(number=3 * bay - 3 + at, expander="lamps")
                       for at, name in enumerate(("red", "green", "blue"))})

def lit(bay):
    return "".join(name for at, name in enumerate("RGB") if os.pread(LEVELS[3 * bay - 3 + at], 1, 0) == b"1")

def seen(bays, seconds):
    runs = {bay: [] for bay in bays}
    end_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < end_s:
        for bay in bays:
            shows = lit(bay)
            if not runs[bay] or runs[bay][-1][1] != shows:
                runs[bay].append((now_s, shows))
        time.sleep(0.01)
    return runs

async def main():
    lines = BoardLines(header=None, expanders={"lamps": Chip(Expander(device="gpio-sim.0", lines=48))})
    wiring = {bay: lines_of(bay) for bay in range(1, 15)}
    async with moving(wiring, pins=lines, clock=SystemClock()) as lamps:
        said = {"faults": dict(lamps.faults), "untold": [lit(bay) for bay in wiring]}
        for bay, lamp in enumerate(Lamp, start=1):
            lamps.show(bay, lamp)
        await asyncio.sleep(1.0)
        runs = await asyncio.to_thread(seen, range(1, 10), 16)
        said["shown"] = dict(zip(Lamp, runs.values()))
        said["others"] = [lit(bay) for bay in range(10, 15)]
        for lamp in (Lamp.WAIT, Lamp.GO_COPIED, Lamp.OFF, Lamp.GO_RECEIPTED, Lamp.GO_RECEIPTED):
            lamps.show(1, lamp)
        lamps.show(99, Lamp.GO_RECEIPTED)
        await asyncio.sleep(1.0)
        said["last"] = {shows for _, shows in (await asyncio.to_thread(seen, [1], 4))[1]} == {"G"}
        OUT.with_suffix(".half").write_text(json.dumps(said))
        OUT.with_suffix(".half").rename(OUT)
        await asyncio.sleep(3600)

asyncio.run(main())
"""

LEVELS = "cat /sys/devices/platform/gpio-sim.0/gpiochip*/sim_gpio{}/value"
DARK = {"0"}

GREEN_OF_3 = 7
"""By the board file of the emulated machine."""


def levels(machine: Machine, lines: str = "{?,??}") -> set[str]:
    """Give every level that is on some lines of the chip."""
    return set(machine.agent.shell(LEVELS.format(lines)).split())


@pytest.fixture
def on_lamps(station: Machine) -> Machine:
    """A machine in which nine lamps show what they can, and the first one is green in the end."""
    folder = station.agent.shell("gpiobank lamps 48").split()[1]
    station.agent.shell("cat >/root/show.py", stdin=SHOW.encode())
    station.agent.shell(f"systemd-run -q --unit=lamps /opt/dockd/bin/python /root/show.py {folder} /root/seen.json")
    return station


@pytest.mark.promise("I8")
def test_on_a_real_chip_a_lamp_shows_what_it_is_told_and_killed_it_is_dark_at_once(on_lamps: Machine) -> None:
    shell = on_lamps.agent.shell
    on_lamps.agent.until("[ -e /root/seen.json ] || ! systemctl is-active -q lamps", within_s=90)
    said = json.loads(shell("cat /root/seen.json || journalctl -u lamps -o cat --no-pager >&2"))
    assert (said["faults"], set(said["untold"]), set(said["others"])) == ({}, {""}, {""})
    for lamp in Lamp:
        assert_looks_like(lamp, [(at_s, frozenset(shows)) for at_s, shows in said["shown"][lamp]])
    assert said["last"]
    assert levels(on_lamps, "1") == {"1"}
    shell("systemctl kill -s KILL lamps")
    on_lamps.agent.until("! systemctl is-active -q lamps")
    assert levels(on_lamps) == DARK


def assert_looks_like(lamp: Lamp, runs: list[tuple[float, frozenset[str]]]) -> None:
    """Hold what was seen, each change with its time, against how a lamp should look."""
    channels, phases = LOOKS[lamp]
    colour = frozenset(channels)
    # The channels of one lamp are written one after the other: for a moment some of them are lit, and never others.
    assert all(shows <= colour for _, shows in runs), (lamp, runs)
    assert {colour} <= {shows for _, shows in runs}, (lamp, runs)
    if len(phases) < 2:
        assert runs == [(runs[0][0], colour)], lamp
        return
    lit = [(at_s, bool(shows)) for at_s, shows in runs]
    rises_s = [at_s for (_, before), (at_s, now) in pairwise(lit) if now and not before]
    between_s = (rises_s[-1] - rises_s[0]) / (len(rises_s) - 1)
    assert between_s == pytest.approx(sum(phases) / (len(phases) // 2), rel=0.25), (lamp, runs)
    on_s = sum(
        later_s - at_s for (at_s, now), (later_s, _) in pairwise(lit) if now and rises_s[0] <= at_s < rises_s[-1]
    )
    share = on_s / (rises_s[-1] - rises_s[0])
    assert share == pytest.approx(sum(phases[::2]) / sum(phases), abs=0.12), (lamp, runs)


@pytest.fixture
def lit_station(vm_bench: Bench, dockd_disk: Path, store: StoreProcess, tmp_path: Path) -> Iterator[Station]:
    """A station on a chip that keeps its lines as they were driven, with a green lamp at bay 3."""
    with vm_bench.machine() as machine:
        machine.boot()
        made = Station(machine=machine, dockd=dockd_disk, store=store)
        made.install()
        # The chip comes late, as an expander's driver may: the lamps are tried again.
        machine.agent.shell("gpiobank lamps 48 keeps")
        image = card(tmp_path / "card.img", "vfat", clips(3, count=1, each_bytes=100_000)).image
        made.plug(3, image, serial="CAM-0003")
        made.until("bays", "any(bay['bay'] == 3 and bay['lamp'] == 'go-receipted' for bay in bays)", within_s=180)
        green(machine)
        yield made


def green(machine: Machine) -> None:
    """Wait until the green line of bay 3 is driven, and nothing else of it."""
    machine.agent.until(f"[ $({LEVELS.format(GREEN_OF_3)}) = 1 ]", within_s=60)


@pytest.mark.promise("I8")
def test_a_daemon_that_is_killed_leaves_no_lamp_lit_and_no_bay_dark_whatever_the_chip_keeps(
    lit_station: Station,
) -> None:
    machine, shell = lit_station.machine, lit_station.machine.agent.shell
    alone = "/run/systemd/system/dockd.service.d/alone.conf"
    ended = "systemctl show -P ActiveState dockd | grep -qE 'failed|inactive'"
    # Without what its unit does afterwards, and without a new start, the light stays: that is what this chip is for.
    shell(f"mkdir -p {Path(alone).parent} && printf '[Service]\\nRestart=no\\nExecStopPost=\\n' >{alone}")
    shell("systemctl daemon-reload && systemctl kill -s KILL --kill-whom=main dockd.service")
    machine.agent.until(ended)
    assert levels(machine, str(GREEN_OF_3)) == {"1"}
    # As it is installed, but for the new start.
    shell(f"printf '[Service]\\nRestart=no\\n' >{alone} && systemctl daemon-reload && systemctl reset-failed dockd")
    shell("systemctl start dockd.service", within_s=120)
    lit_station.until("bays", "any(bay['bay'] == 3 and bay['lamp'] == 'go-receipted' for bay in bays)", within_s=180)
    green(machine)
    switch = f"/sys/bus/usb/devices/1-1:1.0/1-1-port{port_of(5)[-1]}/disable"
    shell(f"echo 1 >{switch}")
    shell("systemctl kill -s KILL --kill-whom=main dockd.service")
    machine.agent.until(ended, within_s=90)
    assert levels(machine) == DARK, lit_station.journal()
    assert shell(f"cat {switch}").strip() == "0", lit_station.journal()
    # And one that ends in peace leaves it dark by itself.
    shell("systemctl reset-failed dockd && systemctl start dockd.service", within_s=120)
    lit_station.until("bays", "any(bay['bay'] == 3 and bay['lamp'] == 'go-receipted' for bay in bays)", within_s=180)
    green(machine)
    shell("systemctl stop dockd.service", within_s=120)
    assert levels(machine) == DARK
