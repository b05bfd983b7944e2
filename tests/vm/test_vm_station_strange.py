"""What people may push into a bay beside a camera that means well: a keyboard, a serial line, a name that is a path."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.programs import StoreProcess
from tests.vm import contents
from tests.vm.cards import card, clips
from tests.vm.proofs import held
from tests.vm.station import EMPTY, Station
from tests.vm.usb import disk
from tests.vm.warm import Bench

BOARD = """
name = "two ports of gadgets"
host = "platform-dummy_hcd.0"
most_usb_devices = 8
other_usb_devices = 0
budget_ma = 1000
gpio_lines = []

[[bays]]
number = 1
port = "platform-dummy_hcd.0-usb-0:1"
"""

TOP = "/sys/kernel/config/usb_gadget/twofold"
TWOFOLD = f"""
gadget add twofold nowhere 0x7e57 0xca3e CAM-0023 {{lun}} hid acm 2>/dev/null || [ -e {TOP} ]
mkdir {TOP}/configs/c.2
rm {TOP}/configs/c.1/{{{{hid,acm}}}}.0
ln -s {TOP}/functions/hid.0 {TOP}/functions/acm.0 {TOP}/configs/c.2/ && gadget plug twofold dummy_udc.0
"""
"""A camera with two configurations: as one it is storage, as the other a keyboard and a serial line."""
BOTH_AT_ONCE = f"""
rm {TOP}/configs/c.2/*.0 && rmdir {TOP}/configs/c.2
ln -s {TOP}/functions/hid.0 {TOP}/functions/acm.0 {TOP}/configs/c.1/ && gadget plug twofold dummy_udc.0
"""

INPUTS = "ls -d /sys/bus/hid/devices/* /dev/hidraw* /dev/input/event* /dev/ttyACM* /dev/ttyUSB* 2>/dev/null || true"

DONE = "bays[0]['lamp'] == 'go-receipted' and bays[0]['work']['erased_files'] == bays[0]['work']['files'] == 2"


@pytest.fixture(scope="module")
def gadgets(vm_bench: Bench, dockd_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station with one bay, in which USB devices that are made inside the guest can be."""
    folder = tmp_path_factory.mktemp("central")
    (folder / "board.toml").write_text(BOARD)
    with StoreProcess(folder / "store") as store, vm_bench.machine() as machine:
        machine.boot()
        machine.agent.shell("gadget controllers 1")
        made = Station(machine=machine, dockd=dockd_disk, store=store, board=folder / "board.toml", bays=range(1, 2))
        made.install()
        yield made


def test_a_keyboard_and_a_serial_line_inside_a_camera_get_no_driver(gadgets: Station, tmp_path: Path) -> None:
    run = gadgets.machine.agent.shell
    made = card(tmp_path / "card.img", "vfat", clips(21, count=2, each_bytes=1 << 18))
    lun = disk(gadgets.machine, made.image, serial="LUN-1")
    run(f"gadget add cam dummy_udc.0 0x7e57 0xca3e CAM-0001 {lun} hid acm")
    gadgets.until("bays", DONE, within_s=120)
    assert run("ls /sys/bus/hid/devices").split() == []
    assert run("ls /dev/hidraw* /dev/input/event* /dev/ttyACM* 2>/dev/null || true").split() == []
    bound = run("cd /sys/bus/usb/devices; for i in *:*; do echo $(cat $i/bInterfaceClass) $(readlink $i/driver); done")
    drivers = {tuple(line.split()) for line in bound.splitlines()}
    assert {(kind, Path(driver).name) for kind, *rest in drivers for driver in rest} == {
        ("08", "usb-storage"),
        ("09", "hub"),
    }
    assert {kind for kind, *_ in drivers} == {"02", "03", "08", "09", "0a"}
    assert {name: digest for (_, name), digest in held(gadgets.store, {"CAM-0001"}).items()} == made.digests
    # It was a keyboard, and one that works: let in by hand, it is one.
    run(
        "cd /sys/bus/usb/devices; for i in *:*; do [ $(cat $i/bInterfaceClass) != 03 ] || k=$i; done;"
        " echo 1 >$k/authorized; echo $k >/sys/bus/usb/drivers_probe"
    )
    gadgets.machine.agent.until('[ -n "$(ls /sys/bus/hid/devices)" ]')
    run("gadget unplug cam && gadget remove cam && sync")
    gadgets.until("bays", EMPTY, within_s=60)
    assert contents.digests(made.image) == {}


def test_a_camera_that_turns_into_a_keyboard_once_it_was_let_in_gets_no_driver(
    gadgets: Station, tmp_path: Path
) -> None:
    run = gadgets.machine.agent.shell
    made = card(tmp_path / "card.img", "vfat", clips(23, count=2, each_bytes=1 << 18))
    lun = disk(gadgets.machine, made.image, serial="LUN-3")
    run(f"modprobe -a usbhid cdc_acm && {TWOFOLD.format(lun=lun)}")
    gadgets.until("bays", DONE, within_s=120)
    device = run("dirname $(grep -lx CAM-0023 /sys/bus/usb/devices/*/serial)").strip()
    # As another configuration of the device that is let in: no driver may have it, and nobody is let in any more.
    run(f"dmesg -C && echo 2 >{device}/bConfigurationValue", within_s=120)
    gadgets.machine.agent.until(f"[ $(cat {device}/authorized) = 0 ]")
    kept_out = re.findall(rf"(\w+) {Path(device).name}:2\.\d: Interface \d is not authorized", run("dmesg"))
    assert {*kept_out} == {"usbhid", "cdc_acm"}
    gadgets.until("bays", "bays[0]['lamp'] == 'leave'", within_s=60)
    assert run(INPUTS) == ""
    # As a device that was off the bus for a moment.
    run("gadget unplug twofold")
    gadgets.until("bays", EMPTY, within_s=60)
    run(BOTH_AT_ONCE)
    gadgets.machine.agent.until("ls /sys/bus/usb/drivers/usb-storage | grep -q :", within_s=60)
    run("udevadm settle", within_s=120)
    assert run(INPUTS) == ""
    run("gadget unplug twofold && gadget remove twofold && sync")
    gadgets.until("bays", EMPTY, within_s=60)
    assert contents.digests(made.image) == {}


