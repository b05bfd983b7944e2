"""What a receipt of the reference store says, when there is one, and for whom."""

import asyncio
import base64
from pathlib import Path

import pytest

from dockd.domain.receipt import NO_LEAF, parse_receipt
from tests.central_parts import Clock, Sample, Tus, central, claims_of

LEAF_A = "aa" * 32
LEAF_B = "bb" * 32


def objects(folder: Path) -> list[Path]:
    """Every stored object's file."""
    return sorted(path for path in (folder / "central/objects").rglob("*") if path.is_file())


@pytest.mark.promise("I2")
async def test_a_third_party_verifies_the_receipt_with_the_shown_key(tmp_path: Path) -> None:
    sample = Sample(data=b"evidence" * 1000)
    async with central(tmp_path, name="london-1") as store, Tus(store.url) as tus:
        receipt = (await tus.send(sample, headers={"Custody-Leaf": LEAF_A})).headers["Clip-Receipt"]
        claims = claims_of(receipt, store.public_key)
    assert claims == {
        "aud": "north-1",
        "clip_id": sample.clip_id,
        "leaf": LEAF_A,
        "length": 8000,
        "meta_sha256": claims["meta_sha256"],
        "sha256": sample.sha256,
        "store": "london-1",
        "stored_at": "2026-03-01T12:00:00.000000Z",
    }
    assert parse_receipt(receipt).compact == receipt


async def test_the_metadata_digest_is_that_of_the_canonical_header_head_returns(tmp_path: Path) -> None:
    sample = Sample(more={"zeta": "last", "alpha": "", "note": "Zo\u00eb"})
    shuffled = dict(reversed(sample.metadata.items()))
    header = ", ".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in shuffled.items())
    async with central(tmp_path) as store, Tus(store.url) as tus:
        created = await tus.create(sample, headers={"Upload-Metadata": header})
        sent = await tus.patch(created.headers["Location"], sample.data, offset=0)
        told = (await tus.head(created.headers["Location"])).headers["Upload-Metadata"]
        claims = claims_of(sent.headers["Clip-Receipt"], store.public_key)
    assert told.startswith("alpha ,clip_id ")
    assert told.endswith(",zeta bGFzdA==")
    assert [pair.split(" ")[0] for pair in told.split(",")] == sorted(sample.metadata)
    assert claims["meta_sha256"] == Sample(data=told.encode()).sha256


async def test_the_leaf_is_the_last_one_sent_before_the_last_byte(tmp_path: Path) -> None:
    sample = Sample(data=b"0123456789")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample, headers={"Custody-Leaf": LEAF_A})).headers["Location"]
        await tus.patch(location, b"01234", offset=0, headers={"Custody-Leaf": LEAF_B})
        last = await tus.patch(location, b"56789", offset=5)
        assert claims_of(last.headers["Clip-Receipt"], store.public_key)["leaf"] == LEAF_B
        again = await tus.patch(location, b"", offset=10, headers={"Custody-Leaf": LEAF_A})
        assert again.headers["Clip-Receipt"] == last.headers["Clip-Receipt"]
        none = await tus.send(Sample(path=b"none.mp4"))
        assert claims_of(none.headers["Clip-Receipt"], store.public_key)["leaf"] == NO_LEAF


@pytest.mark.promise("I10")
async def test_the_same_clip_again_is_success_with_the_same_receipt_and_no_second_object(tmp_path: Path) -> None:
    sample = Sample()
    async with central(tmp_path) as store, Tus(store.url) as tus:
        first = await tus.send(sample)
        again = await tus.create(sample)
        more = await tus.create(sample, metadata={**sample.metadata, "marks": "urgent"})
        head = await tus.head(again.headers["Location"])
    assert again.status == more.status == 201
    assert again.headers["Clip-Receipt"] == more.headers["Clip-Receipt"] == first.headers["Clip-Receipt"]
    assert again.offset == head.offset == len(sample.data)
    assert "marks" not in head.headers["Upload-Metadata"]  # the first declaration stays, and is what the receipt covers
    assert len(objects(tmp_path)) == 1


