"""One HTTP/1.1 connection for long bodies, driven by plain system calls from a thread that may block.

Owns the socket: connecting, TLS, sending a file's bytes, reading an answer, and waking up when told to stop. It waits
with poll on a non-blocking socket, so that an answer that comes while the body still goes out (401, 409, 413) is read
and not lost in a broken pipe. Must not know tus, tokens or why a request is made.

Raises what the operating system, ssl and http.client raise; StoppedError when told to stop.
"""

import fcntl
import io
import mmap
import os
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import TYPE_CHECKING, cast

from dockd.edges.tus_stop import READABLE, WRITABLE, Stop

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 256 * 1024
_GULP_BYTES = 8 * 1024 * 1024


Address = tuple[int, tuple[str | int, ...] | tuple[int, bytes]]
"""Family and socket address, as getaddrinfo gives them."""


class SourceError(Exception):
    """The file that is a request's body cannot be read, or is shorter than the body was said to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom to connect to: the addresses of one host as getaddrinfo gives them, and its TLS context and name."""

    addresses: Sequence[Address]
    tls: ssl.SSLContext | None
    server_hostname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A request's body, `length_bytes` of the open file `fd` from `offset_bytes` on, and how to send it.

    `slice_bytes` says how many bytes to take at a time (None: no limit), `book` how long to wait before those,
    `told` hears how many went so far.
    """

    fd: int
    offset_bytes: int
    length_bytes: int
    slice_bytes: Callable[[], int | None]
    book: Callable[[int], float]
    told: Callable[[int], None]


class Connection:
    """A connection that carries one exchange after another. Used by one thread at a time."""

    def __init__(self, sock: socket.socket, *, stall_timeout_s: float) -> None:
        """Take over a connected, non-blocking socket; nothing may stand still on it for `stall_timeout_s`."""
        self._sock = sock
        self._stall_timeout_s = stall_timeout_s
        self._buffer: mmap.mmap | None = None
        self._early = b""

    @classmethod
    def open(cls, peer: Peer, stop: Stop, *, connect_timeout_s: float, stall_timeout_s: float) -> "Connection":
        """Connect to the first address that answers, all within `connect_timeout_s`, TLS included."""
        deadline_s = time.monotonic() + connect_timeout_s
        failed: OSError = ConnectionRefusedError(f"{peer.server_hostname} has no address")
        for left, (family, address) in zip(range(len(peer.addresses), 0, -1), peer.addresses, strict=True):
            share_s = (deadline_s - time.monotonic()) / left
            with ExitStack() as undo:
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
                connection = cls(sock, stall_timeout_s=stall_timeout_s)
                undo.callback(connection.close)
                try:
                    connection._connect(address, stop, deadline_s=time.monotonic() + share_s)
                except OSError as error:
                    failed = error
                    continue
                if peer.tls is not None:
                    connection._begin_tls(peer.tls, peer.server_hostname, stop, deadline_s=deadline_s)
                undo.pop_all()
                return connection
        raise failed

    def close(self) -> None:
        """End the connection at once."""
        self._sock.close()
        # Not closed but let go: a traceback may still hold a view of it.
        self._buffer = None

    def is_fresh(self) -> bool:
        """Say whether the peer still keeps this idle connection open and has said nothing out of turn."""
        try:
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def exchange(self, method: str, head: bytes, body: Body | None, stop: Stop) -> HTTPResponse:
        """Send one request and read the head of its answer; the rest of the answer is read from what this gives.

        An answer that comes before the body is out ends the sending: then the connection is of no more use, and
        `will_close` says so.
        """
        self._early = b""
        sent_whole = False
        try:
            sent_whole = self._send_bytes(head, stop)
            if body is not None and sent_whole:
                sent_whole = self._send_body(body, stop) == body.length_bytes
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # The peer is gone, but may have said why before it went.
            self._early = self._early or self._last_words()
            if not self._early:
                raise
        if not self._early:
            self._await_answer(stop)
        reader = _Reader(self, self._early, stop, stall_timeout_s=self._stall_timeout_s)
        # HTTPResponse asks of a socket only makefile.
        response = HTTPResponse(cast("socket.socket", reader), method=method)
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        response.will_close = response.will_close or not sent_whole
        reader.trust()
        return response

    def receive_into(self, view: memoryview, stop: Stop, *, deadline_s: float) -> int:
        """Read what there is, at least a byte, 0 at the end of the stream."""
        while True:
            try:
                return self._sock.recv_into(view)
            except (BlockingIOError, ssl.SSLWantReadError):
                stop.wait(self._sock.fileno(), READABLE, deadline_s=deadline_s)
            except ssl.SSLWantWriteError:
                stop.wait(self._sock.fileno(), WRITABLE, deadline_s=deadline_s)

    # --- the way there ---

    def _connect(self, address: tuple[str | int, ...] | tuple[int, bytes], stop: Stop, *, deadline_s: float) -> None:
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._sock.connect(address)
        except BlockingIOError:
            stop.wait(self._sock.fileno(), WRITABLE, deadline_s=deadline_s)
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code)) from None

    def _begin_tls(self, tls: ssl.SSLContext, name: str, stop: Stop, *, deadline_s: float) -> None:
        wrapped = tls.wrap_socket(self._sock, server_hostname=name, do_handshake_on_connect=False)
        self._sock = wrapped
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                stop.wait(self._sock.fileno(), READABLE, deadline_s=deadline_s)
            except ssl.SSLWantWriteError:
                stop.wait(self._sock.fileno(), WRITABLE, deadline_s=deadline_s)
            else:
                return

    # --- sending ---

    def _send_bytes(self, data: bytes | memoryview, stop: Stop) -> bool:
        """Send all of it; False if an answer came in between."""
        view = memoryview(data)
        while view:
            if self._writable_unless_answered(stop):
                return False
            try:
                view = view[self._sock.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                continue
        return True

    def _send_body(self, body: Body, stop: Stop) -> int:
        """Send a body until it is out or an answer comes; give how many bytes went."""
        send = self._send_through_tls if isinstance(self._sock, ssl.SSLSocket) else self._send_file
        sent_bytes = booked_bytes = 0
        while sent_bytes < body.length_bytes and not self._early:
            left_bytes = body.length_bytes - sent_bytes
            slice_bytes = body.slice_bytes()
            if slice_bytes is None:
                booked_bytes, count = 0, _GULP_BYTES
            else:
                if not booked_bytes:
                    booked_bytes = min(slice_bytes, left_bytes)
                    stop.pause(body.book(booked_bytes))
                count = booked_bytes
            went_bytes = send(body.fd, body.offset_bytes + sent_bytes, min(count, left_bytes), stop)
            if went_bytes == 0 and not self._early:
                end_bytes = body.offset_bytes + body.length_bytes
                raise SourceError(f"ends at {body.offset_bytes + sent_bytes} bytes, expected {end_bytes}")
            sent_bytes += went_bytes
            booked_bytes = max(booked_bytes - went_bytes, 0)
            body.told(sent_bytes)
        return sent_bytes

    def _send_file(self, fd: int, offset_bytes: int, count: int, stop: Stop) -> int:
        """Let the kernel copy from the page cache to the socket."""
        while not self._writable_unless_answered(stop):
            try:
                return os.sendfile(self._sock.fileno(), fd, offset_bytes, count)
            except BlockingIOError:
                continue
        return 0

    def _send_through_tls(self, fd: int, offset_bytes: int, count: int, stop: Stop) -> int:
        if self._buffer is None:
            # Page-aligned: reading into malloc'ed memory of this size costs much more.
            self._buffer = mmap.mmap(-1, BUFFER_BYTES)
        part = memoryview(self._buffer)[:count]
        read_bytes = os.preadv(fd, [part], offset_bytes)
        return read_bytes if self._send_bytes(part[:read_bytes], stop) else 0

    def _writable_unless_answered(self, stop: Stop) -> bool:
        """Wait until there is room to send; True if the peer has begun to answer instead."""
        ready = stop.wait(self._sock.fileno(), READABLE | WRITABLE, deadline_s=time.monotonic() + self._stall_timeout_s)
        if ready & READABLE:
            try:
                self._early = self._sock.recv(4096)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False  # TLS talking to itself, such as a session ticket
            if not self._early:
                raise ConnectionResetError("the store closed the connection before the body was out")
            return True
        return False

    def _last_words(self) -> bytes:
        try:
            return self._sock.recv(4096)
        except (BlockingIOError, ConnectionError, ssl.SSLWantReadError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    # --- waiting ---

    def _await_answer(self, stop: Stop) -> None:
        """Wait for the answer to begin; as long as the kernel still gets bytes out, nothing stands still."""
        unsent_bytes = self._unsent_bytes()
        while True:
            try:
                stop.wait(self._sock.fileno(), READABLE, deadline_s=time.monotonic() + self._stall_timeout_s)
            except TimeoutError:
                before_bytes, unsent_bytes = unsent_bytes, self._unsent_bytes()
                if unsent_bytes >= before_bytes:
                    raise
            else:
                return

    def _unsent_bytes(self) -> int:
        """Say how many bytes the kernel still holds for the peer. Source: tcp(7), SIOCOUTQ."""
        packed = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4))
        (unsent_bytes,) = struct.unpack("i", packed)
        return int(unsent_bytes)


class _Reader(io.RawIOBase):
    """What HTTPResponse reads from: first what came early, then the socket.

    The head has one deadline as a whole, so that a byte now and then cannot keep us; a body only must not stand still.
    """

    def __init__(self, connection: Connection, early: bytes, stop: Stop, *, stall_timeout_s: float) -> None:
        super().__init__()
        self._connection = connection
        self._early = early
        self._stop = stop
        self._stall_timeout_s = stall_timeout_s
        self._deadline_s: float | None = time.monotonic() + stall_timeout_s

    def trust(self) -> None:
        """Drop the deadline of the head."""
        self._deadline_s = None

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Give the stream, as a socket would."""
        return io.BufferedReader(self, 64 * 1024)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        if self._early:
            length = min(len(view), len(self._early))
            view[:length], self._early = self._early[:length], self._early[length:]
            return length
        deadline_s = self._deadline_s or time.monotonic() + self._stall_timeout_s
        return self._connection.receive_into(view, self._stop, deadline_s=deadline_s)
