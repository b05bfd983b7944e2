"""What the kernel tells of a file's medium: what of it lies there, what was fetched from there, what is only cached.

Knows descriptors and devices, and no paths of a card.

Source: proc(5), /proc/pid/io and /proc/pid/mountinfo; lseek(2), SEEK_DATA and SEEK_HOLE; posix_fadvise(2); sysfs(5).
"""

import errno
import os
from contextlib import suppress

MEMORY = frozenset({b"tmpfs", b"ramfs"})
DISKS = "/sys/dev/block"
UNSAID = b"unsaid"
MOST_EXTENTS = 100_000


def advise(fd: int, advice: int, start: int = 0, end: int = 0) -> None:
    """Advise the kernel about a range of a file (0, 0: all of it); advice that is not taken changes nothing."""
    with suppress(OSError):
        os.posix_fadvise(fd, start, end - start, advice)


def data_bytes(fd: int, length: int) -> int:
    """Count the bytes of a file that lie on the medium: all but its holes. Moves the file's place to 0."""
    total = end = 0
    try:
        for _ in range(MOST_EXTENTS):
            start = os.lseek(fd, end, os.SEEK_DATA)
            end = os.lseek(fd, start, os.SEEK_HOLE)
            total += end - start
    except OSError as error:
        if error.errno == errno.ENXIO:
            return total
    finally:
        os.lseek(fd, 0, os.SEEK_SET)
    return length


def fetched_bytes() -> int:
    """Give the bytes that this process has made the storage layer fetch so far; 0 where nobody counts them."""
    try:
        with open("/proc/self/io", "rb") as lines:  # noqa: PTH123 - pathlib costs more than the rest of the copier
            return next(int(line.split()[1]) for line in lines if line.startswith(b"read_bytes:"))
    except (OSError, StopIteration):
        return 0


def in_memory(device: int) -> bool:
    """Say whether a filesystem is memory and nothing else: then its page cache is the medium."""
    number = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        with open("/proc/self/mountinfo", "rb") as lines:  # noqa: PTH123 - as above
            mounts = [line.split() for line in lines]
    except OSError:
        return False
    kinds = {fields[fields.index(b"-") + 1] for fields in mounts if fields[2] == number}
    return bool(kinds) and kinds <= MEMORY


def disk_state(device: int) -> bytes | None:
    """Give what the kernel says of the disk that a filesystem lies in; empty once it is gone.

    None where it tells of no disks, or the filesystem lies in none. A disk on its way out loses its device first.
    """
    if not os.major(device) or not os.path.isdir(DISKS):  # noqa: PTH112 - as above
        return None
    disk = f"{DISKS}/{os.major(device)}:{os.minor(device)}"
    for state in (f"{disk}/device/state", f"{disk}/../device/state"):  # of a disk, and of a partition
        with suppress(OSError), open(state, "rb") as said:  # noqa: PTH123 - as above
            return said.read().strip()
    return UNSAID if os.path.exists(disk) else b""  # noqa: PTH110 - as above
