"""Faults that are planted into the guest's dockd: what the tests of a station hold it to, they see broken."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system.programs import StoreProcess
from tests.vm.agent import FailedError
from tests.vm.cards import card, clips
from tests.vm.plants import PLANTS, SOON_IDLE, Plant
from tests.vm.station import Station
from tests.vm.test_vm_station_crafted import see_them_held_back
from tests.vm.test_vm_station_offload import see_them_brought_home
from tests.vm.warm import Bench
from tests.vm.yanks import Camera, Yanks

WAITS = 4
"""With this seed the first camera is left in its bay until its card is written to."""

Flawed = Callable[[str], Station]


@pytest.fixture
def flawed(vm_bench: Bench, dockd_disk: Path, store: StoreProcess) -> Iterator[Flawed]:
    """A station of its own whose dockd has a fault: it is lent to nobody afterwards."""
    with ExitStack() as stack:

        def begun(name: str) -> Station:
            machine = stack.enter_context(vm_bench.machine())
            made = Station(machine=machine, dockd=dockd_disk, store=store, plants=(PLANTS[name],))
            made.begin()
            return made

        yield begun


@pytest.mark.parametrize("plant", [*PLANTS.values(), SOON_IDLE], ids=lambda plant: Path(plant.file).stem)
def test_a_plant_has_its_place_in_dockd_and_is_python(plant: Plant) -> None:
    compile(plant.text(), plant.file, "exec")


def test_a_check_of_structure_that_finds_nothing_is_seen(flawed: Flawed, tmp_path: Path) -> None:
    station = flawed("structure-finds-nothing")
    with pytest.raises(FailedError, match="not so within"):
        see_them_held_back(station, tmp_path, ["fat12-cross-link", "exfat-cross-link"])
    assert {*(lamp[:3] for bay, lamp in station.lamps().items() if bay <= 2)} & {"go-"}


def test_a_clip_that_is_erased_as_soon_as_it_is_copied_is_seen(flawed: Flawed, tmp_path: Path) -> None:
    station = flawed("erased-as-soon-as-copied")
    files = clips(91, count=2, each_bytes=400_000)
    cameras = [Camera(serial="EARLY-1", shift=lambda _: card(tmp_path / "card.img", "exfat", files))]
    with pytest.raises(AssertionError, match=r"is neither on the card nor receipted|left the card \d"):
        Yanks(station=station, cameras=cameras, chance=random.Random(WAITS), in_work_s=60).pull(1)


@pytest.mark.parametrize("plant", ["daemon-keeps-a-mount", "helper-keeps-a-mount"])
def test_a_mount_that_is_kept_is_seen_though_its_camera_is_done_and_gone(
    flawed: Flawed, tmp_path: Path, plant: str
) -> None:
    with pytest.raises(AssertionError, match="1 mounted as exfat"):
        see_them_brought_home(flawed(plant), tmp_path, [3])
