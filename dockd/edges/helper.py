"""Root's helper, asked over its socket: what needs root in a bay is done there.

Owns one request a connection, its deadline, the one descriptor that may come with an answer, and what its error numbers
mean. Its words are in dockd/helper/README.md. Must not know what is done with a descriptor.
"""

import array
import asyncio
import errno
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dockd.domain.model import BayId
from dockd.errors import (
    CameraGoneError,
    DockdError,
    InvariantError,
    ListingError,
    PermanentError,
    Reason,
    TransientError,
)

SOCKET = Path("/run/dockd/helper.sock")
DEADLINE_S = 20.0
"""More than a start of the helper and a mount of a slow card take; a device that hangs takes for ever."""

SWITCH_AGAIN_S, SWITCH_WAIT_S = 1.0, 0.05
"""A switch that is at work still, for somebody who waits no more, is asked again for so long, at such times."""

_MOST_BYTES = 8192
_ONE_DESCRIPTOR = socket.CMSG_LEN(array.array("i").itemsize)

_GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ESTALE})
_NO_CARD = frozenset({errno.EMEDIUMTYPE, errno.ENOTUNIQ, errno.ENOTBLK, errno.EINVAL})
# The second line is what a transfer over a bad contact ends with. Source: Documentation/driver-api/usb/error-codes.rst.
_LATER = frozenset({errno.EAGAIN, errno.EBUSY, errno.EIO, errno.ENOMEDIUM, errno.ENOMEM, errno.ETIMEDOUT}) | frozenset(
    {errno.EPROTO, errno.EPIPE, errno.EILSEQ, errno.ETIME, errno.EOVERFLOW, errno.EREMOTEIO, errno.ESHUTDOWN}
)
# What connect says where no helper listens, or too many ask at once.
_AWAY = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN, errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET})
# This machine has no descriptor or memory for the question just now.
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorised:
    """Who was let in, as root's helper reads it in sysfs."""

    busnum: int
    devnum: int

    @property
    def devname(self) -> str:
        """The device's node, as the kernel names it: another one each time something is plugged in."""
        return f"/dev/bus/usb/{self.busnum:03}/{self.devnum:03}"


