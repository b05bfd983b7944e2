"""The wire against peers that answer early, late, wrongly or not at all: what arrives, and which error it becomes."""

import asyncio
import hashlib
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dockd.edges.tus_http import TusWire, WireOptions
from dockd.errors import InvariantError, Reason, TransientError
from dockd.tus.message import BodyRange, Request, Response
from tests.tus_peers import Handle, length_of, read_head, serving

CREATED = b"HTTP/1.1 201 Created\r\nTus-Resumable: 1.0.0\r\nLocation: /files/u1\r\nContent-Length: 0\r\n\r\n"
TAKEN = b"HTTP/1.1 204 No Content\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 7\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nNo."
MIB = 1024 * 1024


def ignore(_: int) -> None:
    """Listen to no progress."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip"
    path.write_bytes(random.Random(7).randbytes(2 * MIB + 11))
    return path


@asynccontextmanager
async def wire_to(port: int, **options: object) -> AsyncIterator[TusWire]:
    made = WireOptions(**{"endpoint": f"http://127.0.0.1:{port}/files/", "stall_timeout_s": 5.0, **options})  # type: ignore[arg-type] # each test names the fields it is about
    wire = TusWire(made)
    try:
        yield wire
    finally:
        await wire.close()


def head(port: int) -> Request:
    return Request(method="HEAD", url=f"http://127.0.0.1:{port}/files/u1", headers=(("Tus-Resumable", "1.0.0"),))


def post(port: int) -> Request:
    headers = (("Tus-Resumable", "1.0.0"), ("Upload-Length", "7"))
    return Request(method="POST", url=f"http://127.0.0.1:{port}/files/", headers=headers)


def patch(port: int, *, offset_bytes: int = 0, length_bytes: int = 7) -> Request:
    return Request(
        method="PATCH",
        url=f"http://127.0.0.1:{port}/files/u1?part=1",
        headers=(("Tus-Resumable", "1.0.0"), ("Upload-Offset", str(offset_bytes))),
        body=BodyRange(offset_bytes=offset_bytes, length_bytes=length_bytes),
    )


class Peer:
    """Reads whole requests and answers each with the next of its answers; remembers what came."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            text = await read_head(reader)
            self.bodies.append(await reader.readexactly(length_of(text)))
            self.heads.append(text)
            answer = self.answers.pop(0)
            writer.write(answer)
            await writer.drain()
            if b"Connection: close" in answer:
                return


# --- what goes and what comes -------------------------------------------------------------------------------------


async def test_a_request_without_a_body_goes_as_it_is_and_its_answer_comes_with_small_names() -> None:
    peer = Peer(CREATED.replace(b"Content-Length: 0", b"X-Twice: a\r\nX-Twice: b\r\nContent-Length: 5") + b"words")
    async with serving(peer) as port, wire_to(port) as wire:
        response = await wire.exchange(post(port), source=None, progress=ignore)
    assert (response.status, response.body) == (201, b"words")
    assert response.headers["location"] == "/files/u1"
    assert response.headers["x-twice"] == "a, b"
    lines = peer.heads[0].split("\r\n")
    assert lines[0] == "POST /files/ HTTP/1.1"
    assert {"Tus-Resumable: 1.0.0", "Upload-Length: 7", "Content-Length: 0", f"Host: 127.0.0.1:{port}"} < set(lines)


