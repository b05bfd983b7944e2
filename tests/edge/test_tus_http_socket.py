"""The connection for bodies by itself: which address it takes, when it lets go, how it keeps to a limit."""

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from dockd.edges.tus_body import Pacer, Pool, Timeouts
from dockd.edges.tus_http import TusWire, WireOptions
from dockd.edges.tus_socket import Body, Connection, Peer
from dockd.edges.tus_stop import READABLE, Stop, StoppedError
from dockd.tus.message import BodyRange, Request
from tests.tus_peers import Authority, length_of, read_head, serving

MIB = 1024 * 1024
TAKEN = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


def peer_at(*ports: int, tls: ssl.SSLContext | None = None) -> Peer:
    addresses = tuple((socket.AF_INET, ("127.0.0.1", port)) for port in ports)
    return Peer(addresses=addresses, tls=tls, server_hostname="127.0.0.1")


def connect(peer: Peer, stop: Stop, *, connect_timeout_s: float = 5.0) -> Connection:
    return Connection.open(peer, stop, connect_timeout_s=connect_timeout_s, stall_timeout_s=5.0)


@contextmanager
def full_listener() -> Iterator[int]:
    """Listen with a full queue, so that another connection is neither taken nor refused; gives the port."""
    with ExitStack() as opened, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            waiting = opened.enter_context(socket.socket(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@pytest.fixture
def stop() -> Iterator[Stop]:
    with closing(Stop()) as made:
        yield made


@pytest.fixture
def refused_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def test_the_first_address_that_answers_is_taken(stop: Stop, refused_port: int, listener: socket.socket) -> None:
    with closing(connect(peer_at(refused_port, listener.getsockname()[1]), stop)):
        listener.accept()[0].close()


def test_an_address_that_keeps_silent_leaves_time_for_the_next(stop: Stop, listener: socket.socket) -> None:
    with full_listener() as silent:
        peer = peer_at(silent, listener.getsockname()[1])
        with closing(connect(peer, stop, connect_timeout_s=0.6)):
            listener.accept()[0].close()


def test_no_address_is_an_error_too(stop: Stop) -> None:
    with pytest.raises(ConnectionRefusedError, match=r"127\.0\.0\.1 has no address"):
        connect(peer_at(), stop)


def test_of_several_failures_the_last_is_told(stop: Stop, refused_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        connect(peer_at(refused_port, refused_port), stop)


def test_connecting_can_be_stopped(stop: Stop) -> None:
    with full_listener() as silent:
        teller = threading.Timer(0.05, stop.tell)
        teller.start()
        begun_s = time.monotonic()
        with pytest.raises(StoppedError):
            connect(peer_at(silent), stop, connect_timeout_s=60.0)
        assert time.monotonic() - begun_s < 5.0
        teller.join()


def test_shaking_hands_can_be_stopped(stop: Stop, listener: socket.socket, tmp_path: Path) -> None:
    tls = ssl.create_default_context(cafile=Authority.make().write_ca(tmp_path))
    teller = threading.Timer(0.05, stop.tell)
    teller.start()
    with pytest.raises(StoppedError):
        connect(peer_at(listener.getsockname()[1], tls=tls), stop, connect_timeout_s=60.0)
    teller.join()


def test_once_told_to_stop_nothing_waits_any_more(stop: Stop, listener: socket.socket) -> None:
    stop.tell()
    stop.tell()
    with pytest.raises(StoppedError):
        stop.pause(60.0)
    with pytest.raises(StoppedError):
        stop.wait(listener.fileno(), READABLE, deadline_s=time.monotonic() + 60.0)


def test_a_pool_keeps_few_connections_and_ends_the_rest(stop: Stop, listener: socket.socket) -> None:
    pool = Pool(Timeouts(connect_s=5.0, stall_s=5.0))
    peer = peer_at(listener.getsockname()[1])
    taken = [pool.take(peer, stop) for _ in range(6)]
    with ExitStack() as opened:
        accepted = [opened.enter_context(listener.accept()[0]) for _ in range(6)]
        for connection in taken:
            pool.give(connection)
        assert [ours.recv(1) for ours in accepted[:2]] == [b"", b""]
        assert pool.take(peer, stop) is taken[-1]
        pool.give(taken[-1])
        pool.close()
        assert [ours.recv(1) for ours in accepted[2:]] == [b""] * 4


def test_a_kept_connection_on_which_the_peer_spoke_out_of_turn_is_not_used_again(
    stop: Stop, listener: socket.socket
) -> None:
    """Else its words would be taken for the answer to the next request."""
    pool = Pool(Timeouts(connect_s=5.0, stall_s=5.0))
    peer = peer_at(listener.getsockname()[1])
    first = pool.take(peer, stop)
    with listener.accept()[0] as theirs:
        theirs.sendall(TAKEN)
        readable = socket.socket(fileno=os.dup(first._sock.fileno()))
        with readable:
            stop.wait(readable.fileno(), READABLE, deadline_s=time.monotonic() + 5.0)
        pool.give(first)
        second = pool.take(peer, stop)
        assert second is not first
        second.close()
    listener.accept()[0].close()


def test_a_limit_set_while_sending_books_every_byte_from_then_on(
    stop: Stop, listener: socket.socket, tmp_path: Path
) -> None:
    """What was taken without a limit is not counted against it, nor for it."""
    source = tmp_path / "source"
    source.write_bytes(bytes(MIB))
    booked: list[int] = []
    sent: list[int] = []

    def slice_bytes() -> int | None:
        return 100_000 if sent else None

    def book(length_bytes: int) -> float:
        booked.append(length_bytes)
        return 0.0

    def serve() -> None:
        with listener.accept()[0] as theirs:
            left_bytes = MIB + len(b"PATCH / HTTP/1.1\r\n\r\n")
            while left_bytes:
                left_bytes -= len(theirs.recv(min(left_bytes, 65536)))
            theirs.sendall(TAKEN)

    server = threading.Thread(target=serve, name="peer")
    server.start()
    with source.open("rb") as file, closing(connect(peer_at(listener.getsockname()[1]), stop)) as connection:
        body = Body(
            fd=file.fileno(), offset_bytes=0, length_bytes=MIB, slice_bytes=slice_bytes, book=book, told=sent.append
        )
        with connection.exchange("PATCH", b"PATCH / HTTP/1.1\r\n\r\n", body, stop) as answer:
            assert answer.status == 204
            assert not answer.will_close
    server.join()
    assert sent[-1] == MIB
    assert sum(booked) == MIB - sent[0]


def test_a_pacer_is_shared_and_can_be_changed() -> None:
    pacer = Pacer(1000)
    assert pacer.slice_bytes() == 4096
    assert pacer.book(1000) == 0.0
    assert 0.5 < pacer.book(1000) <= 0.75
    pacer.limit(None)
    assert (pacer.slice_bytes(), pacer.book(10**12)) == (None, 0.0)


async def test_a_name_with_several_addresses_reaches_the_one_that_serves(tmp_path: Path) -> None:
    """'localhost' is ::1 as well on many machines, and the store listens on 127.0.0.1 only."""
    source = tmp_path / "source"
    source.write_bytes(b"whole")

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(length_of(await read_head(reader)))
        writer.write(TAKEN)
        await writer.drain()

    async with serving(take) as port:
        url = f"http://localhost:{port}/files/u1"
        wire = TusWire(WireOptions(endpoint=url))
        try:
            request = Request(method="PATCH", url=url, headers=(), body=BodyRange(offset_bytes=0, length_bytes=5))
            assert (await wire.exchange(request, source=source, progress=lambda _: None)).status == 204
        finally:
            await wire.close()
