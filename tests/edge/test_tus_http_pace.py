"""The wire while it sends: progress is told, cancelling is prompt, and limits hold."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from dockd.errors import TransientError
from tests.tus_peers import length_of, read_head, serving
from tests.wire_parts import MIB, TAKEN, Peer, ignore, patch, wire_to


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
