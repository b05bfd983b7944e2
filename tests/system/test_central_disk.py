"""The reference store on a disk that fails, and killed at each step from the last byte to the receipt (by strace)."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from dockd.central.declaration import declare
from tests.central_parts import READY_WITHIN_S, Sample, Tus, claims_of, command, running

SAMPLE = Sample(data=b"0123456789" * 1000)
HALF = 5000
DECLARED = declare(SAMPLE.metadata, upload_length_bytes=len(SAMPLE.data))
PARTIAL = f"uploads/{DECLARED.upload_id}"
OBJECT_FOLDER = f"objects/{DECLARED.object_key[:2]}"
OBJECT = f"{OBJECT_FOLDER}/{DECLARED.object_key}"
WAL = "index.sqlite3-wal"
WRITE = "pwritev,pwritev2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a station saw of its last PATCH, and of the HEAD after it."""

    status: int
    text: str
    head_status: int
    head_offset: int | None
    has_receipt: bool


def strace(folder: Path, *, path: str, calls: str, fault: str) -> Sequence[str]:
    """Let calls on one file fail or kill; the store itself stays our child (-D)."""
    trace = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", str(folder / path))
    return (*trace, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}")


async def half_sent(folder: Path) -> str:
    """Bring the first half of the clip to a store that then stops; where the upload is."""
    async with running(folder) as store:
        async with Tus(store.url) as tus:
            location = (await tus.create(SAMPLE, body=SAMPLE.data[:HALF])).headers["Location"]
        assert await asyncio.to_thread(store.stop) == 0
    return location


async def rest_sent(folder: Path, location: str, *, under: Sequence[str]) -> Answered:
    """Send the second half to a store that meets a fault."""
    async with running(folder, under=under) as store:
        async with Tus(store.url) as tus:
            answer = await tus.patch(location, SAMPLE.data[HALF:], offset=HALF)
            head = await tus.head(location)
        await asyncio.to_thread(store.stop)
    return Answered(
        status=answer.status,
        text=answer.text,
        head_status=head.status,
        head_offset=head.offset if head.status == 200 else None,
        has_receipt="Clip-Receipt" in answer.headers or "Clip-Receipt" in head.headers,
    )


async def receipt_in_the_end(folder: Path) -> None:
    """Start without faults, send what is missing, and hold receipt and bytes against each other."""
    async with running(folder) as store:
        async with Tus(store.url) as tus:
            location = (await tus.create(SAMPLE)).headers["Location"]
            while "Clip-Receipt" not in (head := await tus.head(location)).headers:
                if head.offset < len(SAMPLE.data):
                    await tus.patch(location, SAMPLE.data[head.offset :], offset=head.offset)
            claims = claims_of(head.headers["Clip-Receipt"], shown_in(folder))
            _, _, body = await tus.read(f"/clips/{SAMPLE.clip_id}/content")
            page = await tus.ask("GET", "/clips")
        assert await asyncio.to_thread(store.stop) == 0
    assert claims["sha256"] == SAMPLE.sha256
    assert body == SAMPLE.data
    assert page.text.count('"seq"') == 1
    assert list((folder / "uploads").iterdir()) == []


async def discarded_at_the_next_start(folder: Path, location: str) -> None:
    """Start without faults, and see the bad bytes go and the good ones be taken."""
    async with running(folder) as store:
        async with Tus(store.url) as tus, asyncio.timeout(READY_WITHIN_S):
            while (await tus.head(location)).status != 404:
                pass
        assert await asyncio.to_thread(store.stop) == 0
    await receipt_in_the_end(folder)


def shown_in(folder: Path) -> str:
    """The public key, as the store said it when it started."""
    said = (folder.parent / f"{folder.name}.stderr").read_text()
    return said.rpartition("receipts as dockd-central under ")[2].partition("\n")[0]


