"""The wire to the store: requests without a body by aiohttp, bodies and read-backs by a socket in a thread.

Owns connections, deadlines, credentials on the way, the shared bandwidth limit, and the translation of every error of
network, TLS and HTTP. Must not know what a request means; follows no redirect and retries nothing.

Sending a body in a thread with sendfile costs less than an event loop's copies, and a disk that stalls then stalls one
upload and not the daemon.
"""

import asyncio
import http.client
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp

from dockd.domain.model import Sha256
from dockd.edges.tus_body import Pacer, Pool, Timeouts, fetch_digest, send_body
from dockd.edges.tus_socket import Address, Peer, SourceError
from dockd.edges.tus_stop import Stop, StoppedError
from dockd.edges.tus_trust import Trust, TrustFiles, tls_trouble
from dockd.errors import InvariantError, Reason, TransientError
from dockd.tus.message import MAX_WORDS_BYTES, Request, Response

_Result = TypeVar("_Result")

_USER_AGENT = ("User-Agent", "dockd")
_KEPT_CONNECTIONS = 4
_MOST_THREADS = 16
_IDLE_S = 4.0
"""Idle control connections are dropped before a Node.js server would drop them (5 s)."""
_MAX_FIELD_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WireOptions:
    """Where the store is and how to reach it; `limit_bytes_s` None is no limit, the files are those of TrustFiles."""

    endpoint: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    token_file: Path | None = None
    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 60.0
    limit_bytes_s: int | None = None


class TusWire:
    """The `Wire` port over HTTP/1.1. Made and used on one running event loop; `close` it."""

    def __init__(self, options: WireOptions) -> None:
        """Connect to nothing yet."""
        self._endpoint = urlsplit(options.endpoint)
        self._timeouts = Timeouts(connect_s=options.connect_timeout_s, stall_s=options.stall_timeout_s)
        self._trust = Trust(
            TrustFiles(ca=options.ca_file, cert=options.cert_file, key=options.key_file, token=options.token_file)
        )
        self._pacer = Pacer(options.limit_bytes_s)
        self._session: aiohttp.ClientSession | None = None
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="tus-body")
        self._pool = Pool(self._timeouts)
        self._running: dict[Stop, asyncio.Future[Any]] = {}

    def limit(self, limit_bytes_s: int | None) -> None:
        """Change how much all uploads together may send, from now on; None is no limit."""
        self._pacer.limit(limit_bytes_s)

    async def exchange(self, request: Request, *, source: Path | None, progress: Callable[[int], None]) -> Response:
        """Perform one request; a body is a range of the file `source`, `progress` is told bytes sent.

        `progress` is called on the event loop, about four times a second and at the end, and never after this is done.
        Cancelling ends the connection and waits for its thread, which is prompt.

        Raises:
            TransientError: AUTH, DNS, TLS, CLOCK, NETWORK: no whole answer came; STORE: what came is no HTTP; DISK: the
                source cannot be read.

        """
        self._check(request)
        with _translated(self._timeouts):
            if request.body is None:
                return await self._control(request)
            if source is None:
                raise InvariantError(f"{request.method} {request.url}: a body and no source to take it from")
            loop, telling = asyncio.get_running_loop(), _Telling(progress)

            def told(sent_bytes: int) -> None:
                loop.call_soon_threadsafe(telling.tell, sent_bytes)

            headers = (_USER_AGENT, *self._trust.authorization())
            peer = await self._peer()
            try:
                work = partial(send_body, self._pool, peer, request, headers, source, self._pacer, told)
                response = await self._in_thread(work)
                telling.tell(request.body.length_bytes)
            finally:
                telling.end()
            return response

    async def digest(self, url: str) -> tuple[Sha256, int]:
        """Read a stored clip back and hash it: digest and length.

        Raises:
            TransientError: as `exchange`, and STORE or AUTH when the store does not give the bytes.

        """
        request = Request(method="GET", url=url, headers=(("Accept-Encoding", "identity"),))
        self._check(request)
        with _translated(self._timeouts):
            headers = (_USER_AGENT, *self._trust.authorization())
            work = partial(fetch_digest, self._pool, await self._peer(), request, headers)
            response, sha256_hex, length_bytes = await self._in_thread(work)
        if response.status != http.client.OK:
            reason = Reason.AUTH if response.status in {401, 403} else Reason.STORE
            raise TransientError(reason, f"reading back {url}: answered {response.status}, expected 200")
        return Sha256(sha256_hex), length_bytes

    async def ask(self, request: Request, *, document: bytes | None, most_bytes: int) -> Response:
        """Perform one request for a JSON document, or with one as its body; the answer is whole.

        Raises:
            TransientError: as `exchange`, and STORE where the answer is longer than `most_bytes`.

        """
        self._check(request)
        with _translated(self._timeouts):
            response = await self._control(request, document=document, most_bytes=most_bytes + 1)
        if len(response.body) > most_bytes:
            detail = f"{request.method} {request.url}: the answer is longer than {most_bytes} bytes"
            raise TransientError(Reason.STORE, detail)
        return response

    async def close(self) -> None:
        """End every connection and thread; what still runs fails."""
        for stop in self._running:
            stop.tell()
        if self._running:
            await asyncio.wait(self._running.values())
        self._threads.shutdown()
        self._pool.close()
        if self._session is not None:
            await self._session.close()

    def _check(self, request: Request) -> None:
        """Refuse to send anything, the token least of all, to anywhere but the store (I14)."""
        there = urlsplit(request.url)
        if (there.scheme, there.netloc) != (self._endpoint.scheme, self._endpoint.netloc):
            home = f"{self._endpoint.scheme}://{self._endpoint.netloc}"
            raise InvariantError(f"{request.method} {request.url}: expected a URL at {home}")

    # --- requests without a body ---

    async def _control(
        self, request: Request, *, document: bytes | None = None, most_bytes: int = MAX_WORDS_BYTES
    ) -> Response:
        tls = self._trust.context() if self._endpoint.scheme == "https" else True
        headers = [*request.headers, _USER_AGENT, *self._trust.authorization()]
        if self._session is None:
            self._session = self._new_session()
        async with self._session.request(
            request.method, request.url, headers=headers, data=document, allow_redirects=False, ssl=tls
        ) as answer:
            body = bytearray()
            while len(body) < most_bytes and (part := await answer.content.read(most_bytes - len(body))):
                body += part
            names: dict[str, str] = {}
            for name, value in answer.headers.items():
                key = name.lower()
                names[key] = f"{names[key]}, {value}" if key in names else value
            return Response(status=answer.status, headers=names, body=bytes(body))

    def _new_session(self) -> aiohttp.ClientSession:
        connect_s, stall_s = self._timeouts.connect_s, self._timeouts.stall_s
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_MOST_THREADS, keepalive_timeout=_IDLE_S),
            timeout=aiohttp.ClientTimeout(total=connect_s + stall_s, connect=connect_s, sock_read=stall_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "Content-Type"),
            max_field_size=_MAX_FIELD_BYTES,
        )

    # --- bodies ---

    async def _peer(self) -> Peer:
        host = self._endpoint.hostname or ""
        tls = self._trust.context() if self._endpoint.scheme == "https" else None
        port = self._endpoint.port or (443 if tls else 80)
        return Peer(addresses=await self._addresses(host, port), tls=tls, server_hostname=host)

    async def _addresses(self, host: str, port: int) -> tuple[Address, ...]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            async with asyncio.timeout(self._timeouts.connect_s):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return tuple((family, address) for family, _, _, _, address in found)

    async def _in_thread(self, work: Callable[[Stop], _Result]) -> _Result:
        """Run blocking work; if this is cancelled, tell it to stop and wait until it has."""
        stop = Stop()
        ended = asyncio.wrap_future(self._threads.submit(work, stop))
        self._running[stop] = ended
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            stop.tell()
            while not ended.done():
                # However often we are cancelled, the thread may still use its socket, its file and `stop`.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([ended])
            ended.exception()  # nobody else will ask for it
            raise
        finally:
            del self._running[stop]
            stop.close()


