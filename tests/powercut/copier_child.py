"""The copier with a planted fault, run in its place: `python ... -X plant=NAME copier_child.py CARD_FD SPOOL_FD`.

The names are those of `plants`. Without one it is the copier, but for one thing: it takes the filesystem of the power
cuts for memory, which it is. The kernel counts no reads of it, so that nothing else could prove a re-read (I3).
"""

import os
import runpy
import sys
from pathlib import Path

ROOT = str(Path(__file__).absolute().parent.parent.parent)
sys.path.append(ROOT)

from dockd.copier import medium  # noqa: E402 - only now can it be found
from dockd.copier.commands import Copier  # noqa: E402 - the same

medium.MEMORY |= {b"fuse"}

fsync, fdatasync = os.fsync, os.fdatasync
spool = int(sys.argv[2])


def put(owner: object, name: str, part: object) -> None:
    """Put something in the place of what is there."""
    getattr(owner, name)
    setattr(owner, name, part)


def nothing(_fd: int) -> None:
    """Sync nothing."""


def all_but_spool(fd: int) -> None:
    """Sync everything but the spool's folder."""
    if fd != spool:
        fsync(fd)


def twice(fd: int) -> None:
    """Sync, and if that fails once more."""
    try:
        fdatasync(fd)
    except OSError:
        fdatasync(fd)


def unseen(_copier: Copier, _path: bytes, _folder: int, _name: bytes) -> None:
    """Take an unlink for done."""


match sys._xoptions.get("plant"):
    case "copier-file-not-synced":
        put(os, "fdatasync", nothing)
    case "copier-folder-not-synced":
        put(os, "fsync", all_but_spool)
    case "copier-sync-retried":
        put(os, "fdatasync", twice)
    case "copier-unlink-not-synced":
        put(Copier, "_see_gone", unseen)
    case _:
        pass

runpy.run_path(f"{ROOT}/dockd/copier/__main__.py", run_name="__main__")
