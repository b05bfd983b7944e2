"""Cards that other programs made are sound, and what is called sound here no other judge calls broken (I7)."""

import os
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from dockd.structure import ProblemKind, Structure, check
from tests.card_images import Image
from tests.crafted_cards import ODD, exfat, fat
from tests.exfat_images import Exfat
from tests.fat_images import Fat
from tests.full_cards import CLIP

PROGRAMS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MUTATIONS = 60

FILES = {
    "CLIP0001.MP4": 100_000,
    "a long name with spaces.mp4": 1,
    "ümläut.txt": 4097,
    "empty.bin": 0,
    "DCIM/100MEDIA/ABCD0001.MP4": 65_536,
    "DCIM/100MEDIA/abcd0001.thm": 4096,
    "DCIM/MixedCase.Mp4": 1025,
    "deep/er/and/deeper/still/x": 12,
}

BROKEN = re.compile(
    r"Circular|share clusters|out of range|Contains a free cluster|bad cluster|Start does point"
    r"|cluster chain length is [0-9]|Duplicate directory entry|valid '\.\.?' entry",
)
"""What fsck.vfat says of chains and lengths; of names, which to us are data, of labels and of clocks it says more."""

needs_fat = pytest.mark.skipif(shutil.which("fsck.vfat", path=PROGRAMS) is None, reason="dosfstools is not installed")
needs_exfat = pytest.mark.skipif(
    shutil.which("fsck.exfat", path=PROGRAMS) is None, reason="exfatprogs is not installed"
)
needs_mtools = pytest.mark.skipif(shutil.which("mcopy", path=PROGRAMS) is None, reason="mtools is not installed")


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run another's program; it reads no configuration of whoever runs the tests."""
    where = {"PATH": PROGRAMS, "LC_ALL": "C.UTF-8", "MTOOLSRC": "/dev/null"}
    return subprocess.run(command, env=where, capture_output=True, text=True, check=False, timeout=60, errors="replace")


def checked(path: Path) -> tuple[Structure, dict[bytes, int]]:
    met: dict[bytes, int] = {}
    with path.open("rb") as file:
        structure = check(
            lambda offset, length: os.pread(file.fileno(), length, offset),
            size_bytes=path.stat().st_size,
            found=met.__setitem__,
        )
    return structure, met


@needs_fat
@needs_mtools
@pytest.mark.parametrize(("bits", "size"), [(12, 4 << 20), (16, 32 << 20), (32, 64 << 20)])
def test_a_card_that_other_programs_made_and_filled_is_sound(bits: int, size: int, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(size)
    assert run("mkfs.vfat", "-F", str(bits), "-n", "DOCKCARD", "-i", "1a2b3c4d", image).returncode == 0
    source = tmp_path / "source"
    for name, length in FILES.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(length))
    copied = run("mcopy", "-s", "-i", image, *sorted(source.iterdir()), "::/")
    assert copied.returncode == 0, copied.stderr
    structure, met = checked(image)
    assert structure.problems == structure.notes == ()
    assert met == {name.encode(): length for name, length in FILES.items()}
    assert structure.geometry is not None
    assert (structure.geometry.label, structure.geometry.volume_id) == ("DOCKCARD", "1A2B-3C4D")
    assert run("mdel", "-i", image, "::/CLIP0001.MP4").returncode == 0
    structure, met = checked(image)
    assert structure.problems == ()
    assert b"CLIP0001.MP4" not in met


@needs_exfat
def test_an_empty_exfat_that_another_program_made_is_sound(tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    assert run("mkfs.exfat", "-L", "DOCKCARD", image).returncode == 0
    structure, met = checked(image)
    assert structure.problems == structure.notes == ()
    assert met == {}
    assert structure.geometry is not None
    assert structure.geometry.label == "DOCKCARD"


@needs_fat
@needs_exfat
@pytest.mark.parametrize("name", [name for name in ODD if "goes-on" not in name])
def test_the_odd_cards_are_sound_to_other_judges_too(name: str, tmp_path: Path) -> None:
    verdict = complaint(ODD[name].make(), tmp_path)
    assert not verdict


@needs_fat
@needs_exfat
@pytest.mark.parametrize("kind", ["fat12", "fat16", "fat32", "exfat"])
def test_what_is_called_sound_after_a_random_change_no_other_judge_calls_broken(kind: str, tmp_path: Path) -> None:
    chance = random.Random(f"{kind} of the judges")
    sound = 0
    for number in range(MUTATIONS):
        image = filled(kind)
        mutate(image, chance)
        structure = check(image.disk.read, size_bytes=image.disk.size_bytes, found=lambda *_: None)
        if structure.problems:
            continue
        sound += 1
        said = complaint(image, tmp_path)
        behind = any(note.kind is ProblemKind.CHAIN_BEYOND_SIZE for note in structure.notes)
        assert not said or behind, f"change {number}: {said}"
    assert 5 <= sound <= MUTATIONS - 5, f"{sound} of {MUTATIONS} are sound: nothing is compared"


def filled(kind: str) -> Image:
    """Make a card with a few folders and files."""
    image = exfat() if kind == "exfat" else fat(int(kind[3:]))
    outer = image.folder("DCIM")
    inner = image.folder("100MEDIA", into=outer)
    for number in range(6):
        image.add(f"clip number {number}.mp4", CLIP, into=inner if number % 2 else outer)
    return image


def mutate(image: Image, chance: random.Random) -> None:
    """Change one thing in the table or in a folder that is used."""
    assert isinstance(image, Fat | Exfat)
    if chance.random() < 0.5:
        cluster = chance.randrange(2, image.free)
        image.entry(cluster, chance.choice([0, chance.randrange(2, image.free), image.clusters + 2, 0xFFFFFFF7]))
        return
    if isinstance(image, Fat) and image.bits < 32:
        start, length = image.root_at, image.root.filled
    else:
        start, length = image.offset(chance.choice([image.root.chain[0], image.free - 1])), 512
    image.disk.write(start + chance.randrange(length), struct.pack("<B", chance.randrange(256)))


def complaint(image: Image, folder: Path) -> str:
    """Give what the other judge has against the structure of an image; empty if nothing."""
    path = image.disk.save(folder / "judged.img")
    if isinstance(image, Exfat):
        done = run("fsck.exfat", "-n", path)
        return "" if ": clean." in done.stdout and "ERROR" not in done.stdout else done.stdout + done.stderr
    done = run("fsck.vfat", "-n", "-v", path)
    return "\n".join(line for line in done.stdout.splitlines() if BROKEN.search(line))
