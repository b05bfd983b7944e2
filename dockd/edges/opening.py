"""Opening what a camera brought: the folder of its card, and the device or image that the card lies in. And closing.

Owns the deadline of what hangs in the kernel, the meaning of its errors, and the check that a device is the card's own.
"""

import asyncio
import os
import stat
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from pathlib import Path

from dockd.errors import CameraGoneError, ListingError, Reason, TransientError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A fifo under the name of a device must not hold the open up.
DEVICE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


async def open_card(source: str, *, stall_s: float) -> int:
    """Open the folder of a card.

    Raises:
        CameraGoneError: there is no such folder any more.
        ListingError: it is no folder, or may not be read.
        TransientError: USB, opening it hangs.

    """
    return await _of_camera(source, FOLDER, "a readable folder", stall_s=stall_s)


async def open_device(device: str, *, card: int, stall_s: float) -> int:
    """Open the device or image in which an open card lies, for reading only.

    Raises:
        CameraGoneError: there is no such device any more.
        ListingError: it may not be read, or is none; STRUCTURE, it is not the one that the card lies in.
        TransientError: USB, opening it hangs.

    """
    fd = await _of_camera(device, DEVICE, "a block device or an image", stall_s=stall_s)
    try:
        see_device(device, os.fstat(fd), os.fstat(card).st_dev)
    except BaseException:
        os.close(fd)
        raise
    return fd


async def opened(path: str | Path, flags: int) -> int:
    """Open something, in a thread of its own: cards that hang must not use up those that the disk is read with.

    An open that comes back after its call was given up is closed again.
    """
    opening: Future[int] = Future()

    def work() -> None:
        try:
            fd = os.open(path, flags)
        except OSError as error:
            with suppress(InvalidStateError):
                opening.set_exception(error)
            return
        try:
            opening.set_result(fd)
        except InvalidStateError:
            os.close(fd)

    # A daemon thread: one that hangs in the kernel must not keep the station from ending.
    threading.Thread(target=work, name="open", daemon=True).start()
    try:
        return await asyncio.wrap_future(opening)
    except asyncio.CancelledError:
        if not opening.cancel() and opening.exception() is None:
            os.close(opening.result())
        raise


async def closed(*descriptors: int, most_s: float) -> bool:
    """Close descriptors, in a thread of their own, and wait for it so long; say whether they are closed.

    The last descriptor of a mount is its unmounting, which a card may draw out for as long as it likes: what takes
    longer is left to its thread. So is all of it where the call is cancelled.
    """
    closing: Future[None] = Future()

    def work() -> None:
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)
        with suppress(InvalidStateError):
            closing.set_result(None)

    waiting = asyncio.wrap_future(closing)
    try:
        threading.Thread(target=work, name="close", daemon=True).start()
        await asyncio.wait({waiting}, timeout=most_s)
    except RuntimeError:  # no more threads: rather late than never
        work()
    finally:
        done = closing.done()
        waiting.cancel()
    return done


async def _of_camera(source: str, flags: int, expected: str, *, stall_s: float) -> int:
    try:
        async with asyncio.timeout(stall_s):
            return await opened(source, flags)
    except TimeoutError as error:
        raise TransientError(Reason.USB, f"card {source!r}: opening it hangs") from error
    except (NotADirectoryError, PermissionError) as error:
        raise ListingError(Reason.LISTING, f"card {source!r}: {error.strerror}, expected {expected}") from error
    except OSError as error:
        raise CameraGoneError(f"card {source!r}: {error.strerror}") from error


def see_device(device: str, status: os.stat_result, card: int) -> None:
    """Refuse what has no blocks, and the blocks of another card. Of an image nobody can say whose it is."""
    if not stat.S_ISBLK(status.st_mode) and not stat.S_ISREG(status.st_mode):
        raise ListingError(Reason.LISTING, f"card {device!r}: expected a block device or an image")
    # Filesystems without a device of their own have numbers of major 0: then only the listing is compared.
    if stat.S_ISBLK(status.st_mode) and os.major(card) and status.st_rdev != card:
        one, other = (f"{os.major(number)}:{os.minor(number)}" for number in (status.st_rdev, card))
        raise ListingError(Reason.STRUCTURE, f"card {device!r}: it is device {one}, the card lies in {other}")
