"""Cards of every kind that implements the ports, each with what is on it as somebody sees who holds it in hand.

Owns how each kind is made for a test, and how its camera is changed and taken out behind its back.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from dockd.app.ports import Attached, Cards
from dockd.domain.model import ListedFile
from dockd.domain.profile import EraseMethod
from dockd.edges.card import FolderCards
from dockd.edges.clock import SystemClock
from dockd.edges.profiled import ProfiledCards
from dockd.sim.cards import DockedCards
from dockd.sim.manifest import Manifest, Put
from dockd.sim.paced import PacedBus, PacedCards
from dockd.sim.rack import Rack
from dockd.sim.witness import Witness
from tests.copier_parts import CAMERA, Dock, a_dock
from tests.mount_parts import ATTACHED, BAY, a_bay
from tests.profile_parts import DATED
from tests.sim.cameras import SimCamera, SimCards, SimFile
from tests.sim.disk import Disk, SimSpool
from tests.sim.fate import Fault
from tests.sim.machine import Power
from tests.sim.scene import Planned


class Held(Protocol):
    """A camera in hand: cards that open it, and what is on it."""

    @property
    def cards(self) -> Cards:
        """What opens its card."""
        ...

    @property
    def attached(self) -> Attached:
        """The camera as it was docked."""
        ...

    def put(self, path: str, data: bytes = b"one clip") -> ListedFile:
        """Write a file; give it as a listing would, with nothing of what a profile reads."""
        ...

    def bytes_of(self, path: str) -> bytes | None:
        """What a file holds, None where there is none."""
        ...

    def lose(self, path: str) -> None:
        """Let a file be gone."""
        ...

    def spoil(self) -> None:
        """Let something be on it of which a listing cannot tell."""
        ...

    def leave(self) -> None:
        """Take the camera out."""
        ...

    def kept(self) -> list[str]:
        """Name the clips that are in the spool."""
        ...

    def writable(self) -> bool:
        """Say whether somebody could write to its card now, by a mount that was made for that."""
        ...


Maker = Callable[..., AbstractContextManager[Held]]
"""Makes a camera with nothing on it, below a folder; without `erase` nothing of it may ever go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InFolder:
    """A camera whose card is a folder, with whatever stands between."""

    dock: Dock
    cards: Cards
    attached: Attached
    pull: Callable[[], None]
    is_writable: Callable[[], bool] = lambda: False

    def put(self, path: str, data: bytes = b"one clip") -> ListedFile:
        return self.dock.put(path, data)

    def bytes_of(self, path: str) -> bytes | None:
        where = self.dock.card / path
        return where.read_bytes() if where.exists() else None

    def lose(self, path: str) -> None:
        (self.dock.card / path).unlink()

    def spoil(self) -> None:
        (self.dock.card / "link").symlink_to("REC")

    def leave(self) -> None:
        self.pull()

    def kept(self) -> list[str]:
        return self.dock.kept()

    def writable(self) -> bool:
        return self.is_writable()


@contextmanager
def of_folder(folder: Path, *, erase: bool = True) -> Iterator[InFolder]:
    """A folder, opened by its path."""
    dock = a_dock(folder)
    attached = replace(ATTACHED, source=str(dock.card), device=None)
    cards = FolderCards(dock.spool, erase=erase)
    yield InFolder(dock=dock, cards=cards, attached=attached, pull=lambda: shutil.rmtree(dock.card))


@contextmanager
def of_bay(folder: Path, *, erase: bool = True) -> Iterator[InFolder]:
    """A card of a real bay, mounted by a helper; nobody has it open in the end."""
    dock = a_dock(folder)
    with a_bay(dock) as bay:
        yield InFolder(
            dock=dock,
            cards=bay.cards(erase=erase),
            attached=ATTACHED,
            pull=lambda: shutil.rmtree(dock.card),
            is_writable=lambda: bay.helper.mounts[-1] == "writable" and bay.open_count() > 0,
        )
        assert bay.open_count() == 0


