"""Root's helper under systemd, on a real USB bus with real vfat and exfat: asked by dockd's user and by others."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.cards import FileSystem, card, clips
from tests.vm.machine import Machine
from tests.vm.plants import IDLE_S, SOON_IDLE
from tests.vm.station import ROOT, lay_out
from tests.vm.usb import Stick, plug
from tests.vm.warm import Bench

AS_INSTALLED = "DOCKD_VM_WHOLE_MINUTE" in os.environ
"""Wait for the helper as long as it waits for a request in a station."""

ASK = """
import hashlib, json, os, socket, stat, sys, time

def ask(do, **more):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as helper:
        helper.settimeout(120)
        helper.connect("/run/dockd/helper.sock")
        helper.send(json.dumps({"do": do, "bay": 3, **more}).encode())
        answer, fds, _, _ = socket.recv_fds(helper, 8192, 1)
        return json.loads(answer), *fds

def until(do):
    # The disk comes a few seconds after its interface was let in, a moment after its node (no such device until then),
    # its partitions after it (a volume of no kind until then); what was closed is let go a moment later.
    for _ in range(600):
        answer, *fds = ask(do)
        if answer["errno"] not in {123, 11, 16, 124, 6}:
            break
        time.sleep(0.2)
    return (answer, *fds) if fds else sys.exit(json.dumps(answer))

def digests(mounted):
    found = {}
    for folder, _, files, fd in os.fwalk(".", dir_fd=mounted):
        for name in files:
            file = os.open(name, os.O_RDONLY, dir_fd=fd)
            with os.fdopen(file, "rb") as reading:
                found[os.path.normpath(os.path.join(folder, name))] = hashlib.sha256(reading.read()).hexdigest()
    return found
"""

MOUNTED = "[ $(cat /sys/module/exfat/refcnt) = 1 ]"

ALL_OF_IT = """
said = {"authorised": ask("authorise", vendor="46f4", product="0001")[0]}
answer, mounted = until("mount")
flags = os.fstatvfs(mounted).f_flag
root = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mounted)
owner = os.fstat(root)
said |= {"mounted": answer, "limits": flags & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME)}
said |= {"read_only": bool(flags & os.ST_RDONLY), "ours": owner.st_uid == os.getuid()}
said |= {"mode": oct(owner.st_mode & 0o777)}
said |= {"digests": digests(mounted), "shown": "/proc/self/fd" in open("/proc/self/mountinfo").read()}
said |= {"again": [ask("mount")[0]["errno"], ask("writable")[0]["errno"]]}
answer, partition = ask("device")
said |= {"signature": os.pread(partition, 512, 0)[510:].hex(), "same": os.fstat(partition).st_rdev == owner.st_dev}
os.close(root), os.close(mounted)
answer, mounted = until("writable")
root = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mounted)
(gone, *_) = sorted(said["digests"])
os.unlink(gone, dir_fd=root)
os.fsync(root), os.close(root), os.close(mounted)
answer, mounted = until("mount")
said |= {"gone": gone, "left": sorted(digests(mounted))}
os.close(mounted)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def helped(vm_bench: Bench, dockd_disk: Path) -> Iterator[Machine]:
    """One machine for all of these tests, with the helper, and no USB device let in but hubs."""
    with vm_bench.machine() as machine:
        machine.boot()
        lay_out(machine, dockd_disk, {"board.toml": (ROOT / "hw/boards/emulated-14.toml").read_text()})
        machine.agent.shell("systemctl start dockd-helper.socket")
        yield machine


def asked(machine: Machine, script: str, *, user: str = "dockd") -> object:
    """Run a script that asks the helper, as a user of the guest; give what it printed."""
    said = machine.agent.shell(f"runuser -u {user} -- python3 -", stdin=(ASK + script).encode(), within_s=300)
    return json.loads(said)


def pushed(machine: Machine, image: Path) -> Stick:
    """Push the camera into the third bay; it is seen, and not let in."""
    stick = plug(machine, image, "1.3", serial="CAM-0001")
    machine.agent.until("grep -q CAM-0001 /sys/bus/usb/devices/*-1.3/serial")
    return stick


