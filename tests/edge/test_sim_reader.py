"""How a simulation reads the store, against a real one: the judge of a demo must not believe what is not so."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.domain.model import Camera, CameraSerial, Sha256, StationId, VolumeId
from dockd.sim import reader as reader_module
from dockd.sim.manifest import Put
from dockd.sim.reader import StoreReader
from dockd.sim.reckoning import Stored
from tests.central_parts import Sample, Tus, central

NORTH = StationId("north-1")


def put_of(sample: Sample) -> Put:
    camera = Camera(serial=CameraSerial(sample.serial), volume=VolumeId(sample.volume))
    digest = Sha256(sha256(sample.data).hexdigest())
    return Put(camera=camera, path=sample.path, length_bytes=len(sample.data), sha256=digest)


def sample(number: int, *, station: str = "north-1") -> Sample:
    return Sample(data=b"clip %d" % number, station=station, path=b"DCIM/%d.MP4" % number)


async def test_a_store_holds_a_clip_once_it_is_receipted_for_this_station_and_not_before(tmp_path: Path) -> None:
    one = sample(1)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        mine, theirs = StoreReader(store.url, station=NORTH), StoreReader(store.url, station=StationId("south-1"))
        location = (await tus.create(one)).headers["Location"]
        await tus.patch(location, one.data[:3], offset=0)
        assert not await asyncio.to_thread(mine.holds, put_of(one))
        await tus.patch(location, one.data[3:], offset=3)
        assert await asyncio.to_thread(mine.holds, put_of(one))
        assert not await asyncio.to_thread(theirs.holds, put_of(one))


async def test_every_page_of_the_list_is_read_and_only_what_is_wanted_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "PAGE_CLIPS", 2)
    samples = [sample(number) for number in range(5)]
    async with central(tmp_path) as store, Tus(store.url) as tus:
        for each in (*samples, sample(9, station="south-1")):
            assert "Clip-Receipt" in (await tus.send(each)).headers
        wanted = {put_of(each).clip_id for each in (*samples[1:], sample(9), sample(10))}
        stored = await asyncio.to_thread(StoreReader(store.url, station=NORTH).stored, wanted)
    assert stored == {put_of(each).clip_id: Stored(sha256=put_of(each).sha256, length_bytes=6) for each in samples[1:]}


async def test_a_clip_whose_bytes_are_lost_is_not_given_and_one_that_changed_is_given_as_it_is_now(
    tmp_path: Path,
) -> None:
    one, two = sample(1), sample(2)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        for each in (one, two):
            await tus.send(each)
        objects = {path.read_bytes(): path for path in (tmp_path / "central" / "objects").rglob("*") if path.is_file()}
        objects[one.data].unlink()
        objects[two.data].chmod(0o600)
        objects[two.data].write_bytes(b"other bytes")
        wanted = {put_of(one).clip_id, put_of(two).clip_id}
        stored = await asyncio.to_thread(StoreReader(store.url, station=NORTH).stored, wanted)
    assert stored == {
        put_of(one).clip_id: None,
        put_of(two).clip_id: Stored(sha256=Sha256(sha256(b"other bytes").hexdigest()), length_bytes=11),
    }


async def test_a_store_that_refuses_to_answer_is_an_error_and_never_a_no(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"read archive {sha256(b'secret').hexdigest()}\n")
    async with central(tmp_path, token_file=tokens) as store:
        reader = StoreReader(store.url, station=NORTH)
        with pytest.raises(ValueError, match="401"):
            await asyncio.to_thread(reader.holds, put_of(sample(1)))
        with pytest.raises(ValueError, match="401"):
            await asyncio.to_thread(reader.stored, {put_of(sample(1)).clip_id})


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A store that says what it is told to, one connection after the other; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n" + answer)

        thread = threading.Thread(target=serve, name="canned store")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/files/"
        finally:
            thread.join()


def said(text: str) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(text), text.encode())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "expected an object"),
        ('{"clips": 3, "next": null}', "expected a list of objects"),
        ('{"clips": [3], "next": null}', "expected a list of objects"),
        ("<html>", "Expecting value"),
    ],
)
def test_a_list_in_another_form_is_an_error(text: str, complaint: str) -> None:
    with answering(said(text)) as url, pytest.raises(ValueError, match=complaint):
        StoreReader(url, station=NORTH).stored(set())


def test_a_clip_in_another_form_is_an_error() -> None:
    answer = said('{"stations": "north-1", "sha256": "", "length": 0}')
    with answering(answer) as url, pytest.raises(ValueError, match="expected a list"):
        StoreReader(url, station=NORTH).holds(put_of(sample(1)))


def test_a_clip_that_breaks_off_is_given_as_short_as_it_came() -> None:
    clip_id = put_of(sample(1)).clip_id
    page = said(f'{{"clips": [{{"clip_id": "{clip_id}"}}], "next": null}}')
    with answering(page, b"Content-Length: 1000\r\n\r\nhalf of it") as url:
        assert StoreReader(url, station=NORTH).stored({clip_id}) == {
            clip_id: Stored(sha256=Sha256(sha256(b"half of it").hexdigest()), length_bytes=10)
        }
