"""The wire against peers that answer as they should: what goes, what comes, and what is read back."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from dockd.errors import InvariantError, Reason, TransientError
from dockd.tus.message import BodyRange, Request, Response
from tests.tus_peers import length_of, read_head, serving
from tests.wire_parts import CREATED, MIB, TAKEN, Peer, ignore, patch, post, wire_to

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
