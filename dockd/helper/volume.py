"""A filesystem of a card: which it is, by its first sector, and the mount of it that no folder shows. Knows no bay.

Source: fsopen(2), fsmount(2), linux/mount.h; Microsoft FAT32 specification 1.03, section 3, and exFAT, section 3.1.
"""

import ctypes
import errno
import os
from collections.abc import Mapping

FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432  # on x86_64, aarch64 and arm alike
CLOEXEC, SET_FLAG, SET_STRING, CREATE = 1, 0, 1, 6
RDONLY, NOSUID, NODEV, NOEXEC, NOATIME, NOSYMFOLLOW = 0x1, 0x2, 0x4, 0x8, 0x10, 0x200000


def filesystem_of(sector: bytes) -> str | None:
    """Say `vfat` or `exfat`, or None for what we do not mount."""
    if sector[510:512] != b"\x55\xaa":
        return None
    if sector[:11] == b"\xeb\x76\x90EXFAT   ":
        return None if any(sector[11:64]) or sector[108] not in range(9, 13) else "exfat"
    jump = sector[:1] == b"\xe9" or sector[:3:2] == b"\xeb\x90"
    sizes = sector[11:13] in {b"\0\2", b"\0\4", b"\0\x08", b"\0\x10"} and sector[13] in {1 << bit for bit in range(8)}
    tables = any(sector[14:16]) and sector[16] in {1, 2} and sector[21] in {0xF0, *range(0xF8, 0x100)}
    return "vfat" if jump and sizes and tables else None


def options_of(filesystem: str, *, uid: int, gid: int) -> Mapping[str, str]:
    """Give what a card is mounted with: one owner, names in UTF-8, times of FAT as they are written."""
    owner = {"uid": str(uid), "gid": str(gid), "umask": "077"}
    return owner | ({"utf8": "1", "tz": "UTC"} if filesystem == "vfat" else {"iocharset": "utf8"})


def detached(filesystem: str, source: str, options: Mapping[str, str], *, writable: bool) -> int:
    """Mount without a place: gone when the last descriptor of it is closed. Raises OSError, ENOSYS included."""
    try:
        context = _call(FSOPEN, filesystem.encode(), CLOEXEC)
    except OSError as error:
        raise OSError(errno.ENOSYS, f"this kernel has no {filesystem}: {error.strerror}") from error
    try:
        for key, value in {"source": source, **options}.items():
            _call(FSCONFIG, context, SET_STRING, key.encode(), value.encode(), 0)
        if not writable:
            _call(FSCONFIG, context, SET_FLAG, b"ro", None, 0)
        _call(FSCONFIG, context, CREATE, None, None, 0)
        limits = NOSUID | NODEV | NOEXEC | NOATIME | NOSYMFOLLOW | (0 if writable else RDONLY)
        return _call(FSMOUNT, context, CLOEXEC, limits)
    finally:
        os.close(context)


def _call(number: int, *arguments: int | bytes | None) -> int:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    given = [ctypes.c_long(one) if isinstance(one, int) else ctypes.c_char_p(one) for one in arguments]
    result = int(call(ctypes.c_long(number), *given))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
