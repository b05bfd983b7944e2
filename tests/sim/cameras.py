"""Simulated cameras: files in memory that can be pulled away, hang, lie and come back at any moment.

Owns what is on every camera, and what was read from it in which stay. Implements the ports Cards and Card.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from dockd.app.card_ports import unheard
from dockd.app.ports import Attached, Copied, ReadAgain, Salvaged
from dockd.domain.canonical import sha256_hex
from dockd.domain.contents import contents_of
from dockd.domain.erasure import ErasePermit
from dockd.domain.facts import read
from dockd.domain.gaps import merged
from dockd.domain.listing import listing_of
from dockd.domain.model import BayId, Camera, Gap, ListedFile, Listing, Sha256, clip_id_of
from dockd.domain.naming import Template, template_of
from dockd.domain.profile import Profile, Trigger
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, TransientError
from tests.sim.disk import SimSpool, flipped
from tests.sim.fate import Fate, Fault
from tests.sim.machine import Power

CHUNK_BYTES = 500
RATE_BYTES_S = 4000.0
HANG_S = 30.0
_NAMES = tuple(read for read in [template_of("DCIM/{folder:3}/{any:4}{counter:4}")] if isinstance(read, Template))
PROFILES = (
    None,
    Profile(
        name="counted",
        about="",
        paths=_NAMES,
        clips=frozenset({b"MP4"}),
        sidecars={b"THM": frozenset()},
        recording=("counter",),
    ),
    Profile(name="changed", about="", paths=_NAMES, clips=frozenset({b"MP4"}), trigger=Trigger.BUTTON),
    Profile(name="any", about=""),
)


@dataclass(slots=True, kw_only=True)
class SimFile:
    """One file. `grows` is how often it is found longer than it was, `unreadable` lasts, `misread` is what it gave."""

    data: bytes
    mtime_ns: int
    urgent: bool = False
    grows: int = 0
    unreadable: bool = False
    misread: list[bytes] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class SimCamera:
    """One camera. A stay is one coming under one device name; what was read is kept by stay.

    `profiles` take turns at reading its files.
    """

    name: str
    identity: Camera
    files: dict[bytes, SimFile]
    profiles: tuple[Profile | None, ...] = PROFILES
    bay: BayId | None = None
    stay: int = 0
    read_only: bool = False
    limbo: dict[bytes, SimFile] = field(default_factory=dict)
    listed: dict[int, Listing] = field(default_factory=dict)
    read: dict[tuple[int, bytes], list[Sha256]] = field(default_factory=dict)
    fresh: dict[tuple[int, bytes], Sha256] = field(default_factory=dict)
    returned: set[bytes] = field(default_factory=set)
    writable: set[int] = field(default_factory=set)
    """The stays whose card is writable: one at most, until it is let go of."""

    @property
    def profile(self) -> Profile | None:
        """What the station takes this camera for in this stay: people change profiles, and take them away."""
        return self.profiles[(len(self.files) + self.stay) % len(self.profiles)]

    def settle_limbo(self, fate: Fate, *, what: str) -> None:
        """Let erasures that were not flushed come back, or not."""
        for path, file in sorted(self.limbo.items()):
            if path not in self.files and fate.random.random() < 0.7:
                self.files[path] = file
                self.returned.add(path)
                fate.struck(Fault.COMES_BACK, f"{self.name} {path!r} {what}")
        self.limbo.clear()


class Witness(Protocol):
    """Who looks on while files go."""

    def opened(self, camera: SimCamera) -> None:
        """See a card that becomes writable."""
        ...

    def unlinking(self, camera: SimCamera, path: bytes) -> None:
        """See a file that is about to go."""
        ...

    def listed(self, camera: SimCamera) -> None:
        """See a card that was listed to its end."""
        ...


class SimCards:
    """The port Cards."""

    def __init__(
        self,
        fate: Fate,
        power: Power,
        *,
        spool: SimSpool,
        find: Callable[[str], SimCamera],
        pull: Callable[[SimCamera], None],
        witness: Witness,
    ) -> None:
        self.fate = fate
        self.power = power
        self.spool = spool
        self.find = find
        self.pull = pull
        self.witness = witness

    async def open(self, attached: Attached) -> "SimCard":
        """Open a card for reading."""
        camera = self.find(attached.source)
        stay = camera.stay
        if attached.source != f"{camera.name}/{stay}":
            raise CameraGoneError(f"{attached.source}: it left before it was open")
        await self.power.step("open")
        if camera.stay != stay or camera.bay is None:
            raise CameraGoneError(f"{attached.source}: it left before it was open")
        if self.fate.lasts(Fault.OPEN_FAILS, camera.name, of=camera.name):
            raise TransientError(Reason.USB, f"{camera.name}: the card does not open")
        return SimCard(self, camera)


class SimCard:
    """The port Card: one open card, of no use once its camera left."""

    def __init__(self, cards: SimCards, camera: SimCamera) -> None:
        self._cards = cards
        self._fate = cards.fate
        self._power = cards.power
        self._camera = camera
        self._stay = camera.stay
        self._closed = False
        self._read_at: dict[bytes, int] = {}

    async def listing(self) -> Listing:
        """List every file, or fail."""
        await self._step("listing")
        self._read_only()
        await self._may_hang("listing")
        if self._fate.strikes(Fault.LISTING_ERROR, self._camera.name):
            raise ListingError(Reason.LISTING, f"{self._camera.name}: the listing ends in EIO")
        files = [
            ListedFile(path=path, length_bytes=len(file.data), mtime_ns=file.mtime_ns, urgent=file.urgent)
            for path, file in self._camera.files.items()
        ]
        if files and self._fate.strikes(Fault.DUPLICATE_NAME, self._camera.name):
            files.append(self._fate.random.choice(files))
        listing = listing_of(files)
        profile = self._camera.profile
        if profile is not None:
            listing = read(listing, contents_of(profile, listing), profile)
        await self._step("listed")
        self._camera.listed[self._stay] = listing
        self._cards.witness.listed(self._camera)
        self._fate.note(f"{self._camera.name} lists {len(files)} files")
        return listing

    async def copy(self, file: ListedFile, *, progress: Callable[[int], None]) -> Copied:
        """Copy one file into the spool."""
        self._read_only()
        source = await self._whole(file)
        if source.grows:
            source.grows -= 1
            source.data += b"+" * self._fate.random.randrange(1, 300)
            source.mtime_ns += 2_000_000_000
            self._fate.struck(Fault.GROWING, f"{self._camera.name} {file.path!r}")
        if len(source.data) != file.length_bytes or source.mtime_ns != file.mtime_ns:
            raise TransientError(Reason.GROWING, f"{file.path!r} is {len(source.data)} bytes, was {file.length_bytes}")
        data = await self._read(source, file, progress=progress)
        clip_id = clip_id_of(
            camera=self._camera.identity, path=file.path, length_bytes=len(data), sha256=Sha256(sha256_hex(data))
        )
        await self._cards.spool.write(clip_id, data)
        await self._step("copied")
        return Copied(clip_id=clip_id, sha256=Sha256(sha256_hex(data)), length_bytes=len(data))

    async def salvage(self, file: ListedFile, *, progress: Callable[[int], None]) -> Salvaged:
        """Copy what can be read of one file, zeros in the gaps."""
        self._read_only()
        source = await self._source(file)
        if len(source.data) != file.length_bytes or source.mtime_ns != file.mtime_ns:
            raise TransientError(Reason.GROWING, f"{file.path!r} is {len(source.data)} bytes, was {file.length_bytes}")
        data, gaps = bytearray(source.data), list[Gap]()
        if self._torn(source, file):
            gaps = self._gaps(len(data))
            for gap in gaps:
                data[gap.offset_bytes : gap.offset_bytes + gap.length_bytes] = bytes(gap.length_bytes)
        for done in range(0, len(data), CHUNK_BYTES):
            await self._step("salvage", most_s=2 * CHUNK_BYTES / RATE_BYTES_S)
            progress(min(len(data), done + CHUNK_BYTES))
        if sum(gap.length_bytes for gap in gaps) >= len(data):
            raise PermanentError(Reason.UNREADABLE, f"{file.path!r}: not one byte")
        digest = Sha256(sha256_hex(bytes(data)))
        clip_id = clip_id_of(camera=self._camera.identity, path=file.path, length_bytes=len(data), sha256=digest)
        await self._cards.spool.write(clip_id, bytes(data))
        await self._step("salvaged")
        if not gaps:
            self._camera.read.setdefault((self._stay, file.path), []).append(digest)
        return Salvaged(clip_id=clip_id, sha256=digest, length_bytes=len(data), gaps=merged(gaps))

    async def reread(self, file: ListedFile, *, progress: Callable[[int], None] = unheard) -> ReadAgain:
        """Read a file past every cache."""
        self._read_at.pop(file.path, None)
        source = await self._whole(file)
        if len(source.data) != file.length_bytes:
            raise TransientError(Reason.GROWING, f"{file.path!r} is {len(source.data)} bytes, was {file.length_bytes}")
        data = await self._read(source, file, progress=progress)
        self._read_at[file.path] = source.mtime_ns
        digest = Sha256(sha256_hex(data))
        cached = self._fate.strikes(Fault.CACHED, self._camera.name)
        if not cached:
            self._camera.fresh[self._stay, file.path] = digest
        return ReadAgain(sha256=digest, length_bytes=len(data), uncached=not cached)

    async def erase(self, permit: ErasePermit) -> None:
        """Unlink one file, sync, look."""
        await self._step("erase")
        camera, path = self._camera, permit.path
        if camera.read_only or self._fate.strikes(Fault.READ_ONLY, camera.name):
            raise PermanentError(Reason.REFUSED, f"{camera.name}: read-only file system")
        camera.writable.add(self._stay)
        self._cards.witness.opened(camera)
        if self._fate.strikes(Fault.PULL_IN_ERASE, f"{camera.name} before the unlink"):
            self._cards.pull(camera)
        self._here()
        await self._may_hang(f"unlink {path!r}")
        file = camera.files.get(path)
        if file is None:
            raise PermanentError(Reason.MISSING, f"{path!r} is not on the card")
        if (len(file.data), file.mtime_ns) != (permit.length_bytes, self._read_at.pop(path, file.mtime_ns)):
            raise PermanentError(Reason.REFUSED, f"{path!r} was written to after it was read again")
        self._cards.witness.unlinking(camera, path)
        camera.limbo[path] = camera.files.pop(path)
        self._fate.note(f"{camera.name} unlinks {path!r}")
        if self._fate.strikes(Fault.PULL_IN_ERASE, f"{camera.name} after the unlink"):
            self._cards.pull(camera)
        await self._step("erase, sync")
        await self._may_hang(f"sync after {path!r}")
        if not self._fate.strikes(Fault.COMES_BACK, f"{camera.name} does not flush"):
            camera.limbo.pop(path, None)

    async def rest(self) -> None:
        """Let go of what is writable, which takes its time, or hangs and leaves it writable."""
        if self._stay not in self._camera.writable:
            return
        try:
            with suppress(CameraGoneError):
                await self._step("unmount")
                await self._may_hang("unmount")
        except TransientError:
            raise
        except BaseException:
            self._read_only()
            raise
        self._read_only()
        self._fate.note(f"{self._camera.name} is writable no more")

    async def close(self) -> None:
        """Let go."""
        self._closed = True
        self._read_only()
        if self._power.on:
            self._fate.note(f"{self._camera.name} closed")

    def _read_only(self) -> None:
        self._camera.writable.discard(self._stay)

    async def _source(self, file: ListedFile) -> SimFile:
        await self._step("open file")
        source = self._camera.files.get(file.path)
        if source is None:
            raise PermanentError(Reason.MISSING, f"{file.path!r} is not on the card")
        await self._may_hang(f"{file.path!r}")
        if source.unreadable or self._fate.strikes(Fault.UNREADABLE, f"{self._camera.name} {file.path!r}"):
            raise PermanentError(Reason.UNREADABLE, f"{file.path!r}: Input/output error")
        return source

    async def _whole(self, file: ListedFile) -> SimFile:
        source = await self._source(file)
        if self._torn(source, file):
            raise PermanentError(Reason.UNREADABLE, f"{file.path!r}: Input/output error in the middle")
        return source

    def _torn(self, source: SimFile, file: ListedFile) -> bool:
        name = f"{self._camera.name} {file.path!r}"
        return bool(source.data) and self._fate.lasts(Fault.PARTLY_READABLE, name, of=name)

    def _gaps(self, length_bytes: int) -> list[Gap]:
        offsets = (self._fate.random.randrange(length_bytes) for _ in range(self._fate.random.randrange(1, 4)))
        return [
            Gap(offset_bytes=offset, length_bytes=min(self._fate.random.randrange(1, 400), length_bytes - offset))
            for offset in offsets
        ]

    async def _read(self, source: SimFile, file: ListedFile, *, progress: Callable[[int], None]) -> bytes:
        data = source.data
        if data and self._fate.strikes(Fault.MISREAD, f"{self._camera.name} {file.path!r}"):
            data = flipped(data, self._fate)
            while data in (source.data, *source.misread):
                # A camera that twice gives the same wrong bytes is a camera that holds them: nobody could tell.
                data = flipped(data, self._fate)
            source.misread.append(data)
        for done in range(0, len(data), CHUNK_BYTES):
            chunk_s = len(data[done : done + CHUNK_BYTES]) / RATE_BYTES_S
            await self._step("read", least_s=chunk_s, most_s=chunk_s)
            progress(min(len(data), done + CHUNK_BYTES))
        self._camera.read.setdefault((self._stay, file.path), []).append(Sha256(sha256_hex(data)))
        return data

    async def _may_hang(self, what: str) -> None:
        if self._fate.lasts(Fault.HANG, what, of=self._camera.name):
            await self._step(f"{what} hangs", most_s=HANG_S)
            raise TransientError(Reason.USB, f"{self._camera.name}: {what}: no answer within {HANG_S} s")

    async def _step(self, what: str, *, least_s: float = 0.001, most_s: float = 0.02) -> None:
        self._here()
        await self._power.step(f"{self._camera.name} {what}", least_s=least_s, most_s=most_s)
        if self._camera.bay is not None and self._fate.strikes(Fault.PULL, f"{self._camera.name} {what}"):
            self._cards.pull(self._camera)
        self._here()

    def _here(self) -> None:
        if self._closed:
            raise CameraGoneError("the card was closed")
        if self._camera.bay is None or self._camera.stay != self._stay:
            raise CameraGoneError(f"{self._camera.name}: it left")
