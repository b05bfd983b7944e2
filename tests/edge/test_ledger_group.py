"""Group commit: one COMMIT for many, each closure whole or not at all, whatever happens to whoever asked."""

import asyncio
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from dockd.domain.clip import Change, Move
from dockd.domain.custody import verify
from dockd.domain.model import ClipKey, ClipState
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.faults import told
from dockd.edges.ledger.runner import ThreadRunner
from dockd.edges.ledger.schema import DATABASE, migrations
from dockd.edges.ledger.start import connect, prepare
from dockd.errors import DockdError, InvariantError, Reason, StaleMoveError, TransientError
from dockd.sqlite.group import Done, Failed, GroupWriter
from dockd.sqlite.wal import make_durable
from tests.ledger_parts import INSTANCE, STATION, Ticks, attached, copied, docked, file, listing, threaded


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


def test_a_group_is_committed_at_once_and_in_order(tmp_path: Path) -> None:
    writer = writer_of(tmp_path / DATABASE)
    outcomes = writer.commit([noted("one"), noted("two"), noted("three")])
    assert outcomes == [Done(value="one"), Done(value="two"), Done(value="three")]
    writer.close()
    assert causes(tmp_path / DATABASE) == ["one", "two", "three"]


def test_nothing_of_a_group_is_there_before_its_commit(tmp_path: Path) -> None:
    writer = writer_of(tmp_path / DATABASE)
    writer.commit([noted("one")])
    seen: list[list[str]] = []

    def look(core: LedgerCore) -> None:
        core.note("two", actor="test", time=Ticks()())
        seen.append(causes(tmp_path / DATABASE))

    writer.commit([look, noted("three")])
    writer.close()
    assert seen == [["one"]]
    assert causes(tmp_path / DATABASE) == ["one", "two", "three"]


def test_a_closure_that_raises_is_undone_alone(tmp_path: Path) -> None:
    def half(core: LedgerCore) -> None:
        core.note("half", actor="test", time=Ticks()())
        raise LookupError("in the middle")

    def unlawful(core: LedgerCore) -> None:
        core.note("unlawful", actor="test", time=Ticks()())
        core.connection.execute("DELETE FROM custody")

    writer = writer_of(tmp_path / DATABASE)
    outcomes = writer.commit([noted("one"), half, noted("two"), unlawful, noted("three")])
    writer.close()
    assert [isinstance(outcome, Done) for outcome in outcomes] == [True, False, True, False, True]
    assert isinstance(outcomes[1], Failed)
    assert repr(outcomes[1].error) == "LookupError('in the middle')"
    assert isinstance(outcomes[3], Failed)
    assert isinstance(outcomes[3].error, InvariantError)
    assert "a custody entry is never deleted" in str(outcomes[3].error)
    assert causes(tmp_path / DATABASE) == ["one", "two", "three"]
    connection = sqlite3.connect(tmp_path / DATABASE)
    rows = connection.execute("SELECT seq, prev, hash FROM custody ORDER BY seq").fetchall()
    connection.close()
    assert [row[1] for row in rows[1:]] == [row[2] for row in rows[:-1]]


class Broken(sqlite3.OperationalError):
    """An error as SQLite gives it, of a kind."""

    def __init__(self, code: int, name: str) -> None:
        super().__init__(name)
        self.sqlite_errorcode = code
        self.sqlite_errorname = name


