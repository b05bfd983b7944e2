"""One USB bus: clips are copied, confirmed and erased one at a time, in the order of the schedule.

Owns what the bus does next and what a failure on it means. Must not know how a clip is copied.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

from dockd.app.clearing import Clearing
from dockd.app.erase import erase_clip
from dockd.app.guest import NEVER_S, Guest
from dockd.app.offload import (
    WrongCopy,
    adopt_clip,
    confirm_clip,
    copies_without_clip,
    copy_clip,
    judge_copy,
    salvage_clip,
)
from dockd.app.policy import Policy
from dockd.app.ports import Clock, Keys, Ledger, Spool
from dockd.app.space import Space
from dockd.app.stay import Stay
from dockd.app.strays import StrayCopies
from dockd.app.turns import Turns, Underway
from dockd.app.waiting import Bell
from dockd.domain.clip import Change, Move
from dockd.domain.model import Clip, ClipKey, DockingId
from dockd.domain.schedule import Job, JobKind, next_job
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, StaleMoveError, TransientError

TRIES = 3
"""So many failures in a row make a camera broken (USB) or a clip held (HASH): more only wear the card."""
DISK_WAIT_S = 10.0
NO_ROOM_WAIT_S = 60.0
"""A file that found no room is left alone longer than the bus: meanwhile others are tried, which may be smaller."""
AGAIN_WAIT_S = 1.0
RATE_SAMPLE_BYTES = 64 << 20


class Bus:
    """One bus with the stays on it. `run` works until cancelled."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        keys: Keys,
        spool: Spool,
        clock: Clock,
        policy: Policy,
        space: Space,
        strays: StrayCopies,
        uplink: Bell,
        reclaim: Bell,
    ) -> None:
        """Begin with nothing docked.

        `uplink` is rung for every clip that is ready to be uploaded, `reclaim` for every file that finds no room.
        """
        self._ledger = ledger
        self._keys = keys
        self._spool = spool
        self._clock = clock
        self._policy = policy
        self._space = space
        self._strays = strays
        self._uplink = uplink
        self._reclaim = reclaim
        self._bell = Bell()
        self._guests: dict[DockingId, Guest] = {}
        self._first: DockingId | None = None
        self._turns = Turns(over=self.ring)
        self._current: DockingId | None = None
        self._clearing = Clearing(ledger=ledger, clock=clock, here=self._guests, broke=self._break)
        self._resting = False
        self._refusals = 0
        self._copies_from_s: float | None = None
        self._no_copy = False
        self._weak = False
        self.rate_bytes_s = 0.0

    def join(self, stay: Stay, *, first: bool) -> None:
        """Take a stay's work on; `first` is "this one first": lifted and docked again at once."""
        self._guests[stay.docking] = Guest(stay=stay)
        if first:
            self._first = stay.docking
        self.ring()

    async def leave(self, docking: DockingId) -> None:
        """End all work on a stay before this returns."""
        self._guests.pop(docking, None)
        await self._turns.end(docking)

    def ring(self) -> None:
        """Look for work again: a clip moved, or room was made."""
        self._resting = False
        self._bell.ring()

    def retry(self, key: ClipKey) -> None:
        """Begin a clip again with a clean slate: somebody asked for it. What is salvaged of it stays salvaged."""
        for guest in self._guests.values():
            guest.forget(key)
        self.ring()

    def made_room(self) -> None:
        """Try again at once what found no room."""
        self._refusals, self._copies_from_s = 0, None
        for guest in self._guests.values():
            guest.made_room()
        self.ring()

    def rest(self, *, weak: bool) -> None:
        """Begin nothing while the station's supply is weak; what is under way ends."""
        self._weak = weak
        self.ring()

    def next_wrong(self) -> WrongCopy | None:
        """Give a copy that proved wrong and is in the way, once: whoever asks gives it up now, or never."""
        return next((guest.wrong.popitem()[1] for guest in self._guests.values() if guest.wrong), None)

    def kept_files(self, docking: DockingId) -> int:
        """Say how many files of a stay's card stay on it, receipt or not."""
        return self._guests[docking].stay.kept_files if docking in self._guests else 0

    @property
    def underway(self) -> Underway | None:
        """What is worked on now, or hangs where nothing else is."""
        return self._turns.underway

    @property
    def crowded(self) -> bool:
        """Say whether any file waits for room."""
        return any(guest.crowded for guest in self._guests.values())

    @property
    def full(self) -> bool:
        """Say whether copying stands still for want of room."""
        return self._no_copy and self.crowded and not self._turns

    @property
    def resting(self) -> bool:
        """Say whether nothing is left to do on any stay, put-off clips included."""
        return self._resting and not self._weak and not self._turns and self._next_in_s() is None

    async def run(self) -> None:
        """Work for ever, one clip at a time but for those that hang."""
        async with asyncio.TaskGroup() as group:
            while True:
                job = await self._choose()
                if not self._turns.erasing and await self._clearing.make_way(job):
                    continue  # whoever was chosen may have left meanwhile
                if job is None:
                    await self._rest()
                    continue
                stay = self._guests[job.docking].stay
                if job.kind is JobKind.ERASE:
                    self._clearing.begin(stay)
                task = group.create_task(self._attempt(job), name=f"{job.kind.value} clip {job.clip.key}")
                await self._turns.take(job, stay, task)
                self._current = job.docking

    async def _rest(self) -> None:
        self._resting = not self._bell.rung
        await self._bell.heard(within_s=self._next_in_s())
        self._resting = False

    def _next_in_s(self) -> float | None:
        now_s = self._clock.monotonic_s()
        times = [self._clearing.next_in_s(now_s), *(guest.next_in_s(now_s) for guest in self._guests.values())]
        if self._copies_from_s is not None:
            times.append(max(0.0, self._copies_from_s - now_s))
        return min((wait_s for wait_s in times if wait_s is not None), default=None)

    async def _choose(self) -> Job | None:
        now_s = self._clock.monotonic_s()
        skip = frozenset(key for guest in self._guests.values() for key in guest.waiting.now(now_s))
        ready = tuple(
            docking
            for docking, guest in self._guests.items()
            if guest.paused_until_s <= now_s and docking not in self._turns
        )
        # What is due is forgotten first, whoever is docked: what stayed due would have the bus look again at once.
        if self._copies_from_s is not None and self._copies_from_s <= now_s:
            self._refusals, self._copies_from_s = 0, None
        if self._weak or not ready:
            return None
        heads = await self._ledger.heads(ready, skip=skip)
        # A stay may have ended while the ledger answered.
        here = [head for head in heads if head.docking in self._guests]
        # Reading around errors may take minutes, and a dying card its last: the files that read well come first, those
        # of every camera on the bus.
        copied = all(head.copy is None for head in here)
        if copied and any(self._guests[head.docking].due_salvage() for head in here):
            return await self._choose()
        if self._copies_from_s is not None:
            here = [replace(head, copy=None) for head in here]
        if self._turns.erasing:  # one card at a time is writable, and its lamp says wait until it is no more
            here = [replace(head, erase=None) for head in here]
        self._no_copy = all(head.copy is None for head in here)
        return next_job(here, first=self._first, current=self._current, erase=self._policy.erase)

    async def _attempt(self, job: Job) -> None:
        """Do one job; every failure that is to be expected is answered here and nowhere else."""
        guest = self._guests[job.docking]
        stay = guest.stay
        try:
            await self._perform(job, guest)
        except StaleMoveError:
            # The uplink moved the clip meanwhile: the next look at the ledger knows better.
            pass
        except CameraGoneError as error:
            await self._usb_failed(job, guest, str(error))
        except ListingError as error:
            await self._break(stay, error.reason, str(error))
        except TransientError as error:
            await self._failed(job, guest, error)
        except PermanentError as error:
            await self._refused(job, guest, error)
        else:
            guest.usb_failures = 0
        stay.watch.touched(stay.docking)

    async def _perform(self, job: Job, guest: Guest) -> None:
        stay = guest.stay
        match job.kind:
            case JobKind.COPY if job.clip.key in guest.grown:
                guest.grown.discard(job.clip.key)
                await stay.list_card(ledger=self._ledger)
            case JobKind.COPY:
                await self._copy(job.clip, guest)
            case JobKind.CONFIRM:
                await confirm_clip(job.clip, stay, ledger=self._ledger)
                self._uplink.ring()
            case JobKind.ERASE if stay.keeps(job.clip):
                await self._keep(job.clip, guest)
            case JobKind.ERASE:
                refusal = await erase_clip(job.clip, stay, ledger=self._ledger, keys=self._keys, policy=self._policy)
                if refusal is not None:
                    guest.waiting.put_off(job.clip.key, until_s=NEVER_S)

    async def _keep(self, clip: Clip, guest: Guest) -> None:
        """Leave a file on its card; read it only where nothing is known yet of it in this stay (I3)."""
        stay = guest.stay
        if clip.verified_in != stay.docking:
            await confirm_clip(clip, stay, ledger=self._ledger)
            self._uplink.ring()
            return
        guest.waiting.put_off(clip.key, until_s=NEVER_S)
        await self._ledger.annotate(clip.key, Change(reason=Reason.REFUSED, detail=stay.why_kept(clip)))

    async def _copy(self, clip: Clip, guest: Guest) -> None:
        stay = guest.stay
        began_s = self._clock.monotonic_s()

        def progress(bytes_done: int) -> None:
            stay.moved(bytes_done)
            self._turns.progress(stay.docking, clip.key, bytes_done)

        guest.crowded.discard(clip.key)
        guest.wrong.pop(clip.key, None)
        if await self._adopted(clip, guest):
            self._uplink.ring()
            return
        rung = salvage_clip if clip.key in guest.torn else copy_clip
        try:
            async with self._space.reserved(clip):
                copied = await rung(clip, stay, ledger=self._ledger, spool=self._spool, progress=progress)
        except TransientError as error:
            if error.reason is not Reason.DISK_FULL or not await self._taken_back(clip, guest):
                raise
            self._uplink.ring()
            return
        self._strays.taken(copied.clip_id)
        self._refusals = 0
        took_s = self._clock.monotonic_s() - began_s
        if took_s > 0:
            rate = clip.length_bytes / took_s
            # Small files say little of a bus: weigh a sample by its bytes.
            weight = min(1.0, clip.length_bytes / RATE_SAMPLE_BYTES) if self.rate_bytes_s else 1.0
            self.rate_bytes_s += weight * (rate - self.rate_bytes_s)
        self._uplink.ring()

    async def _adopted(self, clip: Clip, guest: Guest) -> bool:
        """Take a copy that lies here without a clip for this clip's own; it needs no room, so room is not asked for."""
        tried = clip.key in guest.torn or guest.compared[clip.key] >= TRIES
        if tried or not self._strays.has_length(clip.length_bytes):
            return False
        async with self._space.apart(clip):
            adopted = await adopt_clip(clip, guest.stay, ledger=self._ledger, spool=self._spool, strays=self._strays)
        if adopted is None:
            guest.compared[clip.key] += 1
            return False
        self._strays.taken(adopted.clip_id)
        return True

    async def _taken_back(self, clip: Clip, guest: Guest) -> bool:
        """Look for this clip's own copy in the room that is wanting: one that was given up for lost may be right.

        One that is wrong may go once this is over, as long as its camera stays.
        """
        if clip.key in guest.torn or guest.compared[clip.key] >= TRIES:
            return False
        async with self._space.apart(clip):
            among = await copies_without_clip(clip, ledger=self._ledger, spool=self._spool)
            if not among:
                return False
            judged = await judge_copy(clip, guest.stay, ledger=self._ledger, spool=self._spool, among=among)
        if judged is None:
            guest.compared[clip.key] += 1
            return False
        if isinstance(judged, WrongCopy):
            guest.wrong[clip.key] = judged
            return False
        self._strays.taken(judged.clip_id)
        return True

    async def _failed(self, job: Job, guest: Guest, error: TransientError) -> None:
        key, now_s = job.clip.key, self._clock.monotonic_s()
        await self._ledger.annotate(key, Change(reason=error.reason, detail=str(error)))
        match error.reason:
            case Reason.GROWING:
                guest.grown.add(key)
                guest.waiting.put_off(key, until_s=now_s + self._policy.growing_wait_s)
            case Reason.USB:
                await self._usb_failed(job, guest, str(error))
            case Reason.HASH:
                guest.spoiled[key] += 1
                if guest.spoiled[key] >= TRIES:
                    await self._hold(job, guest, error.reason, str(error))
                else:
                    guest.waiting.put_off(key, until_s=now_s + AGAIN_WAIT_S)
            case Reason.DISK_FULL:
                self._crowded_out(key, guest)
            case Reason.DISK:
                guest.waiting.put_off(key, until_s=now_s + DISK_WAIT_S)
            case _:
                guest.waiting.put_off(key, until_s=now_s + AGAIN_WAIT_S)

    def _crowded_out(self, key: ClipKey, guest: Guest) -> None:
        # A smaller file may still fit. But a full disk is not asked, and written to, once for each file of a card.
        now_s = self._clock.monotonic_s()
        guest.crowded.add(key)
        guest.waiting.put_off(key, until_s=now_s + NO_ROOM_WAIT_S)
        self._refusals += 1
        if self._refusals >= TRIES:
            self._copies_from_s = now_s + DISK_WAIT_S
        self._reclaim.ring()

    async def _usb_failed(self, job: Job, guest: Guest, detail: str) -> None:
        # Counted by camera, not by clip: a dead camera must not cost the bus a deadline for each of its files. One that
        # was pulled is given the time in which its removal is heard of.
        guest.usb_failures += 1
        if guest.usb_failures >= TRIES:
            await self._break(guest.stay, Reason.USB, detail)
            return
        now_s = self._clock.monotonic_s()
        guest.paused_until_s = now_s + AGAIN_WAIT_S
        # Another file has its turn before this one is read again: it may be the only bad one.
        guest.waiting.put_off(job.clip.key, until_s=now_s + 2 * AGAIN_WAIT_S)

    async def _break(self, stay: Stay, reason: Reason, detail: str) -> None:
        self._guests.pop(stay.docking, None)
        await self._ledger.broke(stay.docking, reason, detail)
        stay.watch.broke(stay.docking, reason, detail)

    async def _refused(self, job: Job, guest: Guest, error: PermanentError) -> None:
        key = job.clip.key
        if job.kind is JobKind.COPY and error.reason is Reason.UNREADABLE and key not in guest.salvaged:
            guest.torn.add(key)
            guest.waiting.put_off(key, until_s=NEVER_S)
            await self._ledger.annotate(key, Change(reason=error.reason, detail=str(error)))
            return
        await self._hold(job, guest, error.reason, str(error))
        self._uplink.ring()

    async def _hold(self, job: Job, guest: Guest, reason: Reason, detail: str) -> None:
        change = Change(reason=reason, detail=detail)
        if job.kind is JobKind.COPY:
            with suppress(StaleMoveError):  # docked elsewhere meanwhile, and found missing there
                await self._ledger.move(job.clip.key, Move.HELD, change, actor="offload")
            return
        # Its bytes are in the spool or at the store: it is the camera that cannot be believed.
        await self._ledger.annotate(job.clip.key, change)
        guest.waiting.put_off(job.clip.key, until_s=NEVER_S)
        await self._ledger.broke(guest.stay.docking, reason, detail)
        guest.stay.watch.broke(guest.stay.docking, reason, detail)