class Helper:
    """The helper's verbs. Each raises what `_error_of` makes of a refusal, and TransientError when no answer comes."""

    def __init__(self, path: Path = SOCKET, *, deadline_s: float = DEADLINE_S) -> None:
        """Take where the helper listens, and how long an answer may take. Connects to nothing yet."""
        self._path, self._deadline_s = path, deadline_s

    async def authorise(self, bay: BayId, *, vendor: str, product: str) -> Authorised:
        """Let the storage of the device in a bay in, if it has these ids: four lower-case hexadecimal digits each.

        Raises:
            CameraGoneError: nothing is there, or something with other ids.
            ListingError: it has no storage, or two devices answer to one port.
            TransientError: USB; another request of this bay is at work, or the helper does not answer.
            PermanentError: REFUSED; the helper's board file knows no such bay, or not us.

        """
        answer = await self._asked(bay, "authorise", {"vendor": vendor, "product": product})
        match answer:
            case {"busnum": int(busnum), "devnum": int(devnum)}:
                return Authorised(busnum=busnum, devnum=devnum)
            case _:
                raise InvariantError(f"bay {bay}: the helper's answer to authorise: expected who was let in")

    async def mount(self, bay: BayId) -> int:
        """Mount the authorised device of a bay read-only; the descriptor (O_PATH) is the caller's to close.

        A bay has one mount at a time, so that this one answers from no older cache: it waits for nobody.

        Raises:
            CameraGoneError: it left, or is not what was authorised.
            ListingError: STRUCTURE; not one volume of it is FAT or exFAT, or the kernel cannot mount it.
            TransientError: USB; it is mounted already, has no block device yet, or hangs.
            PermanentError: REFUSED.

        """
        return await self._descriptor(bay, "mount")

    async def writable(self, bay: BayId) -> int:
        """Mount it writable, for the seconds of erasing. Otherwise as `mount`."""
        return await self._descriptor(bay, "writable")

    async def device(self, bay: BayId) -> int:
        """Open what the filesystem of a bay lies in, for reading. Otherwise as `mount`."""
        return await self._descriptor(bay, "device")

    async def power(self, bay: BayId, *, on: bool) -> None:
        """Switch a bay's port.

        Raises:
            PermanentError: POWER; the port cannot be switched.
            TransientError: POWER; the hub, or the helper, does not answer.

        """
        if await self._switched(bay, {"on": on}) is not on:
            raise TransientError(Reason.POWER, f"bay {bay}: its port did not switch")

    async def powered(self, bay: BayId) -> bool:
        """Say whether a bay's port has power. Raises as `power` does: PermanentError where it cannot be switched."""
        return await self._switched(bay, {})

    async def _switched(self, bay: BayId, wish: Mapping[str, object]) -> bool:
        try:
            answer = await self._asked_again(bay, "power", wish)
        except (TransientError, CameraGoneError) as error:
            raise TransientError(Reason.POWER, str(error)) from error
        except (PermanentError, ListingError) as error:
            raise PermanentError(Reason.POWER, str(error)) from error
        on = answer.get("on")
        if not isinstance(on, bool):
            raise InvariantError(f"bay {bay}: the helper's answer to power: {on!r}, expected true or false")
        return on

    async def _asked_again(self, bay: BayId, verb: str, more: Mapping[str, object]) -> Mapping[str, object]:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + SWITCH_AGAIN_S
        while True:
            try:
                return await self._asked(bay, verb, more)
            except TransientError:
                if loop.time() > until_s:
                    raise
            await asyncio.sleep(SWITCH_WAIT_S)

    async def _asked(self, bay: BayId, verb: str, more: Mapping[str, object]) -> Mapping[str, object]:
        answer, fds = await self._exchange(bay, verb, more)
        if fds:
            _close(fds)
            raise InvariantError(f"bay {bay}: the helper's answer to {verb} came with a descriptor, expected none")
        return answer

    async def _descriptor(self, bay: BayId, verb: str) -> int:
        _, fds = await self._exchange(bay, verb, {})
        if len(fds) != 1:
            _close(fds)
            raise InvariantError(f"bay {bay}: the helper's answer to {verb} came with {len(fds)} descriptors")
        return fds[0]

    async def _exchange(
        self, bay: BayId, verb: str, more: Mapping[str, object]
    ) -> tuple[Mapping[str, object], list[int]]:
        request = json.dumps({"do": verb, "bay": bay, **more}).encode("ascii")
        what = f"bay {bay}: {verb}"
        try:
            # Nobody waits for another bay's answer: one whose device hangs keeps its own request alone.
            async with asyncio.timeout(self._deadline_s):
                message, fds, flags = await _exchanged(self._path, request)
        except TimeoutError as error:
            raise TransientError(Reason.USB, f"{what}: no answer in {self._deadline_s:g} s") from error
        except OSError as error:
            if error.errno not in _AWAY | _SHORT:
                raise PermanentError(Reason.REFUSED, f"{what}: {self._path}: {error.strerror}") from error
            raise TransientError(Reason.USB, f"{what}: {self._path}: {error.strerror}") from error
        try:
            answer = _answer_of(what, message, flags)
            if flags & socket.MSG_CTRUNC:
                raise _cut(what, fds)
        except DockdError:
            _close(fds)
            raise
        return answer, fds


async def _exchanged(path: Path, request: bytes) -> tuple[bytes, list[int], int]:
    """Send one message and take one; nothing is awaited once a descriptor has come, so that none can be lost."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as helper:
        await loop.sock_connect(helper, str(path))
        await loop.sock_sendall(helper, request)
        readable = asyncio.Event()
        loop.add_reader(helper, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(helper)
        message, ancillary, flags, _ = helper.recvmsg(_MOST_BYTES, _ONE_DESCRIPTOR, socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        return message, list(fds), flags


def _answer_of(what: str, message: bytes, flags: int) -> Mapping[str, object]:
    if not message:
        raise TransientError(Reason.USB, f"{what}: the helper ended without an answer")
    if flags & socket.MSG_TRUNC:
        raise InvariantError(f"{what}: the helper's answer: expected {_MOST_BYTES} bytes at most")
    try:
        answer = json.loads(message)
    except ValueError as error:
        raise InvariantError(f"{what}: the helper's answer: expected JSON") from error
    match answer:
        case {"errno": 0}:
            return {str(key): value for key, value in answer.items()}
        case {"errno": int(number), "say": str(say)}:
            raise _error_of(number, f"{what}: {say} ({errno.errorcode.get(number, number)})")
        case _:
            raise InvariantError(f"{what}: the helper's answer: expected an error number")


def _cut(what: str, fds: list[int]) -> DockdError:
    """Say why not every descriptor came: this machine has none left for it, or there is more than one."""
    if fds:
        return InvariantError(f"{what}: the helper's answer: expected one descriptor at most")
    return TransientError(Reason.USB, f"{what}: no descriptor is left for the one that came")


def _error_of(number: int, say: str) -> DockdError:
    if number in _GONE:
        return CameraGoneError(say)
    if number in _NO_CARD:
        return ListingError(Reason.STRUCTURE, say)
    if number in _LATER:
        return TransientError(Reason.USB, say)
    return PermanentError(Reason.REFUSED, say)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
