"""The bays and the shelf beside them, as folders: where each camera is, and moving it.

Owns the folders of the cameras. A camera in a bay lies at `bay-NN/SERIAL`, one that is out at `shelf/SERIAL`, so that
nothing can be read by path from a camera that was pulled. Knows no times and no plan.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dockd.domain.model import BayId, Camera


class Docked:
    """One stay of a camera in a bay."""

    def __init__(self, *, camera: Camera, bay: BayId, folder: Path, pull_at: int | None) -> None:
        """Begin; `pull_at` is the file, counted from 1, in whose copy it is to be pulled out."""
        self.camera = camera
        self.bay = bay
        self.folder = folder
        self.pull_at = pull_at
        self.copies = 0
        self._gone = False
        self._callers: list[Callable[[], None]] = []

    @property
    def gone(self) -> bool:
        """Say whether it was taken out."""
        return self._gone

    @contextmanager
    def calling(self, tell: Callable[[], None]) -> Iterator[None]:
        """Call `tell` when the camera is taken out within the block."""
        self._callers.append(tell)
        try:
            yield
        finally:
            self._callers.remove(tell)

    def leave(self) -> None:
        """Be gone, and tell who works on it."""
        self._gone = True
        for tell in tuple(self._callers):
            tell()


class Rack:
    """All bays and the shelf, below one folder."""

    def __init__(self, root: Path) -> None:
        """Begin with nothing in any bay."""
        self._root = root
        self._docked: dict[BayId, Docked] = {}

    def shelf(self, camera: Camera) -> Path:
        """Give a camera's folder while it is in no bay."""
        return self._root / "shelf" / camera.serial

    def docked(self, bay: BayId) -> Docked | None:
        """Give what is in a bay."""
        return self._docked.get(bay)

    def dock(self, camera: Camera, bay: BayId, *, pull_at: int | None = None) -> Docked:
        """Put a camera from the shelf into a free bay."""
        folder = self._root / f"bay-{bay:02d}" / camera.serial
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.shelf(camera).rename(folder)
        docked = self._docked[bay] = Docked(camera=camera, bay=bay, folder=folder, pull_at=pull_at)
        return docked

    def pull(self, bay: BayId) -> None:
        """Take a bay's camera out, in the middle of whatever is done with it; fine where the bay is empty."""
        docked = self._docked.pop(bay, None)
        if docked is None:
            return
        docked.folder.rename(self.shelf(docked.camera))
        docked.leave()

    def folder(self, camera: Camera) -> Path:
        """Say where a camera is now."""
        here = (docked.folder for docked in self._docked.values() if docked.camera == camera)
        return next(here, self.shelf(camera))

    def holds(self, camera: Camera, path: bytes) -> bool:
        """Say whether a file is on a camera."""
        return os.path.lexists(os.path.join(os.fsencode(self.folder(camera)), path))  # noqa: PTH118 - bytes, no Path

    def is_clean(self, camera: Camera) -> bool:
        """Say whether no file is left on a camera."""
        return not any(files for _, _, files in os.walk(os.fsencode(self.folder(camera))))
