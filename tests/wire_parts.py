"""What tests of the wire share: a clip, requests, and a peer that answers with what it was given."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dockd.edges.tus_http import TusWire, WireOptions
from dockd.tus.message import BodyRange, Request
from tests.tus_peers import length_of, read_head

CREATED = b"HTTP/1.1 201 Created\r\nTus-Resumable: 1.0.0\r\nLocation: /files/u1\r\nContent-Length: 0\r\n\r\n"
TAKEN = b"HTTP/1.1 204 No Content\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 7\r\n\r\n"
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