@contextmanager
def of_known_camera(folder: Path, *, erase: bool = True) -> Iterator[InFolder]:
    """The same, of a camera with a profile."""
    with of_bay(folder, erase=erase) as held:
        profile = replace(DATED, erase=EraseMethod.UNLINK)
        yield replace(held, cards=ProfiledCards(held.cards, profile_of=lambda _: profile))


@contextmanager
def of_rack(folder: Path, *, erase: bool = True) -> Iterator[InFolder]:
    """A card of the demonstration's rack, from which cameras are pulled."""
    rack = Rack(folder / "rack")
    rack.shelf(CAMERA).mkdir(parents=True)
    docked = rack.dock(CAMERA, BAY)
    spool = folder / "spool"
    spool.mkdir()
    yield InFolder(
        dock=Dock(card=docked.folder, spool=spool),
        cards=DockedCards(FolderCards(spool, erase=erase), rack=rack),
        attached=replace(ATTACHED, source=str(docked.folder), device=None),
        pull=lambda: rack.pull(BAY),
    )


@contextmanager
def of_paced_bus(folder: Path, *, erase: bool = True) -> Iterator[InFolder]:
    """A card on the demonstration's bus of a given speed."""
    with of_folder(folder, erase=erase) as held:
        bus = PacedBus(clock=SystemClock(), bytes_s=100_000_000)
        yield replace(held, cards=PacedCards(held.cards, bus=bus))


@contextmanager
def of_witness(folder: Path, *, erase: bool = True) -> Iterator[InFolder]:
    """A card that a demonstration's witness looks at."""

    async def holds(put: Put) -> bool:
        raise AssertionError(put)

    with of_folder(folder, erase=erase) as held:
        yield replace(held, cards=Witness(manifest=Manifest(()), holds=holds).watching(held.cards))


class Nobody:
    """Who looks on and judges nothing."""

    def opened(self, camera: SimCamera) -> None: ...

    def unlinking(self, camera: SimCamera, path: bytes) -> None: ...

    def listed(self, camera: SimCamera) -> None: ...


class InMemory:
    """A camera of the simulation, on which no fault strikes that is not planned."""

    def __init__(self, *, erase: bool) -> None:
        self._fate = Planned()
        self._camera = SimCamera(name="cam", identity=CAMERA, files={}, profiles=(None,), bay=BAY, stay=1)
        self._camera.read_only = not erase
        self._disk = Disk(self._fate, capacity_bytes=1_000_000, reserve_bytes=0)
        self._writes = 0
        power = Power(self._fate)
        self.cards = SimCards(
            self._fate,
            power,
            spool=SimSpool(self._disk, power),
            find=lambda _: self._camera,
            pull=lambda _: self.leave(),
            witness=Nobody(),
        )
        self.attached = replace(ATTACHED, source="cam/1", device=None)

    def put(self, path: str, data: bytes = b"one clip") -> ListedFile:
        self._writes += 1
        self._camera.files[path.encode()] = SimFile(data=data, mtime_ns=self._writes)
        return ListedFile(path=path.encode(), length_bytes=len(data), mtime_ns=self._writes)

    def bytes_of(self, path: str) -> bytes | None:
        file = self._camera.files.get(path.encode())
        return None if file is None else file.data

    def lose(self, path: str) -> None:
        del self._camera.files[path.encode()]

    def spoil(self) -> None:
        self._fate.plan[Fault.LISTING_ERROR] = 1

    def leave(self) -> None:
        self._camera.bay = None

    def kept(self) -> list[str]:
        return sorted(f"{clip_id}.clip" for clip_id in self._disk.synced)

    def writable(self) -> bool:
        return bool(self._camera.writable)


@contextmanager
def of_simulation(_folder: Path, *, erase: bool = True) -> Iterator[InMemory]:
    """A camera in memory, as the simulation has them."""
    yield InMemory(erase=erase)


THAT_MOUNT: tuple[Maker, ...] = (of_bay, of_known_camera, of_simulation)
"""Those of which something is writable only while files are erased."""
ALL: tuple[Maker, ...] = (of_folder, *THAT_MOUNT, of_rack, of_paced_bus, of_witness)
