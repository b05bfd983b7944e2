"""Giving up spool copies that are no longer needed.

Owns when a copy goes: its clip's receipt is durable, and the grace is over or a file waits for the room. Never by age
or by want of room alone (I12). Without a receipt only what proved to be no copy goes, for the file it stands in the
way of.
"""

from collections.abc import Callable
from contextlib import suppress

from dockd.app.offload import WrongCopy
from dockd.app.policy import Policy
from dockd.app.ports import Clock, Ledger, Spool
from dockd.app.space import Space
from dockd.app.waiting import Bell, Waiting
from dockd.domain.clip import Change, Move
from dockd.domain.model import Clip, ClipId, ClipKey
from dockd.domain.moment import seconds_before
from dockd.errors import TransientError

LOOK_S = 60.0
END_OF_TIME_UTC = "9999-12-31T23:59:59.999999Z"


class Reclaimer:
    """Gives up receipted copies, and wrong ones. `run` works until cancelled."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        clock: Clock,
        policy: Policy,
        space: Space,
        crowded: Callable[[], bool],
        wrong: Callable[[], WrongCopy | None],
        made_room: Callable[[], None],
    ) -> None:
        """Begin idle.

        `crowded` says whether a file waits for room, `wrong` gives a copy that proved wrong just now and is in the way,
        and `made_room` hears of every copy that went.
        """
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._policy = policy
        self._space = space
        self._crowded = crowded
        self._wrong = wrong
        self._made_room = made_room
        self.bell = Bell()
        self._waiting = Waiting[ClipKey]()
        self._resting = False

    @property
    def resting(self) -> bool:
        """Say whether no copy can go now."""
        return self._resting and not self.bell.rung

    async def run(self) -> None:
        """Work for ever."""
        while True:
            if (wrong := self._wrong()) is not None:
                # Whose it is finds out whether it went: it is judged anew before it is tried again.
                with suppress(TransientError):
                    await self._discard(wrong.clip, wrong.clip_id)
                continue
            clip = await self._next()
            if clip is None or clip.clip_id is None:
                await self._rest()
                continue
            if self._space.met(clip):
                continue  # a copy that began since may be this very one, made anew: the ledger knows it by then
            try:
                # First the file, then the record: a cut in between leaves a record that asks again, and no lost file.
                await self._discard(clip, clip.clip_id, recorded=Move.RECLAIMED)
            except TransientError:
                # The disk would not. A copy too many harms nobody: no reason to end the station, nor to try at once,
                # nor to keep the others.
                self._waiting.put_off(clip.key, until_s=self._clock.monotonic_s() + LOOK_S)

    async def _next(self) -> Clip | None:
        copying = self._space.copying()
        skip = self._waiting.now(self._clock.monotonic_s())
        return await self._ledger.next_reclaim(receipted_before_utc=self._before_utc(), copying=copying, skip=skip)

    async def _rest(self) -> None:
        self._resting = True
        due_s = self._waiting.next_in_s(self._clock.monotonic_s())
        await self.bell.heard(within_s=LOOK_S if due_s is None else min(LOOK_S, due_s))
        self._resting = False

    async def _discard(self, clip: Clip, clip_id: ClipId, *, recorded: Move | None = None) -> None:
        """Remove a copy, and write that down where it is a receipted clip's. Raises TransientError."""
        gone = False
        try:
            with self._space.leaving(clip):
                await self._spool.discard(clip_id)
                gone = True
                if recorded is not None:
                    await self._ledger.move(clip.key, recorded, Change(), actor="reclaim")
        finally:
            if gone:
                # There is room, whether or not that can be written down.
                self._made_room()

    def _before_utc(self) -> str:
        # Where none is needed no time is asked for: a receipt of a day that the wall clock has not reached again, after
        # it was put right, must not keep its copy, and its room, until then (I13).
        if not self._policy.grace_s or self._crowded():
            return END_OF_TIME_UTC
        return seconds_before(self._clock.now().utc, self._policy.grace_s)
