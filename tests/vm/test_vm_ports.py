"""Ports of the guest's USB bus: many cards within seconds, one without power, a camera that is a keyboard as well."""

import re
from pathlib import Path

from tests.vm.cards import FileSystem, card, clips
from tests.vm.machine import Machine
from tests.vm.usb import plug

PORTS = [f"{hub}.{port}" for hub in (1, 2) for port in range(1, 8)]
LOOK = "udevadm info --query=property --property=ID_SERIAL_SHORT,ID_PATH,ID_FS_TYPE --value --name={}"


def kind_of(number: int) -> FileSystem:
    return "exfat" if number % 2 else "vfat"


def test_fourteen_cameras_that_come_within_seconds_are_all_found_by_their_ports(
    machine: Machine, tmp_path: Path
) -> None:
    sticks = []
    for number, port in enumerate(PORTS):
        made = card(tmp_path / f"{number}.img", kind_of(number), clips(number, count=2, each_bytes=500_000))
        sticks.append(plug(machine, made.image, port, serial=f"CAM-{number:04}", bytes_per_s=4 << 20))
    machine.agent.until(" && ".join(f"[ -e {stick.partition} ]" for stick in sticks), within_s=60)
    machine.agent.shell("udevadm settle", within_s=60)
    said = machine.agent.shell("; ".join(LOOK.format(stick.partition) for stick in sticks)).split()
    found = {tuple(said[at : at + 3]) for at in range(0, len(said), 3)}
    assert found == {
        (f"CAM-{number:04}", f"pci-0000:00:10.0-usb-0:{port}:1.0-scsi-0:0:0:0", kind_of(number))
        for number, port in enumerate(PORTS)
    }


def test_a_port_that_is_switched_off_loses_its_camera_until_it_is_switched_on(machine: Machine, tmp_path: Path) -> None:
    made = card(tmp_path / "card.img", "vfat", clips(1, count=1, each_bytes=1000))
    stick = plug(machine, made.image, "1.3", serial="CAM-0001")
    stick.settle()
    switch = "/sys/bus/usb/devices/1-1:1.0/1-1-port3/disable"
    machine.agent.shell(f"echo 1 >{switch}")
    machine.agent.until(f"! [ -e {stick.partition} ]")
    machine.agent.shell(f"echo 0 >{switch}")
    stick.settle()


def test_a_gadget_is_a_camera_of_any_maker_with_a_keyboard_and_a_serial_line(machine: Machine) -> None:
    run = machine.agent.shell
    run("truncate -s 8M /root/card.img && mkfs.vfat -n CAMERA /root/card.img && gadget controllers 2")
    run("MAKER=Maker MODEL='Body Cam' gadget add cam dummy_udc.1 0x7e57 0xca3e SERIAL-9 /root/card.img hid acm")
    disk = "/dev/disk/by-id/usb-Maker_Body_Cam_SERIAL-9-0:0"
    machine.agent.until(f"[ -e {disk} ] && [ -e /dev/ttyACM0 ] && ls /sys/bus/hid/devices | grep -q .")
    run("udevadm settle")
    known = run(f"udevadm info --query=property --name={disk}").splitlines()
    assert {"ID_VENDOR_ID=7e57", "ID_MODEL_ID=ca3e", "ID_FS_TYPE=vfat", "ID_FS_LABEL=CAMERA"} <= set(known)
    assert re.search(r"^ID_PATH=platform-dummy_hcd\.1-usb-0:1:1\.0-scsi", "\n".join(known), flags=re.MULTILINE)
    run("gadget unplug cam")
    machine.agent.until(f"! [ -e {disk} ] && ! [ -e /dev/ttyACM0 ]")
    run("gadget remove cam")
