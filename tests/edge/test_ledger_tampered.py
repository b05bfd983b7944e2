"""Every edit of a ledger behind its rules, and every cut of its chain, is a problem that verify tells."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from dockd.domain.canonical import canonical_json
from dockd.domain.clip import Change, Move
from dockd.domain.custody import GENESIS, leaf_hash
from dockd.domain.model import CameraSerial, ClipKey, ClipState
from dockd.edges.ledger.audit import Report, verify_state
from dockd.edges.ledger.checkpoint import FILE as CHECKPOINT
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.seal import KEY_FILE, public_key_of, verifies
from dockd.errors import Reason, StartRefusedError
from tests.ledger_parts import CAMERA, SIGNER, bring, docked, file, listing, reading, threaded

WORKING_NOTES = {("clips", "reason"), ("clips", "detail")}
"""What a clip waits for, in words: changes without an entry, and nothing is decided by it. All else is custody."""

EVERY = int(os.environ.get("DOCKD_TAMPER_EVERY", "6"))
"""Of the edits of values one in so many is tried, another in each entry; 1 tries them all."""
READ = reading(group=b"1", profile="example", recorded="2024-10-27T01:30:00", recorded_is="twice")
OTHER = replace(CAMERA, serial=CameraSerial("CAM0002"), model="")

pytestmark = [pytest.mark.promise("I18"), pytest.mark.timeout(1800 // EVERY)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """An earlier moment: the database as it was, and as a stop then would have left it, with its checkpoint."""

    database: bytes
    stopped: bytes
    checkpoint: bytes


@dataclass(slots=True)
class Scene:
    """A state folder as it was left, its earlier days, and what the store has signed."""

    folder: Path
    whole: bytes
    days: list[Day]
    """Earlier moments, oldest first."""
    receipts: list[str]
    entries: list[bytes]
    tried: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def audit(self, told: Sequence[str] | None = None) -> Report:
        """Check the folder with all there is to check it by."""
        key = public_key_of(self.folder)
        return verify_state(self.folder, SIGNER.pinned().verify, key=key, check=verifies, store_says=told)

    def put(self, database: bytes) -> None:
        """Lay a database into the folder's place for it."""
        for ending in ("-wal", "-shm"):
            (self.folder / f"{DATABASE}{ending}").unlink(missing_ok=True)
        (self.folder / DATABASE).write_bytes(database)

    def edited(self, kind: str, *statements: tuple[str, Sequence[object]]) -> None:
        """Make an edit behind every rule, and see that it is found."""
        self.put(self.whole)
        with closing(sqlite3.connect(self.folder / DATABASE, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA ignore_check_constraints = ON")
            connection.execute("BEGIN")
            triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            changed = [connection.execute(statement, values).rowcount for statement, values in statements]
            for _, sql in triggers:
                connection.execute(sql)
            connection.execute("COMMIT")
        assert all(changed), f"{statements}: changed nothing"
        self.judge(kind, str(statements))

    def judge(self, kind: str, what: str) -> None:
        """Count a trial, and whether it was found."""
        self.tried[kind] += 1
        if self.audit().clean:
            self.missed.append(f"{kind}: {what:.300}")

    def done(self) -> None:
        """Print the counts, and fail where anything was not found."""
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(self.tried.items()))
        sys.stdout.write(f"tampered with: {counts}: {len(self.missed)} undetected\n")
        assert self.missed == []


async def live(ledger: StationLedger, moment: Callable[[], object]) -> None:
    """Let some shifts go by; `moment` is called after each thing that happened."""
    files = [file(f"{number}.MP4", urgent=number == 3, reading=READ if number % 3 else None) for number in range(8)]
    docking = await docked(ledger, *files)
    moment()
    states = (ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED)
    for key, state in enumerate(states, 2):
        for step in states[: states.index(state) + 1]:
            await bring(ledger, await ledger.clip(ClipKey(key)), step)
            moment()
    await ledger.move(ClipKey(6), Move.RECLAIMED, Change(), actor="reclaim")
    await ledger.move(ClipKey(7), Move.HELD, Change(reason=Reason.UNREADABLE, detail="at 4096"), actor="offload")
    await ledger.acknowledge_clip(ClipKey(7), actor="user:kim", why="the card is broken")
    moment()
    await ledger.note("looked at", actor="user:kim", clip=ClipKey(3))
    await ledger.undock(docking, early=True, left_files=1)
    again = await docked(ledger, *(file(f"{number}.MP4") for number in range(1, 8)), bay=2)
    moment()
    await ledger.supersede(ClipKey(2), file("1.MP4"), docking=again)
    await ledger.record_listing(again, listing(*(file(f"{number}.MP4") for number in range(1, 8))))
    await ledger.broke(again, Reason.USB, "three reads failed")
    await ledger.acknowledge_docking(again, actor="user:kim", why="a loose cable")
    moment()
    await docked(ledger, *(file(f"{number}.JPG") for number in range(8)), bay=3, camera=OTHER)
    await bring(ledger, await ledger.clip(ClipKey(9)), ClipState.RECEIPTED)


async def made(root: Path) -> Scene:
    """Make a state folder that has seen some days."""
    folder, moments, days = root / "state", list[bytes](), list[Day]()

    def moment() -> None:
        copy = root / "copy.db"
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(folder / DATABASE)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        moments.append(copy.read_bytes())

    async with await threaded(folder) as ledger:
        await live(ledger, moment)
    # The folders of those moments: what the station would have stated if it had been stopped then.
    for number, database in enumerate(moments):
        day = root / f"day{number}"
        day.mkdir()
        shutil.copy(folder / KEY_FILE, day)
        (day / DATABASE).write_bytes(database)
        async with await threaded(day):
            pass
        stopped = ((day / DATABASE).read_bytes(), (day / CHECKPOINT).read_bytes())
        days.append(Day(database=database, stopped=stopped[0], checkpoint=stopped[1]))
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        receipts = [row[0] for row in connection.execute("SELECT receipt FROM clips WHERE receipt IS NOT NULL")]
        entries = [row[0] for row in connection.execute("SELECT body FROM custody ORDER BY seq")]
    return Scene(folder=folder, whole=(folder / DATABASE).read_bytes(), days=days, receipts=receipts, entries=entries)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Make the folder once; it is small, and every test lays its own copy of it."""
    scene = asyncio.run(made(tmp_path_factory.mktemp("tampered")))
    assert scene.audit(scene.receipts).faults == ()
    assert len(scene.entries) >= 60
    assert len(scene.receipts) == 4
    return scene


@pytest.fixture
def scene(made_once: Scene, tmp_path: Path) -> Scene:
    """Lay a copy of the folder."""
    folder = tmp_path / "state"
    shutil.copytree(made_once.folder, folder)
    scene = replace(made_once, folder=folder, tried=Counter(), missed=[])
    scene.put(scene.whole)
    return scene


# --- rows -----------------------------------------------------------------------------------------------------------


def others(value: object) -> Iterator[object]:
    """Give other values for a column, the likely ones first."""
    match value:
        case None:
            yield from (1, "x", "0" * 64)
        case int():
            yield from (value + 1, max(0, value - 1), value + 1000)
        case bytes():
            yield from (value + b"x", b"")
        case _:
            text = str(value)
            yield ("0" if text[:1] != "0" else "1") + text[1:]
            yield from ("none", "found", "held")


def rows_of(scene: Scene, table: str) -> tuple[list[str], list[str], list[tuple[object, ...]]]:
    """Give a table's columns, its key's columns, and its rows."""
    with closing(sqlite3.connect(scene.folder / DATABASE)) as connection:
        info = connection.execute(f"PRAGMA table_info({table})").fetchall()
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - the schema's
    return [row[1] for row in info], [row[1] for row in info if row[5]], rows


@pytest.mark.parametrize("table", ["custody", "clips", "dockings", "meta", "tallies"])
def test_every_column_of_every_row_that_is_edited_is_found(scene: Scene, table: str) -> None:
    columns, keys, rows = rows_of(scene, table)
    where = " AND ".join(f"{key} = ?" for key in keys)
    for row in rows:
        known = dict(zip(columns, row, strict=True))
        for column in columns:
            if (table, column) not in WORKING_NOTES and known.get("files") != 0:
                statement = update_of(table, column, where)
                one_column(scene, f"{table} columns", statement, known[column], [known[key] for key in keys])
    scene.done()
    assert len({*columns}) > 3


def update_of(table: str, column: str, where: str) -> str:
    """Write an edit of one column of one row."""
    return f"UPDATE {table} SET {column} = ? WHERE {where}"  # noqa: S608 - names are the schema's


def one_column(scene: Scene, kind: str, statement: str, value: object, keys: Sequence[object]) -> None:
    """Edit one column in the first way that the table's types allow."""
    for other in others(value):
        if other == value:
            continue
        try:
            scene.edited(kind, (statement, (other, *keys)))
        except sqlite3.Error:
            continue
        return
    raise AssertionError(f"{statement} {keys}: no other value than {value!r} was taken")


@pytest.mark.parametrize("table", ["custody", "clips", "dockings", "tallies"])
def test_every_row_that_is_deleted_is_found(scene: Scene, table: str) -> None:
    columns, keys, rows = rows_of(scene, table)
    where = " AND ".join(f"{key} = ?" for key in keys)
    for row in rows:
        known = dict(zip(columns, row, strict=True))
        if known.get("files") != 0:
            statement = f"DELETE FROM {table} WHERE {where}"  # noqa: S608 - names are the schema's
            scene.edited(f"{table} rows deleted", (statement, [known[key] for key in keys]))
    scene.done()


def test_a_ledger_without_its_name_is_no_ledger(scene: Scene) -> None:
    with pytest.raises(StartRefusedError, match="was never opened to the end and holds nothing"):
        scene.edited("meta rows deleted", ("DELETE FROM meta", ()))


@pytest.mark.parametrize("table", ["custody", "clips", "dockings"])
def test_every_row_that_is_doubled_is_found(scene: Scene, table: str) -> None:
    columns, (key,), rows = rows_of(scene, table)
    chosen = ", ".join("? + 1000" if column == key else column for column in columns)
    for row in rows:
        number = dict(zip(columns, row, strict=True))[key]
        statement = f"INSERT INTO {table} SELECT {chosen} FROM {table} WHERE {key} = ?"  # noqa: S608 - as above
        scene.edited(f"{table} rows doubled", (statement, (number, number)))
    scene.done()


def test_every_rule_that_is_taken_away_is_found(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.folder / DATABASE)) as connection:
        rules = connection.execute(
            "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'index') AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
    for kind, name in rules:
        scene.put(scene.whole)
        with closing(sqlite3.connect(scene.folder / DATABASE)) as connection:
            connection.execute(f"DROP {kind} {name}")
        scene.judge(f"{kind} dropped", name)
    scene.done()
    assert sum(scene.tried.values()) > 20


# --- the chain ------------------------------------------------------------------------------------------------------


def chained(bodies: Sequence[dict[str, Any]]) -> list[tuple[str, Sequence[object]]]:
    """Write a whole chain anew over bodies, each hashed as it should be, as somebody who knows how would."""
    statements: list[tuple[str, Sequence[object]]] = [("DELETE FROM custody", ())]
    prev = GENESIS
    for seq, body in enumerate(bodies, 1):
        data = canonical_json({**body, "seq": seq, "prev": prev})
        statements.append(
            ("INSERT INTO custody (seq, prev, hash, body, clip) VALUES (?, ?, ?, ?, ?)",
             (seq, prev, leaf_hash(data), data, body["clip"]))
        )  # fmt: skip
        prev = leaf_hash(data)
    return statements


def values_of(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give a body with each of its values changed, one at a time."""
    for name, value in body.items():
        if name == "facts":
            for fact, text in value.items():
                yield f"facts.{fact}", {**body, "facts": {**value, fact: f"{text}0"}}
            yield "facts", {**body, "facts": {**value, "more": "0"}}
        else:
            yield name, {**body, name: value + 1 if isinstance(value, int) else f"{value}0"}


def test_every_value_in_every_entry_that_is_edited_is_found_whatever_is_hashed_anew(scene: Scene) -> None:
    bodies = [json.loads(body) for body in scene.entries]
    for seq, body in enumerate(bodies, 1):
        for number, (name, lie) in enumerate(values_of(body)):
            data = canonical_json(lie)
            if (number + seq) % EVERY:
                continue
            update = "UPDATE custody SET body = ? WHERE seq = ?"
            rehash = "UPDATE custody SET body = ?, hash = ? WHERE seq = ?"
            scene.edited("body values", (update, (data, seq)))
            scene.edited("body values with their hash", (rehash, (data, leaf_hash(data), seq)))
            if name not in {"seq", "prev", "clip"}:
                scene.edited("body values, all hashed anew", *chained([*bodies[: seq - 1], lie, *bodies[seq:]]))
    scene.done()
    assert sum(scene.tried.values()) > 2000 // EVERY


def test_every_entry_that_is_left_out_or_moved_is_found_whatever_is_hashed_anew(scene: Scene) -> None:
    bodies = [json.loads(body) for body in scene.entries]
    for seq in range(1, len(bodies), EVERY // 2 or 1):
        without = [*bodies[: seq - 1], *bodies[seq:]]
        swapped = [*bodies[: seq - 1], bodies[seq], bodies[seq - 1], *bodies[seq + 1 :]]
        scene.edited("entries left out, all hashed anew", *chained(without))
        scene.edited("entries swapped, all hashed anew", *chained(swapped))
        scene.edited(
            "entries swapped",
            ("UPDATE custody SET seq = -1 WHERE seq = ?", (seq,)),
            ("UPDATE custody SET seq = ? WHERE seq = ?", (seq, seq + 1)),
            ("UPDATE custody SET seq = ? WHERE seq = -1", (seq + 1,)),
        )
    scene.done()


def test_every_cut_of_the_tail_is_found(scene: Scene) -> None:
    for seq in range(len(scene.entries)):
        scene.edited("tails cut", ("DELETE FROM custody WHERE seq > ?", (seq,)))
    scene.done()


def test_every_byte_of_the_checkpoint_that_is_edited_is_found(scene: Scene) -> None:
    scene.put(scene.whole)
    whole = (scene.folder / CHECKPOINT).read_bytes()
    for at in range(0, len(whole) - 1, EVERY):
        other = b"A" if whole[at : at + 1] != b"A" else b"B"
        (scene.folder / CHECKPOINT).write_bytes(whole[:at] + other + whole[at + 1 :])
        scene.judge("checkpoint bytes", f"at {at}")
    (scene.folder / CHECKPOINT).unlink()
    scene.judge("checkpoints removed", "")
    scene.done()


# --- an earlier day -------------------------------------------------------------------------------------------------


def test_an_earlier_day_of_the_database_is_found_by_the_checkpoint(scene: Scene) -> None:
    for number, day in enumerate(scene.days):
        scene.put(day.database)
        scene.judge("older databases", f"day {number}")
    scene.done()
    assert len(scene.days) > 15


def test_an_earlier_day_of_the_whole_folder_agrees_with_itself_and_not_with_the_store(scene: Scene) -> None:
    """Up to the last receipt: what happened after that, nobody else has heard of."""
    clean, found = 0, 0
    for day in scene.days:
        scene.put(day.stopped)
        (scene.folder / CHECKPOINT).write_bytes(day.checkpoint)
        clean += scene.audit().clean
        faults = scene.audit(scene.receipts).faults
        found += any("this chain holds nothing of it: the state folder was rolled back" in fault for fault in faults)
    sys.stdout.write(f"{len(scene.days)} folders of earlier days: {clean} clean alone, {found} found by the receipts\n")
    assert clean == found == len(scene.days)
