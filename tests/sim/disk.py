"""The spool's disk: what is written is there, what is synced is there after a power cut, and some of it rots.

Owns bytes by clip id. Implements the port Spool; the copier writes through `write`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from dockd.app.ports import Room
from dockd.domain.canonical import sha256_hex
from dockd.domain.model import ClipId, Sha256
from dockd.errors import Reason, TransientError
from tests.sim.fate import Fate, Fault
from tests.sim.machine import Power
from tests.sim.promise import require

ROOT = Path("/spool")
Looks = Callable[[str], None]


class Disk:
    """What outlives a run of the program."""

    def __init__(self, fate: Fate, *, capacity_bytes: int, reserve_bytes: int) -> None:
        self.fate = fate
        self.capacity_bytes = capacity_bytes
        self.reserve_bytes = reserve_bytes
        self.seen: dict[ClipId, bytes] = {}
        self.synced: dict[ClipId, bytes] = {}
        self.rotten: set[ClipId] = set()
        self.dead: set[ClipId] = set()
        self.taken: set[ClipId] = set()
        self.discarding: Looks = _nobody_looks

    def lose_power(self) -> None:
        """Lose what was not synced, and what a disk that lies only said it had synced."""
        for clip_id in sorted(self.synced):
            if self.fate.strikes(Fault.FLUSH_LIES, clip_id[:8]):
                del self.synced[clip_id]
        self.seen = dict(self.synced)

    def vanish(self) -> None:
        """Lose every copy under the running program."""
        self.taken |= self.synced.keys()
        self.seen, self.synced = {}, {}

    def take_away(self, clip_id: ClipId) -> None:
        """Let people move one copy elsewhere."""
        del self.seen[clip_id]
        self.synced.pop(clip_id, None)

    def rot(self) -> None:
        """Let one byte of one copy change."""
        keys = sorted(key for key, data in self.synced.items() if data)
        if keys:
            key = self.fate.random.choice(keys)
            spoiled = flipped(self.synced[key], self.fate)
            self.seen[key] = self.synced[key] = spoiled
            self.rotten.add(key)
            self.fate.struck(Fault.BIT_ROT, key[:8])

    def must_take_writes(self) -> None:
        """Raise TransientError(DISK) while the disk is read-only."""
        if self.fate.lasts(Fault.DISK_READ_ONLY):
            raise TransientError(Reason.DISK, "Read-only file system")

    @property
    def free_bytes(self) -> int:
        """Room left."""
        return self.capacity_bytes - sum(map(len, self.seen.values()))


class SimSpool:
    """The spool as one run of the program sees it."""

    def __init__(self, disk: Disk, power: Power, *, claims_early: bool = False) -> None:
        self._disk = disk
        self._fate = disk.fate
        self._power = power
        self._claims_early = claims_early

    def path(self, clip_id: ClipId) -> Path:
        """Where a copy lies."""
        return ROOT / clip_id

    def read(self, source: Path) -> bytes | None:
        """The copy that a request's body comes from."""
        return self._disk.seen.get(ClipId(source.name))

    async def room(self) -> Room:
        """What is left; the disk may be full of other things."""
        await self._power.step("room")
        if self._fate.lasts(Fault.DISK_FULL):
            return Room(free_bytes=0, free_files=5000)
        if self._fate.lasts(Fault.NO_INODES):
            return Room(free_bytes=self._disk.free_bytes, free_files=0)
        return Room(free_bytes=self._disk.free_bytes, free_files=5000)

    async def digest(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        """Hash a copy as it is now."""
        await self._power.step("digest")
        self._sicken(clip_id)
        data = self._disk.seen.get(clip_id)
        return None if data is None else (Sha256(sha256_hex(data)), len(data))

    async def has_header(self, clip_id: ClipId) -> bool:
        """An odd file has none."""
        await self._power.step("has_header")
        data = self._disk.seen.get(clip_id)
        if data is None:
            raise TransientError(Reason.DISK, f"spool: {clip_id}: No such file")
        return not data.startswith(b"headless")

    async def copies(self) -> Mapping[ClipId, int]:
        """Every copy there is."""
        await self._power.step("copies")
        return {clip_id: len(data) for clip_id, data in self._disk.seen.items()}

    async def settle(self, clip_id: ClipId) -> tuple[Sha256, int] | None:
        """Sync a copy that is there, and read it back."""
        await self._power.step("settle")
        self._disk.must_take_writes()
        data = self._disk.seen.get(clip_id)
        if data is None:
            return None
        if self._fate.strikes(Fault.FSYNC, clip_id[:8]):
            self._disk.dead.add(clip_id)
            return None
        await self._power.step("settle, fsync")
        self._disk.synced[clip_id] = data
        return await self.digest(clip_id)

    async def discard(self, clip_id: ClipId) -> None:
        """Remove a copy, and sync."""
        await self._power.step("discard")
        self._sicken(clip_id)
        self._disk.must_take_writes()
        self._disk.discarding(clip_id)
        self._disk.seen.pop(clip_id, None)
        await self._power.step("discard, sync")
        self._disk.synced.pop(clip_id, None)
        self._fate.note(f"spool gave up {clip_id[:8]}")

    def _sicken(self, clip_id: ClipId) -> None:
        if self._fate.lasts(Fault.SPOOL_SICK, clip_id[:8]):
            raise TransientError(Reason.DISK, f"spool: {clip_id}: Input/output error")

    async def write(self, clip_id: ClipId, data: bytes) -> None:
        """Keep a copy: data synced, renamed, folder synced, read back.

        Raises:
            TransientError: DISK or HASH; nothing stays.

        """
        if self._claims_early:
            # A copier that claims before it syncs: a planted fault.
            self._disk.seen[clip_id] = data
            return
        self._disk.must_take_writes()
        if self._fate.strikes(Fault.STALL, clip_id[:8]):
            await self._power.step("copy, stalled write", least_s=5, most_s=5)
        if self._fate.strikes(Fault.WRITE_FULL, clip_id[:8]):
            raise TransientError(Reason.DISK_FULL, "spool: write: No space left on device")
        left_bytes = self._disk.free_bytes - len(data)
        require(left_bytes >= self._disk.reserve_bytes, f"I16: a copy leaves {left_bytes} bytes for the ledger")
        await self._power.step("copy, fdatasync")
        if self._fate.strikes(Fault.FSYNC, clip_id[:8]):
            raise TransientError(Reason.DISK, "spool: fdatasync: Input/output error")
        self._disk.seen[clip_id] = data
        await self._power.step("copy, folder fsync")
        self._disk.synced[clip_id] = data
        self._disk.taken.discard(clip_id)
        self._disk.dead.discard(clip_id)
        await self._power.step("copy, read back")
        if self._fate.strikes(Fault.SPOOL_MISREAD, clip_id[:8]):
            del self._disk.seen[clip_id], self._disk.synced[clip_id]
            raise TransientError(Reason.HASH, "spool: reads back otherwise than it was written")
        self._fate.note(f"spool keeps {clip_id[:8]} {len(data)} bytes")


def _nobody_looks(_: str) -> None:
    """Let any copy go."""


def flipped(data: bytes, fate: Fate) -> bytes:
    """Give the same bytes with one of them wrong."""
    at = fate.random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << fate.random.randrange(8))]) + data[at + 1 :]
