"""Power that goes: that of a bay, by its hub; the daemon's, by kill -9."""

from pathlib import Path

import pytest

from tests.vm import contents
from tests.vm.cards import card, clips
from tests.vm.proofs import held
from tests.vm.station import EMPTY, Station, port_of

SLOW_BYTES_S = 256 << 10
SWITCH = """
import asyncio
from dockd.edges.helper import Helper

asyncio.run(Helper(deadline_s=300).power({bay}, on={on}))
"""


def switch(bays: Station, bay: int, *, on: bool) -> None:
    """Have a bay's port switched by root's helper, as dockd does."""
    program = SWITCH.format(bay=bay, on=on).encode()
    bays.machine.agent.shell("runuser -u dockd -- /opt/dockd/bin/python -", stdin=program, within_s=120)


def switched_off(bays: Station) -> list[str]:
    """Say which ports of the hubs have no power."""
    return bays.machine.agent.shell("grep -l 1 /sys/bus/usb/devices/*:1.0/*-port*/disable || true").split()


@pytest.mark.promise("I4", "I8")
def test_a_bay_whose_port_loses_its_power_goes_on_when_it_is_back(bays: Station, tmp_path: Path) -> None:
    made = card(tmp_path / "card.img", "exfat", clips(51, count=3, each_bytes=700_000))
    stick = bays.plug(3, made.image, serial="CAM-0051", bytes_per_s=SLOW_BYTES_S)
    bays.until("bays", "bays[2]['phase'] == 'offloading'", within_s=120)
    assert bays.mounted() == "1 mounted as exfat"
    switch(bays, 3, on=False)
    (off,) = switched_off(bays)
    assert off.endswith("-port3/disable"), (off, port_of(3))
    bays.until("bays", "bays[2]['phase'] == 'empty'", within_s=60)
    assert bays.mounted() == ""
    assert contents.digests(made.image) == made.digests, "pulled too late: it was erased already"
    switch(bays, 3, on=True)
    assert switched_off(bays) == []
    done = "bays[2]['lamp'] == 'go-receipted' and bays[2]['work']['erased_files'] == bays[2]['work']['files'] == 3"
    bays.until("bays", done, within_s=180)
    stick.yank()
    bays.until("bays", EMPTY, within_s=60)
    assert contents.digests(made.image) == {}
    assert {name: digest for (_, name), digest in held(bays.store, {"CAM-0051"}).items()} == made.digests


@pytest.mark.promise("I4", "I8", "I17")
def test_a_daemon_that_is_killed_is_back_within_seconds_and_goes_on_in_bays_that_never_lost_their_power(
    bays: Station, tmp_path: Path
) -> None:
    run = bays.machine.agent.shell
    cards = {
        bay: card(tmp_path / f"{bay}.img", "vfat", clips(bay + 60, count=3, each_bytes=500_000)) for bay in (1, 8, 14)
    }
    sticks = [
        bays.plug(bay, made.image, serial=f"CAM-{bay + 60:04}", bytes_per_s=SLOW_BYTES_S) for bay, made in cards.items()
    ]
    bays.until("bays", "sum(bay['phase'] == 'offloading' for bay in bays) == 3", within_s=120)
    devices = run("ls -d /sys/bus/usb/devices/*/serial && cat /sys/bus/usb/devices/*/devnum")
    pid = int(run("systemctl show --property MainPID --value dockd"))
    run(f"kill -KILL {pid}")
    bays.machine.agent.until(f"[ $(systemctl show --property MainPID --value dockd) != {pid} ]", within_s=60)
    assert (switched_off(bays), run("ls -d /sys/bus/usb/devices/*/serial && cat /sys/bus/usb/devices/*/devnum")) == (
        [],
        devices,
    )
    done = "sum(bay['lamp'] == 'go-receipted' and bay['work']['files'] == 3 for bay in bays) == 3"
    bays.until("bays", done, within_s=240)
    assert int(run("systemctl show --property NRestarts --value dockd")) == 1
    for stick in sticks:
        stick.yank()
    bays.until("bays", EMPTY, within_s=60)
    assert bays.mounted() == ""
    assert [contents.digests(made.image) for made in cards.values()] == [{}, {}, {}]
    put = {(f"CAM-{bay + 60:04}", name): digest for bay, made in cards.items() for name, digest in made.digests.items()}
    assert dict(held(bays.store, {camera for camera, _ in put})) == put
    assert bays.ask("verify")["problems"] == []
