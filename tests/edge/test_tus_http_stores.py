"""The core and the wire together against real stores: @tus/server plain and with receipts, and our own."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.domain.metadata import metadata_header
from dockd.domain.receipt import parse_receipt
from dockd.edges.tus_http import TusWire, WireOptions
from dockd.errors import TransientError
from dockd.tus.headers import parse_metadata, repr_digest
from dockd.tus.upload import Done, Keep, Poll, Refused, Restarted, Send, Upload, Wait
from tests.central_parts import Sample, central, central_process
from tests.foreign_store import StartStore

MIB = 1024 * 1024
LEAF = "0123456789abcdef" * 4
RECEIPTS = "a foreign store with a hook"
PLAIN = "a plain foreign store"


@asynccontextmanager
async def wire_to(url: str, *, limit_bytes_s: int | None = None) -> AsyncIterator[TusWire]:
    options = WireOptions(endpoint=url, stall_timeout_s=20.0, limit_bytes_s=limit_bytes_s)
    wire = TusWire(options)
    try:
        yield wire
    finally:
        await wire.close()


def upload_of(sample: Sample, url: str, *, begun: str | None = None) -> Upload:
    return Upload(
        endpoint=url,
        length_bytes=len(sample.data),
        metadata_header=metadata_header(sample.metadata),
        extra_headers=(("Custody-Leaf", LEAF),),
        url=begun,
    )


class Driver:
    """Does what the core says, as the app does, and remembers the steps; pauses only as long as the loop needs."""

    def __init__(self, wire: TusWire, source: Path, *, progress: Callable[[int], None] = lambda _: None) -> None:
        self.wire = wire
        self.source = source
        self.progress = progress
        self.steps: list[str] = []

    async def run(self, upload: Upload) -> Done | Refused | Wait | Restarted:
        """Go on until there is something to decide."""
        async with asyncio.timeout(60):
            while True:
                match upload.next():
                    case Send(request=request):
                        self.steps.append(request.method)
                        try:
                            source = self.source if request.body else None
                            response = await self.wire.exchange(request, source=source, progress=self.progress)
                        except TransientError as error:
                            upload.broken(reason=error.reason, detail=str(error))
                        else:
                            upload.receive(response)
                    case Keep():
                        upload.kept()
                    case Poll():
                        self.steps.append("poll")
                        if self.steps.count("poll") > 20:
                            upload.settle()
                        else:
                            await asyncio.sleep(0.05)  # the store verifies
                            upload.resume()
                    case Done() | Refused() | Wait() | Restarted() as action:
                        return action


def write(folder: Path, data: bytes) -> Path:
    path = folder / "clip"
    path.write_bytes(data)
    return path


def sample_of(length_bytes: int) -> Sample:
    return Sample(data=random.Random(length_bytes).randbytes(length_bytes))


@pytest.mark.parametrize("length_bytes", [0, 1, 262_145, 5 * MIB])
async def test_our_store_gives_its_receipt(tmp_path: Path, length_bytes: int) -> None:
    sample = sample_of(length_bytes)
    async with central(tmp_path) as store, wire_to(store.url) as wire:
        driver = Driver(wire, write(tmp_path, sample.data))
        upload = upload_of(sample, store.url)
        done = await driver.run(upload)
        assert isinstance(done, Done)
        assert done.receipt is not None
        claims = parse_receipt(done.receipt).claims
        assert (claims.clip_id, claims.sha256, claims.leaf) == (sample.clip_id, sample.sha256, LEAF)
        assert done.repr_digest == repr_digest(sample.sha256)
        assert done.stored_metadata is not None
        assert parse_metadata(done.stored_metadata) == sample.metadata

        # The same clip again sends nothing and gives the same receipt.
        again = Driver(wire, tmp_path / "none")
        repeated = await again.run(upload_of(sample, store.url))
        assert again.steps == ["POST", "HEAD"]
        assert isinstance(repeated, Done)
        assert repeated.receipt == done.receipt


@pytest.mark.parametrize("length_bytes", [0, 1, 5 * MIB])
async def test_a_foreign_store_with_a_hook_gives_its_receipt(
    tmp_path: Path, start_store: StartStore, store_key: Path, length_bytes: int
) -> None:
    sample = sample_of(length_bytes)
    store = start_store(tmp_path / "store", key=store_key)
    async with wire_to(store.url) as wire:
        driver = Driver(wire, write(tmp_path, sample.data))
        done = await driver.run(upload_of(sample, store.url))
    assert driver.steps == (["POST", "HEAD", "PATCH"] if length_bytes else ["POST", "HEAD"])
    assert isinstance(done, Done)
    assert done.receipt is not None
    assert parse_receipt(done.receipt).claims.sha256 == sample.sha256


async def test_a_hook_that_was_not_heard_is_asked_again_by_an_empty_body(
    tmp_path: Path, start_store: StartStore, store_key: Path
) -> None:
    """Its receipt was on the one answer that got lost, and is on no HEAD."""
    sample = sample_of(MIB)
    store = start_store(tmp_path / "store", key=store_key)
    async with wire_to(store.url) as wire:
        source = write(tmp_path, sample.data)
        first = upload_of(sample, store.url)
        await Driver(wire, source).run(first)
        driver = Driver(wire, source)
        done = await driver.run(upload_of(sample, store.url, begun=first.url))
    assert driver.steps == ["HEAD", "poll", "HEAD", "poll", "HEAD", "poll", "HEAD", "poll", "PATCH"]
    assert isinstance(done, Done)
    assert done.receipt is not None


async def test_a_plain_foreign_store_holds_the_bytes_and_they_can_be_read_back(
    tmp_path: Path, start_store: StartStore
) -> None:
    sample = sample_of(5 * MIB)
    store = start_store(tmp_path / "store")
    async with wire_to(store.url) as wire:
        upload = upload_of(sample, store.url)
        done = await Driver(wire, write(tmp_path, sample.data)).run(upload)
        assert isinstance(done, Done)
        assert done.receipt is None
        assert upload.url is not None
        assert await wire.digest(upload.url) == (sample.sha256, 5 * MIB)


async def test_a_body_that_is_not_what_was_declared_is_lost_at_the_store(
    tmp_path: Path, start_store: StartStore, store_key: Path
) -> None:
    """460 and then 404: never done."""
    sample = sample_of(1000)
    store = start_store(tmp_path / "store", key=store_key)
    async with wire_to(store.url) as wire:
        driver = Driver(wire, write(tmp_path, bytes(1000)))
        outcome = await driver.run(upload_of(sample, store.url))
    assert isinstance(outcome, Restarted)
    assert driver.steps == ["POST", "HEAD", "PATCH", "HEAD"]


class KillHalfway:
    """Kills a store once it has been sent so many bytes."""

    def __init__(self, kill: Callable[[], None], *, after_bytes: int) -> None:
        self.kill = kill
        self.after_bytes = after_bytes
        self.killed = False

    def __call__(self, sent_bytes: int) -> None:
        if not self.killed and sent_bytes >= self.after_bytes:
            self.killed = True
            self.kill()


async def test_a_foreign_store_killed_in_the_middle_goes_on_at_its_offset(
    tmp_path: Path, start_store: StartStore, store_key: Path
) -> None:
    """42: what it had is not sent again."""
    sample = sample_of(8 * MIB)
    store = start_store(tmp_path / "store", key=store_key)
    async with wire_to(store.url, limit_bytes_s=8 * MIB) as wire:
        kill = KillHalfway(store.kill, after_bytes=2 * MIB)
        driver = Driver(wire, write(tmp_path, sample.data), progress=kill)
        upload = upload_of(sample, store.url)
        assert isinstance(await driver.run(upload), Wait)
        assert kill.killed
        start_store(tmp_path / "store", key=store_key, port=store.port)
        wire.limit(None)
        upload.resume()
        done = await driver.run(upload)
    assert isinstance(done, Done)
    assert done.receipt is not None
    assert driver.steps == ["POST", "HEAD", "PATCH", "HEAD", "HEAD", "PATCH"]
    assert (upload.restarts, upload.regressions) == (0, 0)
    (stored,) = [path for path in (tmp_path / "store").iterdir() if path.is_file() and path.suffix == ""]
    assert sha256(stored.read_bytes()).hexdigest() == sample.sha256


async def test_our_store_killed_in_the_middle_goes_on_at_its_offset(tmp_path: Path) -> None:
    sample = sample_of(8 * MIB)
    source = write(tmp_path, sample.data)
    folder = tmp_path / "central"
    with central_process(folder, "--reserve", "0") as store:
        port = int(store.url.split(":")[2].split("/")[0])
        async with wire_to(store.url, limit_bytes_s=8 * MIB) as wire:
            kill = KillHalfway(store.kill, after_bytes=2 * MIB)
            upload = upload_of(sample, store.url)
            driver = Driver(wire, source, progress=kill)
            assert isinstance(await driver.run(upload), Wait)
    assert kill.killed
    with central_process(folder, "--reserve", "0", port=port) as store:
        async with wire_to(store.url) as wire:
            driver = Driver(wire, source)
            done = await driver.run(upload_of(sample, store.url, begun=upload.url))
    assert isinstance(done, Done)
    assert done.receipt is not None
    assert driver.steps[:2] == ["HEAD", "PATCH"]
