"""The store's writer on a disk that fails: who is told what, and that whoever comes after is served (I9)."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from dockd.central.database import Database
from dockd.errors import Reason, StartRefusedError, TransientError
from tests.failing_disk import Broken, files_limited_to

MIGRATIONS = (
    """
    CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE reply (word INTEGER NOT NULL REFERENCES word (id) DEFERRABLE INITIALLY DEFERRED) STRICT;
    """,
)
WITHIN_S = 10.0


def noted(text: str) -> Callable[[sqlite3.Connection], str]:
    """Make a closure that writes one row."""

    def note(db: sqlite3.Connection) -> str:
        db.execute("INSERT INTO word (text) VALUES (?)", (text,))
        return text

    return note


def words(db: sqlite3.Connection) -> list[str]:
    """Every row, in order."""
    return [row["text"] for row in db.execute("SELECT text FROM word ORDER BY id")]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    """Open a database, and close it after the block; a writer that hangs fails the test."""
    database = await asyncio.to_thread(Database, path, migrations=MIGRATIONS)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield database
    finally:
        await asyncio.to_thread(database.close)


class Failing(sqlite3.Connection):
    """A connection that notes its statements, and fails as SQLite or Python may where a fault is planned for one."""

    faults: dict[str, Exception]
    ran: list[list[str]]

    def __init__(self, *arguments: object, faults: dict[str, Exception], ran: list[list[str]], **more: object) -> None:
        super().__init__(*arguments, **more)  # type: ignore[arg-type] # what sqlite3.connect was given
        self.faults, self.mine = faults, list[str]()
        ran.append(self.mine)

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        self.mine.append(sql)
        if sql in self.faults:
            raise self.faults.pop(sql)
        return super().execute(sql, parameters)  # type: ignore[arg-type] # handed on


@pytest.fixture
def ran() -> list[list[str]]:
    """The statements of each connection, in the order in which they were opened."""
    return []


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch, ran: list[list[str]]) -> dict[str, Exception]:
    """Statements that fail the next time, by SQLite's own seam for connections: its factory."""
    planned: dict[str, Exception] = {}
    factory = partial(Failing, faults=planned, ran=ran)
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=factory))
    return planned


async def test_a_closure_that_fails_takes_only_itself_back(tmp_path: Path) -> None:
    def refused(db: sqlite3.Connection) -> None:
        noted("refused")(db)
        raise LookupError("in the middle")

    async with opened(tmp_path / "index") as database:
        outcomes = await asyncio.gather(
            database.write(noted("one")),
            database.write(refused),
            database.write(noted("one")),
            database.write(noted("two")),
            return_exceptions=True,
        )
        assert [outcomes[0], outcomes[3]] == ["one", "two"]
        assert repr(outcomes[1]) == "LookupError('in the middle')"
        assert isinstance(outcomes[2], sqlite3.IntegrityError)
        assert await database.read(words) == ["one", "two"]


@pytest.mark.parametrize("what", [MemoryError(), sqlite3.Warning("odd"), Broken(sqlite3.SQLITE_IOERR_FSYNC)], ids=repr)
@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "SAVEPOINT closure", "RELEASE closure", "COMMIT"])
async def test_whatever_a_statement_of_the_writer_raises_is_told_and_the_next_write_is_served(
    tmp_path: Path, faults: dict[str, Exception], statement: str, what: Exception
) -> None:
    async with opened(tmp_path / "index") as database:
        faults[statement] = what
        with pytest.raises(sqlite3.Error):
            await database.write(noted("lost"))
        assert await database.write(noted("kept")) == "kept"
        assert await database.read(words) == ["kept"]


async def test_a_rollback_that_fails_is_told_and_the_next_write_is_served(
    tmp_path: Path, faults: dict[str, Exception]
) -> None:
    def refused(db: sqlite3.Connection) -> None:
        faults["ROLLBACK TO closure"] = faults["ROLLBACK"] = Broken(sqlite3.SQLITE_IOERR_READ)
        noted("refused")(db)
        raise LookupError("in the middle")

    async with opened(tmp_path / "index") as database:
        with pytest.raises(sqlite3.Error):
            await database.write(refused)
        assert await database.write(noted("kept")) == "kept"
        assert await database.read(words) == ["kept"]


async def test_a_closure_that_means_to_end_its_thread_ends_nobody_elses_write(tmp_path: Path) -> None:
    def leaving(db: sqlite3.Connection) -> None:
        noted("lost")(db)
        raise SystemExit(3)

    async with opened(tmp_path / "index") as database:
        with pytest.raises(sqlite3.Error):
            await database.write(leaving)
        assert await database.write(noted("kept")) == "kept"
        assert await database.read(words) == ["kept"]


async def test_a_connection_closed_under_the_writer_is_opened_anew(tmp_path: Path) -> None:
    async with opened(tmp_path / "index") as database:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            await database.write(sqlite3.Connection.close)
        assert await database.write(noted("kept")) == "kept"


