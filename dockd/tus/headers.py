"""The header fields of tus 1.0.0 and of receipts: their names, and one strict reading and writing of each value.

Owns spelling only. Must not know requests, uploads or clips, nor what a value is good for.
"""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta

TUS_VERSION = "1.0.0"
OFFSET_CONTENT_TYPE = "application/offset+octet-stream"

TUS_RESUMABLE = "Tus-Resumable"
TUS_VERSIONS = "Tus-Version"
TUS_EXTENSION = "Tus-Extension"
TUS_MAX_SIZE = "Tus-Max-Size"
UPLOAD_OFFSET = "Upload-Offset"
UPLOAD_LENGTH = "Upload-Length"
UPLOAD_DEFER_LENGTH = "Upload-Defer-Length"
UPLOAD_METADATA = "Upload-Metadata"
UPLOAD_EXPIRES = "Upload-Expires"
CLIP_RECEIPT = "Clip-Receipt"
CUSTODY_LEAF = "Custody-Leaf"
REPR_DIGEST = "Repr-Digest"
WANT_REPR_DIGEST = "Want-Repr-Digest"
CONTENT_TYPE = "Content-Type"
CONTENT_LENGTH = "Content-Length"
LOCATION = "Location"
RETRY_AFTER = "Retry-After"
DATE = "Date"

MAX_COUNT = 2**63 - 1
"""The greatest length or offset: what a file offset of the operating system can hold."""
MAX_RETRY_AFTER_S = 3600.0
"""No answer makes us wait longer than this: a typing error at the store must not cost a night."""

_SHOWN_CHARS = 60
_SHA256_BYTES = 32
_YOUNG_CENTURY_YEARS = 50
_COUNT = re.compile(r"[0-9]{1,19}")
_METADATA_KEY = re.compile(r"[!-+\--~]+")
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):(?:;[^,]*)?")
_DELAY = re.compile(r"(-?)([0-9]{1,19})")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_HTTP_DATES = (
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) (?P<month>[A-Z][a-z]{{2}}) (?P<year>[0-9]{{4}}) {_CLOCK} GMT"),
    re.compile(rf"[A-Z][a-z]+, (?P<day>[0-9]{{2}})-(?P<month>[A-Z][a-z]{{2}})-(?P<year>[0-9]{{2}}) {_CLOCK} GMT"),
    re.compile(rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ 0-9][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})"),
)


class HeaderError(ValueError):
    """A header value that is not what its specification says; names the field, the value and the expectation."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        """Build the message; a long value is cut."""
        shown = value if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]}..."
        super().__init__(f"{name}: {shown!r}: expected {expected}")
        self.name = name
        self.value = value
        self.expected = expected


def parse_count(name: str, text: str) -> int:
    """Read a number of bytes, as in Upload-Length and Upload-Offset: ASCII digits, at most 2**63 - 1.

    Raises:
        HeaderError: a sign, a space, another alphabet's digits, or too great a number.

    Source: tus 1.0.0, Upload-Offset and Upload-Length ("non-negative integer").

    """
    if not _COUNT.fullmatch(text) or int(text) > MAX_COUNT:
        raise HeaderError(name, text, f"a whole number of bytes from 0 to {MAX_COUNT} in ASCII digits")
    return int(text)


def parse_metadata(header: str) -> dict[str, str]:
    """Read Upload-Metadata: keys to decoded text, in the order sent. An empty header is no metadata.

    Spaces around a comma are allowed, as in any HTTP list: a proxy that joins two fields writes them.

    Raises:
        HeaderError: a key that is empty, doubled or not ASCII, or a value that is not base64 of UTF-8.

    Source: tus 1.0.0, Creation, Upload-Metadata.

    """
    metadata: dict[str, str] = {}
    if not header.strip(" "):
        return metadata
    for pair in header.split(","):
        key, _, encoded = pair.strip(" ").partition(" ")
        if not _METADATA_KEY.fullmatch(key):
            raise HeaderError(UPLOAD_METADATA, pair, "'key base64' with a key of ASCII without space or comma")
        if key in metadata:
            raise HeaderError(UPLOAD_METADATA, key, "each key once")
        metadata[key] = _metadata_value(key, encoded)
    return metadata


def repr_digest(sha256_hex: str) -> str:
    """Write Repr-Digest of a whole file from its SHA-256 in hex.

    Source: RFC 9530 section 3, RFC 8941 section 4.1.8.
    """
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256_hex)).decode('ascii')}:"


def parse_repr_digest(text: str) -> str | None:
    """Read the sha-256 of Repr-Digest as 64 hex digits; None if only other algorithms are there.

    Raises:
        HeaderError: not a dictionary of byte sequences, or a sha-256 that is not 32 bytes.

    Source: RFC 9530 section 3; RFC 8941 section 3.2 (of a doubled key the last one counts).

    """
    found: str | None = None
    for part in text.split(","):
        member = _MEMBER.fullmatch(part.strip(" \t"))
        if member is None:
            raise HeaderError(REPR_DIGEST, text, "members like 'sha-256=:<base64>:'")
        if member[1] == "sha-256":
            found = member[2]
    if found is None:
        return None
    digest = _base64(found)
    if digest is None or len(digest) != _SHA256_BYTES:
        raise HeaderError(REPR_DIGEST, text, f"a sha-256 of {_SHA256_BYTES} bytes in base64")
    return digest.hex()


def parse_retry_after(text: str, *, now_utc: datetime | None) -> float | None:
    """Read Retry-After as seconds from now, 0 to MAX_RETRY_AFTER_S; None if it says nothing we understand.

    `now_utc` is what a date is measured from: the answer's own `Date` is better than a station's clock, and None (no
    clock to trust) makes a date say nothing.

    Source: RFC 9110 section 10.2.3.
    """
    delay = _DELAY.fullmatch(text.strip())
    if delay is not None:
        wanted_s = -float(delay[2]) if delay[1] else float(delay[2])
        return min(max(wanted_s, 0.0), MAX_RETRY_AFTER_S)
    when_utc = parse_http_date(text)
    if when_utc is None or now_utc is None:
        return None
    return min(max((when_utc - now_utc) / timedelta(seconds=1), 0.0), MAX_RETRY_AFTER_S)


def parse_http_date(text: str) -> datetime | None:
    """Read an HTTP date in any of its three forms as an aware UTC time; None if it is none of them.

    A year of two digits is taken to be of the years 1950 to 2049.

    Source: RFC 9110 section 5.6.7.
    """
    match = next(filter(None, (form.fullmatch(text.strip()) for form in _HTTP_DATES)), None)
    if match is None or match["month"] not in _MONTHS:
        return None
    year = int(match["year"])
    if len(match["year"]) == len("94"):
        year += 2000 if year < _YOUNG_CENTURY_YEARS else 1900
    day, hour, minute, second = (int(match[name]) for name in ("day", "hour", "minute", "second"))
    try:
        return datetime(year, _MONTHS.index(match["month"]) + 1, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None


def _metadata_value(key: str, encoded: str) -> str:
    data = _base64(encoded)
    if data is None:
        raise HeaderError(UPLOAD_METADATA, f"{key} {encoded}", "base64 with padding after the key")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise HeaderError(UPLOAD_METADATA, f"{key} {encoded}", "base64 of UTF-8 text") from None


def _base64(text: str) -> bytes | None:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    # Stray low bits and surplus padding decode to the same bytes: only the spelling an encoder writes is accepted.
    return data if base64.b64encode(data).decode("ascii") == text else None
