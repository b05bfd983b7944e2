"""What was put on which camera, kept apart from the station: the word that its work is held against."""

from dataclasses import dataclass

from dockd.domain.model import Camera, ClipId, Sha256, clip_id_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One file as it was put on a camera, before any station saw it; `path` is relative to the card's root."""

    camera: Camera
    path: bytes
    length_bytes: int
    sha256: Sha256

    @property
    def clip_id(self) -> ClipId:
        """The name under which the store must hold it (I10)."""
        return clip_id_of(camera=self.camera, path=self.path, length_bytes=self.length_bytes, sha256=self.sha256)


class Manifest:
    """Every file that was put on a camera, by camera and path."""

    def __init__(self, puts: tuple[Put, ...]) -> None:
        """Take them all."""
        self.puts = puts
        self._by_place = {(put.camera.serial, put.path): put for put in puts}

    def find(self, camera: Camera, path: bytes) -> Put | None:
        """Give what was put in a place."""
        return self._by_place.get((camera.serial, path))
