"""The files of a simulated camera: real recordings, each unlike every other, sidecars, and an odd file now and then.

Owns what is written to a card before it is docked, as a function of a seed. Must not know bays or stations.
"""

import os
from collections.abc import Iterator
from enum import Enum
from hashlib import sha256
from importlib import resources
from pathlib import Path
from random import Random

from dockd.domain.model import Camera, Sha256
from dockd.sim.manifest import Put

FOLDER = b"DCIM/100DOCKD"
LEAST_BYTES = 150_000
MOST_TIMES = 20.0
"""The longest recording is so many times the shortest."""
FIRST_RECORDED_S = 1_772_600_400
"""Some afternoon. What a camera's clock says identifies nothing."""
FAT_STEP_S = 2
BOX_HEADER_BYTES = 8


class Odd(Enum):
    """What else real cards hold, besides recordings."""

    NOTHING = "nothing"
    EMPTY = "a recording that was never written to"
    UNKNOWN = "a file of a kind that nobody knows, with a name that is no UTF-8"
    TORN = "a recording whose camera lost power: its index is missing"


def original() -> bytes:
    """Give the one real recording that all others are made from."""
    return resources.files("dockd.sim").joinpath("media/clip.mp4").read_bytes()


def varied(clip: bytes, *, length_bytes: int, chance: Random) -> bytes:
    """Make a recording of a wanted length with bytes of its own: a `free` box, which players skip, goes at its end.

    Source: ISO/IEC 14496-12 section 8.1.2 (free space box), 4.2 (size and type before the content).
    """
    filling_bytes = max(0, length_bytes - len(clip) - BOX_HEADER_BYTES)
    size = (BOX_HEADER_BYTES + filling_bytes).to_bytes(4, "big")
    return clip + size + b"free" + chance.randbytes(filling_bytes)


def fill(folder: Path, *, camera: Camera, recordings: int, chance: Random) -> tuple[Put, ...]:
    """Write a shift's recordings to a card; give what was put there, in the order in which it was written."""
    card = os.fsencode(folder)
    recorded_s = FIRST_RECORDED_S + FAT_STEP_S * chance.randrange(10_000)
    puts: list[Put] = []
    for path, content in _files(original(), recordings=recordings, chance=chance):
        place = os.path.join(card, path)  # noqa: PTH118 - names on a card are bytes, which Path does not take
        os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120 - as above
        with open(place, "xb") as file:  # noqa: PTH123 - as above
            file.write(content)
        recorded_s += FAT_STEP_S * chance.randrange(1, 600)
        os.utime(place, (recorded_s, recorded_s))
        digest = Sha256(sha256(content).hexdigest())
        puts.append(Put(camera=camera, path=path, length_bytes=len(content), sha256=digest))
    return tuple(puts)


def _files(clip: bytes, *, recordings: int, chance: Random) -> Iterator[tuple[bytes, bytes]]:
    # Every camera counts from one: names are used again on each.
    for number in range(1, recordings + 1):
        stem = FOLDER + b"/DKD_%04d" % number
        length_bytes = int(LEAST_BYTES * MOST_TIMES ** chance.random())
        yield stem + b".MP4", varied(clip, length_bytes=length_bytes, chance=chance)
        if chance.random() < 0.4:  # noqa: PLR2004 - not every camera hears satellites indoors
            yield stem + b".GPX", _trail(chance)
        if chance.random() < 0.3:  # noqa: PLR2004 - nor does every one write thumbnails
            yield stem + b".THM", b"\xff\xd8" + chance.randbytes(chance.randrange(2_000, 6_000)) + b"\xff\xd9"
    match chance.choice(tuple(Odd)):
        case Odd.NOTHING:
            return
        case Odd.EMPTY:
            yield FOLDER + b"/DKD_%04d.MP4" % (recordings + 1), b""
        case Odd.UNKNOWN:
            yield b"MISC/Protokoll \xfcber \xf0\x9f\x9a\xa8.DK1", chance.randbytes(chance.randrange(1, 4_000))
        case Odd.TORN:
            torn = varied(clip[: len(clip) * 3 // 5], length_bytes=0, chance=chance)
            yield FOLDER + b"/DKD_%04d.MP4" % (recordings + 1), torn[:-BOX_HEADER_BYTES] + chance.randbytes(64)


def _trail(chance: Random) -> bytes:
    north, east = 51.5 + chance.uniform(-0.1, 0.1), -0.1 + chance.uniform(-0.2, 0.2)
    points = (
        f'<trkpt lat="{north + step * 1e-4:.6f}" lon="{east + chance.uniform(-1e-4, 1e-4):.6f}"/>' for step in range(20)
    )
    return f'<gpx version="1.1"><trk><trkseg>{"".join(points)}</trkseg></trk></gpx>\n'.encode("ascii")