@pytest.mark.promise("I9")
@pytest.mark.parametrize(
    ("code", "name", "error", "reason"),
    [
        (sqlite3.SQLITE_FULL, "SQLITE_FULL", TransientError, Reason.DISK_FULL),
        (sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC", TransientError, Reason.DISK),
        (sqlite3.SQLITE_READONLY_DBMOVED, "SQLITE_READONLY_DBMOVED", TransientError, Reason.DISK),
        (sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT", InvariantError, None),
    ],
)
def test_an_error_of_the_disk_loses_the_group_and_the_connection(
    tmp_path: Path, code: int, name: str, error: type[DockdError], reason: Reason | None
) -> None:
    """I9: nothing is tried again on a connection whose disk failed."""

    def breaks(core: LedgerCore) -> None:
        raise Broken(code, name)

    made: list[LedgerCore] = []
    database = tmp_path / DATABASE
    writer = GroupWriter(first=partial(opened, database, made=made), again=partial(again, database), told=told)
    outcomes = writer.commit([noted("one"), breaks, noted("two")])
    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
    assert [type(each) for each in errors] == [error] * 3
    assert len({id(each) for each in errors}) == 3
    assert [getattr(each, "reason", None) for each in errors] == [reason] * 3
    assert all(name in str(each) for each in errors)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[0].connection.execute("SELECT 1")
    assert writer.commit([noted("three")]) == [Done(value="three")]
    writer.close()
    assert causes(database) == ["three"]


def test_a_commit_that_fails_is_told_to_everyone_in_the_group(tmp_path: Path) -> None:
    """A deferred foreign key is found wrong by COMMIT itself."""

    def late(core: LedgerCore) -> None:
        core.connection.execute("PRAGMA defer_foreign_keys = ON")
        core.connection.execute("INSERT INTO tallies VALUES (99, 0, 'found', 0, 0, 0, 0)")

    writer = writer_of(tmp_path / DATABASE)
    outcomes = writer.commit([noted("one"), late])
    assert all(isinstance(outcome, Failed) for outcome in outcomes)
    assert writer.commit([noted("two")]) == [Done(value="two")]
    writer.close()
    assert causes(tmp_path / DATABASE) == ["two"]


def test_a_disk_that_stays_bad_is_told_each_time_and_recovers(tmp_path: Path) -> None:
    database = tmp_path / DATABASE
    bad = [True, True]

    def reopened() -> LedgerCore:
        if bad:
            bad.pop()
            raise Broken(sqlite3.SQLITE_CANTOPEN, "SQLITE_CANTOPEN")
        return again(database)

    def breaks(core: LedgerCore) -> None:
        raise Broken(sqlite3.SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE")

    writer = GroupWriter(first=partial(opened, database), again=reopened, told=told)
    for _ in range(3):
        (outcome,) = writer.commit([breaks])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, TransientError)
    assert writer.commit([noted("one")]) == [Done(value="one")]
    writer.close()


def test_an_interrupt_in_the_middle_leaves_no_open_transaction(tmp_path: Path) -> None:
    def interrupted(core: LedgerCore) -> None:
        core.note("half", actor="test", time=Ticks()())
        raise KeyboardInterrupt

    writer = writer_of(tmp_path / DATABASE)
    with pytest.raises(KeyboardInterrupt):
        writer.commit([noted("one"), interrupted])
    assert writer.commit([noted("two")]) == [Done(value="two")]
    writer.close()
    assert causes(tmp_path / DATABASE) == ["two"]


async def test_two_writers_whose_group_is_one_are_each_all_or_nothing(tmp_path: Path) -> None:
    """Of two moves of one clip in one group, the second finds the clip moved."""
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, file("A.MP4"), file("B.MP4"))
        first = await ledger.clip(ClipKey(1))
        second = await ledger.clip(ClipKey(2))
        results = await asyncio.gather(
            ledger.move(first.key, Move.COPIED, copied(first), actor="one"),
            ledger.move(first.key, Move.COPIED, copied(first), actor="two"),
            ledger.move(second.key, Move.COPIED, copied(second), actor="two"),
            return_exceptions=True,
        )
        states = [result if isinstance(result, BaseException) else result.state for result in results]
        assert states[0] is states[2] is ClipState.COPIED
        assert isinstance(states[1], StaleMoveError)
        links = list(verify(await ledger.links(after=0, limit=100)))
        assert len(links) == 7


async def test_waiting_closures_share_one_commit(tmp_path: Path) -> None:
    writer = writer_of(tmp_path / DATABASE)
    runner = ThreadRunner(writer, database=tmp_path / DATABASE)
    await runner.start()
    begun, go_on = threading.Event(), threading.Event()
    log: list[str] = []

    def slow(core: LedgerCore) -> None:
        core.connection.set_trace_callback(log.append)
        begun.set()
        go_on.wait(10)

    blocked = runner.run(slow)
    await asyncio.to_thread(begun.wait, 10)
    waiting = [runner.run(noted(str(number))) for number in range(20)]
    assert not any(answer.done() for answer in waiting)
    go_on.set()
    await blocked
    assert await asyncio.gather(*waiting) == [str(number) for number in range(20)]
    assert [line for line in log if line.startswith(("BEGIN", "COMMIT"))] == ["COMMIT", "BEGIN IMMEDIATE", "COMMIT"]
    await runner.close()


async def test_who_is_cancelled_while_waiting_leaves_a_whole_transaction(tmp_path: Path) -> None:
    """Between queueing and COMMIT: the closure still runs as a whole, and nobody else's answer is touched."""
    writer = writer_of(tmp_path / DATABASE)
    runner = ThreadRunner(writer, database=tmp_path / DATABASE)
    await runner.start()
    begun, go_on = threading.Event(), threading.Event()

    def slow(core: LedgerCore) -> None:
        begun.set()
        go_on.wait(10)

    async def asking(cause: str) -> str:
        return await runner.run(noted(cause))

    blocked = runner.run(slow)
    await asyncio.to_thread(begun.wait, 10)
    one, two, three = (asyncio.create_task(asking(cause), name=cause) for cause in ("one", "two", "three"))
    await asyncio.sleep(0)
    two.cancel()
    await asyncio.sleep(0)
    assert two.cancelled()
    go_on.set()
    await blocked
    assert await one == "one"
    assert await three == "three"
    assert await runner.run(noted("four")) == "four"
    await runner.close()
    assert causes(tmp_path / DATABASE) == ["one", "two", "three", "four"]


async def test_a_closure_that_means_to_end_its_thread_ends_nobody_elses_write(tmp_path: Path) -> None:
    def leaving(core: LedgerCore) -> None:
        core.note("lost", actor="test", time=Ticks()())
        raise SystemExit(3)

    runner = ThreadRunner(writer_of(tmp_path / DATABASE), database=tmp_path / DATABASE)
    await runner.start()
    with pytest.raises(InvariantError, match=r"SystemExit\(3\)"):
        await runner.run(leaving)
    assert await runner.run(noted("kept")) == "kept"
    await runner.close()
    assert causes(tmp_path / DATABASE) == ["kept"]


async def test_everything_asked_for_before_close_is_committed(tmp_path: Path) -> None:
    writer = writer_of(tmp_path / DATABASE)
    runner = ThreadRunner(writer, database=tmp_path / DATABASE)
    await runner.start()
    answers = [runner.run(noted(str(number))) for number in range(1200)]
    await runner.close()
    assert await asyncio.gather(*answers) == [str(number) for number in range(1200)]
    assert causes(tmp_path / DATABASE) == [str(number) for number in range(1200)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [DATABASE]


async def test_a_close_that_is_cancelled_still_ends_the_thread(tmp_path: Path) -> None:
    writer = writer_of(tmp_path / DATABASE)
    runner = ThreadRunner(writer, database=tmp_path / DATABASE)
    await runner.start()
    for number in range(50):
        runner.run(noted(str(number)))
    closing = asyncio.create_task(runner.close(), name="close")
    await asyncio.sleep(0)  # it has begun
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not [thread for thread in threading.enumerate() if thread.name == "ledger" and thread.is_alive()]
    assert len(causes(tmp_path / DATABASE)) == 50


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_ledger_dropped_open_is_told_and_its_thread_ends(tmp_path: Path) -> None:
    ledger = await threaded(tmp_path)
    await ledger.dock(attached())
    reader = next(thread for thread in threading.enumerate() if "_connection_worker" in thread.name)
    dropped = [ledger]
    del ledger
    with pytest.warns(ResourceWarning, match=r"ledger .*ledger\.db was dropped without close"):
        dropped.clear()
    await asyncio.to_thread(reader.join, 10)
    assert not reader.is_alive()


def test_an_event_loop_that_is_gone_keeps_nothing_from_being_committed(tmp_path: Path) -> None:
    writer = writer_of(tmp_path / DATABASE)

    async def ask_and_go() -> ThreadRunner:
        runner = ThreadRunner(writer, database=tmp_path / DATABASE)
        await runner.run(noted("one"))
        runner.run(noted("two"))
        return runner

    runner = asyncio.run(ask_and_go())
    asyncio.run(runner.close())
    assert causes(tmp_path / DATABASE) == ["one", "two"]


async def test_a_read_sees_every_commit_that_was_answered(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        docking = await docked(ledger, *(file(f"{number}.MP4") for number in range(50)))

        async def worker(key: int) -> None:
            clip = await ledger.clip(ClipKey(key))
            moved = await ledger.move(clip.key, Move.COPIED, copied(clip), actor="offload")
            assert await ledger.clip(clip.key) == moved

        await asyncio.gather(*(worker(key) for key in range(1, 51)))
        assert (await ledger.tally(docking)).files == {ClipState.COPIED: 50}


async def test_an_error_of_reading_is_told_in_our_words(tmp_path: Path) -> None:
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, file("A.MP4"))
        await ledger.annotate(ClipKey(1), Change())
        reader = ledger._runner._reader  # type: ignore[attr-defined] # the thread's own connection
        await reader.execute_fetchall("PRAGMA cache_size = 0")
        await reader.interrupt()
        async with asyncio.timeout(10):
            assert (await ledger.backlog()).files == {ClipState.FOUND: 1}


@pytest.mark.promise("I9")
async def test_a_disk_that_is_full_is_said_so_and_writing_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A real SQLITE_FULL, by the most pages that this connection may use: the next connection may use more."""
    async with await threaded(tmp_path) as ledger:
        docking = await docked(ledger, file("A.MP4"))
        await ledger._runner.run(lambda core: core.connection.execute("PRAGMA max_page_count = 1").fetchone())
        with pytest.raises(TransientError, match=r"SQLITE_FULL.*expected room on the disk") as caught:
            await ledger.record_listing(docking, listing(*(file(f"{number}.MP4") for number in range(500))))
        assert caught.value.reason is Reason.DISK_FULL
        assert (await ledger.backlog()).files == {ClipState.FOUND: 1}
        await ledger.record_listing(docking, listing(*(file(f"{number}.MP4") for number in range(500))))
        assert (await ledger.backlog()).files == {ClipState.FOUND: 500, ClipState.HELD: 1}
        assert list(verify(await ledger.links(after=0, limit=10_000)))


@contextmanager
def files_limited_to(length_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a length: the system call fails, as on a broken disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.promise("I9")
async def test_a_disk_that_fails_loses_nothing_that_was_answered_and_revives_nothing_that_failed(
    tmp_path: Path,
) -> None:
    """I9: a real error of write(2) in COMMIT."""
    async with await threaded(tmp_path) as ledger:
        await docked(ledger, *(file(f"{number}.MP4") for number in range(40)))
        moved = await ledger.clip(ClipKey(1))
        moved = await ledger.move(moved.key, Move.COPIED, copied(moved), actor="offload")
        other = await ledger.clip(ClipKey(2))
        with files_limited_to((tmp_path / f"{DATABASE}-wal").stat().st_size):
            with pytest.raises(TransientError, match=r"SQLITE_IOERR.*expected a disk that can be written") as caught:
                await ledger.move(other.key, Move.COPIED, copied(other), actor="offload")
            assert caught.value.reason is Reason.DISK
            assert await ledger.clip(ClipKey(1)) == moved
            assert await ledger.clip(ClipKey(2)) == other
        # The failed commit may lie whole in the log; nothing of it may be there for a power cut to bring back to life.
        await ledger._runner.run(lambda _: None)
        assert (tmp_path / f"{DATABASE}-wal").stat().st_size == 0
        again = await ledger.move(other.key, Move.COPIED, copied(other), actor="offload")
        assert await ledger.clip(ClipKey(2)) == again
        links = list(verify(await ledger.links(after=0, limit=1000)))
        assert len(links) == 45
