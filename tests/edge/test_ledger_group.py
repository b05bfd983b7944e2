"""Group commit: one COMMIT for many, each closure whole or not at all, and the disk that fails."""

import sqlite3
from functools import partial
from pathlib import Path

import pytest

from dockd.domain.clip import Move
from dockd.domain.custody import verify
from dockd.domain.model import ClipKey, ClipState
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.faults import told
from dockd.edges.ledger.schema import DATABASE
from dockd.errors import DockdError, InvariantError, Reason, TransientError
from dockd.sqlite.group import Done, Failed, GroupWriter
from tests.failing_disk import Broken, files_limited_to
from tests.group_parts import again, causes, noted, opened, writer_of
from tests.ledger_parts import Ticks, copied, docked, file, listing, threaded


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
