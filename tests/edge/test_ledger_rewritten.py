"""A ledger that was cut, edited, rolled back or brought from elsewhere is not gone on with."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.domain.custody import leaf_hash
from dockd.domain.model import StationId
from dockd.edges.ledger.checkpoint import FILE as CHECKPOINT, kept
from dockd.edges.ledger.lock import LOCK
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.seal import KEY_FILE
from dockd.errors import StartRefusedError
from tests.ledger_parts import docked, file, tampered, threaded
from tests.lost_ledgers import ended, made, old, recovered, stated

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
    # One entry more, which says so: see test_ledger_unstated.
    assert ended(tmp_path) == stated(tmp_path)
    assert ended(tmp_path).seq == end.seq + 1


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
