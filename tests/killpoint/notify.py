"""A listener of system calls: a process and all that come of it stop at each chosen call until somebody answers.

Owns the filter and the kernel's protocol around it. Knows neither which calls matter nor what is answered. The stop is
the kernel's: a call that is answered with an error never began, and one whose process is killed meanwhile never does.

Source: seccomp_unotify(2), seccomp(2); struct seccomp_notif and seccomp_notif_resp in linux/seccomp.h.
"""

import ctypes
import errno
import fcntl
import os
import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

AUDIT_ARCH: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP: Mapping[str, int] = {"x86_64": 317, "aarch64": 277}
PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER = 1
NEW_LISTENER = 1 << 3
WAIT_KILLABLE_RECV = 1 << 5
"""Once a call was read by the listener only a deadly signal ends its wait: otherwise a SIGCHLD would show it twice."""

RECEIVE, SEND = 0xC0502100, 0xC0182101
NOTIFICATION = struct.Struct("=QII iIQ 6Q")
RESPONSE = struct.Struct("=Qqi I")
CONTINUE = 1

LOAD, JUMP_EQUAL, JUMP_SET, JUMP_GREATER, RETURN = 0x20, 0x15, 0x45, 0x25, 0x06
ALLOW, NOTIFY, KILL = 0x7FFF0000, 0x7FC00000, 0x80000000
NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which calls of one number are stopped: all, or those whose argument is above a bound, or has one of some bits."""

    number: int
    argument: int = 0
    above: int | None = None
    bits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """One call that waits for its answer; `thread` made it."""

    identity: int
    thread: int
    number: int
    arguments: tuple[int, ...]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def machine() -> str:
    """Name this machine's kind, one that the tables here know."""
    name = platform.machine()
    if name not in AUDIT_ARCH:
        raise NotImplementedError(f"machine {name}: expected one of {', '.join(AUDIT_ARCH)}")
    return name


def listen(choices: Sequence[Choice]) -> int:
    """Stop the chosen calls of this thread, and of all that come of it, from here on; gives the listener.

    Raises:
        OSError: the kernel has no such listener (5.0 and later have), or does not permit it.

    """
    code = _program(choices)
    holder = ctypes.create_string_buffer(code)
    program = _Program(len(code) // 8, ctypes.addressof(holder))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    for flags in (NEW_LISTENER | WAIT_KILLABLE_RECV, NEW_LISTENER):  # the second is 5.19's
        fd = int(libc.syscall(SECCOMP[machine()], SET_MODE_FILTER, flags, ctypes.byref(program)))
        if fd >= 0:
            return fd
        if ctypes.get_errno() != errno.EINVAL:
            break
    number = ctypes.get_errno()
    raise OSError(number, f"seccomp(NEW_LISTENER): {os.strerror(number)}")


def receive(listener: int) -> Stopped | None:
    """Take the next call that waits; None if whoever made it is gone."""
    buffer = bytearray(NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, RECEIVE, buffer)
    except FileNotFoundError:
        return None
    identity, thread, _, number, _, _, *arguments = NOTIFICATION.unpack(buffer)
    return Stopped(identity=identity, thread=thread, number=number, arguments=tuple(arguments))


def let(listener: int, stopped: Stopped) -> None:
    """Let a call happen."""
    _send(listener, RESPONSE.pack(stopped.identity, 0, 0, CONTINUE))


def fail(listener: int, stopped: Stopped, error: int) -> None:
    """Let a call fail with an error, without having begun."""
    _send(listener, RESPONSE.pack(stopped.identity, 0, -error, 0))


def answer(listener: int, stopped: Stopped, value: int) -> None:
    """Give a call's value, whoever did its work."""
    _send(listener, RESPONSE.pack(stopped.identity, value, 0, 0))


def _send(listener: int, response: bytes) -> None:
    try:
        fcntl.ioctl(listener, SEND, response)
    except FileNotFoundError:
        return  # it died while it waited


def _program(choices: Sequence[Choice]) -> bytes:
    code = [_step(LOAD, ARCH_AT), _step(JUMP_EQUAL, AUDIT_ARCH[machine()], yes=1), _step(RETURN, KILL)]
    for choice in choices:
        body = _chosen(choice)
        code += [_step(LOAD, NUMBER_AT), _step(JUMP_EQUAL, choice.number, no=len(body)), *body]
    return b"".join([*code, _step(RETURN, ALLOW)])


def _chosen(choice: Choice) -> list[bytes]:
    load = _step(LOAD, ARGUMENTS_AT + 8 * choice.argument)
    if choice.above is not None:
        return [load, _step(JUMP_GREATER, choice.above, no=1), _step(RETURN, NOTIFY), _step(RETURN, ALLOW)]
    if choice.bits:
        return [load, _step(JUMP_SET, choice.bits, no=1), _step(RETURN, NOTIFY), _step(RETURN, ALLOW)]
    return [_step(RETURN, NOTIFY)]


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
