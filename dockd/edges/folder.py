"""Which volume a folder is: the filesystem's id for the root of a mounted card, `folder` for any other folder.

Owns two readings of the kernel's and udev's files. Opens no card.

Source: proc(5), /proc/pid/mountinfo; systemd's 60-persistent-storage.rules for /dev/disk/by-uuid.
"""

import os
from pathlib import Path

from dockd.domain.model import FOLDER_VOLUME, VolumeId

CARD_FILESYSTEMS = frozenset({"vfat", "exfat"})
"""What cameras write. The ids of other filesystems say nothing of a card: a laptop's disk is one."""


def volume_of(
    folder: Path, *, mountinfo: Path = Path("/proc/self/mountinfo"), by_uuid: Path = Path("/dev/disk/by-uuid")
) -> VolumeId:
    """Give the volume id of a folder that is to be taken in.

    Only the root of a mount stands for its volume: of two folders below it, each may hold the same paths.

    Raises:
        OSError: there is no such folder.

    """
    real, device = folder.resolve(strict=True), folder.stat().st_dev
    if not _is_card_root(real, device, mountinfo):
        return FOLDER_VOLUME
    for link in sorted(by_uuid.iterdir()) if by_uuid.is_dir() else ():
        if link.exists() and link.stat().st_rdev == device:
            return VolumeId(link.name)
    return FOLDER_VOLUME


def _is_card_root(folder: Path, device: int, mountinfo: Path) -> bool:
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(" ")
        kind = fields[fields.index("-") + 1]
        # A bind mount of a folder inside the card is no root of it: its third path is not "/".
        if kind in CARD_FILESYSTEMS and fields[2:4] == [number, "/"] and _unescaped(fields[4]) == str(folder):
            return True
    return False


def _unescaped(text: str) -> str:
    for octal, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, char)
    return text
