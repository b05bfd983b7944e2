"""Who judges the end of a copy in the spool (I12): somebody has its receipt, or it was no copy, and its file was read.

Owns that judgement alone. Shares no code with what it judges.
"""

from collections.abc import Collection, Iterable
from hashlib import sha256

from tests.sim.cameras import SimCamera
from tests.sim.disk import Disk
from tests.sim.promise import require


def judge_leaving(
    clip_id: str,
    states: Collection[tuple[int, str]],
    identity: tuple[object, ...] | None,
    *,
    disk: Disk,
    cameras: Iterable[SimCamera],
) -> None:
    """Judge a copy that goes: `states` of its clips by key, `identity` as it once was copied."""
    open_ = [(key, state) for key, state in states if state in {"copied", "uploaded", "held"}]
    wrong = _is_wrong(clip_id, identity, disk=disk, cameras=cameras)
    if wrong:
        open_ = [(key, state) for key, state in open_ if state != "held"]
    require(not open_, f"I12: the copy {clip_id[:8]} goes, and clips {open_} need it")
    proven = any(state in {"receipted", "erasing", "erased"} for _, state in states)
    require(proven or wrong, f"I12: the copy {clip_id[:8]} goes without a receipt, and may be all that is left")


def _is_wrong(clip_id: str, identity: tuple[object, ...] | None, *, disk: Disk, cameras: Iterable[SimCamera]) -> bool:
    """Say whether it is not what it was, or dead, and its camera has the file, read past every cache in this stay."""
    if identity is None:
        return False
    serial, volume, path, _, digest = identity
    data = next((data for name, data in disk.seen.items() if name == clip_id), b"")
    whole = sha256(data).hexdigest() == digest and clip_id not in disk.dead
    return not whole and any(
        (camera.identity.serial, camera.identity.volume) == (serial, volume)
        and any(
            (name, sha256(file.data).hexdigest(), camera.fresh.get((camera.stay, name))) == (path, digest, digest)
            for name, file in camera.files.items()
        )
        for camera in cameras
    )
