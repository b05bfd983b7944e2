"""A writer that is killed before its last commit is synced: `python -m tests.powercut.late_writer ROOT ledger|index`.

Its successor finds that commit in the cache, and must not tell anybody of it before it is durable.
"""

import asyncio
import sqlite3
import sys
from pathlib import Path

from dockd.central.database import Database
from dockd.domain.model import Timestamp
from dockd.edges.ledger.start import open_ledger
from tests.powercut.life import STATION, kill

TABLE = ("CREATE TABLE said (word TEXT) STRICT;",)
WORD = "said, and not synced"
INDEX = "index.sqlite3"


def now() -> Timestamp:
    """Give a time."""
    return Timestamp(utc="2024-05-01T00:00:00.000000Z", source="simulated", uncertainty_ms=7)


async def write_ledger(root: Path) -> None:
    """Open a ledger, and be killed in the next commit."""
    ledger = await open_ledger(root / "station", station=STATION, now=now)
    kill(str(root), r"1 ^ledger\.db-wal$")
    await ledger.note("late", actor="user:test")


async def write_index(root: Path) -> None:
    """Open an index, and be killed in the next commit."""
    index = Database(root / INDEX, migrations=TABLE)
    kill(str(root), r"1 ^index\.sqlite3-wal$")
    await index.write(insert)


def insert(db: sqlite3.Connection) -> None:
    """Write the word."""
    db.execute("INSERT INTO said (word) VALUES (?)", (WORD,))


if __name__ == "__main__":
    asyncio.run({"ledger": write_ledger, "index": write_index}[sys.argv[2]](Path(sys.argv[1])))
