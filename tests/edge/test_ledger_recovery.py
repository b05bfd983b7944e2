"""A ledger that is gone or damaged is set aside; a new one continues it by a signed entry, wherever that is cut."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dockd.edges.ledger.checkpoint import FILE as CHECKPOINT, kept
from dockd.edges.ledger.entries import MADE, NEW_KEY
from dockd.edges.ledger.lock import LOCK
from dockd.edges.ledger.recovery import ASIDE, MOST_ASIDE, PENDING
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.seal import KEY_FILE
from dockd.errors import StartRefusedError
from tests.ledger_parts import tampered, threaded
from tests.lost_ledgers import ended, entries, facts_of, made, old, recovered, stated

# --- what is lost ---------------------------------------------------------------------------------------------------


async def test_a_ledger_that_is_gone_is_continued_from_its_checkpoint(tmp_path: Path) -> None:
    end = await made(tmp_path)
    (tmp_path / DATABASE).unlink()
    facts = await recovered(tmp_path)
    assert (old(facts), facts["basis"]) == (end, "checkpoint")
    assert facts["why"] == "the database is there no more"
    assert "set_aside" not in facts
    assert kept(tmp_path).text != facts["checkpoint"]


async def test_a_ledger_that_is_no_database_is_kept_and_continued_from_its_checkpoint(tmp_path: Path) -> None:
    end = await made(tmp_path)
    (tmp_path / DATABASE).write_bytes(b"not a database" * 1000)
    facts = await recovered(tmp_path)
    assert (old(facts), facts["basis"], facts["why"]) == (end, "checkpoint", "file is not a database")
    assert facts["set_aside"] == "set-aside-1"
    assert (tmp_path / "set-aside-1" / DATABASE).read_bytes() == b"not a database" * 1000


async def test_each_page_overwritten_is_recovered_from_and_the_old_head_known(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    end = await made(whole)
    size = (whole / DATABASE).stat().st_size
    bases = set()
    for page in range(size // 4096):
        folder = tmp_path / f"page{page}"
        shutil.copytree(whole, folder)
        spoiled = bytearray((folder / DATABASE).read_bytes())
        spoiled[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
        (folder / DATABASE).write_bytes(spoiled)
        facts = await recovered(folder)
        assert old(facts) == end
        assert (folder / "set-aside-1" / DATABASE).read_bytes() == spoiled
        bases.add(facts["basis"])
    assert bases == {"checkpoint", "database"}


@pytest.mark.parametrize("cut_bytes", [1, 4096, 100_000])
async def test_a_database_cut_short_is_recovered_from(tmp_path: Path, cut_bytes: int) -> None:
    end = await made(tmp_path)
    os.truncate(tmp_path / DATABASE, (tmp_path / DATABASE).stat().st_size - cut_bytes)
    assert old(await recovered(tmp_path)) == end


async def test_a_database_cut_to_nothing_is_recovered_from(tmp_path: Path) -> None:
    end = await made(tmp_path)
    os.truncate(tmp_path / DATABASE, 0)
    assert old(await recovered(tmp_path)) == end


async def test_without_a_checkpoint_the_longest_sound_beginning_of_the_chain_counts(tmp_path: Path) -> None:
    end = await made(tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    tampered(tmp_path, "UPDATE custody SET hash = printf('%064d', 0) WHERE seq = 6")
    facts = await recovered(tmp_path)
    head = old(facts)
    assert head is not None
    assert (head.instance, head.seq, facts["basis"]) == (end.instance, 5, "database")
    assert "checkpoint" not in facts


async def test_with_nothing_left_but_copies_the_recovery_knows_no_head(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / f"{'a' * 64}.clip").write_bytes(b"a copy")
    facts = await recovered(tmp_path)
    assert (old(facts), facts["basis"], facts["why"]) == (None, "none", "the database is there no more")


async def test_a_folder_wiped_to_its_lock_begins_a_chain_of_its_own(tmp_path: Path) -> None:
    await made(tmp_path)
    for path in tmp_path.iterdir():
        if path.name != LOCK:
            path.unlink()
    async with await threaded(tmp_path):
        pass
    assert [entry["cause"] for entry in entries(tmp_path)] == [MADE]


async def test_a_log_without_its_database_is_kept(tmp_path: Path) -> None:
    end = await made(tmp_path)
    (tmp_path / DATABASE).unlink()
    (tmp_path / f"{DATABASE}-wal").write_bytes(b"what was in it")
    facts = await recovered(tmp_path)
    assert (old(facts), facts["set_aside"]) == (end, "set-aside-1")
    assert (tmp_path / "set-aside-1" / f"{DATABASE}-wal").read_bytes() == b"what was in it"


async def test_a_database_cut_to_nothing_beside_its_log_is_kept_with_it(tmp_path: Path) -> None:
    """SQLite would remove a log beside an empty database."""
    await made(tmp_path)
    os.truncate(tmp_path / DATABASE, 0)
    (tmp_path / f"{DATABASE}-wal").write_bytes(b"what was in it")
    facts = await recovered(tmp_path)
    assert facts["why"] == "the database is empty, and its log is not"
    assert (tmp_path / facts["set_aside"] / f"{DATABASE}-wal").read_bytes() == b"what was in it"


async def test_a_ledger_lost_again_and_again_is_one_line_of_ledgers(tmp_path: Path) -> None:
    end = await made(tmp_path)
    for number in range(1, 4):
        (tmp_path / DATABASE).write_bytes(b"\xff" * 8192)
        facts = await recovered(tmp_path)
        assert (old(facts), facts["set_aside"]) == (end, f"{ASIDE}{number}")
        end = ended(tmp_path)
    (tmp_path / DATABASE).unlink()
    facts = await recovered(tmp_path)
    assert (old(facts), facts.get("set_aside")) == (end, None)


async def test_more_than_twenty_lost_ledgers_are_refused_not_deleted(tmp_path: Path) -> None:
    await made(tmp_path)
    for number in range(1, MOST_ASIDE + 1):
        (tmp_path / f"{ASIDE}{number}").mkdir()
    (tmp_path / DATABASE).write_bytes(b"junk")
    with pytest.raises(StartRefusedError, match="20 lost ledgers are set aside in it: look into why, and move them"):
        await threaded(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == b"junk"


# --- the key --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["gone", "unreadable"])
async def test_a_new_key_is_made_and_on_record_where_the_old_one_is_lost(tmp_path: Path, loss: str) -> None:
    await made(tmp_path)
    (first,) = facts_of(tmp_path, MADE)
    (tmp_path / KEY_FILE).unlink()
    if loss == "unreadable":
        (tmp_path / KEY_FILE).write_bytes(b"-----BEGIN NOTHING-----")
    for _ in range(2):
        async with await threaded(tmp_path):
            pass
    (second,) = facts_of(tmp_path, NEW_KEY)
    assert second["key"] != first["key"]
    assert stated(tmp_path) == ended(tmp_path)
    left = sorted(path.name for path in tmp_path.glob("station-key.unreadable-*"))
    assert left == ([] if loss == "gone" else ["station-key.unreadable-1"])


async def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    await made(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(StartRefusedError, match=r"station-key\.pem: others may read it, expected mode 0600"):
        await threaded(tmp_path)


# --- a cut in the middle of it --------------------------------------------------------------------------------------


CUT = """
import asyncio, os, sys
from pathlib import Path
import dockd.edges.ledger.recovery as recovery
import dockd.edges.ledger.schema as schema
import dockd.edges.ledger.start as start
from dockd.edges.ledger import checkpoint, core
from tests.ledger_parts import threaded

