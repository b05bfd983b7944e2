"""Cards in the ports of a real kernel's USB bus: found by port, read whole, pulled out, unreadable in places."""

import re
from pathlib import Path, PurePosixPath

import pytest

from tests.vm.cards import Card, FileSystem, card, clips
from tests.vm.machine import Machine
from tests.vm.usb import Stick, plug


def properties(stick: Stick) -> dict[str, str]:
    """What udev knows of the partition."""
    said = stick.machine.agent.shell(f"udevadm info --query=property --name={stick.partition}")
    return dict(line.split("=", 1) for line in said.splitlines())


def mounted(stick: Stick) -> PurePosixPath:
    """Mount the card, to be read only."""
    where = PurePosixPath("/mnt") / stick.name
    stick.machine.agent.shell(f"mkdir -p {where} && mount -o ro,nosuid,nodev,noexec {stick.partition} {where}")
    return where


def digests(machine: Machine, folder: PurePosixPath) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path."""
    said = machine.agent.shell(f"cd {folder} && find . -type f -exec sha256sum {{}} +", within_s=120)
    return {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  \./(.*)$", said, flags=re.MULTILINE)}


def make(folder: Path, file_system: FileSystem, *, each_bytes: int = 1 << 20) -> Card:
    return card(folder / f"{file_system}.img", file_system, clips(7, count=3, each_bytes=each_bytes))


def test_two_cards_are_found_by_their_ports_and_read_as_they_were_written(machine: Machine, tmp_path: Path) -> None:
    vfat, exfat = make(tmp_path, "vfat"), make(tmp_path, "exfat")
    left = plug(machine, vfat.image, "1.3", serial="LEFT-0001")
    right = plug(machine, exfat.image, "2.8", serial="RIGHT-0002")
    left.settle()
    right.settle()
    assert properties(left).items() >= {
        ("ID_PATH", "pci-0000:00:10.0-usb-0:1.3:1.0-scsi-0:0:0:0"),
        ("ID_SERIAL_SHORT", "LEFT-0001"),
        ("ID_VENDOR_ID", "46f4"),
        ("ID_MODEL_ID", "0001"),
        ("ID_FS_TYPE", "vfat"),
        ("ID_USB_DRIVER", "usb-storage"),
        ("DEVTYPE", "partition"),
    }
    assert properties(right).items() >= {
        ("ID_PATH", "pci-0000:00:10.0-usb-0:2.8:1.0-scsi-0:0:0:0"),
        ("ID_SERIAL_SHORT", "RIGHT-0002"),
        ("ID_FS_TYPE", "exfat"),
    }
    assert digests(machine, mounted(left)) == dict(vfat.digests)
    assert digests(machine, mounted(right)) == dict(exfat.digests)


@pytest.mark.parametrize("file_system", ["vfat", "exfat"])
def test_a_card_that_is_pulled_while_it_is_read_ends_the_read_and_can_be_pushed_in_again(
    machine: Machine, tmp_path: Path, file_system: FileSystem
) -> None:
    made = make(tmp_path, file_system, each_bytes=4 << 20)
    stick = plug(machine, made.image, "1.1", serial="SLOW-0001", bytes_per_s=256 << 10)
    stick.settle(within_s=120)
    where = mounted(stick)
    reading = machine.agent.start(f"dd if={where}/DCIM/100CLIPS/CLIP0001.MP4 of=/root/part bs=64k")
    machine.agent.until("[ -s /root/part ]")
    stick.yank()
    done = machine.agent.wait(reading)
    assert (done.code, "Input/output error" in done.err) == (1, True)
    assert 0 < int(machine.agent.shell("stat -c %s /root/part")) < 4 << 20
    machine.agent.until(f"! [ -e {stick.partition} ]")
    assert str(where) in machine.agent.shell("cat /proc/mounts"), "a mount outlives its card"
    machine.agent.shell(f"umount {where}")
    again = plug(machine, made.image, "2.4", serial="SLOW-0001")
    again.settle()
    assert digests(machine, mounted(again)) == dict(made.digests)


def test_a_sector_that_cannot_be_read_fails_its_clip_and_no_other(machine: Machine, tmp_path: Path) -> None:
    made = make(tmp_path, "vfat")
    lost = made.image.read_bytes().index(clips(7, count=3, each_bytes=1 << 20)["DCIM/100CLIPS/CLIP0002.MP4"])
    stick = plug(machine, made.image, "1.1", serial="WORN-0001", unreadable=[lost // 512 + 999])
    stick.settle()
    where = mounted(stick)
    failing = machine.agent.run(f"sha256sum {where}/DCIM/100CLIPS/CLIP0002.MP4")
    assert (failing.code, "Input/output error" in failing.err) == (1, True)
    for name in ("DCIM/100CLIPS/CLIP0001.MP4", "DCIM/100CLIPS/CLIP0003.MP4"):
        assert machine.agent.shell(f"sha256sum {where}/{name}").split()[0] == made.digests[name]
