import random
import struct
from collections.abc import Callable
from importlib import resources

import pytest

from dockd.domain.container import MOST_BOXES, has_header


def over(data: bytes) -> Callable[[int, int], bytes]:
    def read_at(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return read_at


def headed(data: bytes) -> bool:
    return has_header(over(data), len(data))


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


def element(name: bytes, body: bytes) -> bytes:
    return name + struct.pack(">Q", len(body) | 1 << 56) + body


FTYP = bytes.fromhex("00000018 66747970 69736f6d 00000200 69736f6d 6d703431")
MOOV = box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", bytes(20)))
MDAT = box(b"mdat", b"footage" * 50)

EBML = element(b"\x1a\x45\xdf\xa3", bytes(20))
SEGMENT = b"\x18\x53\x80\x67"
UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"
INFO = element(b"\x15\x49\xa9\x66", bytes(8))
TRACKS = element(b"\x16\x54\xae\x6b", bytes(30))
CLUSTER = element(b"\x1f\x43\xb6\x75", bytes(60))

AVI = b"RIFF\x00\x00\x00\x00AVI LIST" + struct.pack("<I", 68) + b"hdrlavih" + struct.pack("<I", 56) + bytes(56)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(FTYP + MOOV + MDAT, id="mp4-header-first"),
        pytest.param(FTYP + box(b"free", b"") + MDAT + MOOV, id="mp4-header-last"),
        pytest.param(FTYP + struct.pack(">I4sQ", 1, b"mdat", 116) + bytes(100) + MOOV, id="mp4-64-bit-size"),
        pytest.param(FTYP + struct.pack(">I4s", 0, b"moov") + box(b"mvhd", bytes(100)), id="mp4-header-to-the-end"),
        pytest.param(box(b"wide", b"") + MDAT + MOOV, id="mov-without-ftyp"),
        pytest.param(MDAT + box(b"moov", box(b"cmov", bytes(9))), id="mov-compressed-header"),
        pytest.param(FTYP + MOOV + MDAT[:40], id="mp4-footage-cut-short-behind-its-header"),
        pytest.param(EBML + element(SEGMENT, INFO + TRACKS + CLUSTER), id="mkv"),
        pytest.param(EBML + SEGMENT + UNKNOWN_SIZE + INFO + TRACKS + CLUSTER[:20], id="mkv-live-cut-short"),
        pytest.param(EBML + element(SEGMENT, INFO + TRACKS + CLUSTER)[:-50], id="mkv-segment-longer-than-the-file"),
        pytest.param(EBML + element(SEGMENT, CLUSTER + TRACKS), id="mkv-tracks-behind-a-cluster"),
        pytest.param(AVI + b"LIST\x00\x00\x00\x00movi", id="avi-never-finished"),
    ],
)
def test_a_container_with_its_header_has_it(data: bytes) -> None:
    assert headed(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(FTYP + MDAT, id="mp4-power-lost-before-the-header"),
        pytest.param(FTYP + struct.pack(">I4s", 0, b"mdat") + bytes(99), id="mp4-footage-to-the-end"),
        pytest.param(FTYP + struct.pack(">I4s", 500, b"mdat") + bytes(99), id="mp4-footage-cut-short"),
        pytest.param(FTYP + MDAT + MOOV[:-1], id="mp4-header-cut-short"),
        pytest.param(FTYP + MDAT + box(b"moov", bytes(200)), id="mp4-header-set-aside-and-never-filled"),
        pytest.param(FTYP + MDAT + bytes(4096), id="mp4-zeros-behind-the-footage"),
        pytest.param(FTYP + struct.pack(">I4s", 7, b"mdat") + MOOV, id="mp4-size-that-makes-no-sense"),
        pytest.param(FTYP + struct.pack(">I4sQ", 1, b"mdat", 15) + MOOV, id="mp4-64-bit-size-that-makes-no-sense"),
        pytest.param(FTYP + struct.pack(">I4sI", 1, b"mdat", 0), id="mp4-64-bit-size-cut-short"),
        pytest.param(FTYP[:10], id="mp4-cut-in-the-first-box"),
        pytest.param(box(b"styp", b"") + box(b"moof", bytes(9)) + MDAT, id="fragments-without-their-header"),
        pytest.param(EBML, id="mkv-nothing-but-ebml"),
        pytest.param(EBML + element(SEGMENT, INFO + CLUSTER), id="mkv-without-tracks"),
        pytest.param(EBML + SEGMENT + UNKNOWN_SIZE + INFO + TRACKS[:-1], id="mkv-tracks-cut-short"),
        pytest.param(EBML + SEGMENT + UNKNOWN_SIZE + b"\x16\x54\xae\x6b" + UNKNOWN_SIZE, id="mkv-tracks-of-no-size"),
        pytest.param(EBML + SEGMENT, id="mkv-cut-in-a-size"),
        pytest.param(EBML + bytes(30), id="mkv-zeros"),
        pytest.param(EBML + element(b"\x08\x00\x00\x00\x00", b""), id="mkv-name-of-five-bytes"),
        pytest.param(b"\x1a\x45\xdf\xa3" + UNKNOWN_SIZE + TRACKS, id="mkv-ebml-of-no-size"),
        pytest.param(AVI[:-1], id="avi-header-cut-short"),
        pytest.param(AVI[:12] + b"JUNK" + AVI[16:], id="avi-junk-for-a-header"),
        pytest.param(AVI[:14], id="avi-cut-at-once"),
    ],
)
def test_a_container_without_its_header_is_told(data: bytes) -> None:
    assert not headed(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x10JFIF", id="jpeg"),
        pytest.param(b"$GPRMC,081836,A,3751.65,S,14507.36,E\r\n", id="gps-trail"),
        pytest.param(b"RIFF\x24\x00\x00\x00WAVEfmt ", id="wav"),
        pytest.param(bytes(64), id="zeros"),
    ],
)
def test_what_is_no_container_lacks_no_header(data: bytes) -> None:
    assert headed(data)


def test_a_real_recording_has_its_header_until_it_is_cut_off() -> None:
    real = resources.files("dockd.sim") / "media" / "clip.mp4"
    data = real.read_bytes()
    assert headed(data)
    moov = data.index(b"moov") - 4
    whole = moov + int.from_bytes(data[moov : moov + 4], "big")
    assert not headed(data[: whole - 1])
    assert headed(data[:whole])


@pytest.mark.promise("I16")
def test_a_file_of_endless_small_boxes_is_given_up_in_bounded_reads() -> None:
    data = FTYP + box(b"free", b"") * (MOST_BOXES + 10) + MOOV
    reads: list[int] = []

    def read_at(offset: int, length: int) -> bytes:
        reads.append(length)
        return data[offset : offset + length]

    assert not has_header(read_at, len(data))
    assert len(reads) <= MOST_BOXES + 1
    assert max(reads) <= 16


@pytest.mark.promise("I16")
def test_a_matroska_file_of_endless_elements_is_given_up() -> None:
    assert not headed(EBML + SEGMENT + UNKNOWN_SIZE + b"\xec\x80" * (MOST_BOXES + 1) + TRACKS)


def test_any_damage_gives_an_answer_and_never_an_error() -> None:
    chance = random.Random(7)
    whole = [FTYP + MOOV + MDAT, EBML + element(SEGMENT, INFO + TRACKS + CLUSTER), AVI]
    for _ in range(3000):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        assert headed(bytes(data[: chance.randrange(len(data) + 1)])) in {True, False}
