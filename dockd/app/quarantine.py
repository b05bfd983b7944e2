"""What people do about quarantine: have a clip or a camera tried again, or let it be, having looked at it.

Owns the course of both; from where a clip can go on is `domain.quarantine`. There is no way from here to an erasure:
a clip that is let out earns its receipt, and passes the gate, as any other (I1, I15).
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from dockd.app.ports import Ledger, Spool
from dockd.app.waiting import Bell
from dockd.domain.clip import Change, Move
from dockd.domain.model import Clip, ClipKey, DockingId
from dockd.domain.quarantine import Held, Outcome, Wish, way_on
from dockd.errors import StaleMoveError, TransientError

PAGE = 200


class Bays(Protocol):
    """What quarantine needs of a running station."""

    def works_on(self, docking: DockingId) -> bool:
        """Say whether a camera is docked in that stay, and nothing is wrong with it."""
        ...

    def goes_on(self, clip: Clip) -> None:
        """Have a clip worked on that has left quarantine."""
        ...

    def read_again(self, docking: DockingId) -> bool:
        """Begin a new stay with the camera that is docked in that one; False where none is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one wish; one of `clip` and `docking` says of what."""

    outcome: Outcome
    clip: ClipKey | None = None
    docking: DockingId | None = None
    detail: str = ""


class Quarantine:
    """Answers wishes about a station's quarantine. `run` looks after what was taken on, until cancelled."""

    def __init__(self, *, ledger: Ledger, spool: Spool, bays: Bays) -> None:
        """Take the station's ledger, its spool and its bays."""
        self._ledger = ledger
        self._spool = spool
        self._bays = bays
        self._taken_on: dict[ClipKey, str] = {}
        self._bell = Bell()

    async def run(self) -> None:
        """Look after what was taken on, one clip at a time: to read a copy through may take minutes."""
        while True:
            await self._bell.heard()
            while self._taken_on:
                key, actor = next(iter(self._taken_on.items()))
                # A disk that does not answer now leaves the clip where it is, for all to see.
                with suppress(TransientError):
                    await self.clip(key, Wish.RETRY, actor=actor)
                del self._taken_on[key]

    async def retry(self, key: ClipKey, *, actor: str) -> Answer:
        """Retry one clip of several: what has a copy is taken on, so that nobody waits while all are read."""
        held = await self._ledger.held(key=key, after=ClipKey(0), limit=1)
        if held and held[0].clip.spooled:
            return self._take_on(key, actor=actor)
        return await self.clip(key, Wish.RETRY, actor=actor)

    def _take_on(self, key: ClipKey, *, actor: str) -> Answer:
        self._taken_on[key] = actor
        self._bell.ring()
        return Answer(outcome=Outcome.TAKEN_ON, clip=key)

    async def clip(self, key: ClipKey, wish: Wish, *, actor: str, why: str = "") -> Answer:
        """Retry or release one clip."""
        held = await self._ledger.held(key=key, after=ClipKey(0), limit=1)
        if held:
            return await self._one(held[0], wish, actor=actor, why=why)
        clip = await self._ledger.find(key)
        if clip is None:
            return Answer(outcome=Outcome.UNKNOWN, clip=key)
        return Answer(outcome=Outcome.WRONG_STATE, clip=key, detail=f"it is {clip.state.value}")

    async def camera(self, docking: DockingId, wish: Wish, *, actor: str, why: str = "") -> Answer:
        """Retry or release the camera that broke in a docking."""
        broken = {each.docking: each for each in await self._ledger.broken()}
        if docking not in broken:
            return Answer(outcome=Outcome.UNKNOWN, docking=docking)
        match wish:
            case Wish.RETRY:
                begun = self._bays.read_again(docking)
                return Answer(outcome=Outcome.READ_AGAIN if begun else Outcome.WAITS, docking=docking)
            case Wish.RELEASE:
                try:
                    await self._ledger.acknowledge_docking(docking, actor=actor, why=why)
                except TransientError as error:
                    return Answer(outcome=Outcome.FAILED, docking=docking, detail=str(error))
                return Answer(outcome=Outcome.ACKNOWLEDGED, docking=docking)

    async def retry_all(self, *, serial: str | None, actor: str) -> Sequence[Answer]:
        """Retry every clip and every camera in quarantine, or those of one camera; copies are looked at afterwards."""
        answers: list[Answer] = []
        begun: set[DockingId] = set()
        for broken in await self._ledger.broken():
            if serial is None or broken.camera.serial == serial:
                answers.append(await self.camera(broken.docking, Wish.RETRY, actor=actor))
                if answers[-1].outcome is Outcome.READ_AGAIN:
                    begun.add(broken.docking)
        after: ClipKey | None = ClipKey(0)
        while after is not None:
            page = await self._ledger.held(after=after, limit=PAGE)
            # Of a camera that is begun anew, the new stay takes the clips along.
            mine = [held for held in page if serial is None or held.clip.camera.serial == serial]
            answers += [
                self._take_on(held.clip.key, actor=actor)
                if held.clip.spooled
                else await self._one(held, Wish.RETRY, actor=actor, why="")
                for held in mine
                if held.clip.docking not in begun
            ]
            after = page[-1].clip.key if len(page) == PAGE else None
        return answers

    async def _one(self, held: Held, wish: Wish, *, actor: str, why: str) -> Answer:
        clip = held.clip
        docked = self._bays.works_on(clip.docking)
        try:
            move = way_on(held, wish, copied=await self._is_copied(clip), docked=docked)
            if move is not None:
                return await self._let_out(clip, move, actor=actor, why=why)
            match wish:
                case Wish.RETRY:
                    # Of a camera that is docked and at fault, the way on is a new stay: it takes the clip along.
                    own = not docked and not held.parted and not clip.gaps
                    begun = own and self._bays.read_again(clip.docking)
                    return Answer(outcome=Outcome.READ_AGAIN if begun else Outcome.WAITS, clip=clip.key)
                case Wish.RELEASE:
                    await self._ledger.acknowledge_clip(clip.key, actor=actor, why=why)
                    return Answer(outcome=Outcome.ACKNOWLEDGED, clip=clip.key)
        except StaleMoveError as error:
            return Answer(outcome=Outcome.WRONG_STATE, clip=clip.key, detail=str(error))
        except TransientError as error:
            return Answer(outcome=Outcome.FAILED, clip=clip.key, detail=str(error))

    async def _is_copied(self, clip: Clip) -> bool:
        """Look whether the copy that is on record is there and whole: somebody may have been told that it is lost."""
        if not clip.spooled or clip.clip_id is None:
            return False
        return await self._spool.digest(clip.clip_id) == (clip.sha256, clip.length_bytes)

    async def _let_out(self, clip: Clip, move: Move, *, actor: str, why: str) -> Answer:
        change = Change(facts={"why": why} if why else {})
        self._bays.goes_on(await self._ledger.move(clip.key, move, change, actor=actor))
        outcome = Outcome.SENT_ON if move is Move.RESUMED else Outcome.COPIED_AGAIN
        return Answer(outcome=outcome, clip=clip.key)
