"""The wire against peers that answer early, late, wrongly or not at all: which error it becomes."""

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dockd.edges.tus_http import TusWire
from dockd.errors import Reason, TransientError
from dockd.tus.message import BodyRange, Request
from tests.tus_peers import Handle, length_of, read_head, serving
from tests.wire_parts import MIB, TAKEN, head, ignore, patch, wire_to

TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nNo."


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
