"""What scripts/install puts, from the first moment of a start on: no USB device but hubs is let in by itself."""

import io
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.cards import card, clips
from tests.vm.machine import Machine
from tests.vm.usb import plug

ROOT = Path(__file__).resolve().parents[2]
WORD = "usbcore.authorized_default=0"
KEYBOARD = ("-device", "usb-kbd,bus=xhci.0,port=9")
BOUND = "cd /sys/bus/usb/devices; for each in *-*:*; do echo $each $(basename $(readlink $each/driver)); done"


def packed(folder: Path) -> bytes:
    """Pack what is in a folder."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(folder, arcname=".")
    return archive.getvalue()


@pytest.mark.promise("I14")
def test_a_keyboard_that_is_there_when_the_machine_starts_never_gets_a_driver_and_hubs_do(
    machine: Machine, tmp_path: Path
) -> None:
    installed = tmp_path / "installed"
    line = installed / "boot/firmware/cmdline.txt"
    line.parent.mkdir(parents=True)
    line.write_text("rootwait\n")
    command = [str(ROOT / "scripts/install"), "--root", str(installed), "--board", "emulated-14", "--system-only"]
    subprocess.run(command, check=True, capture_output=True)
    word = line.read_text().removeprefix("rootwait ").strip()
    assert word == WORD
    machine.agent.shell("tar -xC / && sync", stdin=packed(installed))

    machine.cut()
    machine.shape = replace(machine.shape, kernel=word, parts=KEYBOARD)
    machine.reboot()

    machine.agent.until("[ -e /sys/bus/usb/devices/1-1:1.0/driver ] && [ -e /sys/bus/usb/devices/1-2:1.0/driver ]")
    shut_out = machine.agent.shell("dmesg | grep -o 'usb 1-.*: Device is not authorized for usage' | sort -u")
    assert [line.split(":")[0] for line in shut_out.splitlines()] == ["usb 1-1", "usb 1-2", "usb 1-9"]

    image = card(tmp_path / "card.img", "vfat", clips(1, count=1, each_bytes=4096)).image
    stick = plug(machine, image, "1.3", serial="CAM-0001")
    machine.agent.until("[ -e /sys/bus/usb/devices/1-1.3 ]")
    machine.agent.shell("udevadm settle")
    assert machine.agent.shell("cd /sys/bus/usb/devices && cat 1-9/authorized 1-1.3/authorized") == "0\n0\n"
    bound = {line for line in machine.agent.shell(BOUND).splitlines() if not line.endswith(" ")}
    assert bound == {"1-0:1.0 hub", "2-0:1.0 hub", "1-1:1.0 hub", "1-2:1.0 hub"}
    assert machine.agent.shell(f"[ -e {stick.partition} ] || echo none") == "none\n"