@pytest.mark.promise("I4")
def test_storage_that_another_driver_takes_is_shut_out_for_as_long_as_it_does(gadgets: Station, tmp_path: Path) -> None:
    run = gadgets.machine.agent.shell
    made = card(tmp_path / "card.img", "exfat", clips(24, count=2, each_bytes=1 << 18))
    lun = disk(gadgets.machine, made.image, serial="LUN-4")
    run("modprobe -r uas usb_storage && modprobe usbserial vendor=0x7e57 product=0xca3e && modprobe usb_storage")
    run(f"gadget add taken dummy_udc.0 0x7e57 0xca3e CAM-0024 {lun}")
    gadgets.machine.agent.until("journalctl -u dockd-helper -o cat --no-pager | grep -q 'no storage.*usbserial'")
    assert run("cat $(dirname $(grep -lx CAM-0024 /sys/bus/usb/devices/*/serial))/authorized").strip() == "0"
    gadgets.until("bays", "bays[0]['lamp'] == 'leave'", within_s=60)
    assert run(INPUTS) == ""
    assert contents.digests(made.image) == made.digests
    run("gadget unplug taken && modprobe -r usbserial && gadget plug taken dummy_udc.0")
    gadgets.until("bays", DONE, within_s=120)
    run("gadget unplug taken && gadget remove taken && sync")
    gadgets.until("bays", EMPTY, within_s=60)
    assert {name: digest for (_, name), digest in held(gadgets.store, {"CAM-0024"}).items()} == made.digests
    assert contents.digests(made.image) == {}


@pytest.mark.promise("I16")
def test_a_serial_number_that_is_a_path_and_a_script_is_harmless_wherever_it_is_shown(
    gadgets: Station, tmp_path: Path
) -> None:
    run = gadgets.machine.agent.shell
    made = card(tmp_path / "card.img", "exfat", clips(22, count=2, each_bytes=1 << 18))
    lun = disk(gadgets.machine, made.image, serial="LUN-2")
    run("touch /run/before")
    run(f"gadget add odd dummy_udc.0 0x7e57 0xca3e '../../<script>' {lun}")
    assert run("cat /sys/bus/usb/devices/*/serial | grep script || true").strip() in {"", "../../<script>"}
    gadgets.until("bays", DONE, within_s=120)
    texts = [gadgets.said(*words) for words in (("bays",), ("clips",), ("status",), ("account",))]
    answers = [gadgets.said(*words, "--json") for words in (("bays",), ("clips",), ("receipts",))]
    journal = run("journalctl -u dockd -u dockd-helper -o cat --no-pager")
    run("gadget unplug odd && gadget remove odd && sync")
    gadgets.until("bays", EMPTY, within_s=60)
    shown = "".join(text.out for text in (*texts, *answers))
    assert "script" in shown, "it is shown"
    assert not re.search(r"<script|/\.\.", shown)
    # Whoever reads the journal reads it as it came, by root's helper; no byte of it moves a cursor.
    assert "script" in journal
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown + journal)
    (camera,) = {row["camera"] for row in json.loads(answers[1].out)["clips"]} - {"CAM-0001", "CAM-0023", "CAM-0024"}
    assert re.fullmatch(r"[A-Za-z0-9#+.:=@_-]+", camera)
    assert sorted(held(gadgets.store, {camera}).values()) == sorted(made.digests.values())
    # The kernel tells udev a while after the unplugging, and udev forgets its names then: that is waited for.
    find = "find / /run /tmp -xdev -newer /run/before -name '*script*'"
    assert run(f'for _ in $(seq 50); do [ -z "$({find})" ] && break; sleep 0.2; done; {find}') == ""
    assert not [path for path in gadgets.store.folder.parent.rglob("*") if "script" in path.name]
    assert contents.digests(made.image) == {}
