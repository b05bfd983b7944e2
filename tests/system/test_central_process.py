"""The reference store as a process: start, refusals to start, kill -9 at every point, memory, many clients at once."""

import asyncio
import base64
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from dockd.domain.metadata import metadata_header
from dockd.domain.model import Camera, CameraSerial, Sha256, VolumeId, clip_id_of
from tests.central_parts import READY_WITHIN_S, Sample, Tus, central_process, claims_of, command, running

SEED = 20260301
MIB = 1024 * 1024
PIECE_BYTES = 800_000


def shown_key(folder: Path) -> str:
    """What `--show-key` prints."""
    shown = subprocess.run(command(folder, "--show-key"), check=True, capture_output=True, timeout=READY_WITHIN_S)
    return shown.stdout.decode("ascii")


def refusal(folder: Path, *arguments: str) -> tuple[int, str]:
    """How a start is refused: exit code and words."""
    refused = subprocess.run(command(folder, *arguments), check=False, capture_output=True, timeout=READY_WITHIN_S)
    assert refused.stdout == b""
    return refused.returncode, refused.stderr.decode()


def test_show_key_makes_the_key_once_and_prints_its_public_half_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "central"
    first = shown_key(folder)
    key = folder / "receipt-key.pem"
    assert first.startswith("ed25519:")
    assert (len(first.strip()), first.count("\n")) == (8 + 43, 1)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir() if path.name != "lock"] == ["receipt-key.pem"]
    assert shown_key(folder) == first


