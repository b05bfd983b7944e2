"""Root's helper: what it takes for a request, and for a filesystem."""

import errno
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dockd.helper.request import Request, request_of
from dockd.helper.volume import filesystem_of, options_of
from tests.exfat_images import Exfat
from tests.fat_images import Fat

HELPER = Path(__file__).parent.parent.parent / "dockd" / "helper"


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        (b'{"do": "mount", "bay": 1}', Request(do="mount", bay=1)),
        (b'{"bay": 999, "do": "writable"}', Request(do="writable", bay=999)),
        (b'{"do": "device", "bay": 34}', Request(do="device", bay=34)),
        (b'{"do": "power", "bay": 2}', Request(do="power", bay=2)),
        (b'{"do": "power", "bay": 2, "on": false}', Request(do="power", bay=2, on=False)),
        (
            b'{"do": "authorise", "bay": 3, "vendor": "2672", "product": "00af"}',
            Request(do="authorise", bay=3, vendor="2672", product="00af"),
        ),
    ],
)
def test_a_verb_with_what_belongs_to_it_is_a_request(message: bytes, request_: Request) -> None:
    assert request_of(message) == request_


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"[]",
        b'"mount"',
        b"{}",
        b'{"do": "mount"}',
        b'{"bay": 1}',
        b'{"do": "umount", "bay": 1}',
        b'{"do": ["mount"], "bay": 1}',
        b'{"do": "mount", "bay": 0}',
        b'{"do": "mount", "bay": -1}',
        b'{"do": "mount", "bay": 1000}',
        b'{"do": "mount", "bay": true}',
        b'{"do": "mount", "bay": 1.0}',
        b'{"do": "mount", "bay": "1"}',
        b'{"do": "mount", "bay": "../../etc"}',
        b'{"do": "mount", "bay": 1, "options": "suid"}',
        b'{"do": "mount", "bay": 1, "on": true}',
        b'{"do": "mount", "bay": 1, "vendor": "2672", "product": "0049"}',
        b'{"do": "power", "bay": 1, "on": 1}',
        b'{"do": "power", "bay": 1, "on": null}',
        b'{"do": "power", "bay": 1, "on": true, "port": "1"}',
        b'{"do": "authorise", "bay": 1}',
        b'{"do": "authorise", "bay": 1, "vendor": "2672"}',
        b'{"do": "authorise", "bay": 1, "vendor": "2672", "product": "0049", "serial": "x"}',
        b'{"do": "authorise", "bay": 1, "vendor": "267", "product": "0049"}',
        b'{"do": "authorise", "bay": 1, "vendor": "267A", "product": "0049"}',
        b'{"do": "authorise", "bay": 1, "vendor": "2672\\n", "product": "0049"}',
        '{"do": "authorise", "bay": 1, "vendor": "267٢", "product": "0049"}'.encode(),
        b'{"do": "authorise", "bay": 1, "vendor": 2672, "product": "0049"}',
        b'{"do": "mount", "bay": 1}{"do": "mount", "bay": 1}',
        b'{"do": "mount", "bay": NaN}',
        '{"do": "mount", "bay": 1}'.encode("utf-16"),
        b"\xff\xfe",
        b"[" * 4096,
        b'{"do":' * 600,
        b'{"do": "mount", "bay": 1' + b" " * 4096 + b"}",
    ],
)
def test_anything_else_is_refused_as_no_request(message: bytes) -> None:
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        request_of(message)
    assert refused.value.errno == errno.EBADMSG


WORDS = st.sampled_from(["authorise", "mount", "writable", "device", "power", "umount", "2672", "0049", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 1001) | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["do", "bay", "vendor", "product", "on", "serial", "say"])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(message: bytes) -> None:
    _holds(message)


@given(st.dictionaries(FIELDS, VALUES, max_size=6))
def test_any_object_is_a_request_or_refused(fields: dict[str, object]) -> None:
    _holds(json.dumps(fields).encode())


def _holds(message: bytes) -> None:
    request = None
    with suppress(OSError):
        request = request_of(message)
    if request is None:
        return
    assert request.do in {"authorise", "mount", "writable", "device", "power"}
    assert type(request.bay) is int
    assert 1 <= request.bay <= 999
    said = json.loads(message)
    assert set(said) == {"do", "bay"} | ({"vendor", "product"} if request.do == "authorise" else set(said) & {"on"})
    assert request.do != "authorise" or int(request.vendor, 16) * int(request.product, 16) >= 0
    assert request.on is None or request.do == "power"


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_a_fat_is_vfat_by_its_first_sector(bits: int) -> None:
    clusters = {12: 100, 16: 5000, 32: 70_000}[bits]
    assert filesystem_of(Fat(bits, clusters=clusters).disk.read(0, 512)) == "vfat"


def test_an_exfat_is_exfat_by_its_first_sector() -> None:
    assert filesystem_of(Exfat(clusters=100).disk.read(0, 512)) == "exfat"


def spoilt(sector: bytes, at: int, value: bytes) -> bytes:
    return sector[:at] + value + sector[at + len(value) :]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (510, b"\0\0"),  # no signature
        (0, b"\0"),  # no jump
        (2, b"\0"),  # half a jump
        (11, b"\0\1"),  # sectors of 256 bytes
        (11, b"\0\x20"),  # ... of 8192
        (13, b"\3"),  # clusters of 3 sectors
        (13, b"\0"),
        (14, b"\0\0"),  # no reserved sector
        (16, b"\0"),  # no table
        (16, b"\3"),
        (21, b"\xf1"),  # no medium
    ],
)
def test_a_first_sector_that_no_fat_has_is_not_mounted(at: int, value: bytes) -> None:
    assert filesystem_of(spoilt(Fat(16, clusters=5000).disk.read(0, 512), at, value)) is None


@pytest.mark.parametrize(
    "sector",
    [
        b"",
        bytes(512),
        bytes(510) + b"\x55\xaa",  # a table of partitions
        (b"\xeb\x52\x90NTFS    " + b"\0\2\x08\0\0\0\0\0\0\0\xf8").ljust(510, b"\0") + b"\x55\xaa",
        Fat(16, clusters=5000).disk.read(0, 511),
        spoilt(Exfat(clusters=100).disk.read(0, 512), 20, b"\1"),
        spoilt(Exfat(clusters=100).disk.read(0, 512), 108, b"\x08"),
        spoilt(Exfat(clusters=100).disk.read(0, 512), 108, b"\x0d"),
    ],
)
def test_what_is_neither_is_not_mounted(sector: bytes) -> None:
    assert filesystem_of(sector) is None


def test_a_card_belongs_to_who_asked_and_to_nobody_else() -> None:
    shared = {"uid": "990", "gid": "991", "umask": "077"}
    assert options_of("vfat", uid=990, gid=991) == {**shared, "utf8": "1", "tz": "UTC"}
    assert options_of("exfat", uid=990, gid=991) == {**shared, "iocharset": "utf8"}


def test_the_program_that_is_root_can_be_read_in_one_sitting() -> None:
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in HELPER.glob("*.py")) < 400
