"""What the store is told: stable, small, ASCII, and enough to recompute a clip's id."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from dockd.domain.facts import MOST_CHARS, NAMES
from dockd.domain.gaps import MOST_GAPS
from dockd.domain.metadata import (
    MAX_NAME_BESIDE_FACTS_BYTES,
    MAX_NAME_BYTES,
    camera_of,
    camera_text,
    metadata_header,
    metadata_of,
    metadata_sha256,
    name_of,
)
from dockd.domain.model import (
    Camera,
    CameraSerial,
    Clip,
    ClipId,
    ClipKey,
    ClipKind,
    ClipState,
    DockingId,
    Gap,
    Sha256,
    StationId,
    Tag,
    VolumeId,
)
from dockd.errors import InvariantError
from dockd.tus.headers import parse_metadata

HERE = StationId("station-1")
CLIP = Clip(
    key=ClipKey(7),
    docking=DockingId(3),
    camera=Camera(serial=CameraSerial("CAM"), volume=VolumeId("1234-ABCD"), model="m1", firmware="2.0"),
    path=b"DCIM/A.MP4",
    length_bytes=10,
    mtime_ns=5,
    state=ClipState.COPIED,
    kind=ClipKind.VIDEO,
    recording_id="r" * 32,
    tags=frozenset({Tag.HEADER_MISSING, Tag.EMPTY}),
    urgent=True,
    sha256=Sha256("5" * 64),
    clip_id=ClipId("c" * 64),
)
FACTS = {
    "clip_id": "c" * 64,
    "firmware": "2.0",
    "kind": "video",
    "length": "10",
    "marks": "urgent",
    "model": "m1",
    "mtime_ns": "5",
    "name": "RENJTS9BLk1QNA==",
    "recording_id": "r" * 32,
    "serial": "CAM",
    "sha256": "5" * 64,
    "station": "station-1",
    "tags": "empty header-missing",
    "volume": "1234-ABCD",
}


def test_the_facts_are_those_of_the_clip_by_name() -> None:
    assert metadata_of(CLIP, station=HERE) == FACTS
    assert list(metadata_of(CLIP, station=HERE)) == sorted(FACTS)


def test_empty_facts_are_left_out() -> None:
    camera = Camera(serial=CameraSerial("CAM"), volume=VolumeId("V"))
    bare = replace(CLIP, camera=camera, tags=frozenset(), urgent=False, length_bytes=0)
    told = metadata_of(bare, station=HERE)
    assert told.keys() == FACTS.keys() - {"model", "firmware", "tags", "marks"}
    assert told["length"] == "0"


@pytest.mark.parametrize("missing", [{"clip_id": None}, {"sha256": None}])
def test_only_a_copied_clip_has_anything_to_tell(missing: dict[str, None]) -> None:
    with pytest.raises(InvariantError, match="clip 7: metadata asked for in state copied, expected a copied clip"):
        metadata_of(replace(CLIP, **missing), station=HERE)  # type: ignore[arg-type]


@pytest.mark.promise("I10")
def test_what_happens_to_a_clip_here_changes_nothing_of_what_is_told() -> None:
    later = replace(
        CLIP,
        key=ClipKey(99),
        docking=DockingId(8),
        state=ClipState.UPLOADED,
        url="https://s/1",
        spooled=True,
        detail="x",
    )
    assert metadata_of(later, station=HERE) == FACTS


def test_the_header_is_in_one_form_and_a_foreign_reader_reads_it() -> None:
    header = metadata_header({"b": "2", "a": "\u00f6"})
    assert header == "a w7Y=,b Mg=="
    assert parse_metadata(metadata_header(FACTS)) == FACTS


def test_the_digest_is_of_the_header_whatever_the_order_of_the_facts() -> None:
    # printf 'a w7Y=,b Mg==' | openssl dgst -sha256
    digest = "3744f52f45425281eb5517b45ed44250cbdefcaf1f988da5c66e5c51ef460561"
    assert metadata_sha256({"b": "2", "a": "\u00f6"}) == metadata_sha256({"a": "\u00f6", "b": "2"}) == digest
    assert metadata_sha256(FACTS) != metadata_sha256(FACTS | {"marks": ""})


LONGEST = {
    "battery": 3,
    "battery_source": 7,
    "category_source": 7,
    "chapter": 32,
    "counter": 65,
    "profile": 32,
    "recorded": 19,
    "recorded_is": 12,
    "recorded_utc": 55,
    "role": 8,
    "trigger": 7,
}
"""What the widest field, the longest word or name, and any time come to; the others are cut."""


@pytest.mark.promise("I1")
def test_what_a_profile_read_is_told_and_a_receipt_covers_it() -> None:
    read = {
        "battery": "unknown",
        "clock_offset": "none",
        "counter": "100-7",
        "marks": "evidence-button",
        "recorded": "2024-10-27T01:30:00",
        "recorded_is": "twice",
        "recorded_utc": "2024-10-27T00:30:00.000000Z 2024-10-27T01:30:00.000000Z",
        "recorded_zone": "Europe/London",
        "role": "clip",
    }
    told = metadata_of(replace(CLIP, facts=tuple(read.items())), station=HERE)
    assert told == FACTS | read
    assert list(told) == sorted(told)
    # printf 'twice' | base64
    assert "recorded_is dHdpY2U=," in metadata_header(told)
    assert metadata_sha256(told) != metadata_sha256(told | {"recorded_is": "certain"})


@pytest.mark.promise("I10")
def test_nothing_that_a_profile_reads_stands_for_what_names_a_clip() -> None:
    odd = (("clip_id", "0"), ("sha256", "0"), ("station", "0"), ("unreadable", "0"), ("zone", "0"))
    told = metadata_of(replace(CLIP, facts=odd), station=HERE)
    assert told == FACTS | {"zone": "0"}
    assert not set(NAMES) & (FACTS.keys() - {"marks"})


@pytest.mark.parametrize("length", [1, 1280, 1281, MAX_NAME_BYTES, MAX_NAME_BYTES + 1, 100_000])
def test_the_header_stays_small_for_the_longest_names_and_serials(length: int) -> None:
    camera = Camera(
        serial=CameraSerial("\U0001f46e" * 64), volume=VolumeId("v" * 64), model="m" * 64, firmware="f" * 64
    )
    gaps = tuple(Gap(offset_bytes=10**12 + number, length_bytes=10**9) for number in range(MOST_GAPS))
    long = replace(CLIP, path=b"\xff" * length, camera=camera, tags=frozenset(Tag), length_bytes=2**63 - 1, gaps=gaps)
    told = metadata_of(long, station=StationId("s" * 64))
    assert len(metadata_header(told)) < 6 * 1024
    assert told.get("name_cut", "") == ("yes" if length > MAX_NAME_BYTES else "")

    facts = tuple((name, "x" * LONGEST.get(name, MOST_CHARS)) for name in NAMES)
    told = metadata_of(replace(long, facts=facts), station=StationId("s" * 64))
    assert len(metadata_header(told)) < 6 * 1024
    assert told.get("name_cut", "") == ("yes" if length > MAX_NAME_BESIDE_FACTS_BYTES else "")


def test_a_name_too_long_keeps_its_end() -> None:
    told = metadata_of(replace(CLIP, path=b"x" * 5000 + b"/CLIP.MP4"), station=HERE)
    assert name_of(told) == (b"x" * 5000 + b"/CLIP.MP4")[-2048:]


@given(st.binary(min_size=1, max_size=300))
def test_a_raw_name_is_given_back_as_it_was(path: bytes) -> None:
    told = metadata_of(replace(CLIP, path=path), station=HERE)
    assert all(value.isascii() and value.isprintable() for value in told.values())
    assert name_of(parse_metadata(metadata_header(told))) == path


ODD = st.text(max_size=30) | st.binary(max_size=30).map(lambda data: data.decode("utf-8", "surrogateescape"))


@pytest.mark.promise("I10")
@given(ODD, ODD)
def test_odd_serials_and_volumes_are_given_back_as_they_were(serial: str, volume: str) -> None:
    camera = Camera(serial=CameraSerial("S" + serial), volume=VolumeId("V" + volume))
    told = parse_metadata(metadata_header(metadata_of(replace(CLIP, camera=camera), station=HERE)))
    assert told["serial"].isascii()
    assert camera_of(told) == camera


def test_a_backslash_in_a_serial_is_a_backslash() -> None:
    camera = Camera(serial=CameraSerial("a\\x41\n"), volume=VolumeId("\\"))
    told = metadata_of(replace(CLIP, camera=camera), station=HERE)
    assert (told["serial"], told["volume"]) == ("a\\\\x41\\n", "\\\\")
    assert camera_text("\\\\x41") == "\\x41"


@pytest.mark.parametrize("told", [{}, {"name": "a"}, {"name": "YQ==!"}, {"name": "\u00f6"}])
def test_a_name_that_cannot_be_read_is_an_error(told: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        name_of(told)


def test_a_camera_without_its_serial_is_an_error() -> None:
    with pytest.raises(KeyError, match="serial"):
        camera_of({"volume": "V"})


def test_the_store_is_told_what_could_not_be_read_of_a_salvaged_clip() -> None:
    gaps = (Gap(offset_bytes=0, length_bytes=4096), Gap(offset_bytes=65536, length_bytes=512))
    salvaged = replace(CLIP, tags=frozenset({Tag.SALVAGED}), gaps=gaps)
    told = metadata_of(salvaged, station=HERE)
    assert (told["tags"], told["unreadable"]) == ("salvaged", "0+4096 65536+512")
    assert "unreadable" not in metadata_of(CLIP, station=HERE)
