"""The lock of a state folder: one process works on it at a time, and a dead one holds nothing.

Owns the folder's making and the lock file. Knows no ledger.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dockd.durable import sync_folder
from dockd.errors import InUseError, StartRefusedError

LOCK = "lock"


def lock(state_dir: Path) -> BinaryIO:
    """Take a state folder for this process, making it if need be; it is let go when the file given is closed.

    Raises:
        StartRefusedError: another process has it, or it cannot be made.

    """
    path = state_dir / LOCK
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_names_above(state_dir)
        held = open(path, "ab+", buffering=0, opener=_private)  # noqa: SIM115 - it is open as long as the lock is held
    except OSError as error:
        raise StartRefusedError(
            f"state folder {state_dir}: {error.strerror}: give dockd a folder that it may write to"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held.seek(0)
        holder = held.read(32).decode("ascii", "replace").strip() or "unknown"
        held.close()
        raise InUseError(
            f"state folder {state_dir} is in use by process {holder}: stop that one first, or give this one a state"
            " folder of its own"
        ) from error
    with suppress(OSError):  # a full disk: only who asks next knows less
        held.truncate(0)
        held.write(f"{os.getpid()}\n".encode("ascii"))
    return held


def _sync_names_above(folder: Path) -> None:
    """Make the way to a folder durable, from its filesystem's root: what was just made, or by one that was killed."""
    folder = folder.resolve()
    device = folder.stat().st_dev
    for above in folder.parents:
        if above.stat().st_dev != device:
            return
        with suppress(PermissionError):  # whoever keeps us from it has made the next one for us
            sync_folder(above)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
