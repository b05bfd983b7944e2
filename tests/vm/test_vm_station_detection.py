"""What is in the bays is known though udev is slow, and though nobody heard of it: real udev and a real overrun."""

from pathlib import Path

import pytest

from tests.vm.cards import card, clips
from tests.vm.station import EMPTY, Station
from tests.vm.usb import Stick

DROPS = "awk -v pid=$(systemctl show -P MainPID dockd) '$2 == 15 && $3 == pid { lost += $9 } END { print lost + 0 }'"


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    """Make a card for each of a few bays."""
    for bay in (1, 2, 8, 14):
        card(tmp_path / f"{bay}.img", "exfat", clips(30 + bay, count=1, each_bytes=1 << 16))
    return tmp_path


def pushed(bays: Station, cards: Path, bay: int) -> Stick:
    """Push a camera in, and wait until the kernel has found it."""
    stick = bays.plug(bay, cards / f"{bay}.img", serial=f"FOUND-{bay}")
    bays.machine.agent.until(f"grep -lxs FOUND-{bay} /sys/bus/usb/devices/*/serial")
    return stick


def home(*numbers: int) -> str:
    """Say that there are cameras in these bays, all of them brought home, and in no other."""
    there = f"(bay['bay'] in {numbers} and bay['lamp'] == 'go-receipted' and bay['work']['erased_files'] == 1)"
    return f"all({there} or (bay['bay'] not in {numbers} and bay['lamp'] == 'empty') for bay in bays)"


def test_a_camera_that_the_daemon_sees_before_udev_has_looked_at_it_is_no_stranger(bays: Station, cards: Path) -> None:
    run = bays.machine.agent.shell
    run("udevadm control --stop-exec-queue")
    try:
        stick = pushed(bays, cards, 1)
        run("systemctl restart dockd", within_s=120)
        bays.until("bays", EMPTY, unless="any(bay['reason'] for bay in bays)", within_s=60)
    finally:
        run("udevadm control --start-exec-queue")
    bays.until("bays", home(1), unless="any(bay['reason'] for bay in bays)", within_s=120)
    stick.yank()
    bays.until("bays", EMPTY, within_s=60)


@pytest.mark.promise("I17")
def test_no_bay_is_lost_when_the_kernel_drops_what_the_daemon_has_no_room_to_hear(bays: Station, cards: Path) -> None:
    run = bays.machine.agent.shell
    before = run("cat /proc/sys/net/core/rmem_max").strip()
    run("echo 2304 >/proc/sys/net/core/rmem_max && systemctl restart dockd", within_s=120)
    try:
        leaves = pushed(bays, cards, 1)
        bays.until("bays", home(1), within_s=120)
        run("systemctl kill --signal=STOP --kill-whom=main dockd")
        run("set -- /sys/block/*/uevent; for i in $(seq 20); do echo change >$1; done; udevadm settle", within_s=60)
        leaves.yank()
        come = [pushed(bays, cards, bay) for bay in (2, 8, 14)]
        run("udevadm settle", within_s=60)
        assert int(run(f"{DROPS} /proc/net/netlink")) > 0, "the kernel dropped none"
        run("systemctl kill --signal=CONT --kill-whom=main dockd")
        bays.until("bays", home(2, 8, 14), within_s=50)
    finally:
        run(f"echo {before} >/proc/sys/net/core/rmem_max && systemctl restart dockd", within_s=120)
    for stick in come:
        stick.yank()
    bays.until("bays", EMPTY, within_s=60)
