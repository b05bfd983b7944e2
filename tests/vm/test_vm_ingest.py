"""One card on a desk, in the guest: listed from a real filesystem, receipted by a store on the host, erased."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.system.evidence import contents_digests, stored
from tests.system.programs import StoreProcess
from tests.vm.cards import FileSystem, card, clips
from tests.vm.install import forward
from tests.vm.machine import Machine
from tests.vm.usb import plug


def test_dockd_starts_in_the_guest(station: Machine) -> None:
    assert station.agent.shell("dockd --version").startswith("dockd ")
    assert station.agent.shell("dockctl --help").startswith("usage: dockctl ")


@pytest.mark.parametrize("file_system", ["vfat", "exfat"])
@pytest.mark.promise("I1", "I5")
def test_a_mounted_card_is_receipted_and_erased(
    station: Machine, store: StoreProcess, tmp_path: Path, file_system: FileSystem
) -> None:
    made = card(tmp_path / "card.img", file_system, clips(3, count=3, each_bytes=300_000))
    forward(station, store.port)
    stick = plug(station, made.image, "1.3", serial="DESK-0001")
    stick.settle()
    station.agent.shell(f"mkdir -p /media/card && mount -o nosuid,nodev,noexec {stick.partition} /media/card")
    where = f"--to {store.url} --store-key {store.key} --device {stick.partition} --state /var/lib/desk"
    done = station.agent.run(f"dockd ingest /media/card {where} --erase --json --patience 600", within_s=300)
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 0, (lines[-3:], done.err)
    said = lines[-1]
    assert [said[key] for key in ("clips", "receipted", "quarantined", "unproven", "erased")] == [3, 3, 0, 0, 3]
    assert station.agent.shell("find /media/card -type f") == ""
    station.agent.shell("umount /media/card")
    stick.yank()
    proven = contents_digests(store.base, stored(store.base))
    assert {path.decode(): digest for path, digest in proven.items()} == made.digests
