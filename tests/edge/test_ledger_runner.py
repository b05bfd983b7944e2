"""The thread that commits groups: who asks, is cancelled, closes, drops or reads while it works."""

import asyncio
import threading
from pathlib import Path

import pytest

from dockd.domain.clip import Change, Move
from dockd.domain.custody import verify
from dockd.domain.model import ClipKey, ClipState
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.runner import ThreadRunner
from dockd.edges.ledger.schema import DATABASE
from dockd.errors import InvariantError, StaleMoveError
from tests.group_parts import causes, noted, writer_of
from tests.ledger_parts import Ticks, attached, copied, docked, file, threaded


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
