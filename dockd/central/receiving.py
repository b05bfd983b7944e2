"""The body of a request onto the disk: bounded memory, and nothing lost that arrived before a break.

Owns batching and what each kind of break is answered with. Knows no HTTP library: the body is a function that gives the
next bytes.
"""

import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dockd.central.index import Upload
from dockd.central.partials import DiskDiedError, DiskReserveError, Partials
from dockd.central.refusal import RefusedError
from dockd.central.slots import Slot, StalledError
from dockd.central.threads import Threads
from dockd.durable import is_shortage

_log = logging.getLogger(__name__)
_WRITE_BYTES = 256 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_RETRY_S = 60
_SHORTAGE_RETRY_S = 2


class BodyLostError(Exception):
    """The connection ended before the request's body did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Where the upload ends now; `broken` is the answer if the body did not end as it should."""

    end_bytes: int
    broken: RefusedError | None


def disk_full(error: Exception) -> RefusedError:
    """Give the answer for a disk that has no room to give."""
    return RefusedError(507, f"store: disk full: {error}", retry_after_s=_FULL_RETRY_S)


class Receiver:
    """Writes bodies into the files of unfinished uploads."""

    def __init__(self, *, partials: Partials, threads: Threads) -> None:
        """Take the files and the threads that write them."""
        self._partials = partials
        self._threads = threads

    async def receive(
        self, slot: Slot, upload: Upload, *, offset_bytes: int, read: Callable[[], Awaitable[bytes]]
    ) -> Received:
        """Append the body to an upload, in writes of about 256 KiB.

        Raises:
            DiskDiedError: the upload's bytes must be discarded.

        """
        end_bytes = offset_bytes
        broken: RefusedError | None = None
        more = True
        while more and broken is None:
            room_bytes = upload.length_bytes - end_bytes
            chunks, more, broken = await _gather(slot, read, room_bytes=room_bytes)
            if not chunks:
                continue
            try:
                end_bytes = await self._append(upload, end_bytes, chunks)
            except DiskReserveError as error:
                broken = disk_full(error)
            except OSError as error:
                broken = _refused_write(error)
                # Some of the last write may be there; the file's size says how much.
                end_bytes = await self._threads.run(lambda: self._partials.size_bytes(upload.id) or 0)
        return Received(end_bytes=end_bytes, broken=broken)

    async def _append(self, upload: Upload, offset_bytes: int, chunks: list[bytes]) -> int:
        return await self._threads.run(
            lambda: self._partials.append(upload.id, offset_bytes=offset_bytes, chunks=chunks)
        )


def _refused_write(error: OSError) -> RefusedError:
    """Give the answer for a write that failed and left what was there as it was; anything else is the disk's death."""
    if error.errno in _FULL:
        return disk_full(error)
    if is_shortage(error):
        return RefusedError(503, f"store: {error.strerror}: come back", retry_after_s=_SHORTAGE_RETRY_S)
    raise DiskDiedError(str(error)) from error


async def _gather(
    slot: Slot, read: Callable[[], Awaitable[bytes]], *, room_bytes: int
) -> tuple[list[bytes], bool, RefusedError | None]:
    """Collect the bytes of one write: the chunks, whether more may follow, and the answer if the body broke off."""
    chunks: list[bytes] = []
    held_bytes = 0
    while held_bytes < _WRITE_BYTES:
        try:
            chunk = await slot.read(read)
        except StalledError as error:
            return chunks, False, RefusedError(408, f"body: {error}")
        except BodyLostError as error:
            return chunks, False, RefusedError(400, f"body: {error}")
        if not chunk:
            return chunks, False, None
        if held_bytes + len(chunk) > room_bytes:
            return chunks, False, RefusedError(413, "body: longer than the upload was declared")
        chunks.append(chunk)
        held_bytes += len(chunk)
    return chunks, True, None
