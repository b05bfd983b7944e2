"""Giving up spool copies that are no longer needed.

Owns when a copy goes: its clip's receipt is durable, and the grace is over or a file waits for the room. Never by age
or by want of room alone (I12); nothing without a receipt is ever given up.
"""

from collections.abc import Callable

from dockd.app.policy import Policy
from dockd.app.ports import Clock, Ledger, Spool
from dockd.app.space import Space
from dockd.app.waiting import Bell
from dockd.domain.clip import Change, Move
from dockd.domain.moment import seconds_before
from dockd.errors import TransientError

LOOK_S = 60.0
END_OF_TIME_UTC = "9999-12-31T23:59:59.999999Z"


class Reclaimer:
    """Gives up receipted copies. `run` works until cancelled."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        clock: Clock,
        policy: Policy,
        space: Space,
        crowded: Callable[[], bool],
        made_room: Callable[[], None],
    ) -> None:
        """Begin idle; `crowded` says whether a file waits for room, `made_room` hears of every copy that went."""
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._policy = policy
        self._space = space
        self._crowded = crowded
        self._made_room = made_room
        self.bell = Bell()
        self._resting = False

    @property
    def resting(self) -> bool:
        """Say whether no copy can go now."""
        return self._resting and not self.bell.rung

    async def run(self) -> None:
        """Work for ever."""
        while True:
            copying = self._space.copying()
            clip = await self._ledger.next_reclaim(receipted_before_utc=self._before_utc(), copying=copying)
            if clip is None or clip.clip_id is None:
                self._resting = True
                await self.bell.heard(within_s=LOOK_S)
                self._resting = False
                continue
            if self._space.met(clip):
                continue  # a copy that began since may be this very one, made anew: the ledger knows it by then
            try:
                with self._space.leaving(clip):
                    # First the file, then the record: a cut in between leaves a record that asks again, and no lost
                    # file.
                    await self._spool.discard(clip.clip_id)
                    await self._ledger.move(clip.key, Move.RECLAIMED, Change(), actor="reclaim")
            except TransientError:
                # The disk would not. A copy too many harms nobody: no reason to end the station, nor to try at once.
                self._resting = True
                await self._clock.sleep(LOOK_S)
                self._resting = False
                continue
            self._made_room()

    def _before_utc(self) -> str:
        # Where none is needed no time is asked for: a receipt of a day that the wall clock has not reached again, after
        # it was put right, must not keep its copy, and its room, until then (I13).
        if not self._policy.grace_s or self._crowded():
            return END_OF_TIME_UTC
        return seconds_before(self._clock.now().utc, self._policy.grace_s)
