"""The units of systemd/: what each may do, and that they fit each other and the code."""

import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dockd.edges import helper
from dockd.helper.__main__ import connected
from dockd.helper.verbs import Verbs

ROOT = Path(__file__).parent.parent.parent
UNITS = ROOT / "systemd"


def settings(unit: str) -> dict[str, list[str]]:
    """Read a unit: each setting with all its values, in their order."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", (UNITS / unit).read_text(encoding="utf-8"), flags=re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("unit", ["dockd.service", "dockd-helper.service"])
def test_a_unit_may_do_little(unit: str) -> None:
    command = ("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(UNITS / unit))
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout
    assert "Unknown" not in judged.stderr


def test_the_daemon_has_no_capability_and_the_helper_one() -> None:
    assert settings("dockd.service")["CapabilityBoundingSet"] == [""]
    assert settings("dockd.service")["User"] == ["dockd"]
    assert settings("dockd-helper.service")["CapabilityBoundingSet"] == ["CAP_SYS_ADMIN"]
    assert settings("dockd-helper.service")["RestrictAddressFamilies"] == ["none"]


def test_the_helper_is_asked_where_the_client_asks_and_by_dockds_user_alone() -> None:
    socket = settings("dockd-helper.socket")
    assert socket["ListenSequentialPacket"] == [str(helper.SOCKET)]
    assert (socket["SocketUser"], socket["SocketMode"], socket["Accept"]) == (["dockd"], ["0600"], ["no"])


def test_the_helper_is_isolated_and_keeps_its_pins_where_it_looks_for_them() -> None:
    unit = settings("dockd-helper.service")
    assert unit["ExecStart"] == ["/opt/dockd/bin/python -I -S -B /opt/dockd/site/dockd/helper/__main__.py"]
    assert (ROOT / "dockd" / "helper" / "__main__.py").exists()
    assert [f"/run/{name}" for name in unit["RuntimeDirectory"]] == [str(Verbs(uid=0, gid=0).pins)]
    assert (unit["RuntimeDirectoryMode"], unit["RuntimeDirectoryPreserve"]) == (["0700"], ["yes"])
    assert {"fsopen", "fsconfig", "fsmount", "setitimer"} == set(unit["SystemCallFilter"][-1].split())


def test_a_helper_that_fails_is_started_again_for_ever_and_not_faster_than_once_a_second() -> None:
    """Systemd gives a socket up whose service it has started too often."""
    unit = settings("dockd-helper.service")
    assert unit["StartLimitIntervalSec"] == ["0"]
    (after,) = unit["ExecStopPost"]
    script = after.removeprefix("-/bin/sh -c '").removesuffix("'").replace("$$", "$").replace("exec ", "echo ")
    for result, said in (
        ("success", ""),
        ("signal", "sleep 1\n"),
        ("oom-kill", "sleep 1\n"),
        ("exit-code", "sleep 1\n"),
    ):
        done = subprocess.run(
            ["/bin/sh", "-c", script], env={"SERVICE_RESULT": result}, capture_output=True, text=True, check=True
        )
        assert done.stdout == said


def test_as_many_processes_as_the_helper_starts_may_run() -> None:
    most = inspect.signature(connected).parameters["most"].default
    assert most < int(settings("dockd-helper.service")["TasksMax"][0])
    assert most < int(settings("dockd-helper.socket")["Backlog"][0])


def test_the_helper_answers_for_as_long_as_the_daemon_gives_bays_their_power_back() -> None:
    """A socket that is to stop with the daemon takes no connections from that moment on."""
    assert "PartOf" not in settings("dockd-helper.socket")
    assert "dockd-helper.socket" in settings("dockd.service")["After"][0].split()


def test_a_daemon_that_did_not_end_in_peace_has_its_lamps_and_bays_made_safe() -> None:
    (after,) = settings("dockd.service")["ExecStopPost"]
    script = after.removeprefix("-/bin/sh -c '").removesuffix("'").replace("$$", "$").replace("exec ", "echo ")
    command = "/opt/dockd/bin/dockd make-safe\n"
    for result, said in (("success", ""), ("signal", command), ("watchdog", command), ("exit-code", command)):
        done = subprocess.run(
            ["/bin/sh", "-c", script], env={"SERVICE_RESULT": result}, capture_output=True, text=True, check=True
        )
        assert done.stdout == said


def test_both_folders_in_run_are_made_with_the_owners_that_the_units_expect() -> None:
    lines = (UNITS / "tmpfiles.conf").read_text(encoding="utf-8").splitlines()
    made = [line.split()[1:5] for line in lines if line.startswith("d ")]
    assert made == [["/run/dockd", "0755", "dockd", "dockd"], ["/run/dockd-helper", "0700", "root", "root"]]


def test_desktops_are_told_to_leave_every_usb_disk_alone() -> None:
    rules = (ROOT / "hw" / "udev" / "61-dockd-storage.rules").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^SUBSYSTEM.*UDISKS_IGNORE.*$", rules.replace("\\\n", ""), flags=re.MULTILINE)
    assert rule.startswith('SUBSYSTEM=="block", SUBSYSTEMS=="usb", ENV{UDISKS_IGNORE}="1"')


RULES = (ROOT / "hw" / "udev" / "70-dockd-authorise.rules").read_text(encoding="utf-8").replace("\\\n", "")


def test_only_hubs_are_let_in_by_a_rule() -> None:
    (device,) = [line for line in RULES.splitlines() if "bDeviceClass" in line]
    (interface,) = [line for line in RULES.splitlines() if "bInterfaceClass" in line]
    assert 'ATTR{bDeviceClass}=="09", ATTR{authorized}=="0", ATTR{authorized}="1"' in device
    assert 'ATTR{authorized_default}="0", ATTR{interface_authorized_default}="0"' in RULES
    # A camera that says it is a hub as well is none: its interface stays the helper's.
    assert 'ENV{TYPE}=="9/*", ATTR{bInterfaceClass}=="09"' in interface
    assert RULES.count('authorized}="1"') == RULES.count("echo 1 >authorized") == 1


@pytest.mark.promise("I14")
@pytest.mark.parametrize(("bind", "left"), [("bind", "1"), ("none", "0"), ("/dev/full", "0")])
def test_what_says_it_is_a_hub_is_the_hub_drivers_or_shut_out_again(tmp_path: Path, bind: str, left: str) -> None:
    """Some drivers take a device by its ids, whatever its interfaces say they are: of networks, of remote controls."""
    (script,) = re.findall(r"""RUN\+="/bin/sh -c '(.*)'"$""", RULES, flags=re.MULTILINE)
    interface, hub = tmp_path / "devices" / "1-1" / "1-1:1.0", tmp_path / "bus" / "usb" / "drivers" / "hub"
    interface.mkdir(parents=True)
    (interface / "authorized").write_text("0\n")
    hub.mkdir(parents=True)
    (hub / "bind").symlink_to(
        bind if bind.startswith("/") else hub / "bound" if bind == "bind" else tmp_path / "no/where"
    )
    script = script.replace("/sys", str(tmp_path)).replace("%p", "/devices/1-1/1-1:1.0").replace("%k", "1-1:1.0")
    subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert (interface / "authorized").read_text() == f"{left}\n"
    assert not bind.startswith("b") or (hub / "bound").read_text() == "1-1:1.0\n"
    assert "drivers_probe" not in RULES


def test_a_card_never_has_the_names_of_a_disk_of_the_station() -> None:
    rules = (ROOT / "hw" / "udev" / "61-dockd-storage.rules").read_text(encoding="utf-8")
    assert 'SUBSYSTEM=="block", SUBSYSTEMS=="usb", OPTIONS+="link_priority=-100"\n' in rules


def test_the_helper_writes_to_devices_in_sysfs_and_neither_to_the_machines_nor_to_those_that_are_none() -> None:
    unit = settings("dockd-helper.service")
    assert unit["ReadOnlyPaths"] == ["/sys -/sys/devices/system -/sys/devices/virtual"]
    assert unit["ReadWritePaths"] == ["/sys/devices /sys/bus/usb"]
