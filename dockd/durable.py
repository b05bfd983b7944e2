"""Small durable acts on files: a folder synced, a file replaced, moved, made, or written over itself.

Owns the order of calls. Knows nothing of what is in the files.
"""

import errno
import os
from pathlib import Path

_PRIVATE = 0o600
_AT_ONCE_BYTES = 1024 * 1024
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE})


def is_shortage(error: OSError) -> bool:
    """Whether descriptors ran out for a moment: nothing was opened, which says nothing of what is on the disk."""
    return error.errno in _SCARCE


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Write a small private file: a temporary one in the same folder, synced, renamed, the folder synced."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)


def move_file(path: Path, folder: Path) -> None:
    """Move a file into a folder of the same disk under its own name, durably; nothing there is overwritten.

    Raises:
        FileExistsError: a file of that name is there.

    """
    target = folder / path.name
    if target.exists():
        raise FileExistsError(errno.EEXIST, "is there already", str(target))
    path.rename(target)
    # The new name first: a cut in between leaves two names at worst, never none.
    sync_folder(folder)
    sync_folder(path.parent)


def make_private(path: Path) -> None:
    """Make a file that only its owner may read, unless it is there."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))


def write_again(path: Path) -> None:
    """Write a file over itself and sync it: what is read of it is then on the disk. None there is fine.

    One that was killed may have left bytes that it never synced; and after a sync that failed the kernel gives back
    bytes that are not on the disk, and that no later sync writes (I9). No cut in between changes what is there.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        offset = 0
        while chunk := os.pread(descriptor, _AT_ONCE_BYTES, offset):
            offset += os.pwrite(descriptor, chunk, offset)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
