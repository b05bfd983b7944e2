"""The header fields of tus and of receipts against anything: what is written is read back, and odd ones are refused."""

import base64
from datetime import UTC, datetime

from hypothesis import given, settings, strategies as st

from dockd.central.declaration import DeclarationError, declare, parse_leaf
from dockd.domain.metadata import metadata_header
from dockd.tus.answer import At, Created, read_creation, read_patch, read_status, resolve
from dockd.tus.headers import (
    MAX_COUNT,
    MAX_RETRY_AFTER_S,
    HeaderError,
    parse_count,
    parse_http_date,
    parse_metadata,
    parse_repr_digest,
    parse_retry_after,
    repr_digest,
)
from dockd.tus.message import Response

ENDPOINT = "https://store.example:8443/files/"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
PIECES = [
    "0", "17", "-1", "+1", "1e3", " 1", "1 ",
    "\u0661", "9" * 19, "9" * 30, "1.0", "", ",", ";", "=", ":", " ", "key", "dg==",
    "sha-256=:", "YQ==", ":", "md5=:", "Sun, 01 Mar 2026 12:00:00 GMT", "Sunday, 01-Mar-26 12:00:00 GMT",
    "Sun Mar  1 12:00:00 2026", "31", "Feb", "99", "25:61:61", "GMT", "https://", "http://", "store.example", ":8443",
    ":99999",
    "[::1]", "[", "@", "//evil.example/", "/files/", "..", "%2e", "\\", "\t", "\r\n", "\x00", "\ud800", "#", "?",
    "javascript:",
]  # fmt: skip
values = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text(max_size=40)
keys = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1, max_size=12)
MANY = settings(max_examples=200)


def in_words(error: HeaderError | DeclarationError) -> None:
    """See a refusal said in one line that steers no terminal."""
    assert str(error).isprintable()


@MANY
@given(values)
def test_a_count_is_a_number_in_range_or_refused(text: str) -> None:
    try:
        count = parse_count("Upload-Offset", text)
    except HeaderError as error:
        in_words(error)
        return
    assert 0 <= count <= MAX_COUNT
    assert text.isascii()
    assert text.isdigit()


@MANY
@given(st.dictionaries(keys, st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=6))
def test_metadata_is_read_back_as_it_was_written(metadata: dict[str, str]) -> None:
    assert parse_metadata(metadata_header(metadata)) == metadata


@MANY
@given(values | st.lists(st.tuples(keys, st.binary(max_size=8)), max_size=4).map(
    lambda pairs: ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in pairs)))  # fmt: skip
def test_any_metadata_is_read_or_refused_and_what_is_read_can_be_written(text: str) -> None:
    try:
        metadata = parse_metadata(text)
    except HeaderError as error:
        in_words(error)
        return
    assert parse_metadata(metadata_header(metadata)) == metadata


@MANY
@given(st.dictionaries(
    st.sampled_from(["clip_id", "station", "serial", "volume", "sha256", "length", "name", "name_cut", "kind"]),
    values | st.sampled_from(["0" * 64, "10", "yes", "QQ==", "\\x", "\\ud800", "\\N{DIGIT ONE}", "\\"]),
), st.integers(0, 99))  # fmt: skip
def test_any_declaration_is_taken_or_refused_by_its_key(metadata: dict[str, str], length_bytes: int) -> None:
    try:
        declared = declare(metadata, upload_length_bytes=length_bytes)
    except DeclarationError as error:
        in_words(error)
        return
    assert declared.length_bytes == length_bytes


@MANY
@given(values)
def test_a_leaf_is_one_or_refused(text: str) -> None:
    try:
        assert parse_leaf(text) == text
    except DeclarationError as error:
        in_words(error)


@MANY
@given(st.binary(min_size=32, max_size=32), values)
def test_a_digest_is_read_back_and_any_other_text_is_none_or_refused(digest: bytes, text: str) -> None:
    assert parse_repr_digest(repr_digest(digest.hex())) == digest.hex()
    try:
        found = parse_repr_digest(text)
    except HeaderError as error:
        in_words(error)
        return
    assert found is None or len(bytes.fromhex(found)) == 32


@MANY
@given(values, st.sampled_from([None, NOW]))
def test_no_store_makes_us_wait_longer_than_an_hour_or_less_than_nothing(text: str, now_utc: datetime | None) -> None:
    wait_s = parse_retry_after(text, now_utc=now_utc)
    assert wait_s is None or 0.0 <= wait_s <= MAX_RETRY_AFTER_S
    when_utc = parse_http_date(text)
    assert when_utc is None or when_utc.tzinfo is UTC


@MANY
@given(values)
def test_a_location_is_at_the_store_or_refused(text: str) -> None:
    """I14: whatever it says, footage goes to the store's own scheme, host and port."""
    try:
        url = resolve(text, endpoint=ENDPOINT)
    except HeaderError as error:
        in_words(error)
        return
    assert url.startswith("https://store.example:8443/")
    assert url.isascii()
    assert url.isprintable()
    assert " " not in url


@MANY
@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["tus-resumable", "upload-offset", "upload-length", "location", "clip-receipt", "retry-after",
                         "content-type", "repr-digest", "date", "upload-metadata"]),
        values | st.sampled_from(["1.0.0", "7", "/files/1"])),
    st.binary(max_size=30),
)  # fmt: skip
def test_any_answer_means_something_and_no_success_without_its_headers(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    response = Response(status=status, headers=headers, body=body)
    created = read_creation(response, endpoint=ENDPOINT)
    if isinstance(created, Created):
        assert (status, headers["tus-resumable"]) == (201, "1.0.0")
    for read in (read_status, read_patch):
        at = read(response, length_bytes=7)
        if isinstance(at, At):
            assert headers["tus-resumable"] == "1.0.0"
            assert 0 <= at.offset_bytes <= 7
    for answer in (created, read_status(response, length_bytes=7), read_patch(response, length_bytes=7)):
        assert getattr(answer, "detail", "").isprintable()
