"""A card that nobody docked: what names it, and the feed of a station in which it is the one camera."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from dockd.app.ports import Attached, FeedEvent
from dockd.compose import volume_of
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial, VolumeId

BAY = BayId(1)


class CardFeed:
    """The feed of a station with one bay and one card, docked for good."""

    def __init__(self, attached: Attached) -> None:
        """Take the card."""
        self._attached = attached

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Give the one docking, and end."""
        yield self._attached


def attached(path: Path, *, serial: str | None, device: Path | None) -> Attached:
    """Describe a folder as the docked camera that it stands for; `serial` is the name that people gave it."""
    volume = volume_of(path)
    camera = Camera(serial=CameraSerial(serial or _card_serial(path, volume)), volume=volume)
    lies_in = str(device.resolve()) if device is not None else None
    return Attached(bay=BAY, camera=camera, source=str(path.resolve()), device=lies_in)


def _card_serial(path: Path, volume: VolumeId) -> str:
    """Name a camera that nobody named: by its card's volume, or by where its folder is, so that two are never one."""
    if volume != FOLDER_VOLUME:
        return f"card-{volume}"
    return f"folder-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]}"
