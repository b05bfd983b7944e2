"""What a thread does for the wire: send one request with a body from a file, or read one stored file back.

Owns the request's text, the kept connections, the shared limit, and turning an answer into a value. Runs in threads.
Must not know asyncio, aiohttp or what a request means.
"""

import hashlib
import mmap
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from urllib.parse import urlsplit

from dockd.edges.tus_socket import BUFFER_BYTES, Body, Connection, Peer, SourceError
from dockd.edges.tus_stop import Stop
from dockd.errors import InvariantError
from dockd.tus.message import MAX_WORDS_BYTES, BodyRange, Request, Response
from dockd.tus.pace import Pace, book, limited, slice_bytes

_TELL_EVERY_S = 0.25
_IDLE_CONNECTIONS = 4


class Pacer:
    """One bandwidth limit for all threads; may be changed while they send."""

    def __init__(self, limit_bytes_s: int | None) -> None:
        """Begin with a limit, or with none."""
        self._lock = threading.Lock()
        self._pace = Pace(limit_bytes_s=limit_bytes_s)

    def limit(self, limit_bytes_s: int | None) -> None:
        """Change the limit, from the next slice on."""
        with self._lock:
            self._pace = limited(self._pace, limit_bytes_s, now_s=time.monotonic())

    def book(self, length_bytes: int) -> float:
        """Book the next bytes; gives how long to wait before sending them."""
        with self._lock:
            self._pace, wait_s = book(self._pace, length_bytes=length_bytes, now_s=time.monotonic())
        return wait_s

    def slice_bytes(self) -> int | None:
        """Say how many bytes to book at a time; None while there is no limit."""
        limit_bytes_s = self._pace.limit_bytes_s
        return None if limit_bytes_s is None else slice_bytes(limit_bytes_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a connection may take to come about, and how long anything may stand still."""

    connect_s: float
    stall_s: float


class Pool:
    """Connections to one store that wait for their next exchange. Safe to use from any thread."""

    def __init__(self, timeouts: Timeouts) -> None:
        """Begin with none."""
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._idle: list[Connection] = []

    def take(self, peer: Peer, stop: Stop) -> Connection:
        """Give a connection that the peer still keeps, else a new one."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connect_s, stall_s = self._timeouts.connect_s, self._timeouts.stall_s
                return Connection.open(peer, stop, connect_timeout_s=connect_s, stall_timeout_s=stall_s)
            if connection.is_fresh():
                return connection
            connection.close()

    def give(self, connection: Connection) -> None:
        """Take back a connection whose last answer was read to its end."""
        with self._lock:
            self._idle.append(connection)
            surplus = self._idle.pop(0) if len(self._idle) > _IDLE_CONNECTIONS else None
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        """End the connections that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def send_body(
    pool: Pool,
    peer: Peer,
    request: Request,
    headers: tuple[tuple[str, str], ...],
    path: Path,
    pacer: Pacer,
    told: Callable[[int], None],
    stop: Stop,
) -> Response:
    """Send a request with its body and give the answer; `told` hears of bytes sent about four times a second.

    Raises:
        SourceError: the file cannot be read.
        StoppedError, OSError, ssl.SSLError, http.client.HTTPException: as `Connection` says.

    """
    part = request.body or BodyRange(offset_bytes=0, length_bytes=0)
    head = request_head(request, (*headers, ("Content-Length", str(part.length_bytes))))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(f"cannot be opened: {error.strerror}") from error
    try:
        os.posix_fadvise(fd, part.offset_bytes, part.length_bytes, os.POSIX_FADV_SEQUENTIAL)
        body = Body(
            fd=fd,
            offset_bytes=part.offset_bytes,
            length_bytes=part.length_bytes,
            slice_bytes=pacer.slice_bytes,
            book=pacer.book,
            told=_seldom(told),
        )
        connection = pool.take(peer, stop)
        try:
            with connection.exchange(request.method, head, body, stop) as answer:
                return _end(answer, connection, pool)
        except BaseException:
            connection.close()
            raise
    finally:
        os.close(fd)


def fetch_digest(
    pool: Pool, peer: Peer, request: Request, headers: tuple[tuple[str, str], ...], stop: Stop
) -> tuple[Response, str, int]:
    """Read what a URL holds and hash it on the way: the answer, SHA-256 in hex, length.

    The digest means something only where the answer's status is 200.

    Raises:
        StoppedError, OSError, ssl.SSLError, http.client.HTTPException: as `Connection` says.

    """
    head = request_head(request, headers)
    connection = pool.take(peer, stop)
    try:
        with connection.exchange(request.method, head, None, stop) as answer:
            sha256_hex, length_bytes = _hash(answer) if answer.status == HTTPStatus.OK else ("", 0)
            return _end(answer, connection, pool), sha256_hex, length_bytes
    except BaseException:
        connection.close()
        raise


def request_head(request: Request, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Write the text of a request, up to its body.

    Raises:
        InvariantError: a character that would end a line early, or is not ASCII.

    Source: RFC 9112 sections 3 and 5.

    """
    url = urlsplit(request.url)
    target = f"{url.path}?{url.query}" if url.query else url.path
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {url.netloc}"]
    lines += [f"{name}: {value}" for name, value in (*request.headers, *headers)]
    for line in lines:
        if not line.isascii() or not line.isprintable():
            raise InvariantError(f"request line {line[:80]!r}: expected printable ASCII")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _hash(answer: HTTPResponse) -> tuple[str, int]:
    digest, length_bytes = hashlib.sha256(), 0
    view = memoryview(mmap.mmap(-1, BUFFER_BYTES))
    while got_bytes := answer.readinto(view):
        digest.update(view[:got_bytes])
        length_bytes += got_bytes
    if answer.length:
        # readinto takes the end of the stream for the end of the body.
        raise IncompleteRead(b"", answer.length)
    return digest.hexdigest(), length_bytes


def _end(answer: HTTPResponse, connection: Connection, pool: Pool) -> Response:
    """Read the words of an answer, and keep the connection if it is good for another exchange."""
    words = answer.read(MAX_WORDS_BYTES)
    headers: dict[str, str] = {}
    for name, value in answer.getheaders():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    # A longer answer is not read to its end: a new connection costs less than what a stranger may send.
    if answer.isclosed() and not answer.will_close:
        pool.give(connection)
    else:
        connection.close()
    return Response(status=answer.status, headers=headers, body=words)


def _seldom(told: Callable[[int], None]) -> Callable[[int], None]:
    next_s = time.monotonic() + _TELL_EVERY_S

    def tell(sent_bytes: int) -> None:
        nonlocal next_s
        now_s = time.monotonic()
        if now_s >= next_s:
            next_s = now_s + _TELL_EVERY_S
            told(sent_bytes)

    return tell
