"""The power of the whole station is cut in the middle of its work: it knows what it knew, and ends what it began."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.programs import StoreProcess
from tests.vm import contents
from tests.vm.cards import card, clips
from tests.vm.proofs import held, signed
from tests.vm.station import EMPTY, FAULT, Station
from tests.vm.warm import Bench

CLIPS = 4


@pytest.fixture
def bays(vm_bench: Bench, dockd_disk: Path, tmp_path: Path) -> Iterator[Station]:
    """A station of its own: a machine that was switched off and on is not lent to others."""
    with StoreProcess(tmp_path / "store") as store, vm_bench.machine() as machine:
        made = Station(machine=machine, dockd=dockd_disk, store=store)
        made.begin()
        yield made


@pytest.mark.promise("I1", "I4", "I8", "I17")
def test_a_station_whose_power_is_cut_in_the_middle_brings_everything_home(bays: Station, tmp_path: Path) -> None:
    cards = {
        number: card(
            tmp_path / f"{number}.img",
            "exfat" if number % 2 else "vfat",
            clips(number + 70, count=CLIPS, each_bytes=600_000),
        )
        for number in range(1, 5)
    }
    put = {(f"CAM-{bay + 70:04}", name): digest for bay, made in cards.items() for name, digest in made.digests.items()}
    for bay, made in cards.items():
        bays.plug(bay, made.image, serial=f"CAM-{bay + 70:04}", bytes_per_s=1 << 20)
    deadline_s = time.monotonic() + 240 * bays.machine.agent.slowness
    while len(signed(bays.store)) < len(put) // 2:
        assert time.monotonic() < deadline_s, bays.journal()
        time.sleep(0.05)
    bays.machine.cut()
    receipts = signed(bays.store).keys()
    assert len(receipts) < len(put), "cut too late: all was done"
    for made in cards.values():
        assert {*made.digests.values()} <= {*contents.digests(made.image).values(), *receipts}
    bays.machine.reboot()
    bays.come_up_again()
    known = bays.ask("verify")
    assert (known["problems"], known["clips"]) == ([], len(put))
    assert known["receipts"] <= len(receipts)
    sticks = [bays.plug(bay + 7, made.image, serial=f"CAM-{bay + 70:04}") for bay, made in cards.items()]
    bays.until("bays", "all(bay['lamp'] == 'go-receipted' for bay in bays[7:11])", unless=FAULT, within_s=240)
    for stick in sticks:
        stick.yank()
    bays.until("bays", EMPTY, within_s=60)
    assert bays.mounted() == ""
    assert dict(held(bays.store, {camera for camera, _ in put})) == put
    assert [contents.digests(made.image) for made in cards.values()] == [{}] * len(cards)
    after = bays.ask("verify")
    assert (after["problems"], after["clips"], after["receipts"]) == ([], len(put), len(put))
    assert after["entries"] > known["entries"]