@pytest.mark.promise("I6")
@pytest.mark.parametrize("file_system", ["vfat", "exfat"])
def test_a_card_is_let_in_read_erased_from_and_never_left_mounted(
    helped: Machine, tmp_path: Path, file_system: FileSystem
) -> None:
    made = card(tmp_path / "card.img", file_system, clips(7, count=2, each_bytes=1 << 18))
    stick = pushed(helped, made.image)
    assert helped.agent.shell("cat /sys/bus/usb/devices/*-1.3/authorized").strip() == "0"
    said = asked(helped, ALL_OF_IT)
    assert isinstance(said, dict)
    journal = helped.agent.shell("journalctl -u dockd-helper -o cat --no-pager | tail -30")
    authorised, gone, left = said.pop("authorised"), said.pop("gone"), said.pop("left")
    assert (authorised["errno"], authorised["serial"]) == (0, "CAM-0001"), journal
    assert said == {
        "mounted": {"errno": 0, "filesystem": file_system},
        "limits": 2 | 4 | 8 | 1024,
        "read_only": True,
        "ours": True,
        "mode": "0o700",
        "digests": dict(made.digests),
        "shown": False,
        "again": [16, 16],
        "signature": "55aa",
        "same": True,
    }, journal
    assert left == sorted(set(made.digests) - {gone})
    assert helped.agent.shell("ls /sys/bus/usb/devices/*-1.3:1.0/driver -d").strip().endswith("driver")
    assert stick.partition.rpartition("/")[2] not in helped.agent.shell("cat /proc/mounts")
    stick.yank()


def test_nobody_else_is_served_and_another_camera_is_not_the_one_that_was_let_in(
    helped: Machine, tmp_path: Path
) -> None:
    made = card(tmp_path / "card.img", "vfat", clips(7, count=1, each_bytes=1 << 16))
    stick = pushed(helped, made.image)
    assert asked(helped, "print(ask('authorise', vendor='46f4', product='0002')[0]['errno'])") == 116
    assert asked(helped, "print(ask('mount')[0]['errno'])") == 116
    assert asked(helped, "print(ask('authorise', vendor='46f4', product='0001')[0]['errno'])") == 0
    assert asked(helped, "print(until('device')[0]['errno'])") == 0
    assert asked(helped, "print(ask('mount')[0]['errno'])", user="root") == 1
    refused = helped.agent.run("runuser -u nobody -- python3 -", stdin=(ASK + "ask('mount')").encode())
    assert "PermissionError" in refused.err
    stick.yank()
    again = pushed(helped, made.image)
    assert asked(helped, "print(ask('mount')[0]['errno'])") == 116
    again.yank()


def test_a_port_loses_its_power_and_gets_it_back(helped: Machine, tmp_path: Path) -> None:
    made = card(tmp_path / "card.img", "vfat", clips(7, count=1, each_bytes=1 << 16))
    stick = pushed(helped, made.image)
    assert asked(helped, "print(json.dumps(ask('power', on=False)[0]))") == {"errno": 0, "on": False}
    helped.agent.until("! ls /sys/bus/usb/devices/*-1.3/serial")
    assert asked(helped, "print(json.dumps(ask('power', on=True)[0]))") == {"errno": 0, "on": True}
    helped.agent.until("grep -q CAM-0001 /sys/bus/usb/devices/*-1.3/serial")
    stick.yank()


@pytest.fixture
def soon_idle(helped: Machine) -> Iterator[Machine]:
    """The machine with a helper that waits seconds for a request instead of a minute, unless that is asked for."""
    run = helped.agent.shell
    run("systemctl stop dockd-helper.service")
    if not AS_INSTALLED:
        SOON_IDLE.lay(helped)
    yield helped
    run("systemctl stop dockd-helper.service")
    if not AS_INSTALLED:
        SOON_IDLE.lift(helped)


def test_the_helper_is_gone_when_nobody_asks_and_comes_back_with_the_next_request_knowing_whom_it_let_in(
    soon_idle: Machine, tmp_path: Path
) -> None:
    run, ours = soon_idle.agent.shell, "pgrep -f '[h]elper/__main__.py'"
    made = card(tmp_path / "card.img", "exfat", clips(8, count=1, each_bytes=1 << 16))
    stick = pushed(soon_idle, made.image)
    assert asked(soon_idle, "print(ask('authorise', vendor='46f4', product='0001')[0]['errno'])") == 0
    # What it mounted outlives it: it is of whoever has the descriptor.
    run("mkfifo -m 666 /run/let-go")
    holder = "print(json.dumps(digests(until('mount')[1])), flush=True); open('/run/let-go').read()"
    held = soon_idle.agent.start("runuser -u dockd -- python3 -", stdin=(ASK + holder).encode())
    soon_idle.agent.until(MOUNTED)
    inactive = "[ $(systemctl is-active dockd-helper.service) = inactive ]"
    soon_idle.agent.until(f"! {ours} && {inactive}", within_s=90 if AS_INSTALLED else 15 * IDLE_S)
    assert run("systemctl is-active dockd-helper.socket").strip() == "active"
    assert soon_idle.agent.run(MOUNTED).code == 0
    run("echo >/run/let-go && rm /run/let-go")
    assert json.loads(soon_idle.agent.wait(held).out) == made.digests
    assert asked(soon_idle, "print(json.dumps(digests(until('mount')[1])))") == made.digests
    stick.yank()
