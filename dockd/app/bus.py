"""One USB bus: clips are copied, confirmed and erased one at a time, in the order of the schedule.

Owns what the bus does next and what a failure on it means. Must not know how a clip is copied.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace

from dockd.app.erase import erase_clip
from dockd.app.offload import confirm_clip, copy_clip
from dockd.app.policy import Policy
from dockd.app.ports import Clock, Keys, Ledger, Spool
from dockd.app.space import Space
from dockd.app.stay import Stay
from dockd.app.waiting import Bell, Waiting
from dockd.domain.clip import Change, Move
from dockd.domain.model import Clip, ClipKey, DockingId
from dockd.domain.schedule import Job, JobKind, next_job
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, StaleMoveError, TransientError

TRIES = 3
"""So many failures in a row make a camera broken (USB) or a clip held (HASH): more only wear the card."""
DISK_WAIT_S = 10.0
AGAIN_WAIT_S = 1.0
NEVER_S = float("inf")
RATE_SAMPLE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Underway:
    """What a bus works on now, for people to see."""

    docking: DockingId
    clip: ClipKey
    kind: JobKind
    bytes_done: int


class Bus:
    """One bus with the stays on it. `run` works until cancelled."""

    def __init__(
        self, *, ledger: Ledger, keys: Keys, spool: Spool, clock: Clock, policy: Policy, space: Space, uplink: Bell
    ) -> None:
        """Begin with nothing docked; `uplink` is rung for every clip that is ready to be uploaded."""
        self._ledger = ledger
        self._keys = keys
        self._spool = spool
        self._clock = clock
        self._policy = policy
        self._space = space
        self._uplink = uplink
        self._bell = Bell()
        self._stays: dict[DockingId, Stay] = {}
        self._waiting: Waiting[ClipKey] = Waiting()
        self._grown: set[ClipKey] = set()
        self._failures: Counter[DockingId | ClipKey] = Counter()
        self._first: DockingId | None = None
        self._task: asyncio.Task[None] | None = None
        self._current: DockingId | None = None
        self._resting = False
        self.underway: Underway | None = None
        self.rate_bytes_s = 0.0

    def join(self, stay: Stay, *, first: bool) -> None:
        """Take a stay's work on; `first` is "this one first": lifted and docked again at once."""
        self._stays[stay.docking] = stay
        if first:
            self._first = stay.docking
        self.ring()

    async def leave(self, docking: DockingId) -> None:
        """End all work on a stay before this returns."""
        self._stays.pop(docking, None)
        if self._task is not None and self.underway is not None and self.underway.docking == docking:
            self._task.cancel()
            await asyncio.wait({self._task})

    def ring(self) -> None:
        """Look for work again: a clip moved, or room was made."""
        self._resting = False
        self._bell.ring()

    @property
    def resting(self) -> bool:
        """Say whether nothing is left to do on any stay, put-off clips included."""
        return self._resting and self._waiting.next_in_s(self._clock.monotonic_s()) in {None, NEVER_S}

    async def run(self) -> None:
        """Work for ever, one clip at a time."""
        async with asyncio.TaskGroup() as group:
            while True:
                job = await self._choose()
                if job is None:
                    await self._rest()
                    continue
                self.underway = Underway(docking=job.docking, clip=job.clip.key, kind=job.kind, bytes_done=0)
                self._task = group.create_task(self._attempt(job), name=f"{job.kind.value} clip {job.clip.key}")
                # Only waited for: the end of a stay cancels its job and never the bus.
                await asyncio.wait({self._task})
                self._current, self._task, self.underway = job.docking, None, None

    async def _rest(self) -> None:
        self._resting = not self._bell.rung
        within_s = self._waiting.next_in_s(self._clock.monotonic_s())
        await self._bell.heard(within_s=None if within_s == NEVER_S else within_s)
        self._resting = False

    async def _choose(self) -> Job | None:
        if not self._stays:
            return None
        skip = self._waiting.now(self._clock.monotonic_s())
        heads = await self._ledger.heads(tuple(self._stays), skip=skip)
        # A stay may have ended while the ledger answered.
        here = [head for head in heads if head.docking in self._stays]
        return next_job(here, first=self._first, current=self._current, erase=self._policy.erase)

    async def _attempt(self, job: Job) -> None:
        """Do one job; every failure that is to be expected is answered here and nowhere else."""
        stay = self._stays[job.docking]
        key = job.clip.key
        try:
            await self._perform(job, stay)
        except StaleMoveError:
            # The uplink moved the clip meanwhile: the next look at the ledger knows better.
            pass
        except CameraGoneError as error:
            await self._usb_failed(stay, key, str(error))
        except ListingError as error:
            await self._break(stay, error.reason, str(error))
        except TransientError as error:
            await self._failed(job, stay, error)
        except PermanentError as error:
            await self._hold(job, stay, error.reason, str(error))
        else:
            self._failures.pop(key, None)
            self._failures.pop(stay.docking, None)
        stay.watch.touched(stay.docking)

    async def _perform(self, job: Job, stay: Stay) -> None:
        match job.kind:
            case JobKind.COPY if job.clip.key in self._grown:
                self._grown.discard(job.clip.key)
                await stay.list_card(ledger=self._ledger)
            case JobKind.COPY:
                await self._copy(job.clip, stay)
            case JobKind.CONFIRM:
                await confirm_clip(job.clip, stay, ledger=self._ledger)
                self._uplink.ring()
            case JobKind.ERASE:
                refusal = await erase_clip(
                    job.clip,
                    stay,
                    ledger=self._ledger,
                    keys=self._keys,
                    policy=self._policy,
                    window=lambda opened: stay.watch.erasing(stay.docking, opened=opened),
                )
                if refusal is not None:
                    self._waiting.put_off(job.clip.key, until_s=NEVER_S)

    async def _copy(self, clip: Clip, stay: Stay) -> None:
        began_s = self._clock.monotonic_s()

        def progress(bytes_done: int) -> None:
            if self.underway is not None:
                self.underway = replace(self.underway, bytes_done=bytes_done)

        async with self._space.reserved(clip.length_bytes):
            await copy_clip(clip, stay, ledger=self._ledger, spool=self._spool, progress=progress)
        took_s = self._clock.monotonic_s() - began_s
        if took_s > 0:
            rate = clip.length_bytes / took_s
            # Small files say little of a bus: weigh a sample by its bytes.
            weight = min(1.0, clip.length_bytes / RATE_SAMPLE_BYTES) if self.rate_bytes_s else 1.0
            self.rate_bytes_s += weight * (rate - self.rate_bytes_s)
        self._uplink.ring()

    async def _failed(self, job: Job, stay: Stay, error: TransientError) -> None:
        key, now_s = job.clip.key, self._clock.monotonic_s()
        await self._ledger.annotate(key, Change(reason=error.reason, detail=str(error)))
        match error.reason:
            case Reason.GROWING:
                self._grown.add(key)
                self._waiting.put_off(key, until_s=now_s + self._policy.growing_wait_s)
            case Reason.USB:
                await self._usb_failed(stay, key, str(error))
            case Reason.HASH if self._tries(key) >= TRIES:
                await self._hold(job, stay, error.reason, str(error))
            case Reason.DISK | Reason.DISK_FULL:
                self._waiting.put_off(key, until_s=now_s + DISK_WAIT_S)
            case _:
                self._waiting.put_off(key, until_s=now_s + AGAIN_WAIT_S)

    async def _usb_failed(self, stay: Stay, key: ClipKey, detail: str) -> None:
        # Counted by camera, not by clip: a dead camera must not cost the bus a deadline for each of its files.
        if self._tries(stay.docking) >= TRIES:
            await self._break(stay, Reason.USB, detail)
        else:
            self._waiting.put_off(key, until_s=self._clock.monotonic_s() + AGAIN_WAIT_S)

    async def _break(self, stay: Stay, reason: Reason, detail: str) -> None:
        self._stays.pop(stay.docking, None)
        await self._ledger.note(
            "camera broken", actor="offload", bay=stay.bay, docking=stay.docking, facts={"why": detail}
        )
        stay.watch.broke(stay.docking, reason, detail)

    async def _hold(self, job: Job, stay: Stay, reason: Reason, detail: str) -> None:
        change = Change(reason=reason, detail=detail)
        if job.kind is JobKind.COPY:
            await self._ledger.move(job.clip.key, Move.HELD, change, actor="offload")
            return
        # Its bytes are in the spool or at the store: it is the camera that cannot be believed.
        await self._ledger.annotate(job.clip.key, change)
        self._waiting.put_off(job.clip.key, until_s=NEVER_S)
        stay.watch.broke(stay.docking, reason, detail)

    def _tries(self, key: DockingId | ClipKey) -> int:
        self._failures[key] += 1
        return self._failures[key]
