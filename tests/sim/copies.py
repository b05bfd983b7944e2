"""Who judges the end of a copy in the spool (I12): somebody has its receipt, or it was no copy, and its file was read.

Owns that judgement alone. Shares no code with what it judges.
"""

from collections.abc import Collection, Iterable
from hashlib import sha256

from dockd.domain.model import ClipId
from tests.sim.cameras import SimCamera
from tests.sim.disk import Disk
from tests.sim.promise import require


def judge_leaving(
    clip_id: str,
    states: Collection[tuple[int, str]],
    *,
    disk: Disk,
    cameras: Iterable[SimCamera],
) -> None:
    """Judge a copy that goes: `states` of its clips by key. It need never have come on record."""
    open_ = [(key, state) for key, state in states if state in {"copied", "uploaded", "held"}]
    wrong = _is_wrong(clip_id, disk=disk, cameras=cameras)
    if wrong:
        open_ = [(key, state) for key, state in open_ if state != "held"]
    require(not open_, f"I12: the copy {clip_id[:8]} goes, and clips {open_} need it")
    proven = any(state in {"receipted", "erasing", "erased"} for _, state in states)
    require(proven or wrong, f"I12: the copy {clip_id[:8]} goes without a receipt, and may be all that is left")


def _is_wrong(clip_id: str, *, disk: Disk, cameras: Iterable[SimCamera]) -> bool:
    """Say whether it is not what it is called, or dead, and its camera has just given the file, past every cache.

    A camera that is pulled at that very moment has it still: the station hears of that a moment later.
    """
    data = disk.seen.get(ClipId(clip_id), b"")
    for camera in cameras:
        for path, file in camera.files.items():
            digest = sha256(file.data).hexdigest()
            read = {camera.fresh.get((stay, path)) for stay in (camera.stay, camera.stay - 1)}
            if _named(camera, path, file.data) == clip_id and digest in read:
                return clip_id in disk.dead or sha256(data).hexdigest() != digest
    return False


def _named(camera: SimCamera, path: bytes, data: bytes) -> str:
    """Give the clip id of a file, by hand (I10): every part after its length in eight bytes."""
    who = camera.identity
    parts = (
        b"dockd clip 1",
        who.serial.encode(),
        who.volume.encode(),
        path,
        str(len(data)).encode(),
        sha256(data).digest(),
    )
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()
