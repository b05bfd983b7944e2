"""The copier with a fault planted in it: `python ... copier.py FAULT CARD_FD SPOOL_FD`, isolated as the real one is.

Owns what each fault does to the system calls under the copier, whose code runs unchanged.
"""

import os
import runpy
import sys
from pathlib import Path

COPIER = Path(__file__).parents[2] / "dockd" / "copier" / "__main__.py"

write, fsync, fdatasync = os.write, os.fsync, os.fdatasync


def write_all_but_say_all(fd: int, data: bytes | memoryview) -> int:
    write(fd, data)
    return len(data)


def write_or_never_mind(fd: int, data: bytes | memoryview) -> int:
    try:
        return write(fd, data)
    except OSError:
        return len(data)


def sync_again(fd: int) -> None:
    try:
        fdatasync(fd)
    except OSError:
        fdatasync(fd)


def sync_never(fd: int) -> None:
    os.fstat(fd)


FAULTS = {
    "short-write-ignored": ("write", write_all_but_say_all),
    "enospc-ignored": ("write", write_or_never_mind),
    "fsync-retried": ("fdatasync", sync_again),
    "copy-not-synced": ("fdatasync", sync_never),
    "folder-not-synced": ("fsync", sync_never),
}

if __name__ == "__main__":
    setattr(os, *FAULTS[sys.argv.pop(1)])
    runpy.run_path(str(COPIER), run_name="__main__")
