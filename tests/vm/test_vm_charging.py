"""Hub ports that are really cut and come back: by the port's contract, and by a station that keeps to a budget."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.system.programs import StoreProcess
from tests.vm.cards import card, clips
from tests.vm.machine import Machine
from tests.vm.station import Station, lay_out, port_of
from tests.vm.usb import plug

ROOT = Path(__file__).resolve().parents[2]

SWITCH = """
import asyncio, json, time
from pathlib import Path

from dockd.edges.helper import Helper
from dockd.edges.power import HubPower, StationPower
from dockd.errors import InvariantError

async def there(bay, expected):
    # A device is known a moment after its port has power.
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s and Path(f"/sys/bus/usb/devices/1-1.{bay}").exists() is not expected:
        await asyncio.sleep(0.2)
    return Path(f"/sys/bus/usb/devices/1-1.{bay}").exists()

async def main():
    hub, missing = await HubPower.found(Helper(deadline_s=60), wanted=[3, 4, 20])
    power = StationPower([hub])
    said = {"switchable": sorted(power.switchable()), "missing": missing, "seen": []}
    for on in (False, False, True, True):
        await power.set(3, on=on)
        said["seen"].append([await there(3, on), await there(4, True)])
    try:
        await power.set(20, on=False)
    except InvariantError as error:
        said["refused"] = str(error)
    print(json.dumps(said))

asyncio.run(main())
"""

BUDGET = "[charging]\nbudget_ma = 1000\n"
"""Two cameras of which nobody knows what they draw."""


def switches(machine: Machine) -> Mapping[int, str]:
    """Give the state of each bay's port: "1" where it is cut."""
    ports = {bay: port_of(bay).split(".") for bay in range(1, 15)}
    paths = (f"/sys/bus/usb/devices/1-{hub}:1.0/1-{hub}-port{port}/disable" for hub, port in ports.values())
    return dict(zip(ports, machine.agent.shell(f"cat {' '.join(paths)}").split(), strict=True))


def test_a_hub_port_is_cut_and_comes_back_by_the_contract_of_the_port(
    machine: Machine, dockd_disk: Path, tmp_path: Path
) -> None:
    board = (ROOT / "hw/boards/emulated-14.toml").read_text(encoding="utf-8")
    lay_out(machine, dockd_disk, {"board.toml": board})
    machine.agent.shell("systemctl start dockd-helper.socket")
    for bay in (3, 4):
        image = card(tmp_path / f"{bay}.img", "vfat", clips(bay, count=1, each_bytes=1000)).image
        plug(machine, image, port_of(bay), serial=f"CAM-{bay:04}")
    machine.agent.until("[ -e /sys/bus/usb/devices/1-1.3/serial ] && [ -e /sys/bus/usb/devices/1-1.4/serial ]")
    said = json.loads(
        machine.agent.shell("runuser -u dockd -- /opt/dockd/bin/python -", stdin=SWITCH.encode(), within_s=300)
    )
    assert said["switchable"] == [3, 4]
    assert list(said["missing"]) == ["20"]
    assert said["seen"] == [[False, True], [False, True], [True, True], [True, True]]
    assert said["refused"] == "bay 20: it cannot be switched, expected one of [3, 4]"


def test_a_station_cuts_who_does_not_fit_its_budget_and_gives_all_their_power_back(
    machine: Machine, dockd_disk: Path, store: StoreProcess, tmp_path: Path
) -> None:
    station = Station(machine=machine, dockd=dockd_disk, store=store)
    machine.agent.shell("mkdir -p /etc/dockd/conf.d && cat >/etc/dockd/conf.d/charging.toml", stdin=BUDGET.encode())
    station.install()
    assert "power: bays that can be switched: 1 2 3 4 5 6 7 8 9 10 11 12 13 14" in station.journal()
    for bay in (2, 9, 12):
        image = card(tmp_path / f"{bay}.img", "exfat", clips(bay, count=2, each_bytes=200_000)).image
        station.plug(bay, image, serial=f"CAM-{bay:04}")
    # Two are done and charge, the third is done, too, and dark: nobody may take it for one that is safe to take.
    one_dark = "sorted(bay['lamp'] for bay in bays if bay['bay'] in (2, 9, 12)) == ['go-receipted'] * 2 + ['wait']"
    station.until("bays", one_dark, within_s=300)
    machine.agent.until("grep -qx 1 /sys/bus/usb/devices/1-*:1.0/1-*-port*/disable")
    cut = [bay for bay, state in switches(machine).items() if state == "1"]
    lamps = station.lamps()
    assert [lamps[bay] for bay in cut] == ["wait"]
    assert cut[0] in {2, 9, 12}
    machine.agent.shell("systemctl stop dockd.service", within_s=120)
    assert set(switches(machine).values()) == {"0"}, station.journal()
