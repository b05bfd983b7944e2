"""A state folder wiped or damaged at some instant, wholly or in part: the station rebuilds from cameras and store."""

import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from dockd.domain.canonical import sha256_hex
from tests.system.cards import contents, digests, odd_card, write
from tests.system.evidence import contents_digests, entries, stored
from tests.system.programs import (
    DOCKD,
    STATION,
    Ended,
    StoreProcess,
    dockctl,
    ingest,
    ingest_command,
    ingesting,
    verified,
)
from tests.system.waiting import until

FILES = 120

pytestmark = [pytest.mark.promise("I4"), pytest.mark.timeout(300)]


# --- ways to lose a state folder ------------------------------------------------------------------------------------


def flip_pages(state: Path, chance: random.Random) -> None:
    """Overwrite pages of the database and of its log."""
    for path in state.glob("ledger.db*"):
        size = path.stat().st_size
        with path.open("r+b") as file:
            for _ in range(4 if size else 0):
                file.seek(chance.randrange(size))
                file.write(chance.randbytes(600))


def truncate(state: Path, chance: random.Random) -> None:
    """Cut the database short."""
    database = state / "ledger.db"
    os.truncate(database, chance.randrange(database.stat().st_size))


def lose_log(state: Path, _: random.Random) -> None:
    """Remove the database's log, and with it every commit since SQLite last moved it."""
    for ending in ("-wal", "-shm"):
        (state / f"ledger.db{ending}").unlink(missing_ok=True)


def lose_database(state: Path, _: random.Random) -> None:
    """Remove the database with its log."""
    for path in state.glob("ledger.db*"):
        path.unlink()


def lose_spool(state: Path, _: random.Random) -> None:
    """Remove every copy, and their folder."""
    shutil.rmtree(state / "spool", ignore_errors=True)


def spoil_spool(state: Path, chance: random.Random) -> None:
    """Change bytes of every copy."""
    for copy in (state / "spool").glob("*.clip"):
        data = bytearray(copy.read_bytes())
        if data:
            data[chance.randrange(len(data))] ^= 0x55
            copy.write_bytes(data)


def lose_key(state: Path, _: random.Random) -> None:
    """Remove the station's key."""
    (state / "station-key.pem").unlink()


def spoil_checkpoint(state: Path, chance: random.Random) -> None:
    """Write junk over the checkpoint."""
    (state / "checkpoint").write_bytes(chance.randbytes(300))


def keep_lock_only(state: Path, _: random.Random) -> None:
    """Remove everything but the lock."""
    for path in state.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def lose_folder(state: Path, _: random.Random) -> None:
    """Remove the whole state folder."""
    shutil.rmtree(state)


Loss = Callable[[Path, random.Random], None]
LOSSES: tuple[Loss, ...] = (
    flip_pages, truncate, lose_log, lose_database, lose_spool, spoil_spool, lose_key, spoil_checkpoint, keep_lock_only,
    lose_folder,
)  # fmt: skip


def test_a_state_folder_lost_in_every_way_at_random_instants_costs_no_clip(tmp_path: Path, store: StoreProcess) -> None:
    """Killed at an instant, a part of it lost, started again: until every file is receipted, and erased after that."""
    chance = random.Random(18)
    card, state = tmp_path / "card", tmp_path / "state"
    files = odd_card(card, files=FILES, seed=18)
    openssl = digests(card, files, tmp_path / "links")
    command = ingest_command(card, to=store.url, state=state, key=store.key, more=("--erase",))
    slow = (*command, "--limit", "400K")
    left: list[int] = []
    for number, lose in enumerate(LOSSES):
        with ingesting(slow, tmp_path / f"run-{number}.stderr") as run:
            until((state / "receipt-keys").exists, "the station at work")
            ended = None
            with suppress(subprocess.TimeoutExpired):
                ended = run.process.wait(timeout=chance.uniform(0.1, 1.5))
            assert ended is None, run.lines()[-3:]
            run.kill()
        see_nothing_lost(card, store, openssl)
        lose(state, chance)
        left.append(len(contents(card)))
    with ingesting(command, tmp_path / "last.stderr") as run:
        last = run.ended(within_s=120)
    assert last.code == 0, last.words()
    assert contents(card) == {}
    clips = stored(store.base)
    assert {path: clip.sha256 for path, clip in clips.items()} == openssl
    assert contents_digests(store.base, clips) == openssl
    verified(state)
    assert sorted(path.name for path in (state / "spool").iterdir()) == []
    assert left[0] > 0
    assert left[-1] > 0, "nothing was left to do when the last part was lost"


def see_nothing_lost(card: Path, store: StoreProcess, openssl: Mapping[bytes, str]) -> None:
    """See that each file is on the card, or at the store as it was (I4)."""
    there, clips = contents(card), stored(store.base)
    for path, digest in openssl.items():
        assert path in there or clips[path].sha256 == digest, path


# --- the chain goes on ----------------------------------------------------------------------------------------------


def end_of(state: Path) -> tuple[int, str]:
    """Give the last entry of a chain: its seq, and its hash."""
    last = entries(state)[-1]
    return last["seq"], sha256_hex(b"\x00" + body_of(state, last["seq"]))


def body_of(state: Path, seq: int) -> bytes:
    """Read one entry's bytes."""
    connection = sqlite3.connect(state / "ledger.db")
    (body,) = connection.execute("SELECT body FROM custody WHERE seq = ?", (seq,)).fetchone()
    connection.close()
    return bytes(body)


