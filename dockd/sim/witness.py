"""What was so at the moment before a file left its camera: did the store hold the clip?

Owns the sightings. Asks the store itself, by the clip's identity as the manifest has it, and never the station. It only
looks: an erasure that should not be goes on, so that the check at the end can fail.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Card, Cards, Copied, ReadAgain, Salvaged
from dockd.domain.erasure import ErasePermit
from dockd.domain.model import Camera, ListedFile, Listing
from dockd.sim.manifest import Manifest, Put

Holds = Callable[[Put], Awaitable[bool]]
"""Asks the store whether it holds a clip, whole and receipted for this station."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One erasure as it was about to happen: which file, and whether the store held it then."""

    camera: Camera
    path: bytes
    held: bool


class Witness:
    """Sees every erasure that goes through a station's cards."""

    def __init__(self, *, manifest: Manifest, holds: Holds) -> None:
        """Begin with nothing seen."""
        self._manifest = manifest
        self._holds = holds
        self._sightings: list[Sighting] = []

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """Give what was seen, in order."""
        return tuple(self._sightings)

    def watching(self, cards: Cards) -> Cards:
        """Give the same cards, with somebody looking on."""
        return _WatchedCards(cards, see=self._see)

    async def _see(self, camera: Camera, path: bytes) -> None:
        put = self._manifest.find(camera, path)
        held = put is not None and await self._holds(put)
        self._sightings.append(Sighting(camera=camera, path=path, held=held))


class _WatchedCards:
    def __init__(self, inner: Cards, *, see: Callable[[Camera, bytes], Awaitable[None]]) -> None:
        self._inner = inner
        self._see = see

    async def open(self, attached: Attached) -> Card:
        return _WatchedCard(await self._inner.open(attached), camera=attached.camera, see=self._see)


class _WatchedCard:
    def __init__(self, inner: Card, *, camera: Camera, see: Callable[[Camera, bytes], Awaitable[None]]) -> None:
        self._inner = inner
        self._camera = camera
        self._see = see

    async def listing(self) -> Listing:
        return await self._inner.listing()

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        return await self._inner.copy(file, progress=progress)

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        return await self._inner.salvage(file, progress=progress)

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        return await self._inner.reread(file, progress=progress)

    async def erase(self, permit: ErasePermit) -> None:
        await self._see(self._camera, permit.path)
        await self._inner.erase(permit)

    async def rest(self) -> None:
        await self._inner.rest()

    async def close(self) -> None:
        await self._inner.close()