async def test_a_body_is_exactly_its_range_of_the_file(clip: Path) -> None:
    peer = Peer(TAKEN, TAKEN, TAKEN)
    async with serving(peer) as port, wire_to(port) as wire:
        request = patch(port, offset_bytes=5, length_bytes=2 * MIB)
        response = await wire.exchange(request, source=clip, progress=ignore)
        await wire.exchange(patch(port, offset_bytes=2 * MIB + 10, length_bytes=1), source=clip, progress=ignore)
    assert response == Response(status=204, headers={"tus-resumable": "1.0.0", "upload-offset": "7"})
    data = clip.read_bytes()
    assert peer.bodies == [data[5 : 2 * MIB + 5], data[-1:]]
    lines = peer.heads[0].split("\r\n")
    assert lines[:2] == ["PATCH /files/u1?part=1 HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    assert {"Tus-Resumable: 1.0.0", "Upload-Offset: 5", f"Content-Length: {2 * MIB}"} < set(lines)


async def test_bodies_in_a_row_share_one_connection(clip: Path) -> None:
    peer = Peer(*[TAKEN] * 20)
    async with serving(peer) as port, wire_to(port) as wire:
        for _ in range(20):
            await wire.exchange(patch(port), source=clip, progress=ignore)
    assert (len(peer.bodies), peer.connections) == (20, 1)


async def test_a_connection_that_the_peer_closed_meanwhile_is_made_anew(clip: Path) -> None:
    peer = Peer(TAKEN, TAKEN)
    closed = asyncio.Event()

    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await read_head(reader)
        await reader.readexactly(length_of(text))
        peer.connections += 1
        writer.write(TAKEN)
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with serving(one_each) as port, wire_to(port) as wire:
        for _ in range(3):
            closed.clear()
            response = await wire.exchange(patch(port), source=clip, progress=ignore)
            assert response.status == 204
            await closed.wait()
    assert peer.connections == 3


async def test_an_answer_longer_than_we_care_for_is_cut_and_its_connection_left(clip: Path) -> None:
    answer = b"HTTP/1.1 400 No\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    peer = Peer(answer, TAKEN)
    async with serving(peer) as port, wire_to(port) as wire:
        response = await wire.exchange(patch(port), source=clip, progress=ignore)
        assert (response.status, response.body) == (400, b"x" * 4096)
        await wire.exchange(patch(port), source=clip, progress=ignore)
    assert peer.connections == 2


@pytest.mark.promise("I14")
async def test_no_redirect_is_followed(clip: Path) -> None:
    """I14, 59: what the store says is handed on; nothing goes where it points."""
    elsewhere = Peer(TAKEN, TAKEN)
    async with serving(elsewhere) as other:
        answer = f"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving(Peer(answer)) as port, wire_to(port) as wire:
            control = await wire.exchange(post(port), source=None, progress=ignore)
        async with serving(Peer(answer)) as port, wire_to(port) as wire:
            body = await wire.exchange(patch(port), source=clip, progress=ignore)
    assert [(r.status, r.headers["location"]) for r in (control, body)] == [(307, f"http://127.0.0.1:{other}/")] * 2
    assert elsewhere.connections == 0


@pytest.mark.promise("I14")
@pytest.mark.parametrize(
    "url", ["http://127.0.0.2:{port}/files/u1", "https://127.0.0.1:{port}/files/u1", "http://127.0.0.1:1/files/u1"]
)
async def test_nothing_is_sent_to_anywhere_but_the_store(url: str) -> None:
    """I14: whoever asks."""
    peer = Peer()
    async with serving(peer) as port, wire_to(port) as wire:
        request = Request(method="HEAD", url=url.format(port=port), headers=())
        with pytest.raises(InvariantError, match="expected a URL at http://127"):
            await wire.exchange(request, source=None, progress=ignore)
        with pytest.raises(InvariantError, match="expected a URL at http://127"):
            await wire.digest(request.url)
    assert peer.connections == 0


async def test_a_body_needs_a_source() -> None:
    async with wire_to(1) as wire:
        with pytest.raises(InvariantError, match="a body and no source"):
            await wire.exchange(patch(1), source=None, progress=ignore)


async def test_a_header_that_would_end_its_line_is_never_sent(clip: Path) -> None:
    async with wire_to(1) as wire:
        request = Request(
            method="PATCH",
            url="http://127.0.0.1:1/files/u1",
            headers=(("Upload-Metadata", "a\r\nX-Evil: 1"),),
            body=BodyRange(offset_bytes=0, length_bytes=1),
        )
        with pytest.raises(InvariantError, match="expected printable ASCII"):
            await wire.exchange(request, source=clip, progress=ignore)


# --- early, late and broken answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["401 Unauthorized", "409 Conflict", "413 Too Large"])
@pytest.mark.parametrize("goes", ["closes", "stays"])
async def test_an_answer_before_the_body_is_out_is_heard(tmp_path: Path, status: str, goes: str) -> None:
    """The store has unread bytes when it closes, so the kernel resets the connection after the answer."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(256 * MIB)

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nwhy?".encode())
        await writer.drain()
        if goes == "stays":
            await asyncio.Event().wait()

    async with serving(early) as port, wire_to(port) as wire:
        for _ in range(3):
            response = await wire.exchange(patch(port, length_bytes=256 * MIB), source=big, progress=ignore)
            assert (response.status, response.body) == (int(status[:3]), b"why?")


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take some, then reset the connection."""
    await reader.readexactly(100)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take the head and close."""
    await read_head(reader)


async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take everything and never answer."""
    while await reader.read(65536):
        pass


async def take_nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Neither read nor answer."""
    await asyncio.Event().wait()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer for ever, a byte at a time."""
    await read_head(reader)
    writer.write(b"HTTP/1.1 204 No Content\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak another protocol."""
    await read_head(reader)
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()
    await reader.read()


FAULTS: Sequence[tuple[Handle, Reason, str]] = [
    (reset, Reason.NETWORK, "the store"),
    (hang_up, Reason.NETWORK, "the store"),
    (say_nothing, Reason.NETWORK, "did not answer in time"),
    (take_nothing, Reason.NETWORK, "did not answer in time"),
    (trickle, Reason.NETWORK, "did not answer in time"),
    (chatter, Reason.STORE, "does not speak HTTP"),
]


async def attempt(wire: TusWire, what: str, port: int, clip: Path) -> None:
    if what == "read-back":
        await wire.digest(f"http://127.0.0.1:{port}/files/u1")
        return
    requests = {"control": head(port), "small body": patch(port), "body": patch(port, length_bytes=2 * MIB)}
    await wire.exchange(requests[what], source=clip, progress=ignore)


@pytest.mark.parametrize(("fault", "reason", "words"), FAULTS)
@pytest.mark.parametrize("what", ["control", "small body", "body", "read-back"])
async def test_a_broken_exchange_is_a_transient_error_with_words(
    clip: Path,
    fault: Handle,
    reason: Reason,
    words: str,
    what: str,
) -> None:
    """41, 42, 55: whatever the network or the store does, no library's error comes out and nothing hangs."""
    async with serving(fault) as port, wire_to(port, stall_timeout_s=0.4, connect_timeout_s=0.4) as wire:
        begun_s = time.monotonic()
        with pytest.raises(TransientError, match=words) as caught:
            await attempt(wire, what, port, clip)
        assert caught.value.reason is reason
        assert time.monotonic() - begun_s < 5.0


@pytest.mark.parametrize("what", ["control", "body"])
async def test_a_port_that_nobody_listens_on_is_the_network(clip: Path, what: str) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        async with wire_to(port) as wire:
            request = head(port) if what == "control" else patch(port)
            with pytest.raises(TransientError, match="the store is not reached: Connection refused") as caught:
                await wire.exchange(request, source=clip, progress=ignore)
    assert caught.value.reason is Reason.NETWORK


@pytest.mark.parametrize("what", ["control", "body"])
async def test_a_name_that_is_not_found_is_dns(clip: Path, what: str) -> None:
    url = "http://store.invalid/files/u1"
    body = None if what == "control" else BodyRange(offset_bytes=0, length_bytes=7)
    async with wire_to(1, endpoint=url) as wire:
        with pytest.raises(TransientError, match="the store's name is not found") as caught:
            await wire.exchange(Request(method="PATCH", url=url, headers=(), body=body), source=clip, progress=ignore)
    assert caught.value.reason is Reason.DNS


@pytest.mark.parametrize("length_bytes", [7, 4 * MIB])
async def test_a_source_that_is_gone_or_too_short_is_the_disk(clip: Path, tmp_path: Path, length_bytes: int) -> None:
    async with serving(say_nothing) as port, wire_to(port) as wire:
        with pytest.raises(TransientError, match="the spooled copy cannot be opened: No such file") as caught:
            await wire.exchange(patch(port), source=tmp_path / "none", progress=ignore)
        assert caught.value.reason is Reason.DISK
        request = patch(port, offset_bytes=2 * MIB + 11, length_bytes=length_bytes)
        with pytest.raises(TransientError, match="the spooled copy ends at 2097163 bytes, expected") as caught:
            await wire.exchange(request, source=clip, progress=ignore)
        assert caught.value.reason is Reason.DISK


async def test_a_slow_line_that_moves_is_never_given_up(clip: Path) -> None:
    """The peer takes a little at a time, in all longer than the stall limit allows for a stop."""
    done = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left_bytes = length_of(await read_head(reader))
        while left_bytes:
            left_bytes -= len(await reader.read(min(left_bytes, 65536)))
            await asyncio.sleep(0.03)
        writer.write(TAKEN)
        await writer.drain()
        done.set()

    async with serving(slow) as port, wire_to(port, stall_timeout_s=0.5) as wire:
        begun_s = time.monotonic()
        response = await wire.exchange(patch(port, length_bytes=2 * MIB), source=clip, progress=ignore)
    assert response.status == 204
    assert done.is_set()
    assert time.monotonic() - begun_s > 0.6


# --- progress, cancelling, limits ---------------------------------------------------------------------------------


async def test_progress_is_told_on_the_loop_seldom_and_at_the_end(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(4 * MIB))
    told: list[tuple[int, int]] = []
    here = threading.get_ident()
    async with serving(Peer(TAKEN)) as port, wire_to(port, limit_bytes_s=4 * MIB) as wire:
        begun_s = time.monotonic()
        await wire.exchange(
            patch(port, length_bytes=4 * MIB),
            source=source,
            progress=lambda sent_bytes: told.append((sent_bytes, threading.get_ident())),
        )
        took_s = time.monotonic() - begun_s
    sent = [sent_bytes for sent_bytes, _ in told]
    assert {thread for _, thread in told} == {here}
    assert sent == sorted(sent)
    assert sent[-1] == 4 * MIB
    assert 2 <= len(sent) <= took_s * 4 + 2


class Silent:
    """Reads on and on and never answers; says when it began and when the connection ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_head(reader)
        self.begun.set()
        while await reader.read(65536):
            pass
        self.ended.set()


async def test_cancelling_ends_the_thread_and_the_connection_at_once(clip: Path) -> None:
    peer = Silent()
    told: list[int] = []
    async with serving(peer) as port, wire_to(port, stall_timeout_s=600.0) as wire:
        exchange = asyncio.create_task(
            wire.exchange(patch(port, length_bytes=2 * MIB), source=clip, progress=told.append), name="exchange"
        )
        await peer.begun.wait()
        begun_s = time.monotonic()
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        await peer.ended.wait()
        assert time.monotonic() - begun_s < 1.0
        assert told == []


async def test_cancelling_while_the_limit_holds_it_back_is_prompt_too(clip: Path) -> None:
    begun = asyncio.Event()

    async def take(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_head(reader)
        await reader.readexactly(4096)
        begun.set()
        await reader.read()

    async with serving(take) as port, wire_to(port, limit_bytes_s=100) as wire:
        exchange = asyncio.create_task(
            wire.exchange(patch(port, length_bytes=2 * MIB), source=clip, progress=ignore), name="exchange"
        )
        await begun.wait()
        begun_s = time.monotonic()
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        assert time.monotonic() - begun_s < 1.0


async def test_closing_ends_what_still_runs(clip: Path) -> None:
    peer = Silent()
    async with serving(peer) as port, wire_to(port, stall_timeout_s=600.0) as wire:
        exchange = asyncio.create_task(
            wire.exchange(patch(port, length_bytes=2 * MIB), source=clip, progress=ignore), name="exchange"
        )
        await peer.begun.wait()
        await wire.close()
        with pytest.raises(TransientError, match="closed here"):
            await exchange


async def test_all_uploads_together_stay_under_the_limit(clip: Path) -> None:
    peer = Peer(TAKEN, TAKEN)
    async with serving(peer) as port, wire_to(port, limit_bytes_s=2 * MIB) as wire:
        begun_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for name in ("one", "two"):
                request = patch(port, length_bytes=MIB)
                group.create_task(wire.exchange(request, source=clip, progress=ignore), name=name)
        took_s = time.monotonic() - begun_s
    # 2 MiB at 2 MiB/s is a second, less the burst of a quarter and the last slices of two senders.
    assert 0.5 < took_s < 5.0
    assert [len(body) for body in peer.bodies] == [MIB, MIB]


async def test_a_limit_lifted_while_sending_is_felt_at_once(clip: Path) -> None:
    begun = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length_bytes = length_of(await read_head(reader))
        begun.set()
        await reader.readexactly(length_bytes)
        writer.write(TAKEN)
        await writer.drain()

    async with serving(take) as port, wire_to(port, limit_bytes_s=16_384) as wire:
        exchange = asyncio.create_task(
            wire.exchange(patch(port, length_bytes=2 * MIB), source=clip, progress=ignore), name="exchange"
        )
        await begun.wait()
        wire.limit(None)
        assert (await asyncio.wait_for(exchange, 10)).status == 204


# --- reading back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_a_stored_clip_is_read_back_and_hashed(clip: Path, form: str) -> None:
    data = clip.read_bytes()
    if form == "length":
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    else:
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    peer = Peer(answer, answer)
    async with serving(peer) as port, wire_to(port) as wire:
        expected = (hashlib.sha256(data).hexdigest(), 2 * MIB + 11)
        assert await wire.digest(f"http://127.0.0.1:{port}/files/u1") == expected
        assert await wire.digest(f"http://127.0.0.1:{port}/files/u1") == expected
    assert peer.heads[0].startswith("GET /files/u1 HTTP/1.1\r\n")
    assert peer.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf",
    ],
)
async def test_a_read_back_that_ends_early_is_no_digest(answer: bytes) -> None:
    async with serving(Peer(answer)) as port, wire_to(port) as wire:
        with pytest.raises(TransientError, match="broke off its answer") as caught:
            await wire.digest(f"http://127.0.0.1:{port}/files/u1")
    assert caught.value.reason is Reason.NETWORK


@pytest.mark.parametrize(
    ("status", "reason"),
    [("401 No", Reason.AUTH), ("403 No", Reason.AUTH), ("404 No", Reason.STORE), ("206 Part", Reason.STORE)],
)
async def test_a_store_that_does_not_give_the_bytes_is_no_digest(status: str, reason: Reason) -> None:
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    async with serving(Peer(answer)) as port, wire_to(port) as wire:
        with pytest.raises(TransientError, match=f"answered {status[:3]}, expected 200") as caught:
            await wire.digest(f"http://127.0.0.1:{port}/files/u1")
    assert caught.value.reason is reason
