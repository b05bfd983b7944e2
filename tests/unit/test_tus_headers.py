"""Header values are read strictly, and a wrong one is refused with its name, its value and the expectation."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from dockd.tus.headers import (
    HeaderError,
    parse_count,
    parse_http_date,
    parse_metadata,
    parse_repr_digest,
    parse_retry_after,
    repr_digest,
)

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
EMPTY_DIGEST = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
NOON_UTC = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("7", 7), ("007", 7), ("5368709120", 5_368_709_120), ("9223372036854775807", 2**63 - 1)],
)
def test_a_count_is_ascii_digits(text: str, count: int) -> None:
    assert parse_count("Upload-Offset", text) == count


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1 ", "1_0", "1.0", "0x10", "١٢", "9223372036854775808", "1" * 5000, "12\n"]
)
def test_anything_else_is_no_count(text: str) -> None:
    with pytest.raises(HeaderError, match=r"^Upload-Length: "):
        parse_count("Upload-Length", text)


def test_a_refusal_names_the_field_the_value_and_the_expectation() -> None:
    with pytest.raises(HeaderError) as caught:
        parse_count("Upload-Offset", "-4")
    expected = "a whole number of bytes from 0 to 9223372036854775807 in ASCII digits"
    assert str(caught.value) == f"Upload-Offset: '-4': expected {expected}"
    assert (caught.value.name, caught.value.value, caught.value.expected) == ("Upload-Offset", "-4", expected)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(HeaderError, match=r"x{60}\.\.\.': expected"):
        parse_count("Upload-Offset", "x" * 8000)


@pytest.mark.parametrize(
    ("header", "metadata"),
    [
        ("", {}),
        ("  ", {}),
        ("name aGVsbG8=", {"name": "hello"}),
        ("name aGVsbG8=,kind dmlkZW8=", {"name": "hello", "kind": "video"}),
        ("name aGVsbG8= , kind dmlkZW8=", {"name": "hello", "kind": "video"}),
        ("is_confidential,name aGVsbG8=", {"is_confidential": "", "name": "hello"}),
        ("is_confidential ,name aGVsbG8=", {"is_confidential": "", "name": "hello"}),
        ("name 8J+OpQ==", {"name": "\N{MOVIE CAMERA}"}),
        ("a.b-c/d=e 8J+OpQ==", {"a.b-c/d=e": "\N{MOVIE CAMERA}"}),
    ],
)
def test_metadata_is_pairs_of_key_and_base64(header: str, metadata: dict[str, str]) -> None:
    assert parse_metadata(header) == metadata


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("name aGVsbG8=,", "with a key"),
        (",name aGVsbG8=", "with a key"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE} aGVsbG8=", "with a key"),
        ("na\tme aGVsbG8=", "with a key"),
        ("name aGVsbG8=,name aGVsbG8=", "each key once"),
        ("name hello", "base64 with padding"),
        ("name aGVsbG8", "base64 with padding"),
        ("name aGVsbG9=", "base64 with padding"),
        ("name aGVs bG8=", "base64 with padding"),
        ("name  aGVsbG8=", "base64 with padding"),
        ("name aGVsbG8-", "base64 with padding"),
        ("name \N{LATIN SMALL LETTER E WITH ACUTE}", "base64 with padding"),
        ("name /w==", "base64 of UTF-8 text"),
    ],
)
def test_odd_metadata_is_refused(header: str, expected: str) -> None:
    with pytest.raises(HeaderError, match=expected) as caught:
        parse_metadata(header)
    assert caught.value.name == "Upload-Metadata"


def test_a_digest_is_written_as_a_structured_field() -> None:
    assert repr_digest(EMPTY_SHA256) == EMPTY_DIGEST


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_survives_the_wire(digest: bytes) -> None:
    assert parse_repr_digest(repr_digest(digest.hex())) == digest.hex()


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (EMPTY_DIGEST, EMPTY_SHA256),
        (f"sha-512=:YWJj:, {EMPTY_DIGEST}", EMPTY_SHA256),
        (f"{EMPTY_DIGEST};q=1;x=y,\tmd5=:YWJj:", EMPTY_SHA256),
        (f"sha-256=:YWJj:,{EMPTY_DIGEST}", EMPTY_SHA256),
        ("md5=:YWJj:", None),
    ],
)
def test_of_several_digests_sha256_is_taken(text: str, digest: str | None) -> None:
    assert parse_repr_digest(text) == digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "members like"),
        ("sha-256", "members like"),
        ("sha-256=47DEQpj8HBSa", "members like"),
        (f"{EMPTY_DIGEST},", "members like"),
        (f"SHA-256{EMPTY_DIGEST[7:]}", "members like"),
        ("sha-256=:YWJj:", "of 32 bytes"),
        ("sha-256=:=:", "of 32 bytes"),
        (f"{EMPTY_DIGEST},sha-256=:YWJj:", "of 32 bytes"),
    ],
)
def test_a_malformed_digest_is_refused(text: str, expected: str) -> None:
    with pytest.raises(HeaderError, match=expected):
        parse_repr_digest(text)


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("-5", 0.0),
        ("86400", 3600.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30.0),
        ("Sun Mar  1 12:00:30 2026", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2099 12:00:00 GMT", 3600.0),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("Sun, 31 Feb 2026 12:00:00 GMT", None),
        ("Sun, 01 Foo 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_an_hour(text: str, wait_s: float | None) -> None:
    assert parse_retry_after(text, now_utc=NOON_UTC) == wait_s


def test_a_date_says_nothing_without_a_clock_to_measure_from() -> None:
    assert parse_retry_after("Sun, 01 Mar 2026 12:00:30 GMT", now_utc=None) is None
    assert parse_retry_after("30", now_utc=None) == 30.0


@pytest.mark.parametrize(
    ("text", "when_utc"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sun Nov  6 08:49:37 1994", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        ("Sat, 31 Dec 2016 23:59:60 GMT", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_every_form_of_an_http_date_is_read(text: str, when_utc: datetime) -> None:
    assert parse_http_date(text) == when_utc