@pytest.mark.promise("I9")
@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_CORRUPT], ids=["full", "sync", "corrupt"]
)
async def test_after_an_error_of_the_disk_nothing_is_tried_on_that_connection(
    tmp_path: Path, faults: dict[str, Exception], ran: list[list[str]], code: int
) -> None:
    """I9: neither by the writer nor by the closures of the same group."""

    def breaks(_: sqlite3.Connection) -> None:
        raise Broken(code)

    async with opened(tmp_path / "index") as database:
        faults["COMMIT"] = Broken(code)
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            await database.write(noted("lost"))
        assert ran[0][-1] == "COMMIT"
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            await database.write(breaks)
        assert ran[-1][-1] == "SAVEPOINT closure"
        assert await database.write(noted("kept")) == "kept"
        assert len(ran) == 4  # the first writer, the reader, two writers more


@pytest.mark.promise("I9")
async def test_a_group_that_meets_an_error_of_the_disk_is_lost_as_a_whole(tmp_path: Path) -> None:
    def breaks(_: sqlite3.Connection) -> None:
        raise Broken(sqlite3.SQLITE_IOERR_WRITE)

    async with opened(tmp_path / "index") as database:
        begun, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def waits(_: sqlite3.Connection) -> None:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(WITHIN_S)

        first = asyncio.create_task(database.write(waits), name="first")
        await begun.wait()
        group = [
            asyncio.create_task(database.write(each), name="one of a group")
            for each in (noted("one"), breaks, noted("two"))
        ]
        await asyncio.sleep(0)
        go_on.set()
        await first
        outcomes = await asyncio.gather(*group, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Broken] * 3
        assert await database.read(words) == []


async def test_a_commit_that_finds_a_broken_rule_is_told_and_the_next_write_is_served(tmp_path: Path) -> None:
    async with opened(tmp_path / "index") as database:
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            await database.write(lambda db: db.execute("INSERT INTO reply VALUES (99)"))
        assert await database.write(noted("kept")) == "kept"
        # The rules hold on the connection that was opened anew too.
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            await database.write(lambda db: db.execute("INSERT INTO reply VALUES (99)"))


@pytest.mark.promise("I9")
async def test_a_commit_that_failed_cannot_come_back_to_life(tmp_path: Path) -> None:
    """I9: a real error of write(2) in COMMIT; what it left in the log is gone before anything else is written."""
    log = tmp_path / "index-wal"
    async with opened(tmp_path / "index") as database:
        await database.write(noted("one"))
        assert await database.read(words) == ["one"]  # as a store does when it starts: the reader holds the log too
        with files_limited_to(log.stat().st_size):
            with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
                await database.write(noted("lost"))
            assert await database.read(words) == ["one"]
        await database.write(lambda _: None)
        assert log.stat().st_size == 0
        await database.write(noted("two"))
        assert await database.read(words) == ["one", "two"]


@pytest.mark.promise("I9")
async def test_an_index_that_went_away_is_not_made_anew(tmp_path: Path, faults: dict[str, Exception]) -> None:
    async with opened(tmp_path / "index") as database:
        (tmp_path / "index").rename(tmp_path / "elsewhere")
        faults["COMMIT"] = Broken(sqlite3.SQLITE_IOERR_WRITE)
        for words_of_it in ("disk I/O error", "unable to open"):
            with pytest.raises(sqlite3.OperationalError, match=words_of_it):
                await database.write(noted("lost"))
        assert not (tmp_path / "index").exists()
        (tmp_path / "elsewhere").rename(tmp_path / "index")
        assert await database.write(noted("kept")) == "kept"


def test_a_full_disk_at_the_opening_is_said_to_be_one(tmp_path: Path, faults: dict[str, Exception]) -> None:
    faults["PRAGMA journal_mode = WAL"] = Broken(sqlite3.SQLITE_FULL)
    with pytest.raises(TransientError, match=r"index: .*, expected room on the disk") as caught:
        Database(tmp_path / "index", migrations=MIGRATIONS)
    assert caught.value.reason is Reason.DISK_FULL


def test_a_disk_that_fails_at_the_opening_is_not_called_a_damaged_index(
    tmp_path: Path, faults: dict[str, Exception]
) -> None:
    faults["PRAGMA journal_mode = WAL"] = Broken(sqlite3.SQLITE_IOERR_WRITE)
    with pytest.raises(TransientError, match=r"index: .*, expected a disk that can be written") as caught:
        Database(tmp_path / "index", migrations=MIGRATIONS)
    assert caught.value.reason is Reason.DISK


@pytest.mark.parametrize("what", [Broken(sqlite3.SQLITE_CORRUPT), sqlite3.DatabaseError("odd")], ids=repr)
def test_anything_else_at_the_opening_is_a_damaged_index(
    tmp_path: Path, faults: dict[str, Exception], what: Exception
) -> None:
    faults["PRAGMA journal_mode = WAL"] = what
    with pytest.raises(StartRefusedError, match="damaged or not an index"):
        Database(tmp_path / "index", migrations=MIGRATIONS)
