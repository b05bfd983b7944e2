"""The reference store as a tus 1.0.0 server: each method, each refusal, over a real socket."""

from pathlib import Path

import pytest

from tests.central_parts import Clock, Sample, Tus, central

DATA = b"0123456789" * 1000


async def test_options_tells_version_extensions_and_greatest_size(tmp_path: Path) -> None:
    async with central(tmp_path, max_bytes=5000) as store, Tus(store.url) as tus:
        answer = await tus.ask("OPTIONS", "/files/", headers={"Tus-Resumable": "0.2.2"})
    assert answer.status == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,creation-with-upload,expiration,termination"
    assert answer.headers["Tus-Max-Size"] == "5000"


async def test_a_clip_sent_in_two_parts_is_stored_and_receipted_on_the_last(tmp_path: Path) -> None:
    sample = Sample(data=DATA)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        created = await tus.create(sample)
        assert created.status == 201
        location = created.headers["Location"]
        assert location.startswith(store.url)
        first = await tus.patch(location, DATA[:4000], offset=0)
        assert (first.status, first.offset) == (204, 4000)
        assert "Clip-Receipt" not in first.headers
        between = await tus.head(location)
        assert (between.status, between.offset, between.headers["Upload-Length"]) == (200, 4000, "10000")
        assert between.headers["Cache-Control"] == "no-store"
        # An answer without it costs the client its connection.
        assert between.headers["Content-Length"] == "0"
        last = await tus.patch(location, DATA[4000:], offset=4000)
        assert (last.status, last.offset) == (204, 10000)
        after = await tus.head(location)
    assert last.headers["Repr-Digest"].startswith("sha-256=:")
    assert after.headers["Repr-Digest"] == last.headers["Repr-Digest"]
    assert after.headers["Clip-Receipt"] == last.headers["Clip-Receipt"]
    assert "Upload-Expires" not in after.headers


async def test_every_answer_at_files_names_the_protocol_version(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        created = await tus.create(Sample())
        missing = await tus.head("/files/" + "0" * 64)
    assert created.headers["Tus-Resumable"] == "1.0.0"
    assert (missing.status, missing.headers["Tus-Resumable"]) == (404, "1.0.0")


async def test_another_protocol_version_is_412_with_the_versions_spoken(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample())).headers["Location"]
        for method, path in (("POST", "/files/"), ("HEAD", location), ("PATCH", location), ("DELETE", location)):
            answer = await tus.ask(method, path, headers={"Tus-Resumable": "0.2.2"})
            assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")


async def test_a_wrong_offset_is_409_with_the_right_one_and_changes_nothing(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        await tus.patch(location, DATA[:100], offset=0)
        for wrong in (0, 99, 101, 10000):
            answer = await tus.patch(location, b"x", offset=wrong)
            assert answer.status == 409
            assert answer.text == f"Upload-Offset: {wrong}: expected 100\n"
        assert (await tus.head(location)).offset == 100


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"Upload-Offset": "-1"}, 400, "Upload-Offset: '-1'"),
        ({"Upload-Offset": "0x1"}, 400, "Upload-Offset: '0x1'"),
        ({"Upload-Offset": "0", "Content-Type": "text/plain"}, 415, "application/offset+octet-stream"),
        ({"Upload-Offset": "0", "Custody-Leaf": "AB"}, 400, "Custody-Leaf: 'AB': expected 64 lower-case hex digits"),
    ],
)
async def test_a_malformed_patch_is_refused_in_words(
    tmp_path: Path, headers: dict[str, str], status: int, words: str
) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        answer = await tus.patch(location, DATA, offset=0, headers=headers)
        assert (await tus.head(location)).offset == 0
    assert answer.status == status
    assert words in answer.text


