"""What tests of the ledger share: a clock of ticks, a camera, a store that signs, and clips brought to any state."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dockd.app.ports import Attached, Ledger, Salvaged
from dockd.domain.canonical import sha256_hex
from dockd.domain.clip import Change, Move
from dockd.domain.listing import listing_of
from dockd.domain.metadata import metadata_of, metadata_sha256
from dockd.domain.model import (
    Assurance,
    BayId,
    Camera,
    CameraSerial,
    Clip,
    ClipId,
    ClipKey,
    ClipState,
    DockingId,
    Gap,
    ListedFile,
    Listing,
    Reading,
    Sha256,
    StationId,
    Timestamp,
    VolumeId,
    clip_id_of,
)
from dockd.domain.receipt import NO_LEAF, Claims, compact, kid_of, signing_input
from dockd.edges.keys import PinnedKeys
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.ledger.start import open_inline, open_ledger

STATION = StationId("north-1")
INSTANCE = "5ca1ab1e" * 4
CAMERA = Camera(serial=CameraSerial("CAM0001"), volume=VolumeId("1A2B-3C4D"), model="BWC-9", firmware="2.1")


GAPS = (Gap(offset_bytes=0, length_bytes=4), Gap(offset_bytes=50, length_bytes=1))


@dataclass(slots=True)
class Ticks:
    """A clock that moves on by a second at each look."""

    looks: int = 0

    def __call__(self) -> Timestamp:
        """Give the next second of an hour that lasts as long as it must."""
        self.looks += 1
        hours, seconds = divmod(self.looks, 3600)
        minutes, seconds = divmod(seconds, 60)
        utc = f"2024-05-01T{hours:02}:{minutes:02}:{seconds:02}.000000Z"
        return Timestamp(utc=utc, source="simulated", uncertainty_ms=7)


def attached(*, bay: int = 1, camera: Camera = CAMERA) -> Attached:
    """Give a camera in a bay."""
    return Attached(bay=BayId(bay), camera=camera, source="")


def file(
    name: str, *, length_bytes: int = 100, mtime_s: int = 0, urgent: bool = False, reading: Reading | None = None
) -> ListedFile:
    """Give a file on a card."""
    path = b"DCIM/" + name.encode("utf-8", "surrogateescape")
    return ListedFile(path=path, length_bytes=length_bytes, mtime_ns=mtime_s * 10**9, urgent=urgent, reading=reading)


def reading(*, group: bytes = b"", sidecar: bool = False, **facts: str) -> Reading:
    """Give what a profile read of a file."""
    return Reading(facts=tuple(sorted(facts.items())), group=group, sidecar=sidecar)


def listing(*files: ListedFile) -> Listing:
    """Give a complete listing."""
    return listing_of(files)


def skip(*keys: int) -> frozenset[ClipKey]:
    """Give clips to leave out."""
    return frozenset(ClipKey(key) for key in keys)


@dataclass(frozen=True, slots=True)
class Signer:
    """A store's receipt key."""

    key: Ed25519PrivateKey = field(default_factory=lambda: Ed25519PrivateKey.from_private_bytes(bytes(range(32))))

    @property
    def kid(self) -> str:
        """The key's name."""
        return kid_of(self.key.public_key().public_bytes_raw())

    def pinned(self) -> PinnedKeys:
        """Pin the public key."""
        return PinnedKeys({self.kid: self.key.public_key()})

    def receipt(self, clip: Clip, *, leaf: str = NO_LEAF, station: StationId = STATION) -> str:
        """Sign a receipt for a copied clip."""
        assert clip.clip_id is not None
        assert clip.sha256 is not None
        claims = Claims(
            clip_id=clip.clip_id,
            aud=station,
            length_bytes=clip.length_bytes,
            sha256=clip.sha256,
            meta_sha256=metadata_sha256(metadata_of(clip, station=station)),
            stored_at="2024-05-01T12:00:00Z",
            store="store-1",
            leaf=leaf,
        )
        signed = signing_input(kid=self.kid, claims=claims)
        return compact(signed, self.key.sign(signed))