def brought(tmp_path: Path, store: StoreProcess, *names: bytes) -> tuple[Path, Path, Ended]:
    """Bring a card to the store and keep it as it is."""
    card, state = tmp_path / "card", tmp_path / "state"
    for name in names:
        write(card, name, b"a clip: " + name)
    return card, state, ingest(card, to=store.url, state=state, key=store.key)


@pytest.mark.parametrize("lose", [lose_database, flip_pages, truncate])
def test_a_lost_chain_is_continued_from_its_last_entry_and_everybody_is_told(
    tmp_path: Path, store: StoreProcess, lose: Loss
) -> None:
    card, state, first = brought(tmp_path, store, b"A.MP4", b"B.MP4")
    assert first.code == 0, first.words()
    seq, digest = end_of(state)
    lose(state, random.Random(3))
    again = ingest(card, to=store.url, state=state, key=store.key)
    assert again.code == 0, again.words()
    assert again.counts == (2, 2, 0, 0, 0)
    assert "was lost" in again.stderr
    (facts,) = [entry["facts"] for entry in entries(state) if entry["cause"] == "ledger-recovered"]
    assert (facts["old_seq"], facts["old_head"]) == (str(seq), digest)
    assert verified(state)[:2] == (2, 2)
    assert f"up to entry {seq}" in dockctl("verify", state)["continues"]
    assert f"up to entry {seq}" in dockctl("status", state)["continues"]


def test_copies_left_by_a_lost_ledger_wait_for_their_camera_and_are_given_up_then(
    tmp_path: Path, store: StoreProcess
) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    write(card, b"A.MP4", b"the clip")
    away = "http://127.0.0.1:9/files/"
    waiting = ingest(card, to=away, state=state, key=store.key, more=("--patience", "1"))
    assert waiting.code == 75, waiting.words()
    (copy,) = (state / "spool").glob("*.clip")
    lose_database(state, random.Random(0))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert ingest(empty, to=store.url, state=state, key=store.key).code == 0
    assert copy.read_bytes() == b"the clip"  # nobody knows it, and nobody gives it up
    for question in ("status", "verify"):
        told = dockctl(question, state)
        assert told["strays"] == {"copies": 1, "bytes": 8}
        assert told["continues"].endswith("it left 1 copies of 8 bytes")
    before = copy.stat().st_ino
    forgotten = ingest(card, to=away, state=state, key=store.key, more=("--patience", "1"))
    assert forgotten.code == 75, forgotten.words()
    assert copy.stat().st_ino == before, "it was written again"
    assert dockctl("status", state)["strays"] == {"copies": 0, "bytes": 0}
    again = ingest(card, to=store.url, state=state, key=store.key, more=("--erase",))
    assert again.counts == (1, 1, 0, 0, 1), again.words()
    assert list((state / "spool").iterdir()) == []
    (clip,) = stored(store.base).values()
    assert f"{clip.clip_id}.clip" == copy.name


def test_the_state_folder_of_another_station_is_refused(tmp_path: Path, store: StoreProcess) -> None:
    card, state, first = brought(tmp_path, store, b"A.MP4")
    assert first.code == 0, first.words()
    for name in ("nothing", "ledger.db"):
        (state / name).unlink(missing_ok=True)
        command = [*DOCKD, "ingest", str(card), "--to", store.url, "--state", str(state), "--station", "desk-2"]
        ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert ended.returncode == 78, ended.stderr
        assert f"belongs to station {STATION}, this is station desk-2".encode() in ended.stderr


# --- under a station at work ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lose", [lose_folder, lose_database, lose_log, lose_spool])
def test_what_is_taken_away_under_a_station_at_work_ends_it_and_the_next_start_goes_on(
    tmp_path: Path, store: StoreProcess, lose: Loss
) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    files = odd_card(card, files=30, seed=7)
    openssl = digests(card, files, tmp_path / "links")
    command = ingest_command(card, to=store.url, state=state, key=store.key, more=("--erase",))
    with ingesting((*command, "--limit", "16K"), tmp_path / "run.stderr") as run:
        until(lambda: any((state / "spool").glob("*.clip")), "a copy")
        lose(state, random.Random(1))
        ended = run.ended(within_s=60)
    assert ended.code == 70, ended.words()
    assert "while it was open, expected nobody to touch it" in ended.stderr
    see_nothing_lost(card, store, openssl)
    with ingesting(command, tmp_path / "again.stderr") as run:
        again = run.ended(within_s=60)
    assert again.code == 0, again.words()
    assert contents(card) == {}
    assert {path: clip.sha256 for path, clip in stored(store.base).items()} == openssl
    verified(state)


# --- what only the store knows --------------------------------------------------------------------------------------


def test_a_state_folder_put_back_to_an_earlier_day_is_found_by_the_stores_receipts(
    tmp_path: Path, store: StoreProcess
) -> None:
    card, state, first = brought(tmp_path, store, b"A.MP4")
    assert first.code == 0, first.words()
    earlier = tmp_path / "earlier"
    shutil.copytree(state, earlier)
    write(card, b"B.MP4", b"a later clip")
    assert ingest(card, to=store.url, state=state, key=store.key).code == 0
    told = tmp_path / "told.json"
    query = f"{store.base}/receipts?station={STATION}"
    told.write_bytes(subprocess.run(["curl", "-sf", query], check=True, capture_output=True, timeout=30).stdout)
    assert dockctl("verify", state, "--receipts", str(told))["compared"] == 2
    assert dockctl("verify", earlier)["problems"] == []
    command = [*DOCKD[:2], "dockd.ctl", "verify", "--state", str(earlier), "--receipts", str(told)]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert b"the state folder was rolled back or forked" in ended.stdout
