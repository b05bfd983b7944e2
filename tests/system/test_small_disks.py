"""An ingest on disks that are small: no room, no inodes, or not to be written any more."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from tests.system.evidence import stored
from tests.system.programs import Ended, StoreProcess, ingest, ingest_command, ingesting, verified

MIB = 1 << 20


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a filesystem in memory; skip the test where that is not allowed."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs to be root, to mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "small", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    """Change a mounted disk."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Make a card of twelve recordings, 24 MiB in all."""
    folder = tmp_path / "card"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.MP4").write_bytes(random.Random(number).randbytes(2 * MIB))
    return folder


def all_there(card: Path, store: StoreProcess, ended: Ended) -> None:
    """See every file of the card at the store, with its bytes."""
    files = {path.name.encode(): sha256(path.read_bytes()).hexdigest() for path in card.iterdir()}
    assert ended.code == 0, ended.words()
    assert {path: clip.sha256 for path, clip in stored(store.base).items()} == files


@pytest.mark.promise("I16")
@pytest.mark.promise("I12")
def test_a_card_larger_than_the_disk_of_the_station_is_brought_all_the_same(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    """Copies go as they are receipted, and never before."""
    with small_disk(tmp_path / "disk", "size=12m") as disk:
        ended = ingest(card, to=store.url, state=disk / "state", key=store.key, more=("--reserve", "2M"))
        all_there(card, store, ended)
        assert verified(disk / "state")[:2] == (12, 12)


@pytest.mark.promise("I16")
@pytest.mark.promise("I4")
@pytest.mark.promise("I12")
def test_with_the_store_away_a_full_disk_stops_copying_and_nothing_is_lost(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    before = {path.name: path.read_bytes() for path in card.iterdir()}
    key, url = store.key, store.url
    store.kill()
    more = ("--reserve", "2M", "--patience", "1", "--erase")
    with small_disk(tmp_path / "disk", "size=12m") as disk:
        ended = ingest(card, to=url, state=disk / "state", key=key, more=more)
        assert ended.code == 75, ended.words()
        assert ended.counts == (12, 0, 0, 12, 0)
        assert {path.name: path.read_bytes() for path in card.iterdir()} == before
        kept = [path.stat().st_size for path in (disk / "state").rglob("*.clip")]
        assert 3 <= len(kept) <= 5
        assert set(kept) == {2 * MIB}
        store.start()
        again = ingest(card, to=url, state=disk / "state", key=key, more=("--reserve", "2M"))
        all_there(card, store, again)


@pytest.mark.promise("I16")
def test_a_disk_that_runs_out_of_inodes_stops_copying_and_goes_on_when_it_has_some(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    key, url = store.key, store.url
    store.kill()
    with small_disk(tmp_path / "disk", "size=64m,nr_inodes=1500") as disk:
        for number in range(480):
            (disk / f"somebody elses {number}").touch()
        ended = ingest(card, to=url, state=disk / "state", key=key, more=("--reserve", "0", "--patience", "1"))
        assert ended.code == 75, ended.words()
        assert ended.counts[:2] == (12, 0)
        assert "Traceback" not in ended.stderr
        for path in disk.glob("somebody*"):
            path.unlink()
        store.start()
        all_there(card, store, ingest(card, to=url, state=disk / "state", key=key, more=("--reserve", "0")))


@pytest.mark.promise("I4")
def test_a_disk_that_has_become_read_only_is_said_to_be_one_and_nothing_is_lost(
    tmp_path: Path, card: Path, store: StoreProcess
) -> None:
    before = {path.name: path.read_bytes() for path in card.iterdir()}
    with small_disk(tmp_path / "disk", "size=64m") as disk:
        state = disk / "state"
        first = ingest(card, to=store.url, state=state, key=store.key, more=("--reserve", "1M"))
        assert first.code == 0, first.words()
        remount(disk, "ro")
        log = tmp_path / "read-only"
        command = ingest_command(card, to=store.url, state=state, key=store.key, more=("--reserve", "1M"))
        with ingesting(command, log.with_suffix(".stderr")) as run:
            ended = run.ended()
        assert ended.code in {71, 75, 78}, ended.words()
        assert "Read-only file system" in ended.stderr or "readonly" in ended.stderr, ended.stderr
        assert "Traceback" not in ended.stderr
        assert {path.name: path.read_bytes() for path in card.iterdir()} == before
        remount(disk, "rw")
        all_there(card, store, ingest(card, to=store.url, state=state, key=store.key, more=("--reserve", "1M")))
