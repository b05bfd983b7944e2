"""A machine for each test, off again with it; deadlines for emulation on a machine that others use too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.programs import StoreProcess
from tests.vm.install import disk_with_dockd, install
from tests.vm.machine import Machine
from tests.vm.station import Station
from tests.vm.warm import Bench, bench

HERE = Path(__file__).resolve().parent
LONGEST_S = 1800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder longer than others have, where they do not say themselves how long."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST_S))


@pytest.fixture(scope="session")
def vm_bench() -> Iterator[Bench]:
    """Image and snapshot, made first where `python -m tests.vm.prepare` did not run before."""
    with bench() as made:
        yield made


@pytest.fixture
def machine(vm_bench: Bench) -> Iterator[Machine]:
    """A machine that is on, with a disk of its own."""
    with vm_bench.machine() as made:
        made.boot()
        yield made


@pytest.fixture(scope="session")
def dockd_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout's dockd, on a disk that any number of machines may read."""
    return disk_with_dockd(tmp_path_factory.mktemp("dockd"))


@pytest.fixture
def station(machine: Machine, dockd_disk: Path) -> Machine:
    """A machine that has dockd."""
    install(machine, dockd_disk)
    return machine


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    """A reference store, on the host."""
    with StoreProcess(tmp_path / "store") as running:
        yield running


@pytest.fixture(scope="session")
def standing(vm_bench: Bench, dockd_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A whole station at work, with a store of its own on the host."""
    with StoreProcess(tmp_path_factory.mktemp("central") / "store") as store, vm_bench.machine() as machine:
        made = Station(machine=machine, dockd=dockd_disk, store=store)
        made.begin()
        yield made


@pytest.fixture
def bays(standing: Station) -> Iterator[Station]:
    """The station with nothing in its bays; a new one where a test left it otherwise."""
    before = standing.machine.pid
    if not standing.is_at_rest():
        standing.machine.cut()
        standing.begin()
    yield standing
    if standing.machine.pid != before:
        # To whoever sees that a test leaves no process behind, this one is the test's.
        standing.machine.cut()
