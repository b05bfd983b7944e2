"""From the camera into the spool, and back to the camera for a second look: one clip, top to bottom.

Owns the camera-side rungs of one clip: copy, adopt, salvage, confirm. Each rung is safe to repeat. Knows no order and
no retries.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from dockd.app.ports import Copied, Ledger, ReadAgain, Salvaged, Spool
from dockd.app.stay import Stay
from dockd.app.strays import StrayCopies
from dockd.domain.clip import Change, Move
from dockd.domain.gaps import unreadable_bytes
from dockd.domain.model import Clip, ClipId, ListedFile, Sha256, Tag, clip_id_of
from dockd.errors import InvariantError, PermanentError, Reason, TransientError

READS = 3
"""How often a file is read before it counts as different: a flaky contact may spoil one read."""

COPY_WRONG = "copy-wrong"
"""The cause of the entry that says so of a copy before it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongCopy:
    """A copy under a clip's name that is not the clip, whose file its camera has just given whole."""

    clip: Clip
    clip_id: ClipId


async def copy_clip(clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, progress: Callable[[int], None]) -> Clip:
    """FOUND to COPIED: bytes in the spool, synced, read back and equal; then, and only then, on record (I5, I8).

    Raises what `Card.copy` raises, and PermanentError(MISSING) where it was copied before with other bytes.
    """
    file = stay.file(clip)
    copied = await stay.card.copy(file, progress=progress)
    return await _kept(clip, file, copied, stay, ledger=ledger, spool=spool)


async def salvage_clip(
    clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, progress: Callable[[int], None]
) -> Clip:
    """Bring what can be read of an unreadable file to safety, as a clip of its own; the file's own clip is to be held.

    Where every byte can be read after all, FOUND to COPIED, as by `copy_clip`.

    Raises what `Card.salvage` raises, and PermanentError(UNREADABLE) once the salvaged clip is on record.
    """
    file = stay.file(clip)
    salvaged = await stay.card.salvage(file, progress=progress)
    if not salvaged.gaps:
        return await _kept(clip, file, salvaged, stay, ledger=ledger, spool=spool)
    _require_own(clip, salvaged)
    of_it = await ledger.salvage(clip.key, salvaged, docking=stay.docking)
    lost_bytes = unreadable_bytes(salvaged.gaps)
    detail = f"{lost_bytes} of {clip.length_bytes} bytes cannot be read; the rest is salvaged as clip {of_it.key}"
    raise PermanentError(Reason.UNREADABLE, detail)


async def adopt_clip(clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, strays: StrayCopies) -> Clip | None:
    """FOUND to COPIED without writing: a copy without a clip proves to be this clip's; None where none does.

    The camera is read first, so that its bytes name the copy; what is named is made durable and read back (I5, I8).

    Raises what `Card.reread` raises, and as `copy_clip` PermanentError(MISSING).
    """
    file = stay.file(clip)
    again = await stay.card.reread(file, progress=stay.moved)
    clip_id = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=again.length_bytes, sha256=again.sha256)
    if again.length_bytes != clip.length_bytes or clip_id not in strays:
        return None
    try:
        found = await spool.settle(clip_id)
    except TransientError:
        found = None  # a disk that does not give this one back may well take another
    if found != (again.sha256, again.length_bytes):
        return None
    copied = Copied(clip_id=clip_id, sha256=again.sha256, length_bytes=again.length_bytes)
    return await _kept(clip, file, copied, stay, ledger=ledger, spool=spool, facts={"adopted": "yes"})


async def copies_without_clip(clip: Clip, *, ledger: Ledger, spool: Spool) -> frozenset[ClipId]:
    """Give the copies that may be this clip's and that no clip on record has. Raises TransientError(DISK)."""
    there = await spool.copies()
    if clip.clip_id is None:
        like = frozenset(name for name, length_bytes in there.items() if length_bytes == clip.length_bytes)
    else:
        like = frozenset({clip.clip_id} & there.keys())
    return like - await ledger.spooled(like)


