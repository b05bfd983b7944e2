"""From the camera into the spool, and back to the camera for a second look: one clip, top to bottom.

Owns the camera-side rungs of one clip: copy, confirm. Each rung is safe to repeat. Knows no order and no retries.
"""

from collections.abc import Callable

from dockd.app.ports import Ledger, ReadAgain, Spool
from dockd.app.stay import Stay
from dockd.domain.clip import Change, Move
from dockd.domain.model import Clip, Tag, clip_id_of
from dockd.errors import InvariantError

READS = 3
"""How often a file is read before it counts as different: a flaky contact may spoil one read."""


async def copy_clip(clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, progress: Callable[[int], None]) -> Clip:
    """FOUND to COPIED: bytes in the spool, synced, read back and equal; then, and only then, on record (I5, I8)."""
    copied = await stay.card.copy(stay.file(clip), progress=progress)
    wanted = clip_id_of(camera=clip.camera, path=clip.path, length_bytes=copied.length_bytes, sha256=copied.sha256)
    if copied.clip_id != wanted or copied.length_bytes != clip.length_bytes:
        raise InvariantError(
            f"clip {clip.key}: the copier kept {copied.length_bytes} bytes as {copied.clip_id},"
            f" expected {clip.length_bytes} bytes as {wanted}"
        )
    tags = clip.tags if await spool.has_header(copied.clip_id) else clip.tags | {Tag.HEADER_MISSING}
    change = Change(sha256=copied.sha256, clip_id=copied.clip_id, tags=tags, verified_in=stay.docking)
    return await ledger.move(clip.key, Move.COPIED, change, actor="offload")


async def confirm_clip(clip: Clip, stay: Stay, *, ledger: Ledger) -> Clip:
    """Read a candidate again (I3): it is the clip we know, or it is a new clip under an old name."""
    again = await read_again(clip, stay)
    if matches(clip, again):
        return await ledger.move(clip.key, Move.CONFIRMED, Change(verified_in=stay.docking), actor="offload")
    return await ledger.supersede(clip.key, stay.file(clip), docking=stay.docking)


async def read_again(clip: Clip, stay: Stay) -> ReadAgain:
    """Read a file past every cache until it equals the clip, at most `READS` times; give the last reading."""
    file = stay.file(clip)
    again = await stay.card.reread(file)
    for _ in range(READS - 1):
        if matches(clip, again):
            break
        again = await stay.card.reread(file)
    return again


def matches(clip: Clip, again: ReadAgain) -> bool:
    """Say whether a reading equals the clip's bytes."""
    return (again.sha256, again.length_bytes) == (clip.sha256, clip.length_bytes)