@pytest.mark.promise("I1")
async def test_a_second_station_uploads_nothing_and_gets_a_receipt_of_its_own(tmp_path: Path) -> None:
    first, second = Sample(), Sample(station="south-2", more={"model": "BWV 9"})
    async with central(tmp_path) as store, Tus(store.url) as tus:
        ours = await tus.send(first, headers={"Custody-Leaf": LEAF_A})
        theirs = await tus.create(second, headers={"Custody-Leaf": LEAF_B})
        assert (theirs.status, theirs.offset) == (201, len(second.data))
        head = await tus.head(theirs.headers["Location"])
        page = await tus.ask("GET", "/clips")
        claims = claims_of(theirs.headers["Clip-Receipt"], store.public_key)
        our_claims = claims_of(ours.headers["Clip-Receipt"], store.public_key)
    assert claims["aud"] == "south-2"
    assert claims["leaf"] == LEAF_B
    assert claims["meta_sha256"] != our_claims["meta_sha256"]
    assert head.headers["Clip-Receipt"] == theirs.headers["Clip-Receipt"]
    assert '"stations": ["north-1", "south-2"]' in page.text
    assert len(objects(tmp_path)) == 1


async def test_two_stations_sending_one_clip_at_once_end_with_one_object_and_two_receipts(tmp_path: Path) -> None:
    one, two = Sample(data=b"x" * 300000), Sample(data=b"x" * 300000, station="south-2")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        locations = [(await tus.create(sample)).headers["Location"] for sample in (one, two)]
        answers = await asyncio.gather(*(tus.patch(location, one.data, offset=0) for location in locations))
        # The later one may find its upload complete already: 409, and HEAD tells the rest.
        assert {answer.status for answer in answers} <= {204, 409}
        audiences = []
        for location in locations:
            while "Clip-Receipt" not in (head := await tus.head(location)).headers:
                assert head.offset == len(one.data)
            audiences.append(claims_of(head.headers["Clip-Receipt"], store.public_key)["aud"])
    assert audiences == ["north-1", "south-2"]
    assert len(objects(tmp_path)) == 1
    assert list((tmp_path / "central/uploads").iterdir()) == []


@pytest.mark.promise("I10")
async def test_identical_bytes_at_two_paths_stay_two_exhibits(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        for path in (b"DCIM/1.MP4", b"DCIM/2.MP4"):
            assert "Clip-Receipt" in (await tus.send(Sample(path=path))).headers
    assert len(objects(tmp_path)) == 2
    assert [path.read_bytes() for path in objects(tmp_path)] == [b"one clip", b"one clip"]


@pytest.mark.promise("I2")
async def test_bytes_that_are_not_those_declared_give_460_and_no_receipt(tmp_path: Path) -> None:
    sample = Sample(data=b"true bytes")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample)).headers["Location"]
        wrong = await tus.patch(location, b"false byte", offset=0)
        after = await tus.head(location)
        again = await tus.create(sample)
        right = await tus.patch(location, sample.data, offset=0)
    assert wrong.status == 460
    assert f"expected {sample.sha256} as declared" in wrong.text
    assert "Clip-Receipt" not in wrong.headers
    assert after.status == 404
    assert (again.status, again.headers["Location"], again.offset) == (201, location, 0)
    assert (right.status, "Clip-Receipt" in right.headers) == (204, True)


@pytest.mark.promise("I2")
async def test_bytes_that_rot_between_receiving_and_verifying_are_found_on_the_disk(tmp_path: Path) -> None:
    sample = Sample(data=b"0123456789")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample, body=b"01234")).headers["Location"]
        (partial,) = (tmp_path / "central/uploads").iterdir()
        partial.write_bytes(b"0123x")
        answer = await tus.patch(location, b"56789", offset=5)
    assert answer.status == 460
    assert objects(tmp_path) == []
    assert list((tmp_path / "central/uploads").iterdir()) == []


async def test_a_cut_name_leaves_the_clip_id_to_the_station_and_occupies_nobody_elses(tmp_path: Path) -> None:
    true = Sample()
    squatter = Sample(data=b"other bytes", station="rogue-9")
    claimed = {**squatter.metadata, "clip_id": true.clip_id, "name_cut": "yes"}
    async with central(tmp_path) as store, Tus(store.url) as tus:
        created = await tus.create(squatter, metadata=claimed)
        assert "Clip-Receipt" in (await tus.patch(created.headers["Location"], squatter.data, offset=0)).headers
        assert (await tus.create(true)).offset == 0
        sent = await tus.send(true)
        shown = await tus.ask("GET", f"/clips/{true.clip_id}")
        assert claims_of(sent.headers["Clip-Receipt"], store.public_key)["sha256"] == true.sha256
    assert f'"sha256": "{true.sha256}"' in shown.text
    assert '"clip_id_recomputed": true' in shown.text
    assert len(objects(tmp_path)) == 2


