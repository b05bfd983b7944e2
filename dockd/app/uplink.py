"""The way to the store: a few uploads at a time, begun ones first, and patience when the store is away.

Owns which clip goes next and when to try again. Must not know how a clip is uploaded.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dockd.app.policy import Policy
from dockd.app.ports import Chance, Clock, Keys, Ledger, Spool, Wire
from dockd.app.upload import FINISHED, Bringing, Ending, Outcome
from dockd.app.waiting import Bell, Waiting
from dockd.domain.clip import Change
from dockd.domain.model import Clip, ClipKey
from dockd.domain.schedule import backoff_s, patience_s, poll_s, receipt_deadline_s
from dockd.errors import Reason, StaleMoveError, TransientError

SHARED_MOST_S = 30.0
"""A store that comes back is noticed within this, however long it was away; a clip's own trouble may wait longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkView:
    """How the way to the store is: `reason` and `detail` of the last failure while it lasts, since when, how often."""

    reason: Reason | None
    detail: str
    failures: int
    failing_s: float
    sending: dict[ClipKey, int]
    verifying_files: int
    overdue_files: int


class Uplink:
    """Brings clips to the store. `run` works until cancelled."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        wire: Wire,
        keys: Keys,
        clock: Clock,
        chance: Chance,
        policy: Policy,
        moved: Callable[[Clip], None],
    ) -> None:
        """Begin idle; `moved` hears of every clip whose state the store's answers changed."""
        self._ledger = ledger
        self._spool = spool
        self._wire = wire
        self._keys = keys
        self._clock = clock
        self._chance = chance
        self._policy = policy
        self._moved = moved
        self.bell = Bell()
        self._choosing = asyncio.Lock()
        self._active: dict[ClipKey, int] = {}
        self._begun: dict[ClipKey, Bringing] = {}
        self._waiting: Waiting[ClipKey] = Waiting()
        self._tries: Counter[ClipKey] = Counter()
        self._polls: Counter[ClipKey] = Counter()
        self._verifying_since_s: dict[ClipKey, float] = {}
        self._overdue: set[ClipKey] = set()
        self._failures = 0
        self._failing_since_s = 0.0
        self._reason: Reason | None = None
        self._detail = ""
        self._resting = 0

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._policy.uploads_at_once):
                group.create_task(self._work(), name=f"upload {number}")

    @property
    def resting(self) -> bool:
        """Say whether every clip is where the policy wants it, or its receipt is overdue."""
        idle = self._resting == self._policy.uploads_at_once and not self.bell.rung
        # What is due is work, though no worker had its turn yet.
        return idle and self._waiting.all() <= self._overdue

    def view(self) -> UplinkView:
        """Tell people how it goes."""
        return UplinkView(
            reason=self._reason,
            detail=self._detail,
            failures=self._failures,
            failing_s=self._clock.monotonic_s() - self._failing_since_s if self._failures else 0.0,
            sending=dict(self._active),
            verifying_files=len(self._verifying_since_s),
            overdue_files=len(self._overdue),
        )

    async def _work(self) -> None:
        while True:
            clip = await self._choose()
            if clip is None:
                await self._rest()
                continue
            bringing = self._begun.get(clip.key) or self._begin(clip)
            before = bringing.clip
            try:
                outcome = await self._bring(bringing)
            finally:
                self._active.pop(clip.key, None)
            # A store that is asked for a receipt again and again is no news to the bays.
            if bringing.clip.state is not before.state:
                self._moved(bringing.clip)
            await self._after(clip, outcome)

    async def _choose(self) -> Clip | None:
        # Two workers must not be given one clip: look and take are one step.
        async with self._choosing:
            skip = self._waiting.now(self._clock.monotonic_s()) | self._active.keys()
            clip = await self._ledger.next_upload(skip=frozenset(skip), wanted=self._policy.wanted)
            if clip is not None:
                self._active[clip.key] = 0
            return clip

    async def _rest(self) -> None:
        self._resting += 1
        try:
            await self.bell.heard(within_s=self._waiting.next_in_s(self._clock.monotonic_s()))
        finally:
            self._resting -= 1

    def _begin(self, clip: Clip) -> Bringing:
        bringing = self._begun[clip.key] = Bringing(
            clip,
            ledger=self._ledger,
            spool=self._spool,
            wire=self._wire,
            keys=self._keys,
            policy=self._policy,
            progress=lambda sent_bytes: self._sent(clip.key, sent_bytes),
        )
        return bringing

    async def _bring(self, bringing: Bringing) -> Outcome:
        try:
            return await bringing.run()
        except StaleMoveError:
            # The bus moved the clip meanwhile, its spool copy is to be made again, say: begin from the ledger's word.
            return FINISHED
        except TransientError as error:
            # Our own disk, not the store: every rung is safe to repeat, and the station outlives one bad file.
            return Outcome(ending=Ending.FAILED, reason=error.reason, detail=str(error))

    def _sent(self, key: ClipKey, sent_bytes: int) -> None:
        if key in self._active:
            self._active[key] = sent_bytes
        # Bytes are on their way again: whatever the store was verifying, it begins anew.
        self._verifying_since_s.pop(key, None)
        self._overdue.discard(key)

    async def _after(self, clip: Clip, outcome: Outcome) -> None:
        match outcome.ending:
            case Ending.FINISHED:
                self._recovered()
                self._forget(clip.key)
                # The fewer are left, the less long each may be left alone.
                self._waiting.hasten(until_s=self._clock.monotonic_s() + self._patience_s())
                self.bell.ring()
            case Ending.VERIFYING:
                self._recovered()
                await self._verifying(clip)
            case Ending.FAILED:
                await self._failed(clip, outcome)

    async def _verifying(self, clip: Clip) -> None:
        key, now_s = clip.key, self._clock.monotonic_s()
        if key not in self._verifying_since_s:
            self._verifying_since_s[key], self._polls[key] = now_s, 0
        since_s = self._verifying_since_s[key]
        # Questions and failures are counted apart: each says nothing of how long to wait after the other.
        self._tries.pop(key, None)
        self._polls[key] += 1
        wait_s = poll_s(self._polls[key], jitter=self._chance.jitter(), most_s=self._patience_s())
        left_s = since_s + receipt_deadline_s(clip.length_bytes, base_s=self._policy.receipt_s) - now_s
        # The deadline itself is a time to ask: polls have grown far apart by then.
        self._waiting.put_off(key, until_s=now_s + (min(wait_s, left_s) if left_s > 0 else wait_s))
        if left_s <= 0 and key not in self._overdue:
            self._overdue.add(key)
            detail = f"the store has every byte and gave no receipt for {round(now_s - since_s)} s"
            await self._ledger.annotate(key, Change(reason=Reason.RECEIPT, detail=detail))

    async def _failed(self, clip: Clip, outcome: Outcome) -> None:
        now_s = self._clock.monotonic_s()
        if outcome.progressed:
            self._recovered()
            self._tries.pop(clip.key, None)
        if not self._failures:
            self._failing_since_s = now_s
        self._failures += 1
        self._tries[clip.key] += 1
        self._overdue.discard(clip.key)
        self._reason, self._detail = outcome.reason, outcome.detail
        jitter = self._chance.jitter()
        own_s = backoff_s(self._tries[clip.key], jitter=jitter, most_s=self._patience_s())
        firm_s = backoff_s(1, jitter=0.0, retry_after_s=outcome.retry_after_s)
        self._waiting.put_off(clip.key, until_s=now_s + max(own_s, firm_s), firm=firm_s > own_s)
        # One clip's trouble must not stop the others; trouble that all clips have slows all of them down.
        if self._failures > self._policy.uploads_at_once:
            shared = self._failures - self._policy.uploads_at_once
            await self._clock.sleep(min(SHARED_MOST_S, backoff_s(shared, jitter=jitter)))

    def _patience_s(self) -> float:
        return patience_s(len(self._waiting.all() | self._active.keys()))

    def _recovered(self) -> None:
        self._failures, self._reason, self._detail = 0, None, ""

    def _forget(self, key: ClipKey) -> None:
        self._begun.pop(key, None)
        self._verifying_since_s.pop(key, None)
        self._tries.pop(key, None)
        self._polls.pop(key, None)
        self._overdue.discard(key)