def receipts_in(folder: Path) -> int:
    """How many receipts the index of a dead store holds."""
    with closing(sqlite3.connect(folder / "index.sqlite3")) as index:
        return int(index.execute("SELECT count(receipt) FROM upload").fetchone()[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step on the way to a receipt, and whether the object has its name by then."""

    name: str
    path: str
    calls: str
    placed: bool = False


STEPS = [
    Step(name="before the bytes are written", path=PARTIAL, calls=WRITE),
    Step(name="before the file is synced", path=PARTIAL, calls="fsync"),
    Step(name="before it is re-read", path=PARTIAL, calls="readv"),
    Step(name="before it is renamed", path=PARTIAL, calls="rename"),
    Step(name="before the folder is synced", path=OBJECT_FOLDER, calls="fsync", placed=True),
    Step(name="before the index is written", path=WAL, calls="pwrite64", placed=True),
    Step(name="before the index is synced", path=WAL, calls="fdatasync", placed=True),
]


@pytest.mark.promise("I2")
@pytest.mark.promise("I8")
@pytest.mark.parametrize("step", STEPS, ids=[step.name for step in STEPS])
async def test_killed_at_any_step_it_gives_no_receipt_too_early_and_one_in_the_end(tmp_path: Path, step: Step) -> None:
    folder = tmp_path / "central"
    location = await half_sent(folder)
    kill = strace(folder, path=step.path, calls=step.calls, fault="signal=KILL")
    async with running(folder, under=kill) as store:
        async with Tus(store.url) as tus:
            with pytest.raises(aiohttp.ClientError):
                await tus.patch(location, SAMPLE.data[HALF:], offset=HALF)
        assert await asyncio.to_thread(store.process.wait) == -9
    assert (folder / OBJECT).exists() == step.placed
    # At the last step the kernel has the receipt's row already; a killed process loses none of that.
    assert receipts_in(folder) == 0 or step is STEPS[-1]
    await receipt_in_the_end(folder)


@pytest.mark.promise("I9")
@pytest.mark.parametrize(
    ("path", "calls"), [(PARTIAL, WRITE), (PARTIAL, "fsync"), (PARTIAL, "readv"), (OBJECT_FOLDER, "fsync")]
)
async def test_after_an_io_error_the_copy_is_discarded_and_sent_again(tmp_path: Path, path: str, calls: str) -> None:
    folder = tmp_path / "central"
    location = await half_sent(folder)
    answered = await rest_sent(folder, location, under=strace(folder, path=path, calls=calls, fault="error=EIO"))
    assert answered == Answered(
        status=500,
        text="upload discarded: the store's disk failed: send it again as a new upload\n",
        head_status=404,
        head_offset=None,
        has_receipt=False,
    )
    assert not (folder / PARTIAL).exists()
    assert not (folder / OBJECT).exists()
    assert "ALARM" in (tmp_path / "central.stderr").read_text()
    await receipt_in_the_end(folder)


async def test_a_full_disk_is_507_and_what_was_written_stays(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    location = await half_sent(folder)
    under = strace(folder, path=PARTIAL, calls=WRITE, fault="error=ENOSPC")
    answered = await rest_sent(folder, location, under=under)
    assert (answered.status, answered.head_status, answered.head_offset) == (507, 200, HALF)
    await receipt_in_the_end(folder)


async def test_an_index_that_cannot_be_synced_gives_no_receipt_and_the_upload_waits(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    location = await half_sent(folder)
    answered = await rest_sent(folder, location, under=strace(folder, path=WAL, calls="fdatasync", fault="error=EIO"))
    assert (answered.status, answered.has_receipt) == (503, False)
    assert (answered.head_status, answered.head_offset) == (200, len(SAMPLE.data))
    assert (folder / OBJECT).exists()
    await receipt_in_the_end(folder)


@pytest.mark.promise("I9")
async def test_after_a_sync_of_the_index_that_failed_once_the_store_goes_on_with_a_new_connection(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "central"
    location = await half_sent(folder)
    async with running(folder, under=strace(folder, path=WAL, calls="fdatasync", fault="error=EIO:when=1")) as store:
        async with Tus(store.url) as tus:
            answer = await tus.patch(location, SAMPLE.data[HALF:], offset=HALF)
            assert (answer.status, "Clip-Receipt" in answer.headers) == (503, False)
            async with asyncio.timeout(READY_WITHIN_S):
                while "Clip-Receipt" not in (await tus.create(SAMPLE)).headers:
                    pass  # a declaration waits for the receipt itself
        assert await asyncio.to_thread(store.stop) == 0
    await receipt_in_the_end(folder)


async def test_a_discard_that_the_disk_refuses_leaves_the_store_up(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    location = await half_sent(folder)
    (folder / PARTIAL).write_bytes(b"x" * HALF)
    answered = await rest_sent(folder, location, under=strace(folder, path=PARTIAL, calls="unlink", fault="error=EIO"))
    assert (answered.status, answered.has_receipt, answered.head_status) == (503, False, 200)
    await discarded_at_the_next_start(folder, location)


async def test_a_discard_that_the_index_refuses_leaves_the_store_up(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    location = await half_sent(folder)
    (folder / PARTIAL).write_bytes(b"x" * HALF)
    answered = await rest_sent(folder, location, under=strace(folder, path=WAL, calls="fdatasync", fault="error=EIO"))
    assert (answered.status, answered.has_receipt, answered.head_status) == (503, False, 200)
    await receipt_in_the_end(folder)


@pytest.mark.parametrize("calls", ["openat", "pwrite64"])
def test_a_full_disk_at_the_start_is_said_to_be_one_and_to_come_back_later(tmp_path: Path, calls: str) -> None:
    folder = tmp_path / "central"
    under = strace(folder, path="index.sqlite3", calls=calls, fault="error=ENOSPC")
    started = subprocess.run(
        (*under, *command(folder, "--listen", "127.0.0.1:0")),
        check=False,
        capture_output=True,
        text=True,
        timeout=READY_WITHIN_S,
    )
    assert (started.returncode, started.stdout) == (75, "")
    assert str(folder / "index.sqlite3") in started.stderr
    assert "full" in started.stderr or "No space left" in started.stderr
    assert "damaged" not in started.stderr
    assert "Traceback" not in started.stderr


@pytest.mark.promise("I8")
async def test_before_it_listens_the_names_in_its_folder_and_the_folders_own_are_durable(tmp_path: Path) -> None:
    folder, trace = tmp_path / "central", tmp_path / "trace"
    async with running(folder, under=("strace", "-D", "-f", "-y", "-qq", "-o", str(trace), "-e", "trace=fsync,mkdir")):
        calls = trace.read_text().splitlines()
    made = max(number for number, call in enumerate(calls) if "mkdir(" in call and str(folder) in call)
    for name in (folder, tmp_path):
        assert any(f"<{name}>) " in call for call in calls[made:]), f"{name} was not synced after it was filled"
