"""The nouns: identities and values that every other module speaks in.

Owns names and shapes only. Must not decide anything.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from dockd.domain.canonical import length_prefixed, sha256_hex
from dockd.errors import Reason

BayId = NewType("BayId", int)
StationId = NewType("StationId", str)
CameraSerial = NewType("CameraSerial", str)
VolumeId = NewType("VolumeId", str)
DockingId = NewType("DockingId", int)
ClipKey = NewType("ClipKey", int)
"""A clip's row in this station's ledger; means nothing elsewhere."""
ClipId = NewType("ClipId", str)
"""64 hex digits, the same at every station and after a wiped ledger (I10)."""
Sha256 = NewType("Sha256", str)
"""64 lower-case hex digits."""

FOLDER_VOLUME = VolumeId("folder")
"""The volume id of a card that is a plain folder, where no filesystem tells one."""


class ClipState(StrEnum):
    """How far a clip has come (I11): the persisted state is the ledger row."""

    FOUND = "found"
    COPIED = "copied"
    UPLOADED = "uploaded"
    RECEIPTED = "receipted"
    ERASING = "erasing"
    ERASED = "erased"
    HELD = "held"


class Assurance(StrEnum):
    """How good the proof is that the store holds the clip, weakest first. Only SIGNED ever erases."""

    NONE = "none"
    ACCEPTED = "accepted"
    READBACK = "readback"
    SIGNED = "signed"


class ClipKind(StrEnum):
    """What kind of file a clip is; every kind is carried."""

    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    SIDECAR = "sidecar"
    OTHER = "other"


class Tag(StrEnum):
    """What is odd about a file. A tag never stops a clip."""

    EMPTY = "empty"
    UNKNOWN_TYPE = "unknown-type"
    OVER_4_GIB = "over-4-gib"
    HEADER_MISSING = "header-missing"
    SALVAGED = "salvaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Who a docked camera says it is. `model` and `firmware` are claims, empty where unknown."""

    serial: CameraSerial
    volume: VolumeId
    model: str = ""
    firmware: str = ""


Facts = tuple[tuple[str, str], ...]
"""What a profile read of one file: printable ASCII by name, sorted; empty where no profile was there to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a profile made of one file as it was listed.

    Files of one `group` are one recording; empty: those of one folder and stem. `sidecar` says that it belongs to what
    was recorded, and was not itself.
    """

    facts: Facts
    group: bytes = b""
    sidecar: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """One file as a complete listing gave it.

    `path` is relative to the card's root, bytes as the card has them, '/' between parts. `mtime_ns` is the
    card's claim and identifies nothing. `urgent` is the wearer's mark, as the camera wrote it. `reading` is what the
    camera's profile made of it, None where there was none.
    """

    path: bytes
    length_bytes: int
    mtime_ns: int
    urgent: bool = False
    reading: Reading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Every file of a card, from a listing that ended without error (I7). `sha256` covers paths, lengths and mtimes.

    `structure` is what a check of the card's filesystem found, for the record; empty where there was none. `behind` are
    the lengths of files whose chains go on past their end: names look different from inside a filesystem.
    """

    files: tuple[ListedFile, ...]
    sha256: Sha256
    structure: tuple[tuple[str, str], ...] = ()
    behind: frozenset[int] = frozenset()
    kept: frozenset[bytes] = frozenset()

    @property
    def kept_files(self) -> int:
        """Count the files that stay on the card: nobody has read what lies behind their end (I4)."""
        return sum(file.length_bytes in self.behind for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A range of a file that its card does not give any more."""

    offset_bytes: int
    length_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One clip as the ledger has it: the unit of custody.

    `docking` is the stay in which the file was last listed on its camera, `verified_in` the stay in which its
    bytes were last read from the camera and equalled `sha256`. `sha256` and `clip_id` are None until copied.
    `url` is the upload at the store, `receipt` the compact JWS and `meta_sha256` the declaration that it covers.
    `reason` and `detail` say what it waits for or why it is held; `acknowledged` is who has looked at it since, and why
    they let it be. `gaps` is empty but for what was salvaged: there `sha256` is of a copy with zeros in the gaps.
    `facts` are what a profile read of the file when it was found: a profile may be changed, they never are.
    """

    key: ClipKey
    docking: DockingId
    camera: Camera
    path: bytes
    length_bytes: int
    mtime_ns: int
    state: ClipState
    kind: ClipKind
    recording_id: str
    tags: frozenset[Tag] = field(default_factory=frozenset)
    urgent: bool = False
    verified_in: DockingId | None = None
    sha256: Sha256 | None = None
    clip_id: ClipId | None = None
    url: str | None = None
    assurance: Assurance = Assurance.NONE
    receipt: str | None = None
    meta_sha256: Sha256 | None = None
    spooled: bool = False
    reason: Reason | None = None
    detail: str = ""
    gaps: tuple[Gap, ...] = ()
    acknowledged: str = ""
    facts: Facts = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """A wall time for the record, never for a decision (I13).

    `utc` is RFC 3339 with microseconds and 'Z'; `source` is who set the clock ('ntp', 'rtc', 'unset', 'simulated');
    `uncertainty_ms` is the kernel's estimate of the error, -1 where there is none.
    """

    utc: str
    source: str
    uncertainty_ms: int


def identity_prefix(*, camera: Camera, path: bytes, length_bytes: int) -> bytes:
    """Everything of a clip's identity but the digest, which is known only after the copy (I10)."""
    return length_prefixed(
        b"dockd clip 1",
        camera.serial.encode("utf-8", "surrogateescape"),
        camera.volume.encode("utf-8", "surrogateescape"),
        path,
        str(length_bytes).encode("ascii"),
    )


def clip_id_of(*, camera: Camera, path: bytes, length_bytes: int, sha256: Sha256) -> ClipId:
    """Name a clip by its identity: the same camera, volume, path, length and bytes give the same name (I10)."""
    prefix = identity_prefix(camera=camera, path=path, length_bytes=length_bytes)
    return ClipId(sha256_hex(prefix + length_prefixed(bytes.fromhex(sha256))))
