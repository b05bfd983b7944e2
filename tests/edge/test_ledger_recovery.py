"""A ledger that is gone, damaged, cut or rolled back is set aside, and a new one continues it by a signed entry."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.domain.checkpoint import Head
from dockd.domain.custody import leaf_hash
from dockd.domain.model import ClipKey, ClipState, StationId
from dockd.domain.recovery import recovery_signing_input, signature_of
from dockd.edges.ledger.checkpoint import FILE as CHECKPOINT, kept
from dockd.edges.ledger.entries import MADE, NEW_KEY
from dockd.edges.ledger.lock import LOCK
from dockd.edges.ledger.recovery import ASIDE, MOST_ASIDE, PENDING
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.ledger.survey import survey
from dockd.edges.seal import KEY_FILE, verifies
from dockd.errors import InvariantError, StartRefusedError, TransientError
from tests.ledger_parts import STATION, bring, clips, docked, file, tampered, threaded


async def made(folder: Path) -> Head:
    """Make a ledger with one receipted clip, close it, and give the end of its chain."""
    async with await threaded(folder) as ledger:
        docking = await docked(ledger, file("A.MP4"), file("B.MP4"))
        (clip,) = await clips(ledger, 1)
        await bring(ledger, clip, ClipState.RECEIPTED)
        await ledger.undock(docking, early=True, left_files=1)
    return ended(folder)


def ended(folder: Path) -> Head:
    """Give the end of a folder's chain."""
    end = survey(folder / DATABASE).end
    assert end is not None
    return end


def entries(folder: Path) -> list[dict[str, object]]:
    """Give every entry of a chain."""
    connection = sqlite3.connect(folder / DATABASE)
    bodies = connection.execute("SELECT body FROM custody ORDER BY seq").fetchall()
    connection.close()
    return [json.loads(body) for (body,) in bodies]


def facts_of(folder: Path, cause: str) -> list[dict[str, str]]:
    """Give the facts of every entry with a cause."""
    return [entry["facts"] for entry in entries(folder) if entry["cause"] == cause]  # type: ignore[misc] # JSON


async def recovered(folder: Path) -> dict[str, str]:
    """Start and stop the ledger of a folder; give the facts of its one recovery, its signature checked."""
    async with await threaded(folder) as ledger:
        await docked(ledger, file("A.MP4"))
    (made_,) = facts_of(folder, MADE)
    (facts,) = facts_of(folder, "ledger-recovered")
    assert (facts["station"], facts["instance"]) == (STATION, made_["instance"])
    assert verifies(made_["key"], recovery_signing_input(facts), signature_of(facts))
    assert ended(folder) == stated(folder)
    return facts


def stated(folder: Path) -> Head:
    """Give what a folder's checkpoint says."""
    statement = kept(folder).stated
    assert statement is not None
    return statement.checkpoint.head


def old(facts: dict[str, str]) -> Head | None:
    """Give the head that a recovery continues."""
    if "old_head" not in facts:
        return None
    return Head(instance=facts["old_instance"], seq=int(facts["old_seq"]), hash=facts["old_head"])


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


# --- what was cut, edited or rolled back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE custody SET body = CAST(replace(CAST(body AS TEXT), 'DCIM', 'GONE') AS BLOB) WHERE seq = 4", 4),
        ("UPDATE custody SET body = CAST(body || ' ' AS BLOB) WHERE seq = 1", 1),
        ("UPDATE custody SET hash = printf('%064d', 0) WHERE seq = 6", 6),
        ("UPDATE custody SET prev = printf('%064d', 1) WHERE seq = 6", 6),
        ("UPDATE custody SET seq = 100 WHERE seq = 10", 10),
        ("DELETE FROM custody WHERE seq = 5", 5),
        ("DELETE FROM custody WHERE seq = 1", 1),
        ("UPDATE custody SET (hash, body) = (SELECT hash, body FROM custody WHERE seq = 5) WHERE seq = 4", 4),
    ],
)
async def test_a_chain_with_a_field_tampered_with_is_not_gone_on_with(tmp_path: Path, statement: str, seq: int) -> None:
    end = await made(tmp_path)
    tampered(tmp_path, statement)
    facts = await recovered(tmp_path)
    assert facts["why"].startswith(f"the custody chain is broken: custody entry {seq}: ")
    assert (old(facts), facts["basis"]) == (end, "checkpoint")


def rehashed(folder: Path, seq: int, change: Callable[[bytes], bytes]) -> None:
    """Change an entry's body and give it the hash that it then has."""
    connection = sqlite3.connect(folder / DATABASE)
    (body,) = connection.execute("SELECT body FROM custody WHERE seq = ?", (seq,)).fetchone()
    connection.close()
    body = change(body)
    values = f"body = x'{body.hex()}', hash = '{leaf_hash(body)}'"
    tampered(folder, " ".join(["UPDATE custody SET", values, f"WHERE seq = {seq}"]))