class _Telling:
    """Passes progress on until the exchange has ended: later calls of a thread are late, not news."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress: Callable[[int], None] | None = progress

    def tell(self, sent_bytes: int) -> None:
        if self._progress is not None:
            self._progress(sent_bytes)

    def end(self) -> None:
        self._progress = None


@contextmanager
def _translated(timeouts: Timeouts) -> Iterator[None]:
    """Turn what the libraries raise into errors of ours, in words; no object of theirs gets past."""
    try:
        yield
    except StoppedError as error:
        raise TransientError(Reason.NETWORK, "the connections to the store were closed here") from error
    except SourceError as error:
        raise TransientError(Reason.DISK, f"the spooled copy {error}") from error
    except TimeoutError as error:
        limits = f"{timeouts.connect_s:g} s to connect, {timeouts.stall_s:g} s without movement"
        raise TransientError(Reason.NETWORK, f"the store did not answer in time ({limits})") from error
    except (http.client.IncompleteRead, http.client.RemoteDisconnected) as error:
        raise TransientError(Reason.NETWORK, "the store broke off its answer") from error
    except (http.client.HTTPException, aiohttp.ClientResponseError) as error:
        raise TransientError(Reason.STORE, f"the store does not speak HTTP: {error!r}") from error
    except (OSError, aiohttp.ClientError) as error:
        raise _network_trouble(error) from error


def _network_trouble(error: OSError | aiohttp.ClientError) -> TransientError:
    # aiohttp wraps: what the system or TLS said is one or two links down.
    causes: list[BaseException] = [error]
    while (cause := getattr(causes[-1], "os_error", None) or causes[-1].__cause__) and cause not in causes:
        causes.append(cause)
    for cause in reversed(causes):
        if isinstance(cause, ssl.SSLError):
            return tls_trouble(cause)
        if isinstance(cause, socket.gaierror):
            return TransientError(Reason.DNS, f"the store's name is not found: {cause.strerror}")
    last = causes[-1]
    words = os.strerror(last.errno) if isinstance(last, OSError) and last.errno else str(last) or type(last).__name__
    return TransientError(Reason.NETWORK, f"the store is not reached: {words}")
