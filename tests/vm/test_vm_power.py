"""The power of the machine is cut: what was synced is there, what was not is lost, and it comes up again."""

import subprocess
from pathlib import Path

from tests.vm.machine import Machine
from tests.vm.usb import disk


def test_a_power_cut_keeps_what_was_synced_and_loses_what_was_not(machine: Machine, tmp_path: Path) -> None:
    archive = tmp_path / "archive.img"
    with archive.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(archive)], check=True)
    mount = "mkdir -p /archive && mount {} /archive"
    machine.agent.shell(mount.format(disk(machine, archive, serial="ARCHIVE")))
    machine.agent.shell("cd /archive && echo kept >synced && sync synced . && head -c 3000000 /dev/urandom >lost")
    machine.cut()
    machine.boot()
    machine.agent.shell(mount.format(disk(machine, archive, serial="ARCHIVE")))
    assert machine.agent.shell("cat /archive/synced") == "kept\n"
    assert machine.agent.shell("stat -c %s /archive/lost 2>/dev/null || echo none").strip() in {"0", "none"}


def test_a_machine_that_was_cut_off_comes_up_again_on_its_own_disk(machine: Machine) -> None:
    machine.agent.shell("echo kept >/var/synced && sync /var/synced /var")
    machine.cut()
    machine.reboot()
    assert machine.agent.shell("cat /var/synced") == "kept\n"
