"""Identities and spellings: clip ids, canonical JSON, base64url, lengths before parts, and times as text."""

from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from hypothesis import given, strategies as st

from dockd.domain.canonical import b64url, b64url_decode, canonical_json, length_prefixed, sha256_hex
from dockd.domain.model import Camera, CameraSerial, Sha256, VolumeId, clip_id_of, identity_prefix
from dockd.domain.moment import seconds_before, utc_text

CAMERA = Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL"))
SHA = Sha256("5" * 64)


def clip_id(
    *, serial: str = "CAM", volume: str = "VOL", path: bytes = b"A", length: int = 10, digest: str = SHA
) -> str:
    camera = Camera(serial=CameraSerial(serial), volume=VolumeId(volume))
    return clip_id_of(camera=camera, path=path, length_bytes=length, sha256=Sha256(digest))


@pytest.mark.promise("I10")
def test_a_clip_id_is_the_hash_of_its_length_prefixed_identity() -> None:
    parts = [b"dockd clip 1", b"CAM", b"VOL", b"A", b"10", bytes.fromhex(SHA)]
    by_hand = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    assert clip_id() == sha256(by_hand).hexdigest()


@pytest.mark.promise("I10")
def test_each_part_of_an_identity_counts() -> None:
    ids = {
        clip_id(),
        clip_id(serial="CAM2"),
        clip_id(volume="VOL2"),
        clip_id(path=b"B"),
        clip_id(length=11),
        clip_id(digest="6" * 64),
    }
    assert len(ids) == 6


@pytest.mark.promise("I10")
def test_no_byte_can_be_shifted_from_one_part_of_an_identity_to_the_next() -> None:
    assert clip_id(serial="AB", volume="C") != clip_id(serial="A", volume="BC")
    assert clip_id(volume="C", path=b"DE") != clip_id(volume="CD", path=b"E")
    assert clip_id(path=b"A1", length=0) != clip_id(path=b"A", length=10)


@pytest.mark.promise("I10")
def test_what_a_camera_claims_of_its_model_is_no_part_of_an_identity() -> None:
    claims = Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL"), model="m", firmware="9")
    assert clip_id_of(camera=claims, path=b"A", length_bytes=10, sha256=SHA) == clip_id()


def test_a_serial_that_is_no_text_has_an_identity_all_the_same() -> None:
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert clip_id(serial=odd) != clip_id(serial="\u00ff\u00fe")
    assert identity_prefix(camera=CAMERA, path=b"\xff\n", length_bytes=0).endswith(
        b"\x00\x02\xff\n" + bytes(7) + b"\x010"
    )


@given(st.lists(st.binary(max_size=8), max_size=5), st.lists(st.binary(max_size=8), max_size=5))
def test_two_lists_of_parts_never_give_the_same_bytes(one: list[bytes], other: list[bytes]) -> None:
    assert (length_prefixed(*one) == length_prefixed(*other)) == (one == other)


def test_canonical_json_is_sorted_tight_and_ascii() -> None:
    assert canonical_json({"b": 1, "a": "\u00f6\n", "c": {"z": None, "y": 2}}) == (
        b'{"a":"\\u00f6\\n","b":1,"c":{"y":2,"z":null}}'
    )


@given(st.binary())
def test_base64url_is_read_back_as_it_was_written(data: bytes) -> None:
    assert b64url_decode(b64url(data)) == data
    assert "=" not in b64url(data)


@pytest.mark.parametrize(
    "text", ["YQ==", "YQ=", "YR", "Y", "Y Q", "Y\nQ", "Y+Q", "Y/Q", "\u0666Q", "YQ\x00", "====", "Y.Q"]
)
def test_every_other_spelling_of_base64url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        b64url_decode(text)


def test_sha256_is_lower_case_hex() -> None:
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_times_are_written_so_that_text_order_is_time_order() -> None:
    moment = datetime(2024, 3, 1, 7, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    assert utc_text(moment) == "2024-03-01T06:00:00.000005Z"
    assert utc_text(datetime(2024, 3, 1, tzinfo=UTC)) == "2024-03-01T00:00:00.000000Z"


def test_a_time_before_another_crosses_days_and_leap_days() -> None:
    assert seconds_before("2024-03-01T00:00:00.000000Z", 1.5) == "2024-02-29T23:59:58.500000Z"
    assert seconds_before("1970-01-01T00:00:00.000000Z", 0) == "1970-01-01T00:00:00.000000Z"
