"""Cards with what their camera's profile reads of them: marked recordings first, and nothing erased that it keeps.

Owns that a profile is heard, between whoever opens cards and the stay. Must not know how a profile was found, nor read
a card itself.
"""

import asyncio
from collections.abc import Callable

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Card, Cards, Copied, ReadAgain, Salvaged
from dockd.domain.contents import contents_of, marked
from dockd.domain.erasure import ErasePermit
from dockd.domain.facts import read
from dockd.domain.model import ListedFile, Listing
from dockd.domain.profile import Profile
from dockd.errors import PermanentError, Reason


class ProfiledCards:
    """Opens the cards of another `Cards` as their profiles say."""

    def __init__(self, cards: Cards, *, profile_of: Callable[[Attached], Profile]) -> None:
        """Take who opens them, and who knows the profile of a camera that was attached."""
        self._cards = cards
        self._profile_of = profile_of

    async def open(self, attached: Attached) -> "ProfiledCard":
        """Open a card; see the port for what is raised."""
        profile = self._profile_of(attached)
        return ProfiledCard(await self._cards.open(attached), profile)


class ProfiledCard:
    """The port `Card` over another one."""

    def __init__(self, card: Card, profile: Profile) -> None:
        """Take an open card. Until it was listed nothing of it may be erased."""
        self._card = card
        self._profile = profile
        self._erasable: frozenset[bytes] = frozenset()

    async def listing(self) -> Listing:
        """List every file with what the profile reads of it, or raise ListingError (I7)."""
        self._erasable = frozenset()
        listing = await self._card.listing()
        # As many names as a card may have take longer than the loop may be held up.
        told = await asyncio.to_thread(_told, self._profile, listing)
        self._erasable = frozenset(file.path for file in told.files) - told.kept
        return told

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        """Copy one file; see the port for what is raised."""
        return await self._card.copy(file, progress=progress)

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        """Copy what can be read of one file; see the port for what is raised."""
        return await self._card.salvage(file, progress=progress)

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        """Read a file once more from the card; see the port for what is raised."""
        return await self._card.reread(file, progress=progress)

    async def erase(self, permit: ErasePermit) -> None:
        """Erase the one file the permit names; see the port for what is raised. Refused too: what the profile keeps."""
        if permit.path not in self._erasable:
            say = f"{permit.path!r}: by the profile {self._profile.name} such a file is not erased"
            raise PermanentError(Reason.REFUSED, say)
        await self._card.erase(permit)

    async def rest(self) -> None:
        """Let go of what is writable; see the port for what is raised."""
        await self._card.rest()

    async def close(self) -> None:
        """Let go of the card. Never raises."""
        await self._card.close()


def _told(profile: Profile, listing: Listing) -> Listing:
    contents = contents_of(profile, listing)
    return read(marked(listing, contents), contents, profile)