folder, place, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
calls = 0

def cutting(name, holder, attribute):
    real = getattr(holder, attribute)
    def call(*arguments, **named):
        global calls
        calls += name == place
        if name == place and calls == number:
            os._exit(9)
        return real(*arguments, **named)
    setattr(holder, attribute, call)

cutting("move", recovery, "move_file")
cutting("sync", recovery, "sync_folder")
cutting("make", start, "_make")
cutting("migrate", start, "migrate")
cutting("note", core.LedgerCore, "note")
cutting("cut", core.LedgerCore, "cut")
cutting("finish", start, "finish")
cutting("state", checkpoint, "replace_file")

async def main():
    async with await threaded(folder):
        pass

asyncio.run(main())
"""
PLACES = [("move", 1), ("move", 2), ("move", 3), ("sync", 1), ("sync", 2), ("make", 1), ("migrate", 1), ("note", 1),
          ("note", 2), ("cut", 1), ("finish", 1), ("state", 1)]  # fmt: skip


async def cut(folder: Path, place: str, number: int) -> int:
    """Start on a folder in a process that ends at a place for that time, as by a power cut; 9 where it did."""
    command = [sys.executable, "-c", CUT, str(folder), place, str(number)]
    run = await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, timeout=60)
    assert run.returncode in {0, 9}, run.stderr.decode()
    return run.returncode


@pytest.mark.parametrize(("place", "number"), PLACES, ids=[f"{place}-{number}" for place, number in PLACES])
@pytest.mark.parametrize("loss", ["damaged", "gone"])
async def test_a_recovery_that_is_cut_anywhere_is_finished_by_the_next_start(
    tmp_path: Path, place: str, number: int, loss: str
) -> None:
    end = await made(tmp_path)
    shutil.copy(tmp_path / DATABASE, tmp_path / f"{DATABASE}-wal")  # any bytes: they have to stay with their database
    if loss == "damaged":
        (tmp_path / DATABASE).write_bytes(b"junk" * 2048)
        (tmp_path / f"{DATABASE}-journal").write_bytes(b"more junk")
    else:
        (tmp_path / DATABASE).unlink()
    remains = {path.name: path.read_bytes() for path in tmp_path.glob(f"{DATABASE}*")}
    code = await cut(tmp_path, place, number)
    assert code == 9 or loss == "gone"  # there is less to move then
    facts = await recovered(tmp_path)
    assert (old(facts), facts["basis"], facts["set_aside"]) == (end, "checkpoint", "set-aside-1")
    (tmp_path / "set-aside-1" / f"{DATABASE}-shm").unlink(missing_ok=True)  # SQLite's own, made anew by each look
    assert {path.name: path.read_bytes() for path in (tmp_path / "set-aside-1").iterdir()} == remains
    assert not (tmp_path / PENDING).exists()
    assert len(list(tmp_path.glob(f"{ASIDE}*"))) == 1


async def test_a_first_start_that_was_cut_is_no_loss(tmp_path: Path) -> None:
    for place in ("make", "migrate", "note", "cut", "state"):
        assert await cut(tmp_path, place, 1) == 9
    async with await threaded(tmp_path):
        pass
    assert [entry["cause"] for entry in entries(tmp_path)] == [MADE]
