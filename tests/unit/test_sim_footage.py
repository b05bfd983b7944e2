import os
import subprocess
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from dockd.domain.container import has_header
from dockd.domain.model import FOLDER_VOLUME, Camera, CameraSerial, Sha256, clip_id_of
from dockd.sim.footage import fill, original, varied
from dockd.sim.manifest import Manifest, Put

ONE = Camera(serial=CameraSerial("DKD-0001"), volume=FOLDER_VOLUME)
TWO = Camera(serial=CameraSerial("DKD-0002"), volume=FOLDER_VOLUME)
MANY = range(12)


def filled(folder: Path, *, seed: int, camera: Camera = ONE) -> tuple[Put, ...]:
    return fill(folder, camera=camera, recordings=3, chance=Random(seed))


def on_disk(folder: Path) -> dict[bytes, bytes]:
    """Every file below a folder by its path there, walked without the code under test."""
    return {os.fsencode(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_manifest_is_what_is_on_the_card(tmp_path: Path) -> None:
    for seed in MANY:
        folder = tmp_path / str(seed)
        puts = filled(folder, seed=seed)
        files = on_disk(folder)
        assert {put.path: (put.length_bytes, put.sha256) for put in puts} == {
            path: (len(content), sha256(content).hexdigest()) for path, content in files.items()
        }


def test_a_seed_gives_the_same_card_to_the_byte_and_the_second(tmp_path: Path) -> None:
    first, again = filled(tmp_path / "a", seed=7), filled(tmp_path / "b", seed=7)
    assert first == again
    assert filled(tmp_path / "c", seed=8) != first
    clip = "DCIM/100DOCKD/DKD_0001.MP4"
    assert (tmp_path / "a" / clip).stat().st_mtime_ns == (tmp_path / "b" / clip).stat().st_mtime_ns


def test_cameras_use_the_same_names_for_other_recordings(tmp_path: Path) -> None:
    chance = Random(7)
    one = fill(tmp_path / "1", camera=ONE, recordings=3, chance=chance)
    two = fill(tmp_path / "2", camera=TWO, recordings=3, chance=chance)
    shared = {put.path for put in one} & {put.path for put in two}
    assert b"DCIM/100DOCKD/DKD_0001.MP4" in shared
    digests = [put.sha256 for put in (*one, *two) if put.length_bytes]
    assert len(set(digests)) == len(digests)


def test_times_are_those_of_a_fat_card(tmp_path: Path) -> None:
    filled(tmp_path, seed=7)
    times_ns = [path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()]
    assert all(time_ns % 2_000_000_000 == 0 for time_ns in times_ns)


def test_recordings_have_lengths_between_the_least_and_the_most(tmp_path: Path) -> None:
    lengths = [
        put.length_bytes
        for seed in MANY
        for put in filled(tmp_path / str(seed), seed=seed)
        if put.path.endswith((b"1.MP4", b"2.MP4", b"3.MP4"))
    ]
    assert 150_000 <= min(lengths) < 300_000
    assert 1_500_000 < max(lengths) <= 3_000_000


def test_cards_hold_sidecars_and_now_and_then_something_odd(tmp_path: Path) -> None:
    """An empty file, a kind nobody knows, and a recording without its header are there to be carried like any other."""
    files: dict[bytes, bytes] = {}
    for seed in MANY:
        filled(tmp_path / str(seed), seed=seed)
        files |= {b"%d/%s" % (seed, path): data for path, data in on_disk(tmp_path / str(seed)).items()}
    assert {path.rpartition(b".")[2] for path in files} == {b"MP4", b"GPX", b"THM", b"DK1"}
    assert any(not data for data in files.values())
    videos = [data for path, data in files.items() if path.endswith(b".MP4") and data]
    headed = [has_header(partial(part_of, data), len(data)) for data in videos]
    assert 0 < headed.count(False) < headed.count(True)
    assert any(b"\xfc" in path for path in files), "a name that is no UTF-8"


def part_of(data: bytes, at: int, count: int) -> bytes:
    return data[at : at + count]


@pytest.mark.parametrize("length_bytes", [0, 61_838 + 8, 61_838 + 9, 300_000])
def test_a_varied_recording_is_whole_boxes_to_its_end(length_bytes: int) -> None:
    """Source: ISO/IEC 14496-12, 4.2: each box says its size, and a file is boxes and nothing else."""
    data = varied(original(), length_bytes=length_bytes, chance=Random(7))
    names, at = [], 0
    while at < len(data):
        names.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4], "big")
    assert at == len(data) == max(61_838 + 8, length_bytes)
    assert names == [b"ftyp", b"free", b"mdat", b"moov", b"free"]


def test_a_varied_recording_plays_as_the_original_does(tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="brings the ffmpeg that judges")
    whole, torn = tmp_path / "whole.mp4", tmp_path / "torn.mp4"
    data = varied(original(), length_bytes=400_000, chance=Random(7))
    whole.write_bytes(data)
    torn.write_bytes(data[:40_000])

    def frames(path: Path) -> tuple[int, str]:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", "-i", path, "-f", "framemd5", "-"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return ran.returncode, "\n".join(line for line in ran.stdout.splitlines() if not line.startswith("#"))

    untouched = tmp_path / "original.mp4"
    untouched.write_bytes(original())
    code, shown = frames(whole)
    assert code == 0
    assert len(shown.splitlines()) > 60, "four seconds at 15 frames a second, and sound"
    assert shown == frames(untouched)[1]
    assert frames(torn)[0] != 0


def test_a_put_has_the_name_under_which_the_store_must_hold_it() -> None:
    put = Put(camera=ONE, path=b"A", length_bytes=3, sha256=Sha256("0" * 64))
    assert put.clip_id == clip_id_of(camera=ONE, path=b"A", length_bytes=3, sha256=Sha256("0" * 64))


def test_a_manifest_finds_what_was_put_in_a_place() -> None:
    put = Put(camera=ONE, path=b"A", length_bytes=3, sha256=Sha256("0" * 64))
    manifest = Manifest((put,))
    assert manifest.find(ONE, b"A") == put
    assert manifest.find(ONE, b"B") is None
    assert manifest.find(TWO, b"A") is None
