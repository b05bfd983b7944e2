"""Root's helper under systemd, on a real USB bus with real vfat and exfat: asked by dockd's user."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.vm.cards import FileSystem, card, clips
from tests.vm.machine import Machine
from tests.vm.usb import plug

ROOT = Path(__file__).resolve().parent.parent.parent

INSTALLED = {
    "dockd/__init__.py": "opt/dockd/site/dockd/__init__.py",
    **{
        f"dockd/helper/{path.name}": f"opt/dockd/site/dockd/helper/{path.name}"
        for path in ROOT.glob("dockd/helper/*.py")
    },
    "systemd/dockd-helper.socket": "etc/systemd/system/dockd-helper.socket",
    "systemd/dockd-helper@.service": "etc/systemd/system/dockd-helper@.service",
    "systemd/sysusers.conf": "usr/lib/sysusers.d/dockd.conf",
    "systemd/tmpfiles.conf": "usr/lib/tmpfiles.d/dockd.conf",
    "hw/udev/61-dockd-storage.rules": "etc/udev/rules.d/61-dockd-storage.rules",
    "hw/udev/70-dockd-authorise.rules": "etc/udev/rules.d/70-dockd-authorise.rules",
    "hw/boards/emulated-14.toml": "etc/dockd/board.toml",
}

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
    # The disk comes a few seconds after its interface was let in; what was closed is let go a moment later.
    for _ in range(600):
        answer, *fds = ask(do)
        if answer["errno"] not in {123, 11, 16}:
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


@pytest.fixture
def station(machine: Machine) -> Machine:
    """Install the helper as systemd/README.md says, and let no USB device in but hubs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for source, target in INSTALLED.items():
            archive.add(ROOT / source, target, filter=lambda entry: entry.replace(uid=0, gid=0, mode=0o644))
    machine.agent.shell("tar -C / -xf -", stdin=packed.getvalue())
    machine.agent.shell(
        "mkdir -p /opt/dockd/bin && ln -sf /usr/bin/python3 /opt/dockd/bin/python"
        " && systemd-sysusers && systemd-tmpfiles --create dockd.conf && systemctl daemon-reload"
        " && systemctl start dockd-helper.socket && udevadm control --reload"
        " && udevadm trigger --action=add --subsystem-match=usb --settle",
        within_s=120,
    )
    return machine


def asked(machine: Machine, script: str) -> object:
    """Run a script that asks the helper, as dockd's user; give what it printed."""
    said = machine.agent.shell("runuser -u dockd -- python3 -", stdin=(ASK + script).encode(), within_s=300)
    return json.loads(said)


@pytest.mark.promise("I6")
@pytest.mark.parametrize("file_system", ["vfat", "exfat"])
def test_a_card_is_let_in_read_erased_from_and_never_left_mounted(
    station: Machine, tmp_path: Path, file_system: FileSystem
) -> None:
    made = card(tmp_path / "card.img", file_system, clips(7, count=2, each_bytes=1 << 18))
    stick = plug(station, made.image, "1.3", serial="CAM-0001")
    station.agent.until("grep -q CAM-0001 /sys/bus/usb/devices/*-1.3/serial")
    assert station.agent.shell("cat /sys/bus/usb/devices/*-1.3/authorized").strip() == "0"
    said = asked(station, ALL_OF_IT)
    assert isinstance(said, dict)
    journal = station.agent.shell("journalctl -u 'dockd-helper@*' -o cat --no-pager | tail -30")
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
    assert station.agent.shell("ls /sys/bus/usb/devices/*-1.3:1.0/driver -d").strip().endswith("driver")
    assert stick.partition.rpartition("/")[2] not in station.agent.shell("cat /proc/mounts")
