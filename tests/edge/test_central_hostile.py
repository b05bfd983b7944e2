"""Hostile and unlucky clients of the reference store: what they must not get, and what they must not cost others."""

import asyncio
import errno
import json
import logging
import os
import socket
import sqlite3
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dockd.central.evidence import Evidence
from dockd.central.store import Store
from tests.central_parts import Clock, Sample, Tus, central, claims_of

DATA = b"0123456789" * 1000
PEOPLE = (("upload", "north-1"), ("upload", "south-2"), ("read", "court"))
NORTH, SOUTH = "north-1north-1", "south-2south-2"


def tokens(folder: Path) -> Path:
    """Two stations and a reader; each token is the name said twice."""
    path = folder / "tokens"
    path.write_text("".join(f"{role} {name} {sha256((name * 2).encode()).hexdigest()}\n" for role, name in PEOPLE))
    path.chmod(0o600)
    return path


def objects(folder: Path) -> list[Path]:
    """The stored files."""
    return sorted(path for path in (folder / "central/objects").rglob("*") if path.is_file())


async def said(url: str, request: bytes) -> bytes:
    """Send bytes as they are; everything that comes back until the store hangs up."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


class Slow:
    """A PATCH that sends a few bytes and then keeps its connection open in silence."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take both ends."""
        self.reader = reader
        self.writer = writer

    @classmethod
    async def at(cls, location: str, *, token: str | None = None) -> "Slow":
        """Begin."""
        parts = urlsplit(location)
        stream = cls(*await asyncio.open_connection(parts.hostname, parts.port))
        bearer = "" if token is None else f"Authorization: Bearer {token}\r\n"
        head = (
            f"PATCH {parts.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\n{bearer}"
            f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: {len(DATA)}\r\n\r\n"
        )
        stream.writer.write(head.encode("ascii") + DATA[:10])
        await stream.writer.drain()
        return stream

    async def status(self) -> int:
        """Read the status of the answer."""
        return int((await self.reader.readline()).split()[1])

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        await self.writer.wait_closed()


@pytest.mark.promise("I2")
async def test_a_second_station_gets_no_receipt_over_a_stored_copy_that_has_rotted(tmp_path: Path) -> None:
    second = Sample(data=DATA, station="south-2")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(Sample(data=DATA))
        (stored,) = objects(tmp_path)
        stored.write_bytes(b"x" + DATA[1:])
        created = await tus.create(second)
        assert (created.status, "Clip-Receipt" in created.headers) == (201, False)
        again = await tus.head(created.headers["Location"])
        assert (again.status, again.offset, "Clip-Receipt" in again.headers) == (200, 0, False)
        sent = await tus.patch(created.headers["Location"], DATA, offset=0)
        assert claims_of(sent.headers["Clip-Receipt"], store.public_key)["aud"] == "south-2"
        _, _, body = await tus.read(f"/clips/{second.clip_id}/content")
    assert body == DATA
    assert [path.read_bytes() for path in objects(tmp_path) if path.name.endswith(".damaged")] == [b"x" + DATA[1:]]


@pytest.mark.promise("I2")
async def test_a_second_station_gets_no_receipt_over_a_stored_copy_cut_short(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(Sample(data=DATA))
        os.truncate(objects(tmp_path)[0], 0)
        assert "Clip-Receipt" not in (await tus.create(Sample(data=DATA, station="south-2"))).headers


def failing(
    call: Callable[..., object], error: OSError, *, when: Callable[[tuple[object, ...]], bool]
) -> Callable[..., object]:
    """Make one system call fail where `when` says so."""

    def called(*arguments: object, **named: object) -> object:
        if when(arguments):
            raise error
        return call(*arguments, **named)

    return called


async def test_a_shortage_of_descriptors_discards_no_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any client can open connections until none are left; that must not cost a station its uploaded gigabytes."""
    scarce = OSError(errno.EMFILE, "Too many open files")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA), body=DATA[:5000])).headers["Location"]
        with monkeypatch.context() as patched:
            opened = failing(os.open, scarce, when=lambda arguments: "/uploads/" in str(arguments[0]))
            patched.setattr("dockd.central.partials.os.open", opened)
            answer = await tus.patch(location, DATA[5000:], offset=5000)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert (await tus.head(location)).offset == 5000
        assert "Clip-Receipt" in (await tus.patch(location, DATA[5000:], offset=5000)).headers


async def test_a_shortage_of_descriptors_discards_no_verified_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = OSError(errno.EMFILE, "Too many open files")

    def refuse(_folder: Path) -> None:
        raise scarce

    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        with monkeypatch.context() as patched:
            patched.setattr("dockd.central.evidence.sync_folder", refuse)
            answer = await tus.patch(location, DATA, offset=0)
        assert answer.status == 503
        assert "Clip-Receipt" in (await tus.patch(location, b"", offset=len(DATA))).headers


@pytest.mark.promise("I9")
async def test_a_sync_that_fails_for_want_of_room_makes_the_copy_dead_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delayed allocation tells of a full disk at the sync, after which the kernel calls the lost pages clean."""
    full = OSError(errno.ENOSPC, "No space left on device")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        with monkeypatch.context() as patched:
            patched.setattr("dockd.central.partials._SYNC_EVERY_BYTES", 1000)
            patched.setattr("dockd.central.partials.os.fdatasync", failing(os.fdatasync, full, when=lambda _: True))
            answer = await tus.patch(location, DATA[:5000], offset=0)
        assert answer.status == 500
        assert (await tus.head(location)).status == 404
    assert list((tmp_path / "central/uploads").iterdir()) == []


async def test_another_station_cannot_push_a_silent_request_aside(tmp_path: Path) -> None:
    async with central(tmp_path, token_file=tokens(tmp_path), takeover_s=0.0, stall_s=3600) as store:
        north, south = Tus(store.url, token=NORTH), Tus(store.url, token=SOUTH)
        async with north, south:
            location = (await north.create(Sample(data=DATA))).headers["Location"]
            slow = await Slow.at(location, token=NORTH)
            for _ in range(10):  # the slow request is seen at the first or the second
                answers = (
                    await south.head(location),
                    await south.patch(location, DATA, offset=0),
                    await south.ask("DELETE", location),
                )
                assert [answer.status for answer in answers] == [403, 403, 403]
            slow.writer.write(DATA[10:])
            assert await slow.status() == 204
            await slow.close()


async def test_a_silent_request_makes_room_when_no_more_bodies_may_be_taken(tmp_path: Path) -> None:
    async with central(tmp_path, most_writers=1, takeover_s=0.0, stall_s=3600) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA, station="rogue-9"))).headers["Location"]
        slow = await Slow.at(location)
        wanted = Sample(data=DATA, path=b"B.MP4")
        created = await tus.create(wanted)
        answer = await tus.patch(created.headers["Location"], DATA, offset=0)
        assert "Clip-Receipt" in answer.headers
        await slow.close()