SIGNER = Signer()


def copied(clip: Clip, *, content: str = "") -> Change:
    """Give what a copy of a clip tells; `content` stands for its bytes."""
    sha256 = Sha256(sha256_hex((content or clip.path.decode("utf-8", "replace")).encode("utf-8")))
    clip_id = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=clip.length_bytes, sha256=sha256)
    return Change(sha256=sha256, clip_id=clip_id, verified_in=clip.docking)


def salvage_of(clip: Clip, *, gaps: Sequence[Gap] = GAPS) -> Salvaged:
    """Give what could be read of a clip's file, all but the gaps."""
    sha256 = Sha256("e" * 64)
    clip_id = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=clip.length_bytes, sha256=sha256)
    return Salvaged(clip_id=clip_id, sha256=sha256, length_bytes=clip.length_bytes, gaps=tuple(gaps))


def url_of(clip: Clip) -> str:
    """Give where a clip is uploaded to."""
    return f"http://127.0.0.1:1080/files/{clip.key}"


def receipted(clip: Clip, *, leaf: str = NO_LEAF, signer: Signer = SIGNER) -> Change:
    """Give what a receipt for a clip tells."""
    return Change(
        receipt=signer.receipt(clip, leaf=leaf),
        assurance=Assurance.SIGNED,
        meta_sha256=metadata_sha256(metadata_of(clip, station=STATION)),
        facts={"kid": signer.kid},
    )


WAY = (ClipState.FOUND, ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED)


async def bring(ledger: Ledger, clip: Clip, to: ClipState, *, content: str = "") -> Clip:
    """Bring a clip along the way to a state."""
    while clip.state is not to:
        match WAY[WAY.index(clip.state) + 1]:
            case ClipState.COPIED:
                clip = await ledger.move(clip.key, Move.COPIED, copied(clip, content=content), actor="offload")
            case ClipState.UPLOADED:
                await ledger.move(clip.key, Move.OPENED, Change(url=url_of(clip)), actor="upload")
                clip = await ledger.move(clip.key, Move.SENT, Change(assurance=Assurance.ACCEPTED), actor="upload")
            case ClipState.RECEIPTED:
                change = receipted(clip, leaf=await ledger.leaf(clip.key))
                clip = await ledger.move(clip.key, Move.RECEIPTED, change, actor="upload")
            case ClipState.ERASING:
                clip = await ledger.move(clip.key, Move.ERASE_BEGUN, Change(verified_in=clip.docking), actor="erase")
            case _:
                clip = await ledger.move(clip.key, Move.ERASED, Change(), actor="erase")
    return clip


async def docked(ledger: Ledger, *files: ListedFile, bay: int = 1, camera: Camera = CAMERA) -> DockingId:
    """Dock a camera and list its card."""
    docking = await ledger.dock(attached(bay=bay, camera=camera))
    await ledger.record_listing(docking, listing(*files))
    return docking


async def clips(ledger: StationLedger, *keys: int) -> Sequence[Clip]:
    """Read clips."""
    return [await ledger.clip(ClipKey(key)) for key in keys]


async def threaded(folder: Path, *, station: StationId = STATION) -> StationLedger:
    """Open a ledger as the daemon does."""
    return await open_ledger(folder, station=station, now=Ticks())


async def inline(folder: Path, *, station: StationId = STATION) -> StationLedger:
    """Open a ledger as the simulation does, in a file."""
    folder.mkdir(exist_ok=True)
    return await open_inline(folder / DATABASE, station=station, now=Ticks(), instance=INSTANCE)


def tampered(folder: Path, *statements: str) -> None:
    """Change a closed database behind its triggers, as somebody with the disk in hand could."""
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()


def clip_id(digit: str) -> ClipId:
    """Give a clip id of one digit."""
    return ClipId(digit * 64)
