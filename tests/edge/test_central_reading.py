"""Reading evidence from the reference store: lists, single clips, ranges, and the log of who read what."""

import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dockd.domain.metadata import metadata_header
from tests.central_parts import Sample, Tus, central, claims_of


async def listed(tus: Tus, path: str) -> dict[str, Any]:
    """One page."""
    answer = await tus.ask("GET", path)
    assert answer.status == 200, answer.text
    page: dict[str, Any] = json.loads(answer.text)
    return page


def entries(folder: Path) -> list[dict[str, Any]]:
    """The access log."""
    return [json.loads(line) for line in (folder / "central/access.log").read_text("ascii").splitlines()]


async def test_a_clip_is_told_with_what_the_station_declared(tmp_path: Path) -> None:
    sample = Sample(more={"recording_id": "rec-7", "kind": "video"})
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(sample)
        page = await listed(tus, "/clips")
        one = await listed(tus, f"/clips/{sample.clip_id}")
    assert page == {"clips": [one], "next": None}
    assert one == {
        "seq": 1,
        "clip_id": sample.clip_id,
        "clip_id_recomputed": True,
        "sha256": sample.sha256,
        "length": 8,
        "stations": ["north-1"],
        "camera": "CAM0001",
        "recording_id": "rec-7",
        "kind": "video",
        "name": sample.metadata["name"],
        "tags": [],
        "unreadable": "",
        "facts": {},
        "stored_at": "2026-03-01T12:00:00.000000Z",
        "content": f"/clips/{sample.clip_id}/content",
    }


async def test_a_salvaged_clip_is_told_with_its_gaps_unless_a_station_had_it_whole(tmp_path: Path) -> None:
    more = {"tags": "salvaged unknown-type", "unreadable": "4096+512 9000+1"}
    async with central(tmp_path) as store, Tus(store.url) as tus:
        salvaged = Sample(path=b"A.MP4", more=more)
        await tus.send(salvaged)
        one = await listed(tus, f"/clips/{salvaged.clip_id}")
        assert (one["tags"], one["unreadable"]) == (["salvaged", "unknown-type"], "4096+512 9000+1")
        await tus.send(Sample(path=b"A.MP4", station="south-1"))
        one = await listed(tus, f"/clips/{salvaged.clip_id}")
        assert (one["stations"], one["tags"], one["unreadable"]) == (["north-1", "south-1"], [], "")


@pytest.mark.promise("I1")
async def test_what_a_profile_read_is_told_and_its_receipt_covers_it(tmp_path: Path) -> None:
    facts = {
        "battery": "unknown",
        "marks": "evidence-button",
        "recorded": "2024-10-27T01:30:00",
        "recorded_is": "twice",
    }
    async with central(tmp_path) as store, Tus(store.url) as tus:
        sample = Sample(more={**facts, "weather": "rain"})
        sent = await tus.send(sample)
        one = await listed(tus, f"/clips/{sample.clip_id}")
        (page,) = (await listed(tus, "/clips"))["clips"]
    assert one["facts"] == page["facts"] == facts
    claims = claims_of(sent.headers["Clip-Receipt"], store.public_key)
    assert claims["meta_sha256"] == sha256(metadata_header(sample.metadata).encode()).hexdigest()


async def test_what_an_earlier_version_took_is_told_escaped_and_cut(tmp_path: Path) -> None:
    """That version held a fact to nothing."""
    sample = Sample(more={"marks": "urgent"})
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(sample)
    odd = metadata_header({**sample.metadata, "marks": "\x1b[31m<b>\u00f6", "category": "x" * 300})
    with closing(sqlite3.connect(tmp_path / "central/index.sqlite3")) as index:
        index.execute("UPDATE upload SET metadata = ?", (odd,))
        index.commit()
    async with central(tmp_path) as store, Tus(store.url) as tus:
        one = await listed(tus, f"/clips/{sample.clip_id}")
    assert one["facts"] == {"category": "x" * 256, "marks": "\\x1b[31m<b>\\xf6"}


