"""Clients of the reference store that stall, vanish or come back while an old connection still hangs."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.central_parts import Sample, Tus, central

DATA = b"0123456789" * 100_000
HALF = len(DATA) // 2


class Raw:
    """A connection on which a test says exactly what it wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take both ends of a stream."""
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, url: str) -> "Raw":
        """Connect to a store."""
        port = int(url.removesuffix("/files/").rpartition(":")[2])
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def begin_patch(self, location: str, *, offset: int, length: int, body: bytes) -> None:
        """Send the head of a PATCH and the first bytes of its body."""
        head = (
            f"PATCH {urlsplit(location).path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\n"
            f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n"
            f"Content-Length: {length}\r\n\r\n"
        )
        self.writer.write(head.encode("ascii") + body)
        await self.writer.drain()

    async def status(self) -> int:
        """Read the status of the answer."""
        return int((await self.reader.readline()).split()[1])

    async def close(self) -> None:
        """Close in good order."""
        self.writer.close()
        await self.writer.wait_closed()

    def reset(self) -> None:
        """Vanish with a reset."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


async def until_offset(tus: Tus, location: str, wanted: int) -> None:
    """Ask until the store has that many bytes; the test's own time limit ends the wait."""
    while (await tus.head(location)).offset < wanted:
        pass


async def test_a_client_that_falls_silent_is_cut_and_its_bytes_are_kept(tmp_path: Path) -> None:
    async with central(tmp_path, stall_s=0.2) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        raw = await Raw.to(store.url)
        await raw.begin_patch(location, offset=0, length=len(DATA), body=DATA[:HALF])
        assert await raw.status() == 408
        assert (await tus.head(location)).offset == HALF
        await raw.close()


async def test_a_connection_that_sends_no_whole_request_is_closed(tmp_path: Path) -> None:
    async with central(tmp_path, stall_s=0.2) as store:
        silent, slow = await Raw.to(store.url), await Raw.to(store.url)
        slow.writer.write(b"GET /clips HTTP/1.1\r\nHost: 127")
        assert await slow.reader.read() == b""
        assert await silent.reader.read() == b""
        await silent.close()
        await slow.close()


async def test_a_reset_in_mid_patch_keeps_what_arrived_and_the_upload_goes_on(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        raw = await Raw.to(store.url)
        await raw.begin_patch(location, offset=0, length=len(DATA), body=DATA[:HALF])
        await until_offset(tus, location, 1)
        raw.reset()
        offset = (await tus.head(location)).offset
        while (answer := await tus.patch(location, DATA[offset:], offset=offset)).status != 204:
            assert answer.status in {409, 423}  # the old request is just writing its last bytes
            offset = (await tus.head(location)).offset
        assert "Clip-Receipt" in answer.headers


async def test_a_living_request_keeps_its_upload_to_itself(tmp_path: Path) -> None:
    async with central(tmp_path, takeover_s=60) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        raw = await Raw.to(store.url)
        await raw.begin_patch(location, offset=0, length=len(DATA), body=DATA[:HALF])
        while (second := await tus.patch(location, b"", offset=0)).status == 204:
            pass  # the first request has not been seen yet
        dropped = await tus.ask("DELETE", location)
        assert (second.status, second.headers["Retry-After"]) == (423, "1")
        assert dropped.status == 423
        raw.writer.write(DATA[HALF:])
        assert await raw.status() == 204
        await raw.close()


async def test_a_dead_connection_makes_way_for_the_next_request_and_its_bytes_are_kept(tmp_path: Path) -> None:
    async with central(tmp_path, takeover_s=0.3, stall_s=3600) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        raw = await Raw.to(store.url)
        await raw.begin_patch(location, offset=0, length=len(DATA), body=DATA[:HALF])
        await until_offset(tus, location, HALF)  # HEAD itself takes the upload from a silent request
        answer = await tus.patch(location, DATA[HALF:], offset=HALF)
        assert (answer.status, "Clip-Receipt" in answer.headers) == (204, True)
        assert await raw.status() == 408
        await raw.close()


async def test_a_client_that_leaves_after_its_last_byte_finds_the_receipt_later(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        raw = await Raw.to(store.url)
        await raw.begin_patch(location, offset=0, length=len(DATA), body=DATA)
        raw.reset()
        offset = -1
        while "Clip-Receipt" not in (head := await tus.head(location)).headers:
            if head.offset == offset < len(DATA):  # the reset overtook the body: send the rest
                await tus.patch(location, DATA[offset:], offset=offset)
            offset = head.offset
        assert head.offset == len(DATA)


async def test_a_body_in_drops_is_taken(tmp_path: Path) -> None:
    sample = Sample(data=b"drop by drop")

    async def drops() -> AsyncIterator[bytes]:
        for number in range(len(sample.data)):
            yield sample.data[number : number + 1]
            await asyncio.sleep(0)

    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample)).headers["Location"]
        assert "Clip-Receipt" in (await tus.patch(location, drops(), offset=0)).headers


async def test_a_stop_in_mid_patch_is_prompt_and_keeps_what_was_written(tmp_path: Path) -> None:
    sample = Sample(data=DATA)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample)).headers["Location"]
        raw = await Raw.to(store.url)
        await raw.begin_patch(location, offset=0, length=len(DATA), body=DATA[:HALF])
        await until_offset(tus, location, 256 * 1024)
    await raw.close()
    async with central(tmp_path) as store, Tus(store.url) as tus:
        offset = (await tus.head(location)).offset
        assert 256 * 1024 <= offset <= HALF
        assert "Clip-Receipt" in (await tus.patch(location, DATA[offset:], offset=offset)).headers


class Noted(logging.Handler):
    """Sets an event once a message holds certain words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words
        self.seen = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.words in record.getMessage():
            self.seen.set()


async def test_a_reader_that_stops_reading_is_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sample = Sample(data=bytes(20_000_000))  # more than both ends' socket buffers hold
    noted = Noted("reader gone")
    logger = logging.getLogger("dockd.central.reading")
    logger.setLevel(logging.INFO)
    logger.addHandler(noted)
    try:
        async with central(tmp_path, stall_s=0.5) as store, Tus(store.url) as tus:
            await tus.send(sample)
            raw = await Raw.to(store.url)
            raw.writer.write(f"GET /clips/{sample.clip_id}/content HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await noted.seen.wait()
            raw.reset()
    finally:
        logger.removeHandler(noted)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_an_error_of_the_block_that_a_store_serves_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with central(tmp_path):
            _ = 1 / 0