async def judge_copy(
    clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, among: Collection[ClipId]
) -> Clip | WrongCopy | None:
    """Hold what lies under a clip's name against the camera, where both want the same room.

    FOUND to COPIED where it is the clip after all. A WrongCopy, on record as such, where it is not and the camera has
    just given the clip itself, past every cache: it is no copy of anything, and nothing is lost with it (I4). None
    where none of `among` has that name, or the camera gives anything else: the copy may be all that is left.

    Raises what `Card.reread` raises, and TransientError(DISK).
    """
    file = stay.file(clip)
    again = await stay.card.reread(file, progress=stay.moved)
    clip_id = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=again.length_bytes, sha256=again.sha256)
    another = again.length_bytes != clip.length_bytes or clip.sha256 not in {None, again.sha256}
    if another or clip_id not in among:
        return None
    if await spool.settle(clip_id) == (again.sha256, again.length_bytes):
        copied = Copied(clip_id=clip_id, sha256=again.sha256, length_bytes=again.length_bytes)
        return await _kept(clip, file, copied, stay, ledger=ledger, spool=spool, facts={"adopted": "yes"})
    if not again.uncached:
        return None
    facts = {"copy": clip_id, "why": "it differs from the file on the camera, read just now, which needs its room"}
    await ledger.note(COPY_WRONG, actor="offload", clip=clip.key, facts=facts)
    return WrongCopy(clip=clip, clip_id=clip_id)


def _require_own(clip: Clip, copied: Copied | Salvaged) -> None:
    wanted = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=copied.length_bytes, sha256=copied.sha256)
    if copied.clip_id != wanted or copied.length_bytes != clip.length_bytes:
        raise InvariantError(
            f"clip {clip.key}: the copier kept {copied.length_bytes} bytes as {copied.clip_id},"
            f" expected {clip.length_bytes} bytes as {wanted}"
        )


async def _kept(
    clip: Clip,
    file: ListedFile,
    copied: Copied | Salvaged,
    stay: Stay,
    *,
    ledger: Ledger,
    spool: Spool,
    facts: Mapping[str, str] | None = None,
) -> Clip:
    _require_own(clip, copied)
    if clip.sha256 not in {None, copied.sha256}:
        await _part(clip, file, stay, copied.sha256, ledger=ledger)
    tags = clip.tags if await spool.has_header(copied.clip_id) else clip.tags | {Tag.HEADER_MISSING}
    change = Change(
        sha256=copied.sha256, clip_id=copied.clip_id, tags=tags, verified_in=stay.docking, facts=facts or {}
    )
    return await ledger.move(clip.key, Move.COPIED, change, actor="offload")


async def _part(clip: Clip, file: ListedFile, stay: Stay, now: Sha256, *, ledger: Ledger) -> None:
    """Part a clip that was copied before from a file that is another by now: the two must never share a row.

    Raises:
        PermanentError: MISSING, always. What the clip once was is neither here nor on the camera.

    """
    await ledger.supersede(clip.key, file, docking=stay.docking)
    detail = f"its copy with sha256 {clip.sha256} is lost, and the camera now gives {now}, another file"
    raise PermanentError(Reason.MISSING, detail)


async def confirm_clip(clip: Clip, stay: Stay, *, ledger: Ledger) -> Clip:
    """Read a candidate again (I3): it is the clip we know, or it is a new clip under an old name."""
    again = await read_again(clip, stay)
    if matches(clip, again):
        return await ledger.move(clip.key, Move.CONFIRMED, Change(verified_in=stay.docking), actor="offload")
    return await ledger.supersede(clip.key, stay.file(clip), docking=stay.docking)


async def read_again(clip: Clip, stay: Stay) -> ReadAgain:
    """Read a file past every cache until it equals the clip, at most `READS` times; give the last reading."""
    file = stay.file(clip)
    again = await stay.card.reread(file, progress=stay.moved)
    for _ in range(READS - 1):
        if matches(clip, again):
            break
        again = await stay.card.reread(file, progress=stay.moved)
    return again


def matches(clip: Clip, again: ReadAgain) -> bool:
    """Say whether a reading equals the clip's bytes."""
    return (again.sha256, again.length_bytes) == (clip.sha256, clip.length_bytes)
