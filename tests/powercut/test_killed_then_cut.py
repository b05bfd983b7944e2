"""What a process wrote and could not sync before it was killed is durable before its successor tells anybody of it."""

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dockd.central.database import Database
from dockd.edges.ledger.start import open_ledger
from tests.powercut.campaign import scratch
from tests.powercut.jobs import require_machine
from tests.powercut.judge import Judge
from tests.powercut.late_writer import INDEX, TABLE, WORD, now
from tests.powercut.life import STATION
from tests.powercut.oplog import Claimed, read
from tests.powercut.rebuild import Medium
from tests.powercut.workload import KILLED, REPOSITORY, mounted, say, sync


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder in memory."""
    require_machine()
    with scratch() as made:
        yield made


def killed_in_a_commit(root: Path, of: str) -> None:
    """Run the writer, and see it killed."""
    command = [sys.executable, "-m", "tests.powercut.late_writer", str(root), of]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=60, check=False)
    assert ended.returncode == KILLED, ended.stderr.decode(errors="replace")


def left(log: Path, name: str, folder: Path) -> Iterator[Path]:
    """Cut the power fifty times where the claim was made; give the database that is left."""
    medium = Medium()
    for record in read(log):
        medium.take(record)
        if isinstance(record, Claimed):
            break
    assert medium.claims, "nothing was claimed"
    for seed in range(50):
        files = medium.cut(random.Random(seed)).files
        for ending in ("", "-wal", "-shm"):
            (folder / f"left{ending}").unlink(missing_ok=True)
            if f"{name}{ending}" in files:
                (folder / f"left{ending}").write_bytes(files[f"{name}{ending}"].data)
        yield folder / "left"


async def told_by_ledger(root: Path) -> str:
    """Open the ledger of a killed writer, and tell where its chain ends."""
    async with await open_ledger(root / "station", station=STATION, now=now) as ledger:
        (*_, last) = await ledger.links(after=0, limit=100)
        assert b'"cause":"late"' in last.body, "the killed one left no commit: nothing is shown here"
        say(root, "end", hash=last.hash)
    return last.hash


async def told_by_index(root: Path) -> None:
    """Open the index of a killed writer, and tell what it says."""
    index = Database(root / INDEX, migrations=TABLE)
    try:
        assert await index.read(lambda db: db.execute("SELECT word FROM said").fetchone()[0]) == WORD
        sync(root)  # as the store does when it has opened everything
        say(root, "word", word=WORD)
    finally:
        index.close()


@pytest.mark.promise("I8")
def test_a_ledger_is_synced_before_its_successor_tells_what_a_killed_one_wrote(folder: Path) -> None:
    log = folder / "log"
    with mounted(folder / "mount", log) as mount:
        killed_in_a_commit(mount, "ledger")
        told = asyncio.run(told_by_ledger(mount))
    for database in left(log, "station/ledger.db", folder):
        with closing(sqlite3.connect(database)) as db:
            assert (told,) in db.execute("SELECT hash FROM custody").fetchall()


@pytest.mark.promise("I2")
def test_an_index_is_synced_before_its_successor_tells_what_a_killed_one_wrote(folder: Path) -> None:
    log = folder / "log"
    with mounted(folder / "mount", log) as mount:
        killed_in_a_commit(mount, "index")
        asyncio.run(told_by_index(mount))
    for database in left(log, INDEX, folder):
        with closing(sqlite3.connect(database)) as db:
            assert db.execute("SELECT word FROM said").fetchall() == [(WORD,)]


@pytest.mark.promise("I8")
@pytest.mark.timeout(300)
def test_a_ledger_that_was_cut_in_its_making_is_made_and_not_taken_for_one_that_was_lost(folder: Path) -> None:
    log = folder / "log"
    with mounted(folder / "mount", log) as mount:
        killed_in_a_commit(mount, "ledger")
    medium, judge, places = Medium(), Judge(folder), 0
    for record in read(log):
        medium.take(record)
        places += 1
        for seed in range(2):
            assert list(judge.faults(medium.cut(random.Random(2 * places + seed)))) == [], places
    assert places > 50
