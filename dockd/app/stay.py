"""One stay of a camera in a bay: its open card and what was listed on it.

Owns the card while the camera is docked. Knows nothing of other bays.
"""

from collections.abc import Callable
from typing import Protocol

from dockd.app.ports import Card, Ledger
from dockd.domain.erasure import Stay as StayFacts
from dockd.domain.model import BayId, Camera, Clip, DockingId, ListedFile
from dockd.errors import ListingError, PermanentError, Reason

BEHIND = "it stays on its card: its chain, or that of a file as long, goes on past its end, where nobody has read"
PROFILE = "it stays on its card: by the profile of its camera such a file is not erased"


class Watch(Protocol):
    """Who wants to know how a stay goes: its bay."""

    def touched(self, docking: DockingId) -> None:
        """Hear that clips of the stay moved."""
        ...

    def erasing(self, docking: DockingId, *, opened: bool) -> None:
        """Hear that the card is being cleared, or no more."""
        ...

    def broke(self, docking: DockingId, reason: Reason, detail: str) -> None:
        """Hear that the camera cannot be worked on."""
        ...


class Stay:
    """A docked camera whose card was listed completely; made by `begin`."""

    def __init__(
        self,
        *,
        bay: BayId,
        docking: DockingId,
        camera: Camera,
        card: Card,
        watch: Watch,
        alone: Callable[[], bool],
    ) -> None:
        """Begin with nothing listed; `alone` says whether no other bay seems to have the same camera now."""
        self.bay = bay
        self.docking = docking
        self.camera = camera
        self.card = card
        self.watch = watch
        self._alone = alone
        self._files: dict[bytes, ListedFile] = {}
        self._behind: frozenset[int] = frozenset()
        self._kept: frozenset[bytes] = frozenset()
        self.kept_files = 0
        self.moves = 0

    def moved(self, _done_bytes: int) -> None:
        """Hear that bytes came from the card: what reads it does not hang."""
        self.moves += 1

    async def list_card(self, *, ledger: Ledger) -> None:
        """List the whole card and put every file on record, before any other act (I7).

        Raises:
            ListingError: the listing is not complete, or the same camera seems to be docked elsewhere as well; nothing
                was written.

        """
        listing = await self.card.listing()
        if not self._alone():
            # What is missing here may be on the other one.
            raise ListingError(Reason.DUPLICATE_CAMERA, f"camera {self.camera.serial} seems to be docked twice")
        await ledger.record_listing(self.docking, listing)
        self._files = {file.path: file for file in listing.files}
        self._behind, self._kept, self.kept_files = listing.behind, listing.kept, listing.kept_files

    def file(self, clip: Clip) -> ListedFile:
        """Give a clip's file as this stay's listing has it.

        Raises:
            PermanentError: MISSING, it was listed in this stay and is not in the latest listing.

        """
        file = self._files.get(clip.path)
        if file is None:
            raise PermanentError(Reason.MISSING, f"{clip.path!r} was listed in this stay and is not on the camera now")
        return file

    def keeps(self, clip: Clip) -> bool:
        """Say whether a clip's file stays on the card whatever its receipt, so that nobody need read it again."""
        return clip.length_bytes in self._behind or clip.path in self._kept

    def why_kept(self, clip: Clip) -> str:
        """Say in words why such a file stays."""
        return PROFILE if clip.path in self._kept else BEHIND

    def facts(self, *, erase_allowed: bool) -> StayFacts:
        """Give what the erase gate wants to know."""
        return StayFacts(
            docking=self.docking, camera=self.camera, listing_complete=bool(self._files), erase_allowed=erase_allowed
        )