@pytest.mark.parametrize("field", ["actor", "bay", "camera", "cause", "clip", "docking", "from", "to", "utc"])
async def test_an_entry_rewritten_with_its_own_new_hash_breaks_the_next_one(tmp_path: Path, field: str) -> None:
    await made(tmp_path)
    name = f'"{field}":'.encode()
    rehashed(tmp_path, 6, lambda body: body.replace(name + b'"', name + b'"9').replace(name, name + b"9", 1))
    facts = await recovered(tmp_path)
    assert facts["why"].startswith("the custody chain is broken: custody entry 7: follows")


async def test_the_last_entry_rewritten_with_its_own_new_hash_is_not_what_the_checkpoint_states(tmp_path: Path) -> None:
    end = await made(tmp_path)
    rehashed(tmp_path, end.seq, lambda body: body.replace(b'"early":"yes"', b'"early":"no"'))
    facts = await recovered(tmp_path)
    assert facts["why"].startswith(f"custody entry {end.seq} has hash ")
    assert facts["why"].endswith(f"its checkpoint states {end.hash}: it was rewritten")
    assert (old(facts), facts["basis"]) == (end, "checkpoint")


async def test_a_tail_cut_off_is_not_gone_on_with(tmp_path: Path) -> None:
    end = await made(tmp_path)
    tampered(tmp_path, "DELETE FROM custody WHERE seq = (SELECT max(seq) FROM custody)")
    facts = await recovered(tmp_path)
    assert facts["why"].startswith(
        f"the custody chain ends at entry {end.seq - 1}, its checkpoint states entry {end.seq}"
    )
    assert (old(facts), facts["basis"]) == (end, "checkpoint")


async def test_an_older_copy_of_the_database_in_its_place_is_not_gone_on_with(tmp_path: Path) -> None:
    await made(tmp_path)
    older = (tmp_path / DATABASE).read_bytes()
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, file("C.MP4"))
    end = ended(tmp_path)
    (tmp_path / DATABASE).write_bytes(older)
    facts = await recovered(tmp_path)
    assert "it was cut or rolled back" in facts["why"]
    assert old(facts) == end
    assert (tmp_path / "set-aside-1" / DATABASE).read_bytes() == older


async def test_a_database_of_this_station_from_before_a_recovery_is_not_gone_on_with(tmp_path: Path) -> None:
    await made(tmp_path)
    older = (tmp_path / DATABASE).read_bytes()
    (tmp_path / DATABASE).unlink()
    await recovered(tmp_path)
    end = ended(tmp_path)
    (tmp_path / DATABASE).write_bytes(older)
    facts = await recovered(tmp_path)
    assert facts["why"].startswith(f"its checkpoint is of ledger {end.instance}, this is ledger ")
    assert old(facts) == end


async def test_a_checkpoint_that_cannot_be_read_costs_nothing_while_the_chain_is_whole(tmp_path: Path) -> None:
    end = await made(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"\x00" * 300)
    async with await threaded(tmp_path):
        pass
    assert ended(tmp_path) == end == stated(tmp_path)


async def test_a_checkpoint_of_an_unknown_key_proves_nothing_and_is_on_record(tmp_path: Path) -> None:
    await made(tmp_path)
    (tmp_path / DATABASE).unlink()
    (tmp_path / KEY_FILE).unlink()
    said = kept(tmp_path).text
    facts = await recovered(tmp_path)
    assert (old(facts), facts["basis"], facts["checkpoint"]) == (None, "none", said)
    assert facts["why"].endswith("; its checkpoint bears no signature of a known key")


async def test_a_checkpoint_is_believed_under_the_key_that_the_damaged_chain_still_names(tmp_path: Path) -> None:
    end = await made(tmp_path)
    (tmp_path / KEY_FILE).unlink()
    tampered(tmp_path, "DELETE FROM custody WHERE seq > 5")
    facts = await recovered(tmp_path)
    assert (old(facts), facts["basis"]) == (end, "checkpoint")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE clips SET kind = CAST(x'76ff' AS TEXT) WHERE key = 2",
        "UPDATE clips SET detail = CAST(x'ff' AS TEXT) WHERE key = 1",
        "UPDATE clips SET tags = 'emptx' WHERE key = 2",
        "UPDATE dockings SET serial = CAST(x'43ff' AS TEXT)",
        "UPDATE dockings SET reason = 'usc'",
    ],
)
async def test_a_row_that_rotted_until_nobody_can_read_it_is_damage(tmp_path: Path, statement: str) -> None:
    """SQLite's own check does not look into texts; the service would meet them again at every start."""
    end = await made(tmp_path)
    tampered(tmp_path, statement)
    facts = await recovered(tmp_path)
    assert "holds what cannot be" in facts["why"]
    assert (old(facts), facts["basis"]) == (end, "database")


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


# --- identity -------------------------------------------------------------------------------------------------------

