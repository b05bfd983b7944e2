"""What tests of group commit share: a writer on a ledger's database, and entries that are only noted."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.faults import told
from dockd.edges.ledger.schema import migrations
from dockd.edges.ledger.start import connect, prepare
from dockd.sqlite.group import GroupWriter
from dockd.sqlite.wal import make_durable
from tests.ledger_parts import INSTANCE, STATION, Ticks


def opened(database: Path, *, made: list[LedgerCore] | None = None) -> LedgerCore:
    core = prepare(
        connect(database), database=database, station=STATION, now=Ticks(), instance=INSTANCE, scripts=migrations()
    )
    if made is not None:
        made.append(core)
    return core


def again(database: Path) -> LedgerCore:
    connection = connect(database)
    make_durable(connection)
    return LedgerCore(connection)


def noted(cause: str) -> Callable[[LedgerCore], str]:
    def closure(core: LedgerCore) -> str:
        core.note(cause, actor="test", time=Ticks()())
        return cause

    return closure


def causes(database: Path) -> list[str]:
    connection = sqlite3.connect(database)
    rows = connection.execute("SELECT body ->> '$.cause' FROM custody ORDER BY seq").fetchall()
    connection.close()
    return [cause for (cause,) in rows][1:]


def writer_of(database: Path) -> GroupWriter[LedgerCore]:
    return GroupWriter(first=partial(opened, database), again=partial(again, database), told=told)