async def test_a_patch_without_an_offset_is_400(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        sent = {"Content-Type": "application/offset+octet-stream"}
        answer = await tus.ask("PATCH", location, headers=sent, body=DATA)
    assert (answer.status, answer.text) == (400, "Upload-Offset: (missing): expected where the body goes\n")


async def test_a_length_is_required_and_must_be_digits(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        without = await tus.ask("POST", "/files/", headers={"Upload-Defer-Length": "1"})
        wrong = await tus.create(Sample(), headers={"Upload-Length": "8.0"})
    assert (without.status, without.text[:24]) == (400, "Upload-Length: (missing)")
    assert (wrong.status, wrong.text[:22]) == (400, "Upload-Length: '8.0': ")


async def test_a_clip_over_the_greatest_size_is_413(tmp_path: Path) -> None:
    async with central(tmp_path, max_bytes=9999) as store, Tus(store.url) as tus:
        answer = await tus.create(Sample(data=DATA))
    assert (answer.status, answer.text) == (413, "Upload-Length: 10000: expected at most 9999 bytes\n")


async def test_a_body_longer_than_declared_is_413_and_none_of_it_is_kept(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        announced = await tus.patch(location, DATA + b"!", offset=0)
        assert announced.status == 413

        async def chunked() -> object:
            yield DATA + b"!"

        unannounced = await tus.patch(location, chunked(), offset=0)
        assert unannounced.status == 413
        assert (await tus.head(location)).offset == 0


async def test_creation_with_upload_takes_the_body_and_gives_the_receipt(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        whole = await tus.create(Sample(data=DATA), body=DATA)
        part = await tus.create(Sample(data=DATA[::-1], path=b"B.MP4"), body=DATA[::-1][:10])
        assert (await tus.head(part.headers["Location"])).offset == 10
        sent = {"Content-Type": "text/plain"}
        wrong = await tus.create(Sample(data=b"c", path=b"C.MP4"), body=b"c", headers=sent)
    assert (whole.status, whole.offset) == (201, 10000)
    assert "Clip-Receipt" in whole.headers
    assert (part.status, part.offset) == (201, 10)
    assert wrong.status == 415


async def test_a_lost_201_is_answered_again_with_the_same_location_and_the_bytes_kept(tmp_path: Path) -> None:
    sample = Sample(data=DATA)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        first = await tus.create(sample)
        await tus.patch(first.headers["Location"], DATA[:5000], offset=0)
        again = await tus.create(sample)
        with_body = await tus.create(sample, body=DATA)
        assert (await tus.head(first.headers["Location"])).offset == 5000
    assert (again.status, again.headers["Location"]) == (201, first.headers["Location"])
    assert (again.offset, with_body.offset) == (5000, 5000)


async def test_an_empty_file_is_receipted_on_its_201(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        created = await tus.create(Sample(data=b""))
        after = await tus.head(created.headers["Location"])
    assert created.status == 201
    assert created.headers["Repr-Digest"] == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    assert (after.offset, after.headers["Clip-Receipt"]) == (0, created.headers["Clip-Receipt"])


async def test_an_empty_patch_at_the_final_offset_gives_the_receipt_again(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        sent = await tus.send(Sample(data=DATA))
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        again = await tus.patch(location, b"", offset=10000)
    assert (again.status, again.headers["Clip-Receipt"]) == (204, sent.headers["Clip-Receipt"])


async def test_an_unfinished_upload_can_be_given_up_and_stored_evidence_cannot(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA), body=DATA[:10])).headers["Location"]
        dropped = await tus.ask("DELETE", location)
        gone = await tus.head(location)
        assert (await tus.create(Sample(data=DATA))).offset == 0
        await tus.patch(location, DATA, offset=0)
        kept = await tus.ask("DELETE", location)
        assert (await tus.head(location)).offset == 10000
    assert (dropped.status, gone.status) == (204, 404)
    assert (kept.status, "stored evidence" in kept.text) == (403, True)


async def test_a_client_that_knows_only_post_names_the_method_in_a_header(tmp_path: Path) -> None:
    sample = Sample(data=DATA)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        location = (await tus.create(sample)).headers["Location"]
        sent = {
            "X-HTTP-Method-Override": "PATCH",
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": "0",
        }
        patched = await tus.ask("POST", location, headers=sent, body=DATA)
        wrong = await tus.ask("POST", location, headers={"X-HTTP-Method-Override": "GET"})
    assert (patched.status, patched.offset) == (204, 10000)
    assert wrong.status == 405


async def test_the_upload_expires_after_its_time_and_a_sign_of_life_prolongs_it(tmp_path: Path) -> None:
    clock = Clock()
    sample = Sample(data=DATA)
    async with central(tmp_path, clock=clock, expire_s=3600) as store, Tus(store.url) as tus:
        created = await tus.create(sample, body=DATA[:10])
        location = created.headers["Location"]
        assert created.headers["Upload-Expires"] == "Sun, 01 Mar 2026 13:00:00 GMT"
        clock.advance(minutes=59)
        patched = await tus.patch(location, DATA[10:20], offset=10)
        assert patched.headers["Upload-Expires"] == "Sun, 01 Mar 2026 13:59:00 GMT"
        clock.advance(minutes=60)
        assert (await tus.head(location)).status == 200
        clock.advance(minutes=1)
        assert (await tus.head(location)).status == 410
        assert (await tus.head(location)).status == 404
        assert (await tus.create(sample)).offset == 0


async def test_stored_evidence_never_expires(tmp_path: Path) -> None:
    clock = Clock()
    async with central(tmp_path, clock=clock, expire_s=3600) as store, Tus(store.url) as tus:
        sent = await tus.send(Sample())
        clock.advance(days=4000)
        again = await tus.create(Sample())
        assert (await tus.head(again.headers["Location"])).headers["Clip-Receipt"] == sent.headers["Clip-Receipt"]


async def test_a_start_sweeps_what_has_expired_meanwhile(tmp_path: Path) -> None:
    clock = Clock()
    async with central(tmp_path, clock=clock, expire_s=3600) as store, Tus(store.url) as tus:
        await tus.create(Sample(data=DATA), body=DATA[:10])
    assert len(list((tmp_path / "central/uploads").iterdir())) == 1
    clock.advance(days=1)
    async with central(tmp_path, clock=clock, expire_s=3600):
        assert list((tmp_path / "central/uploads").iterdir()) == []


async def test_the_disk_reserve_is_never_touched(tmp_path: Path) -> None:
    async with central(tmp_path, reserve_bytes=1 << 60) as store, Tus(store.url) as tus:
        answer = await tus.create(Sample(data=DATA))
    assert answer.status == 507
    assert answer.headers["Retry-After"] == "60"
    assert "10000 bytes wanted" in answer.text


async def test_more_bodies_at_once_than_allowed_are_told_to_come_back(tmp_path: Path) -> None:
    async with central(tmp_path, most_writers=0) as store, Tus(store.url) as tus:
        location = (await tus.create(Sample(data=DATA))).headers["Location"]
        answer = await tus.patch(location, DATA, offset=0)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