async def test_the_shown_key_is_the_one_that_signs(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    async with running(folder) as store:
        async with Tus(store.url) as tus:
            receipt = (await tus.send(Sample())).headers["Clip-Receipt"]
        key = (await asyncio.to_thread(shown_key, folder)).strip()  # while the store runs
        assert await asyncio.to_thread(store.stop) == 0
    assert claims_of(receipt, key)["clip_id"] == Sample().clip_id


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with central_process(tmp_path / "central") as store:
        store.process.send_signal(number)
        assert store.process.wait(timeout=READY_WITHIN_S) == 0
    assert "Traceback" not in (tmp_path / "central.stderr").read_text()


def test_a_second_process_on_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    with central_process(folder):
        code, words = refusal(folder, "--listen", "127.0.0.1:0")
    assert code == 75
    assert f"{folder}: in use by another dockd central, expected one at a time" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "0.0.0.0:0"), "--listen: 0.0.0.0 is beyond loopback and there is no TLS and no credentials"),
        (("--listen", "localhost"), "--listen: 'localhost': expected HOST:PORT"),
        (("--listen", "127.0.0.1:65536"), "--listen: '127.0.0.1:65536': expected HOST:PORT"),
        (("--name", "two words"), "--name: 'two words': expected 1 to 64 ASCII characters"),
        (("--reserve", "1.5"), "--reserve: '1.5': expected a whole number of MiB, at least 0"),
        (("--token-file", "/nowhere/tokens"), "--token-file: /nowhere/tokens: expected a readable file"),
    ],
)
def test_a_wrong_option_is_refused_with_exit_78(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    code, said = refusal(tmp_path / "central", *arguments)
    assert code == 78
    assert words in said


def test_a_folder_written_by_a_newer_version_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    with central_process(folder) as store:
        store.stop()
    with closing(sqlite3.connect(folder / "index.sqlite3")) as index:
        index.execute("PRAGMA user_version = 99")
    code, words = refusal(folder, "--listen", "127.0.0.1:0")
    assert code == 78
    assert "schema version 99, expected at most 2: written by a newer dockd" in words


def test_a_damaged_index_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    folder.mkdir()
    (folder / "index.sqlite3").write_bytes(b"this is no database" * 100)
    code, words = refusal(folder, "--listen", "127.0.0.1:0")
    assert code == 78
    assert "index.sqlite3: damaged or not an index" in words


def ask(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> http.client.HTTPResponse:
    """One request on a connection of its own; only the head of the answer is of use."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_WITHIN_S)
    with closing(connection):
        connection.request(method, path, body=body or None, headers={"Tus-Resumable": "1.0.0", **headers})
        response = connection.getresponse()
        response.read()
        return response


def send_stubbornly(port: int, sample: Sample) -> str:
    """Upload a clip to a store that may die at any moment, as a station would; its receipt."""
    declared = {"Upload-Length": str(len(sample.data)), "Upload-Metadata": metadata_header(sample.metadata)}
    path = ""
    while True:
        try:
            if not path:
                created = ask(port, "POST", "/files/", declared)
                assert created.status == 201
                path = urlsplit(created.headers["Location"]).path
            head = ask(port, "HEAD", path, {})
            assert head.status == 200  # no kill makes the store forget an upload
            receipt: str | None = head.headers["Clip-Receipt"]
            if receipt is not None:
                return receipt
            offset = int(head.headers["Upload-Offset"])
            sent = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            ask(port, "PATCH", path, sent, sample.data[offset : offset + PIECE_BYTES])
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)  # it is being started again: there is nothing to wait on


@pytest.mark.promise("I2")
@pytest.mark.promise("I4")
def test_kill_9_at_any_moment_loses_no_receipted_clip_and_leaves_no_receipt_without_its_bytes(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    samples = [
        Sample(data=chance.randbytes(chance.choice((0, 10, 70_000, 900_000, 5_000_000))), path=f"{number}.MP4".encode())
        for number in range(100)
    ]
    folder = tmp_path / "central"
    with central_process(folder) as store:
        port = int(store.url.removesuffix("/files/").rpartition(":")[2])
    kills = 0
    with ThreadPoolExecutor(max_workers=4) as stations:
        pending = [stations.submit(send_stubbornly, port, sample) for sample in samples]
        while not all(upload.done() for upload in pending):
            with central_process(folder, port=port) as store:
                wait(pending, timeout=chance.uniform(0.01, 0.15))
                store.kill()
            kills += 1
        receipts = [upload.result() for upload in pending]
    with central_process(folder, port=port) as store:
        key = shown_key(folder).strip()
        for sample, receipt in zip(samples, receipts, strict=True):
            claims = claims_of(receipt, key)
            assert (claims["clip_id"], claims["sha256"]) == (sample.clip_id, sample.sha256)
            with urlopen(f"http://127.0.0.1:{port}/clips/{sample.clip_id}/content") as content:
                assert sha256(content.read()).hexdigest() == sample.sha256
            assert send_stubbornly(port, sample) == receipt
        with urlopen(f"http://127.0.0.1:{port}/clips?limit=1000") as page:
            assert len(json.load(page)["clips"]) == 100
        store.stop()
    assert sum(path.is_file() for path in (folder / "objects").rglob("*")) == 100
    assert list((folder / "uploads").iterdir()) == []
    assert kills >= 10, f"only {kills} kills: the store was never hit"


async def pieces(count: int, piece: bytes) -> AsyncIterator[bytes]:
    """A long body."""
    for _ in range(count):
        yield piece


def long_metadata(*, length_bytes: int, digest: str) -> dict[str, str]:
    """Declare a clip that no test holds in memory."""
    camera = Camera(serial=CameraSerial("CAM0001"), volume=VolumeId("folder"))
    clip_id = clip_id_of(camera=camera, path=b"long.mp4", length_bytes=length_bytes, sha256=Sha256(digest))
    name = base64.b64encode(b"long.mp4").decode("ascii")
    return {**Sample().metadata, "clip_id": clip_id, "length": str(length_bytes), "sha256": digest, "name": name}


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_memory_stays_flat_while_a_long_clip_streams_in_and_out(tmp_path: Path) -> None:
    piece = random.Random(SEED).randbytes(MIB)
    digest = sha256()
    for _ in range(200):
        digest.update(piece)

    async with running(tmp_path / "central") as store, Tus(store.url) as tus:
        await tus.send(Sample())  # what is loaded on first use is loaded
        before_bytes = rss_bytes(store.process.pid)
        most_bytes = before_bytes

        async def watched() -> AsyncIterator[bytes]:
            nonlocal most_bytes
            async for part in pieces(200, piece):
                yield part
                most_bytes = max(most_bytes, rss_bytes(store.process.pid))

        metadata = long_metadata(length_bytes=200 * MIB, digest=digest.hexdigest())
        created = await tus.create(Sample(), metadata=metadata, headers={"Upload-Length": str(200 * MIB)})
        assert created.status == 201, created.text
        sent = await tus.patch(created.headers["Location"], watched(), offset=0)
        assert "Clip-Receipt" in sent.headers
        most_bytes = max(most_bytes, rss_bytes(store.process.pid))
    assert most_bytes - before_bytes < 12 * MIB, f"grew by {(most_bytes - before_bytes) / MIB:.1f} MiB"


async def test_sixty_four_stations_at_once_are_all_receipted(tmp_path: Path) -> None:
    samples = [Sample(data=os.urandom(20_000), station=f"station-{number}") for number in range(64)]
    async with running(tmp_path / "central") as store:
        async with Tus(store.url) as tus:
            answers = await asyncio.gather(*(tus.send(sample) for sample in samples))
        key = (await asyncio.to_thread(shown_key, tmp_path / "central")).strip()
    audiences = [claims_of(answer.headers["Clip-Receipt"], key)["aud"] for answer in answers]
    assert audiences == [sample.station for sample in samples]


def busy_s(pid: int) -> float:
    """Processor time of a process, its own and the kernel's for it."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def test_a_small_clip_costs_a_few_milliseconds_of_processor_time(tmp_path: Path) -> None:
    """2,000 clips took 6 to 8 s in all on two quiet cores; the wall clock of a busy machine would say nothing."""
    samples = iter([Sample(data=b"%d" % number * 500, path=b"%d.MP4" % number) for number in range(1000)])
    async with running(tmp_path / "central") as store, Tus(store.url) as tus:

        async def station() -> None:
            for sample in samples:
                assert "Clip-Receipt" in (await tus.send(sample)).headers

        began_s = busy_s(store.process.pid)
        await asyncio.gather(*(station() for _ in range(8)))
        took_s = busy_s(store.process.pid) - began_s
    assert took_s < 7.5, f"1,000 clips took {took_s:.1f} s of processor time"


def test_a_flood_of_idle_connections_leaves_descriptors_for_an_upload_and_quiet_in_the_log(tmp_path: Path) -> None:
    sample = Sample(data=os.urandom(900_000))
    with central_process(tmp_path / "central", under=("prlimit", "--nofile=256")) as store, ExitStack() as flood:
        parts = urlsplit(store.url)
        assert parts.hostname is not None
        assert parts.port is not None
        uploading = flood.enter_context(closing(http.client.HTTPConnection(parts.hostname, parts.port)))
        declared = {"Upload-Length": str(len(sample.data)), "Upload-Metadata": metadata_header(sample.metadata)}
        uploading.request("POST", "/files/", headers={"Tus-Resumable": "1.0.0", **declared})
        created = uploading.getresponse()
        created.read()
        for _ in range(300):
            flood.enter_context(socket.create_connection((parts.hostname, parts.port)))
        sent = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        uploading.request("PATCH", urlsplit(created.headers["Location"]).path, body=sample.data, headers=sent)
        assert "Clip-Receipt" in uploading.getresponse().headers
    assert "out of system resource" not in (tmp_path / "central.stderr").read_text()
