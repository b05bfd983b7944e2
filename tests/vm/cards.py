"""Cards as a camera formats them: one partition at 1 MiB, vfat or exFAT, with clips whose digests are kept.

Owns the images on the host, made without mounting anything. Must not know what reads them.
"""

import hashlib
import random
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from tests.card_images import SECTOR
from tests.exfat_images import Exfat

if TYPE_CHECKING:
    from tests.card_images import Node

FileSystem = Literal["vfat", "exfat"]

START_BYTES = 1 << 20
"""Where the partition begins."""
_KIND: Mapping[FileSystem, int] = {"vfat": 0x0C, "exfat": 0x07}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card, and what was put on it: SHA-256 in hex by the path of each clip."""

    image: Path
    file_system: FileSystem
    digests: Mapping[str, str]


def clips(seed: int, *, count: int, each_bytes: int) -> dict[str, bytes]:
    """Give clips of one camera, the same for a seed."""
    chance = random.Random(seed)
    return {f"DCIM/100CLIPS/CLIP{number:04}.MP4": chance.randbytes(each_bytes) for number in range(1, count + 1)}


def card(path: Path, file_system: FileSystem, files: Mapping[str, bytes], *, size_bytes: int = 16 << 20) -> Card:
    """Make a card of so many bytes with these files on it, at this path."""
    partition = path.with_suffix(".part")
    match file_system:
        case "vfat":
            _vfat(partition, files, size_bytes - START_BYTES)
        case "exfat":
            _exfat(partition, files, size_bytes - START_BYTES)
    partitioned(path, partition, file_system, size_bytes=size_bytes)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return Card(image=path, file_system=file_system, digests=digests)


def partitioned(path: Path, partition: Path, file_system: FileSystem, *, size_bytes: int = 16 << 20) -> None:
    """Make a card of so many bytes of a partition's image, which is gone then."""
    with path.open("wb") as file:
        file.write(_boot_record(_KIND[file_system], size_bytes))
        file.seek(START_BYTES)
        file.write(partition.read_bytes())
        file.truncate(size_bytes)
    partition.unlink()


def _boot_record(kind: int, size_bytes: int) -> bytes:
    """Write the first sector: one partition, to the end, of a kind."""
    ends = b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", 0, ends, kind, ends, START_BYTES // SECTOR, (size_bytes - START_BYTES) // SECTOR)
    return bytes(440) + hashlib.sha256(entry).digest()[:4] + bytes(2) + entry + bytes(48) + b"\x55\xaa"


def _vfat(partition: Path, files: Mapping[str, bytes], size_bytes: int) -> None:
    with partition.open("wb") as file:
        file.truncate(size_bytes)
    _run("mkfs.vfat", "-n", "CARD", "-h", str(START_BYTES // SECTOR), str(partition))
    for folder in _folders(files):
        _run("mmd", "-i", str(partition), f"::/{folder}")
    for name, data in files.items():
        _run("mcopy", "-i", str(partition), "-", f"::/{name}", stdin=data)


def _exfat(partition: Path, files: Mapping[str, bytes], size_bytes: int) -> None:
    """Nothing on the host writes exFAT without mounting it: the tests' own maker does."""
    cluster_bytes = 4096
    image = Exfat(clusters=size_bytes // cluster_bytes - 64, cluster_bytes=cluster_bytes)
    assert image.disk.size_bytes <= size_bytes
    folders: dict[PurePosixPath, Node | None] = {PurePosixPath(): None}
    for folder in _folders(files):
        folders[folder] = image.folder(folder.name, into=folders[folder.parent])
    for name, data in files.items():
        image.add(PurePosixPath(name).name, data, into=folders[PurePosixPath(name).parent])
    image.disk.save(partition)


def _folders(files: Mapping[str, bytes]) -> list[PurePosixPath]:
    """Give every folder of these files, those above first."""
    every = {folder for name in files for folder in PurePosixPath(name).parents}
    return sorted(every - {PurePosixPath()})


def _run(*command: str, stdin: bytes | None = None) -> None:
    done = subprocess.run(command, check=False, capture_output=True, input=stdin)
    assert done.returncode == 0, (command, done.stderr.decode(errors="replace"))