async def test_a_station_that_declares_other_bytes_under_a_cut_name_is_refused(tmp_path: Path) -> None:
    first = Sample(more={"name_cut": "yes"})
    other = {**Sample(data=b"two clip", more={"name_cut": "yes"}).metadata, "clip_id": first.clip_id}
    async with central(tmp_path) as store, Tus(store.url) as tus:
        assert (await tus.create(first)).status == 201
        answer = await tus.create(first, metadata=other)
    assert answer.status == 400
    assert f"expected 8, {first.sha256} as this station first declared" in answer.text


async def test_an_object_whose_file_has_gone_is_taken_again_from_the_next_station(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(Sample())
        objects(tmp_path)[0].unlink()
        second = Sample(station="south-2")
        created = await tus.create(second)
        assert (created.status, created.offset, "Clip-Receipt" in created.headers) == (201, 0, False)
        sent = await tus.patch(created.headers["Location"], second.data, offset=0)
        assert claims_of(sent.headers["Clip-Receipt"], store.public_key)["aud"] == "south-2"
        status, _, body = await tus.read(f"/clips/{second.clip_id}/content")
    assert (status, body) == (200, second.data)


async def test_receipts_survive_a_restart_under_the_same_key(tmp_path: Path) -> None:
    clock = Clock()
    async with central(tmp_path, clock=clock) as store, Tus(store.url) as tus:
        sent = await tus.send(Sample())
        key = store.public_key
    clock.advance(days=1)
    async with central(tmp_path, clock=clock) as store, Tus(store.url) as tus:
        again = await tus.create(Sample())
        assert store.public_key == key
    assert again.headers["Clip-Receipt"] == sent.headers["Clip-Receipt"]


@pytest.mark.parametrize("named", ["partial", "object"])
async def test_a_start_verifies_what_a_crash_left_finished_without_a_receipt(tmp_path: Path, named: str) -> None:
    sample = Sample(data=b"0123456789")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample, body=b"01234", headers={"Custody-Leaf": LEAF_A})).headers["Location"]
    (partial,) = (tmp_path / "central/uploads").iterdir()
    partial.write_bytes(sample.data)  # as if killed after the last byte, or after the rename
    if named == "object":
        async with central(tmp_path / "other") as store, Tus(store.url) as tus:
            await tus.send(sample)
        (key,) = [path.name for path in objects(tmp_path / "other")]
        partial.rename(tmp_path / "central/objects" / key[:2] / key)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        while "Clip-Receipt" not in (head := await tus.head(location)).headers:
            assert head.offset == 10  # whole, and being verified
        claims = claims_of(head.headers["Clip-Receipt"], store.public_key)
        assert (claims["clip_id"], claims["leaf"]) == (sample.clip_id, LEAF_A)
    assert [path.read_bytes() for path in objects(tmp_path)] == [b"0123456789"]


@pytest.mark.promise("I2")
async def test_a_start_discards_what_a_crash_left_finished_and_wrong(tmp_path: Path) -> None:
    sample = Sample(data=b"0123456789")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample, body=b"01234")).headers["Location"]
    (partial,) = (tmp_path / "central/uploads").iterdir()
    partial.write_bytes(b"01234\0\0\0\0\0")  # as after a power cut that lost a page
    async with central(tmp_path) as store, Tus(store.url) as tus:
        while (head := await tus.head(location)).status == 200:
            assert "Clip-Receipt" not in head.headers
        assert head.status == 404
    assert objects(tmp_path) == []


async def test_bytes_that_no_upload_refers_to_are_removed_at_the_start(tmp_path: Path) -> None:
    async with central(tmp_path):
        pass
    (tmp_path / "central/uploads" / ("0" * 64)).write_bytes(b"orphan")
    async with central(tmp_path):
        assert list((tmp_path / "central/uploads").iterdir()) == []


async def test_nothing_in_the_folder_is_named_or_placed_by_a_client(tmp_path: Path) -> None:
    evil = Sample(path=b"../../../../etc/passwd\n\x1b[2J", serial="../x", volume="/", station="../../y")
    async with central(tmp_path) as store, Tus(store.url) as tus:
        assert "Clip-Receipt" in (await tus.send(evil)).headers
    names = {path.name for path in (tmp_path / "central").rglob("*") if path.is_file()}
    assert {name for name in names if len(name) != 64} == {"lock", "receipt-key.pem", "index.sqlite3", "access.log"}
    assert [path.name for path in tmp_path.iterdir()] == ["central"]
