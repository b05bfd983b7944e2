"""The erase gate (I1): the one function that permits deletion from a camera.

Owns `may_erase` and the permit it gives. An edge deletes only what a permit names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dockd.domain.clip import SETTLED
from dockd.domain.model import Assurance, Camera, Clip, ClipKey, ClipState, DockingId, Sha256, Tag
from dockd.domain.receipt import Expected, Receipt, ReceiptError, check_claims


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """A file's bytes as read from the camera just now, past every cache, in this docking (I3)."""

    docking: DockingId
    camera: Camera
    path: bytes
    length_bytes: int
    sha256: Sha256
    uncached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """The docking in which somebody wants to erase: who is docked now, and whether its listing was complete (I7)."""

    docking: DockingId
    camera: Camera
    listing_complete: bool
    erase_allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasePermit:
    """Leave to unlink one named file in one docking; made by `may_erase` only."""

    clip: ClipKey
    docking: DockingId
    path: bytes
    length_bytes: int
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a clip stays on its camera."""

    why: str


def may_erase(
    *, clip: Clip, receipt: Receipt | None, expected: Expected, reread: Reread, stay: Stay, recording: Sequence[Clip]
) -> ErasePermit | Refusal:
    """Decide whether one clip may leave its camera.

    `receipt` is the stored receipt, its signature verified under a pinned key just now, or None; `expected` what
    we hold to be true of the clip; `reread` the fresh read; `recording` the clip as it is on record, with every clip of
    its recording on this camera, or at least one of those that have no receipt, if there are any.
    No setting can turn a refusal into a permit; `stay.erase_allowed` can only forbid.
    """
    if receipt is None or receipt.compact != clip.receipt:
        return Refusal(why="no verified receipt is stored for it")
    checks = (
        (stay.erase_allowed, "this station or camera profile never erases"),
        (stay.listing_complete, "the card's listing is not complete"),
        (Tag.SALVAGED not in clip.tags and not clip.gaps, "it is what was salvaged of a file, not the file"),
        (clip.state is ClipState.RECEIPTED, f"clip is {clip.state.value}, expected receipted"),
        (clip.assurance is Assurance.SIGNED, f"assurance is {clip.assurance.value}, expected signed"),
        (reread.uncached, "the re-read may have come from a cache"),
        (reread.docking == stay.docking == clip.docking, "the re-read is of another docking"),
        (
            (reread.camera.serial, reread.camera.volume)
            == (stay.camera.serial, stay.camera.volume)
            == (clip.camera.serial, clip.camera.volume),
            "another camera or card is docked",
        ),
        (reread.path == clip.path, "the re-read is of another file"),
        (
            reread.length_bytes == clip.length_bytes == expected.length_bytes,
            f"the camera now gives {reread.length_bytes} bytes, expected {clip.length_bytes}",
        ),
        (
            reread.sha256 == clip.sha256 == expected.sha256,
            f"the camera now gives sha256 {reread.sha256}, expected {clip.sha256}",
        ),
        (
            clip.clip_id == expected.clip_id,
            "the receipt was checked for another clip",
        ),
        (any(other.key == clip.key for other in recording), "its recording was not looked up"),
        (
            all(other.state in SETTLED for other in recording),
            "another file of its recording has no receipt yet",
        ),
    )
    for holds, why in checks:
        if not holds:
            return Refusal(why=why)
    try:
        check_claims(receipt.claims, expected)
    except ReceiptError as error:
        return Refusal(why=str(error))
    return ErasePermit(
        clip=clip.key,
        docking=stay.docking,
        path=clip.path,
        length_bytes=clip.length_bytes,
        sha256=reread.sha256,
    )
