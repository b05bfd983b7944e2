"""scripts/install on a machine that runs, and what the page of systemd says to be rid of it again."""

import io
import re
import tarfile
from pathlib import Path

from tests.vm.cards import card, clips
from tests.vm.machine import Machine
from tests.vm.usb import plug

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = ("scripts/install", "hw", "systemd", "dockd/dockd.example.toml", "requirements", "pyproject.toml")
INSTALL = "/src/scripts/install --board emulated-14 --system-only 2>&1"

STAND_INS = """
for unit in dockd dockd-helper; do
    into=/run/systemd/system/$unit.service.d; mkdir -p $into
    printf '[Service]\\nType=exec\\nExecStart=\\nExecStart=/bin/sleep 1000\\n' >$into/sleeps.conf
done
systemctl daemon-reload
systemctl start dockd-helper.socket dockd.service
"""
ASK = "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect('/run/dockd/helper.sock')"
LISTENS = "ss -xlH src /run/dockd/helper.sock | awk '{print $4}'"


def checkout() -> bytes:
    """Pack what of a checkout is needed for all but dockd itself."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in CHECKOUT:
            archive.add(ROOT / name, arcname=f"src/{name}")
    return packed.getvalue()


def uninstalling() -> list[str]:
    """Read the commands of the page."""
    page = (ROOT / "systemd/README.md").read_text(encoding="utf-8")
    section = page.partition("\n## Uninstall\n")[2].partition("\n## ")[0]
    return re.findall(r"^    (\S.*)$", section, flags=re.MULTILINE)


def test_a_machine_that_runs_becomes_a_station_at_once_and_is_none_any_more_by_the_commands_of_the_page(
    machine: Machine, tmp_path: Path
) -> None:
    shell = machine.agent.shell
    shell("tar -xC /", stdin=checkout())
    said = shell(INSTALL, within_s=120)
    assert "install: put /usr/lib/systemd/system/dockd.service" in said
    assert "install: next: put /etc/dockd/dockd.toml right" in said
    assert shell("stat -c '%U %a' /run/dockd /run/dockd-helper") == "dockd 755\nroot 700\n"
    assert shell("systemctl show -P LoadState dockd.service dockd-helper.socket").split() == ["loaded", "loaded"]

    image = card(tmp_path / "card.img", "vfat", clips(1, count=1, each_bytes=4096)).image
    plug(machine, image, "1.3", serial="CAM-0001")
    machine.agent.until("[ -e /sys/bus/usb/devices/1-1.3 ]")
    assert shell("udevadm settle; cat /sys/bus/usb/devices/1-1.3/authorized") == "0\n"

    assert "install: put " not in shell(INSTALL, within_s=120)

    put = shell("cat /usr/lib/dockd/installed").split()
    assert "/usr/lib/udev/rules.d/70-dockd-authorise.rules" in put
    commands = uninstalling()
    assert len(commands) == 4
    for command in commands:
        shell(command)
    assert shell(f"for path in {' '.join(put)}; do if [ -e $path ]; then echo $path; fi; done") == ""
    assert shell("systemctl show -P LoadState dockd.service").strip() == "not-found"
    left = shell("find / -xdev -name '*dockd*' -not -path '/src/*' | sort").split()
    assert left == ["/etc/dockd", "/etc/dockd/dockd.toml"]


def test_an_upgrade_of_a_station_that_works_takes_every_units_new_words(machine: Machine) -> None:
    shell = machine.agent.shell
    shell("tar -xC /", stdin=checkout())
    shell(INSTALL, within_s=120)
    shell(STAND_INS)
    shell("runuser -u dockd -- python3 -", stdin=ASK.encode())
    machine.agent.until("systemctl is-active -q dockd-helper.service")
    assert shell(LISTENS) == "128\n"

    shell("sed -i 's/^Backlog=.*/Backlog=99/' /src/systemd/dockd-helper.socket")
    shell(INSTALL, within_s=120)
    assert shell(LISTENS) == "99\n"
    states = shell("systemctl is-active dockd.service dockd-helper.socket dockd-helper.service || true")
    assert states.split() == ["active", "active", "inactive"]