async def test_a_parameters_name_cannot_forge_a_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with central(tmp_path) as store:
        answer = await said(
            store.url, b"GET /clips?a%0aALARM=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
    assert b" 400 " in answer
    assert not [record for record in caplog.records if "\nALARM" in record.getMessage()]


@pytest.mark.parametrize(
    "header", [b"Authorization : Bearer SECRET", b"Authorization: Bearer SEC\0RET", b"Authorization: SECRET" * 900]
)
async def test_a_malformed_request_leaves_no_token_and_no_stack_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, header: bytes
) -> None:
    caplog.set_level(logging.INFO)
    async with central(tmp_path) as store:
        answer = await said(store.url, b"GET /clips HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
    assert b" 400 " in answer
    assert "SEC" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_request_without_a_host_is_refused_and_no_name_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_up() -> str:
        raise AssertionError("a name server was asked, with the event loop waiting")

    monkeypatch.setattr(socket, "getfqdn", looked_up)
    async with central(tmp_path) as store:
        assert b" 400 " in await said(store.url, b"GET /clips HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("host", ["localhost:99999999", "localhost:x", "[::1]x"])
async def test_a_host_that_is_none_is_refused_before_anything_is_declared(tmp_path: Path, host: str) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        answer = await tus.create(Sample(), headers={"Host": host})
        assert answer.status in {400, 421}
        assert (await tus.ask("GET", "/clips?limit=1", headers={"Host": host})).status in {400, 421}


async def test_who_is_unknown_learns_nothing_of_a_wrong_parameter(tmp_path: Path) -> None:
    async with central(tmp_path, token_file=tokens(tmp_path)) as store, Tus(store.url) as tus:
        assert (await tus.ask("GET", "/clips?limit=0")).status == 401


async def test_a_camera_has_one_spelling(tmp_path: Path) -> None:
    """Another spelling of one serial would hide a clip from who lists that camera's."""
    sample = Sample(serial="CAM1")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        for spelled in (r"\x43AM1", r"CAM\u0031", r"\N{LATIN CAPITAL LETTER C}AM1", r"CAM1\q"):
            answer = await tus.create(sample, metadata={**sample.metadata, "serial": spelled})
            assert (answer.status, answer.text[:14]) == (400, "serial, volume")


async def test_a_bad_copy_from_one_station_removes_no_good_one_of_another(tmp_path: Path) -> None:
    """Both left behind by a crash: north's after its rename, south's with its last byte."""
    clock = Clock()
    north, south = Sample(data=DATA), Sample(data=DATA, station="south-2")
    async with central(tmp_path, clock=clock) as store, Tus(store.url) as tus:
        bad = (await tus.create(south, body=b"0")).headers["Location"].rpartition("/")[2]
        clock.advance(minutes=1)
        location = (await tus.create(north, body=b"0")).headers["Location"]
    async with central(tmp_path / "other") as store, Tus(store.url) as tus:
        await tus.send(north)
    (placed,) = objects(tmp_path / "other")
    good = location.rpartition("/")[2]
    (tmp_path / "central/uploads" / good).unlink()
    (tmp_path / "central/uploads" / bad).write_bytes(b"x" * len(DATA))
    placed.rename(tmp_path / "central/objects" / placed.name[:2] / placed.name)
    async with central(tmp_path, clock=clock) as store, Tus(store.url) as tus:
        while "Clip-Receipt" not in (head := await tus.head(location)).headers:
            assert head.offset == len(DATA)


def private(path: Path) -> bool:
    """Whether nobody else may read or write a file."""
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


async def test_in_a_folder_open_to_all_the_index_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "central"
    folder.mkdir(mode=0o755)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(Sample())
        assert {path.name: private(path) for path in folder.iterdir() if path.is_file()} == dict.fromkeys(
            ("lock", "receipt-key.pem", "index.sqlite3", "index.sqlite3-shm", "index.sqlite3-wal", "access.log"), True
        )


async def test_an_index_that_fails_is_503_and_the_store_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with central(tmp_path) as store, Tus(store.url) as tus:
        with monkeypatch.context() as patched:
            patched.setattr("dockd.central.index.insert_upload", refuse)
            answer = await tus.create(Sample())
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        with monkeypatch.context() as patched:
            patched.setattr("dockd.central.index.delete_unfinished", refuse)
            location = (await tus.create(Sample())).headers["Location"]
            assert (await tus.patch(location, b"two clip", offset=0)).status == 503  # a mismatch, not to be forgotten
        assert "Clip-Receipt" in (await tus.send(Sample())).headers


async def test_a_sweep_that_fails_is_tried_again_and_the_store_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps = 0
    again = asyncio.Event()
    sweep = Store.sweep

    async def failing_once(store: Store) -> None:
        nonlocal sweeps
        sweeps += 1
        if sweeps == 2:
            raise sqlite3.OperationalError("disk I/O error")
        await sweep(store)
        if sweeps > 2:
            again.set()

    monkeypatch.setattr(Store, "sweep", failing_once)
    async with central(tmp_path, sweep_s=0.0):
        await again.wait()


async def test_a_station_cannot_fill_the_index_with_uploads_it_never_sends(tmp_path: Path) -> None:
    async with central(tmp_path, most_unfinished=2) as store, Tus(store.url) as tus:
        samples = [Sample(data=DATA, path=b"%d.MP4" % number) for number in range(3)]
        first, second, third = [await tus.create(sample) for sample in samples]
        assert (first.status, second.status) == (201, 201)
        assert (third.status, third.headers["Retry-After"]) == (503, "60")
        assert "2 unfinished uploads of north-1" in third.text
        assert (await tus.create(samples[0])).status == 201  # a repeat is no new one
        assert (await tus.create(Sample(data=DATA, station="south-2"))).status == 201
        assert "Clip-Receipt" in (await tus.send(samples[0])).headers
        assert (await tus.create(samples[2])).status == 201


async def test_a_start_looks_at_no_upload_one_by_one_of_which_nothing_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be very many, and each look is a turn of the loop and a hop to a thread."""
    async with central(tmp_path) as store, Tus(store.url) as tus:
        for number in range(3):
            await tus.create(Sample(data=DATA, path=b"%d.MP4" % number))
    looked: list[str] = []

    def look(_: sqlite3.Connection, upload_id: str) -> None:
        looked.append(upload_id)

    monkeypatch.setattr("dockd.central.index.find_upload", look)
    async with central(tmp_path):
        assert looked == []


def test_an_object_is_set_aside_durably(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "objects")
    evidence.prepare()
    evidence.path("ab" * 32).write_bytes(b"rotten")
    evidence.set_aside("ab" * 32)
    assert not evidence.has("ab" * 32)
    assert (tmp_path / "objects/ab" / ("ab" * 32 + ".damaged")).read_bytes() == b"rotten"


def test_an_object_that_rots_again_is_set_aside_beside_the_one_before(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "objects")
    evidence.prepare()
    for data in (b"rotten", b"again", b"a third time"):
        evidence.path("ab" * 32).write_bytes(data)
        evidence.set_aside("ab" * 32)
    kept = {path.name.removeprefix("ab" * 32): path.read_bytes() for path in (tmp_path / "objects/ab").iterdir()}
    assert kept == {".damaged": b"rotten", ".damaged-2": b"again", ".damaged-3": b"a third time"}


async def test_the_log_of_readings_stays_whole_lines_after_a_short_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    async with central(tmp_path) as store, Tus(store.url) as tus:
        with monkeypatch.context() as patched:
            patched.setattr("dockd.central.accesslog.os.write", lambda to, data: write(to, data[:20]))
            assert (await tus.ask("GET", "/clips")).status == 503
        assert (await tus.ask("GET", "/clips")).status == 200
    last = (tmp_path / "central/access.log").read_text().splitlines()[-1]
    assert json.loads(last)["what"] == "/clips"


async def test_a_connection_too_many_is_closed_and_one_that_leaves_makes_room(tmp_path: Path) -> None:
    async with central(tmp_path, most_connections=2) as store:
        parts = urlsplit(store.url)
        idle = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(2)]
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        assert await reader.read() == b""
        writer.close()
        for _, leaving in idle:
            leaving.close()
            await leaving.wait_closed()
        request = b"GET /clips HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        while not (answer := await said(store.url, request)):
            pass  # the store has not yet seen them leave
        assert answer.startswith(b"HTTP/1.1 200 ")
