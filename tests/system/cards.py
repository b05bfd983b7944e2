"""Cards for system tests: real folders with the names and the contents that cameras and people leave on them."""

import os
import random
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

MEDIA = Path(__file__).parents[2] / "dockd" / "sim" / "media" / "clip.mp4"

FOLDERS = (
    b"DCIM/100DOCKD",
    b"DCIM/101 two  spaces ",
    "DCIM/102 \N{VIDEO CAMERA}\N{VARIATION SELECTOR-16} \N{POLICE CAR}".encode(),
    b"DCIM/103\nline\nfeeds",
    b"DCIM/104\xff\xfe\x80 not utf-8",
    b"MISC/a/b/c/d/e/f/g/h",
    b"-rf/--/'quotes' \"and\" \\backslash\\ $HOME `id`",
    "DCIM/\N{RIGHT-TO-LEFT OVERRIDE}gpj.\x1b[31mred".encode(),
)

EQUAL = (b"DCIM/100DOCKD/EQUAL1.MP4", b"DCIM/100DOCKD/EQUAL2.MP4")
EMPTY = b"DCIM/100DOCKD/EMPTY.MP4"


def odd_card(root: Path, *, files: int, seed: int) -> dict[bytes, int]:
    """Make a card of so many files in nested folders; gives path and length of each.

    One file in eight is a real MP4, each another; two have equal contents, one is empty.
    """
    chance, media = random.Random(seed), MEDIA.read_bytes()
    made: dict[bytes, int] = {}

    def put(path: bytes, data: bytes) -> None:
        write(root, path, data)
        made[path] = len(data)

    put(EQUAL[0], media)
    put(EQUAL[1], media)
    put(EMPTY, b"")
    number = 0
    while len(made) < files:
        folder = FOLDERS[number % len(FOLDERS)] + (b"/%d" % (number // 400) if number % 3 else b"")
        if number % 8 == 0:
            put(folder + b"/CLIP%04d.MP4" % number, media + free_box(chance.randbytes(16)))
        else:
            put(folder + odd_name(number), chance.randbytes(chance.randrange(1, 16_000)))
        number += 1
    return made


def odd_name(number: int) -> bytes:
    """Name a file in one of seven ways."""
    ways = (
        b"/file %d .thm",
        b"/\xe2\x98\x82 %d.gpx",
        b"/line\n%d",
        b"/\xf0\x9f\x9a%d.bin",  # an emoji cut short
        b"/.hidden%d",
        b"/%d" + b"x" * 240,
        b"/NAME%d.JPG ",
    )
    return ways[number % len(ways)] % number


def free_box(data: bytes) -> bytes:
    """Give a box that an MP4 may end with and that says nothing (ISO/IEC 14496-12, 8.1.2)."""
    return (8 + len(data)).to_bytes(4, "big") + b"free" + data


def write(root: Path, path: bytes, data: bytes) -> None:
    """Put one file onto a card, its folders too."""
    where = os.path.join(os.fsencode(root), path)  # noqa: PTH118 - pathlib knows no names that are bytes
    os.makedirs(os.path.dirname(where), exist_ok=True)  # noqa: PTH103, PTH120 - the same
    with open(where, "wb") as file:  # noqa: PTH123 - the same
        file.write(data)


def contents(root: Path) -> dict[bytes, bytes]:
    """Read everything on a card."""
    found: dict[bytes, bytes] = {}
    base = os.fsencode(root)
    for folder, _, names in os.walk(base):
        for name in names:
            where = os.path.join(folder, name)  # noqa: PTH118 - pathlib knows no names that are bytes
            with open(where, "rb") as file:  # noqa: PTH123 - the same
                found[os.path.relpath(where, base)] = file.read()
    return found


def digests(root: Path, paths: Iterable[bytes], links: Path) -> Mapping[bytes, str]:
    """Hash files of a card with openssl, another program than ours; it is given plain names, which are hard links."""
    links.mkdir()
    ordered = list(paths)
    for number, path in enumerate(ordered):
        os.link(os.path.join(os.fsencode(root), path), os.fsencode(links / f"{number:06}"))  # noqa: PTH118 - bytes
    names = [f"{number:06}" for number in range(len(ordered))]
    said = subprocess.run(
        ["openssl", "dgst", "-sha256", "-r", *names], cwd=links, check=True, capture_output=True, timeout=300
    ).stdout.decode("ascii")
    lines = [line.split(" *") for line in said.splitlines()]
    assert [name for _, name in lines] == names
    return {path: digest for path, (digest, _) in zip(ordered, lines, strict=True)}
