"""The ledger as the app sees it: the port's calls, each one closure to commit or one query to answer.

Owns the binding of calls to closures and queries, and the time of entries: taken when the call is made, so that the
order of times is the order of calls. Knows neither threads nor SQL.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from dockd.app.ports import Attached, Salvaged
from dockd.domain.bay import Tally
from dockd.domain.clip import Change, Move
from dockd.domain.custody import Link
from dockd.domain.model import Assurance, BayId, Clip, ClipId, ClipKey, DockingId, ListedFile, Listing, Timestamp
from dockd.domain.quarantine import Broken, Held
from dockd.domain.schedule import Head
from dockd.edges.ledger import quarantined, reads, views
from dockd.edges.ledger.accounts import LedgerAccounts
from dockd.edges.ledger.reads import Query
from dockd.edges.ledger.runner import Runner
from dockd.edges.ledger.witness import Witness
from dockd.errors import DockdError, Reason

T = TypeVar("T")


class StationLedger:
    """Durable state of one station: implements `app.ports.Ledger`. Made by `start.open_ledger` or `open_inline`."""

    def __init__(
        self,
        runner: Runner,
        *,
        now: Callable[[], Timestamp],
        release: Callable[[], None],
        witness: Witness | None = None,
    ) -> None:
        """Take a started runner; `release` lets go of the state folder, last of all. A simulated one has no witness."""
        self._runner = runner
        self._now = now
        self._release = release
        self._witness = witness
        self._closed = False
        self.accounts = LedgerAccounts(runner, now=now)

    async def __aenter__(self) -> Self:
        """Give itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Commit what was asked for, state the chain's end, close the database, let go of the state folder.

        Again does nothing. A statement that cannot be made leaves the one before, which stays true.
        """
        if self._closed:
            return
        self._closed = True
        try:
            with suppress(DockdError):
                await self.state_end()
        finally:
            try:
                await self._runner.close()
            finally:
                self._release()

    async def state_end(self) -> None:
        """Leave a signed checkpoint in the state folder, if the chain moved since the last one.

        Goes through the writer and back in any case, and so finds out, too, whether its files still are the ledger.

        Raises:
            TransientError: DISK or DISK_FULL; the checkpoint before stays, and stays true.
            InvariantError: the database is no longer in its place, or damaged.

        """
        if self._witness is None:
            return
        owed = await self._runner.run(self._witness.owes)
        if owed is not None:
            await asyncio.to_thread(self._witness.state, owed)

    async def stand(self) -> None:
        """See that the files of this ledger still are what lies in its place. Raises as `state_end`."""
        await self._runner.run(_nothing)

    async def query(self, query: Query[T]) -> T:
        """Answer a question of `views`."""
        return await self._runner.fetch(query)

    async def dock(self, attached: Attached) -> DockingId:
        """Open a docking: a row and a custody entry."""
        time = self._now()
        return await self._runner.run(lambda core: core.dock(bay=attached.bay, camera=attached.camera, time=time))

    async def undock(self, docking: DockingId, *, early: bool, left_files: int) -> None:
        """Close a docking, once; later calls change nothing."""
        time = self._now()
        await self._runner.run(lambda core: core.undock(docking, early=early, left_files=left_files, time=time))

    async def record_listing(self, docking: DockingId, listing: Listing) -> None:
        """Write down a complete listing in one transaction: `domain.listing.reconcile` on what is known."""
        time = self._now()
        await self._runner.run(lambda core: core.record_listing(docking, listing, time=time))

    async def move(self, key: ClipKey, move: Move, change: Change, *, actor: str) -> Clip:
        """Move one clip and append its custody entry, in one transaction; give the clip as it is then.

        Raises:
            StaleMoveError: the move is not lawful from the state the clip is in now; nothing is written.

        """
        time = self._now()
        return await self._runner.run(lambda core: core.move(key, move, change, actor=actor, time=time))

    async def supersede(self, key: ClipKey, file: ListedFile, *, docking: DockingId) -> Clip:
        """Part a clip from a file that proved to be another one: a new FOUND row for the file, the old row stays.

        The old row leaves this docking's work (its file is not here) but not its accounts: what was copied of it is
        still brought to the store. Being listed again at a later docking makes it a candidate again.
        """
        time = self._now()
        return await self._runner.run(lambda core: core.supersede(key, file, docking=docking, time=time))

    async def salvage(self, key: ClipKey, salvaged: Salvaged, *, docking: DockingId) -> Clip:
        """Write down what was salvaged of a clip's file: a COPIED row of its own, apart from this docking's work."""
        time = self._now()
        return await self._runner.run(lambda core: core.salvage(key, salvaged, docking=docking, time=time))

    async def broke(self, docking: DockingId, reason: Reason, detail: str) -> None:
        """Write down why nothing more is done with a camera in this docking; the first cause stands."""
        time = self._now()
        await self._runner.run(lambda core: quarantined.broke(core, docking, reason, detail, time=time))

    async def acknowledge_clip(self, key: ClipKey, *, actor: str, why: str) -> Clip:
        """Write down who lets a held clip be, and why; it stays held."""
        time = self._now()
        return await self._runner.run(
            lambda core: quarantined.acknowledge_clip(core, key, actor=actor, why=why, time=time)
        )

    async def acknowledge_docking(self, docking: DockingId, *, actor: str, why: str) -> None:
        """Write down who has looked at a camera that broke, and what they say."""
        time = self._now()
        await self._runner.run(
            lambda core: quarantined.acknowledge_docking(core, docking, actor=actor, why=why, time=time)
        )

    async def held(self, *, key: ClipKey | None = None, after: ClipKey, limit: int) -> Sequence[Held]:
        """Give held clips in the order in which they were found, or that one."""
        return await self._runner.fetch(views.held(key=key, after=after, limit=limit))

    async def broken(self) -> Sequence[Broken]:
        """Give every camera that is in quarantine, the latest first."""
        return await self._runner.fetch(views.broken())

    async def find(self, key: ClipKey) -> Clip | None:
        """Read one clip, if there is such a one."""
        return await self._runner.fetch(views.found(key))

    async def note(
        self,
        cause: str,
        *,
        actor: str,
        bay: BayId | None = None,
        docking: DockingId | None = None,
        clip: ClipKey | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Append a custody entry that moves no clip."""
        time = self._now()
        await self._runner.run(
            lambda core: core.note(cause, actor=actor, time=time, bay=bay, docking=docking, clip=clip, facts=facts)
        )

    async def annotate(self, key: ClipKey, change: Change) -> None:
        """Set what a clip waits for (`reason`, `detail`) without moving it; no custody entry."""
        await self._runner.run(lambda core: core.annotate(key, change))

    async def clip(self, key: ClipKey) -> Clip:
        """Read one clip."""
        return await self._runner.fetch(reads.clip(key))

    async def heads(self, dockings: Sequence[DockingId], *, skip: frozenset[ClipKey]) -> tuple[Head, ...]:
        """Give the next work of each docking, urgent first, then oldest; `skip` names clips that wait."""
        return await self._runner.fetch(reads.heads(dockings, skip=skip))

    async def next_upload(self, *, skip: frozenset[ClipKey], wanted: Assurance) -> Clip | None:
        """Give the next clip to bring to the store: COPIED, or UPLOADED with less assurance than `wanted`."""
        return await self._runner.fetch(reads.next_upload(skip=skip, wanted=wanted))

    async def spooled(self, copies: Collection[ClipId]) -> frozenset[ClipId]:
        """Say which of these copies a clip on record has in the spool."""
        return await self._runner.fetch(reads.spooled(copies))

    async def next_reclaim(
        self, *, receipted_before_utc: str, copying: frozenset[ClipKey], skip: frozenset[ClipKey]
    ) -> Clip | None:
        """Give a spooled clip whose receipt is durable since before that time, and whose copy no open clip shares."""
        query = reads.next_reclaim(receipted_before_utc=receipted_before_utc, copying=copying, skip=skip)
        return await self._runner.fetch(query)

    async def recording(self, clip: Clip) -> tuple[Clip, ...]:
        """Give a clip as it is on record, and the first of its recording in its docking that has no receipt."""
        return await self._runner.fetch(reads.recording(clip))

    async def tally(self, docking: DockingId) -> Tally:
        """Count a docking's clips."""
        return await self._runner.fetch(reads.tally(docking))

    async def backlog(self) -> Tally:
        """Count every clip of this station that is not erased."""
        return await self._runner.fetch(reads.backlog())

    async def leaf(self, key: ClipKey) -> str:
        """Give the hash of the latest custody entry of a clip (64 hex)."""
        return await self._runner.fetch(reads.leaf(key))

    async def links(self, *, after: int, limit: int) -> Sequence[Link]:
        """Read the custody chain, in order."""
        return await self._runner.fetch(reads.links(after=after, limit=limit))

    async def told(self) -> int:
        """Give the custody entry up to which the world outside knows everything."""
        return await self._runner.fetch(reads.told())

    async def record_told(self, seq: int) -> None:
        """Write down that it knows everything up to this entry."""
        await self._runner.run(lambda core: core.record_told(seq))


def _nothing(_: object) -> None:
    return None