async def test_pages_follow_each_other_and_stay_stable_while_clips_come_in(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        for number in range(5):
            await tus.send(Sample(path=f"{number}.MP4".encode()))
        first = await listed(tus, "/clips?limit=2")
        await tus.send(Sample(path=b"5.MP4"))
        second = await listed(tus, first["next"])
        third = await listed(tus, second["next"])
    assert [[clip["seq"] for clip in page["clips"]] for page in (first, second, third)] == [[1, 2], [3, 4], [5, 6]]
    assert third["next"] is None
    assert first["next"].startswith("http://127.0.0.1:")


async def test_a_list_can_be_narrowed_to_a_station_a_camera_a_recording(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(Sample(path=b"1", serial="A", more={"recording_id": "r1"}))
        await tus.send(Sample(path=b"2", serial="A", more={"recording_id": "r2"}, station="south-2"))
        await tus.send(Sample(path=b"3", serial="B", more={"recording_id": "r2"}))
        found = {
            query: [clip["seq"] for clip in (await listed(tus, f"/clips?{query}"))["clips"]]
            for query in (
                "station=north-1",
                "camera=A",
                "recording=r2",
                "camera=A&station=south-2",
                "camera=C",
                "after=2",
            )
        }
        narrowed = await listed(tus, "/clips?station=north-1&limit=1")
        following = await listed(tus, narrowed["next"])
    assert found == {
        "station=north-1": [1, 3],
        "camera=A": [1, 2],
        "recording=r2": [2, 3],
        "camera=A&station=south-2": [2],
        "camera=C": [],
        "after=2": [3],
    }
    assert ([clip["seq"] for clip in following["clips"]], following["next"]) == ([3], None)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("after=-1", "after: '-1': expected a whole number from 0 to 9223372036854775807"),
        ("after=9223372036854775808", "after: '9223372036854775808': expected"),
        ("limit=0", "limit: '0': expected a whole number from 1 to 1000"),
        ("limit=1001", "limit: '1001': expected"),
        ("limit=ten", "limit: 'ten': expected"),
        ("recordng=r", "'recordng': not a parameter, expected one of after, camera, limit, recording, station"),
    ],
)
async def test_a_wrong_parameter_is_refused_with_its_value_and_the_expectation(
    tmp_path: Path, query: str, words: str
) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        answer = await tus.ask("GET", f"/clips?{query}")
    assert answer.status == 400
    assert answer.text.startswith(words)


async def test_an_unfinished_upload_is_no_clip(tmp_path: Path) -> None:
    sample = Sample()
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.create(sample, body=b"one")
        assert (await listed(tus, "/clips"))["clips"] == []
        assert (await tus.ask("GET", f"/clips/{sample.clip_id}")).status == 404
        assert (await tus.ask("GET", f"/clips/{sample.clip_id}/content")).status == 404


@pytest.mark.parametrize(
    ("wanted", "status", "part", "told"),
    [
        (None, 200, slice(None), None),
        ("bytes=0-0", 206, slice(1), "bytes 0-0/3000000"),
        ("bytes=2999990-", 206, slice(2999990, None), "bytes 2999990-2999999/3000000"),
        ("bytes=-5", 206, slice(2999995, None), "bytes 2999995-2999999/3000000"),
        ("bytes=100-99999999", 206, slice(100, None), "bytes 100-2999999/3000000"),
        ("bytes=3000000-", 416, slice(0), "bytes */3000000"),
        ("bytes=5-2", 416, slice(0), "bytes */3000000"),
    ],
)
async def test_content_is_given_whole_or_in_one_range(
    tmp_path: Path, wanted: str | None, status: int, part: slice, told: str | None
) -> None:
    sample = Sample(data=bytes(range(250)) * 12000)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(sample)
        sent = {} if wanted is None else {"Range": wanted}
        answer = await tus.read(f"/clips/{sample.clip_id}/content", headers=sent)
    assert answer[0] == status
    assert status == 416 or answer[2] == sample.data[part]
    assert answer[1].get("Content-Range") == told
    if status != 416:
        assert answer[1]["ETag"]
        assert answer[1]["Repr-Digest"].startswith("sha-256=:")
        assert answer[1]["Content-Type"] == "application/octet-stream"
        assert answer[1]["Content-Disposition"] == "attachment"


async def test_an_empty_clip_has_empty_content(tmp_path: Path) -> None:
    sample = Sample(data=b"")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.create(sample)
        status, _, body = await tus.read(f"/clips/{sample.clip_id}/content")
    assert (status, body) == (200, b"")


async def test_every_reading_is_in_the_access_log(tmp_path: Path) -> None:
    sample = Sample()
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(sample)
        await tus.ask("GET", "/clips?camera=CAM0001")
        await tus.read(f"/clips/{sample.clip_id}/content", headers={"Range": "bytes=0-3"})
        assert entries(tmp_path) == [
            {
                "ts": "2026-03-01T12:00:00.000+00:00",
                "who": "anyone on loopback",
                "what": "/clips",
                "range": "camera=CAM0001",
            },
            {
                "ts": "2026-03-01T12:00:00.000+00:00",
                "who": "anyone on loopback",
                "what": f"/clips/{sample.clip_id}/content",
                "range": "bytes=0-3",
            },
        ]


async def test_nothing_is_shown_that_cannot_be_logged(tmp_path: Path) -> None:
    sample = Sample()
    (tmp_path / "central").mkdir()
    (tmp_path / "central/access.log").symlink_to("/dev/full")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(sample)
        status, _, body = await tus.read(f"/clips/{sample.clip_id}/content")
    assert status == 503
    assert sample.data not in body