OTHER = StationId("south-2")
BELONGS = "belongs to station north-1, this is station south-2: if the disk was moved here, put it back"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda _: None, id="whole"),
        pytest.param(lambda folder: (folder / DATABASE).unlink(), id="no database"),
        pytest.param(lambda folder: (folder / DATABASE).write_bytes(b"junk" * 99), id="no readable database"),
        pytest.param(lambda folder: (folder / CHECKPOINT).unlink(), id="no checkpoint"),
        pytest.param(lambda folder: (folder / KEY_FILE).unlink(), id="no key"),
        pytest.param(lambda folder: tampered(folder, "DELETE FROM custody WHERE seq > 3"), id="rolled back"),
        pytest.param(lambda folder: tampered(folder, "UPDATE meta SET station = 'south-2'"), id="renamed"),
        pytest.param(
            lambda folder: [(folder / name).unlink() for name in (DATABASE, KEY_FILE)], id="no database and no key"
        ),
    ],
)
async def test_the_folder_of_another_station_is_refused_and_left_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    await made(tmp_path)
    spoil(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in {LOCK, KEY_FILE}}
    with pytest.raises(StartRefusedError, match=BELONGS):
        await threaded(tmp_path, station=OTHER)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in {LOCK, KEY_FILE}} == before


async def test_a_database_of_another_station_under_this_ones_checkpoint_is_refused(tmp_path: Path) -> None:
    north, south = tmp_path / "north", tmp_path / "south"
    await made(north)
    async with await threaded(south, station=OTHER):
        pass
    shutil.copy(north / DATABASE, south / DATABASE)
    with pytest.raises(StartRefusedError, match=BELONGS):
        await threaded(south, station=OTHER)


async def test_a_station_name_that_only_rotted_in_its_table_is_damage_not_identity(tmp_path: Path) -> None:
    end = await made(tmp_path)
    tampered(tmp_path, "UPDATE meta SET station = 'nprth-1'")
    facts = await recovered(tmp_path)
    assert facts["why"].startswith("it calls itself nprth-1 ")
    assert (old(facts), facts["basis"]) == (end, "database")


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


# --- under a running station ----------------------------------------------------------------------------------------


@pytest.mark.promise("I8")
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(lambda folder: (folder / DATABASE).unlink(), r"ledger\.db was removed", id="removed"),
        pytest.param(lambda folder: (folder / f"{DATABASE}-wal").unlink(), r"ledger\.db-wal was removed", id="log"),
        pytest.param(
            lambda folder: (folder / DATABASE).write_bytes((folder / DATABASE).rename(folder / "x").read_bytes()),
            r"ledger\.db was replaced",
            id="replaced",
        ),
        pytest.param(lambda folder: folder.rename(folder.with_name("elsewhere")), "was removed", id="folder moved"),
    ],
)
async def test_nothing_is_claimed_on_a_database_that_was_taken_away(
    tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    state = tmp_path / "state"
    async with await threaded(state) as ledger:
        await docked(ledger, file("A.MP4"))
        (clip,) = await clips(ledger, 1)
        spoil(state)
        for _ in range(2):
            with pytest.raises(InvariantError, match=f"{says} while it was open"):
                await bring(ledger, clip, ClipState.COPIED)
        with pytest.raises(InvariantError, match=says):
            await ledger.stand()


async def test_a_page_that_rots_under_a_running_station_ends_it_and_the_next_start_recovers(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, *(file(f"{number}.MP4") for number in range(400)))
        await ledger.stand()
    async with await threaded(tmp_path) as ledger:
        size = (tmp_path / DATABASE).stat().st_size
        with (tmp_path / DATABASE).open("r+b") as database:
            for page in range(1, size // 4096):
                database.seek(page * 4096)
                database.write(b"\xa5" * 4096)

        async def every_clip() -> None:
            for key in range(1, 400):
                await ledger.clip(ClipKey(key))

        with pytest.raises(InvariantError, match="the database is damaged; the next start sets it aside"):
            await every_clip()
    facts = await recovered(tmp_path)
    assert facts["old_seq"] == str(404)


async def test_a_checkpoint_follows_the_chain_and_never_runs_ahead_of_it(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        assert stated(tmp_path) == Head(instance=stated(tmp_path).instance, seq=1, hash=ended(tmp_path).hash)
        before = (tmp_path / CHECKPOINT).stat().st_ino
        await ledger.state_end()
        assert (tmp_path / CHECKPOINT).stat().st_ino == before  # nothing moved, nothing is written
        await docked(ledger, file("A.MP4"))
        assert stated(tmp_path).seq == 1
        await ledger.state_end()
        assert stated(tmp_path) == ended(tmp_path)
        await docked(ledger, file("B.MP4"))
    assert stated(tmp_path) == ended(tmp_path)


async def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        before = kept(tmp_path).text
        (tmp_path / f"{CHECKPOINT}.new").mkdir()
        await docked(ledger, file("A.MP4"))
        with pytest.raises(TransientError, match="checkpoint: Is a directory, expected it to be written"):
            await ledger.state_end()
        assert kept(tmp_path).text == before
    assert kept(tmp_path).text == before
    (tmp_path / f"{CHECKPOINT}.new").rmdir()
    async with await threaded(tmp_path):
        pass
    assert stated(tmp_path) == ended(tmp_path)
