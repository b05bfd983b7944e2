"""The ledger's side of accounting: what the end of a docking freezes, what a clip is known by, what recovery resets."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from dockd.domain.accounting import Account, Count, Difference, Kind, Known, Listed
from dockd.domain.clip import Change, Move
from dockd.domain.model import ClipId, ClipKey, ClipState
from dockd.domain.statement import Occasion
from dockd.edges.ledger import account_reads, accounts
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.schema import DATABASE
from dockd.errors import Reason
from tests.ledger_parts import SIGNER, attached, bring, clip_id, copied, docked, file, inline, listing

WAITING = Difference(kind=Kind.UNKNOWN_HERE, clip_id=clip_id("e"), detail="the store gave receipt 1 for it")


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[StationLedger]:
    async with await inline(tmp_path / "state") as opened:
        yield opened


def rows(tmp_path: Path, sql: str) -> list[tuple[object, ...]]:
    """Read the database beside the ledger."""
    with closing(sqlite3.connect(tmp_path / "state" / DATABASE)) as connection:
        return connection.execute(sql).fetchall()


def listed(clip: str, *, receipt: str = "r", leaf: str = "0" * 64) -> Listed:
    """A line of the store's list."""
    return Listed(seq=1, clip_id=ClipId(clip), receipt=receipt, leaf=leaf, length_bytes=100)


async def hold(ledger: StationLedger, key: int) -> None:
    """Hold a clip."""
    change = Change(reason=Reason.UNREADABLE, detail="an error at byte 4096")
    await ledger.move(ClipKey(key), Move.HELD, change, actor="offload")


@pytest.mark.promise("I18")
async def test_the_end_of_a_docking_freezes_what_it_came_to(ledger: StationLedger) -> None:
    docking = await docked(ledger, *(file(f"{number}.MP4", length_bytes=10) for number in range(7)))
    states = (ClipState.COPIED, ClipState.UPLOADED, ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED)
    for key, state in enumerate(states, 2):
        await bring(ledger, await ledger.clip(ClipKey(key)), state)
    await hold(ledger, 7)
    await ledger.undock(docking, early=True, left_files=1)
    await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.RECEIPTED)
    open_ = await ledger.accounts.undeclared()
    assert open_ is not None
    assert open_.account == Account(
        seen=Count(files=7, bytes_=70),
        receipted=Count(files=3, bytes_=30),
        pending=Count(files=3, bytes_=30),
        quarantined=Count(files=1, bytes_=10),
    )
    assert (open_.listed_files, open_.record.early, open_.record.left_files) == (7, True, 1)
    assert (open_.record.serial, open_.record.bay, open_.record.listing_files) == ("CAM0001", 1, 7)
    assert (await ledger.accounts.account()).receipted == Count(files=4, bytes_=40)


@pytest.mark.promise("I18")
async def test_a_file_that_proved_to_be_another_counts_once(ledger: StationLedger) -> None:
    docking = await docked(ledger, file("A.MP4"))
    await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
    await ledger.supersede(ClipKey(1), file("A.MP4"), docking=docking)
    await ledger.undock(docking, early=True, left_files=1)
    open_ = await ledger.accounts.undeclared()
    assert open_ is not None
    assert (open_.account.seen, open_.account.adds_up) == (Count(files=1, bytes_=100), True)
    assert (await ledger.accounts.account()).seen == Count(files=2, bytes_=200)


async def test_a_docking_of_a_camera_that_is_docked_again_already_is_not_held_to_its_listing(
    ledger: StationLedger,
) -> None:
    first = await docked(ledger, file("A.MP4"), bay=1)
    await docked(ledger, file("A.MP4"), bay=2)
    await ledger.undock(first, early=True, left_files=0)
    open_ = await ledger.accounts.undeclared()
    assert open_ is not None
    assert (open_.listed_files, open_.account.seen) == (None, Count())


async def test_a_docking_without_a_listing_has_an_account_too(ledger: StationLedger) -> None:
    docking = await ledger.dock(attached())
    await ledger.undock(docking, early=True, left_files=0)
    open_ = await ledger.accounts.undeclared()
    assert open_ is not None
    assert (open_.listed_files, open_.record.listed_utc, open_.account) == (None, None, Account())


@pytest.mark.promise("I18")
async def test_an_account_is_closed_once_and_on_record(ledger: StationLedger, tmp_path: Path) -> None:
    docking = await docked(ledger, file("A.MP4"))
    await ledger.undock(docking, early=True, left_files=1)
    await ledger.undock(docking, early=True, left_files=0)
    open_ = await ledger.accounts.undeclared()
    assert open_ is not None
    await ledger.accounts.close(
        Occasion.DOCKING, open_.account, docking=docking, given=Count(files=4, bytes_=40), facts={"as_of": "4"}
    )
    assert await ledger.accounts.undeclared() is None
    last = (await ledger.accounts.reading()).last
    assert last is not None
    assert (last.occasion, last.docking, last.compared, last.account) == ("docking", docking, True, open_.account)
    sql = (
        "SELECT json_extract(body, '$.cause'), json_extract(body, '$.bay'), json_extract(body, '$.facts') FROM custody"
    )
    ((cause, bay, facts),) = rows(tmp_path, f"{sql} ORDER BY seq DESC LIMIT 1")
    assert (cause, bay) == ("reconciled", 1)
    assert json.loads(str(facts)) == {
        "as_of": "4", "occasion": "docking", "pending": "1/100", "quarantined": "0/0", "receipted": "0/0",
        "seen": "1/100", "store": "4/40",
    }  # fmt: skip


async def test_an_account_that_was_compared_with_nothing_testifies_to_nothing(
    ledger: StationLedger, tmp_path: Path
) -> None:
    before = rows(tmp_path, "SELECT count(*) FROM custody")
    await ledger.accounts.close(Occasion.DAILY, Account(), docking=None, given=None, facts={})
    assert rows(tmp_path, "SELECT count(*) FROM custody") == before
    last = (await ledger.accounts.reading()).last
    assert last is not None
    assert (last.compared, last.docking) == (False, None)


@pytest.mark.promise("I18")
async def test_a_difference_is_kept_with_its_first_time_until_a_whole_comparison_does_not_find_it(
    ledger: StationLedger, tmp_path: Path
) -> None:
    book = ledger.accounts
    at = (7, Count(files=2, bytes_=20))
    await book.found([WAITING], prior=(), round_=0, read_to=at)
    (row,) = await ledger.query(account_reads.differences(after=0, limit=10))
    assert row.difference == WAITING
    one = await book.begin_round()
    again = Difference(kind=WAITING.kind, clip_id=WAITING.clip_id, detail="still")
    words = [
        Difference(kind=Kind.MISCOUNTED, cause=f"c{number % 2}", detail=f"counts {number}") for number in (1, 2, 3)
    ]
    await book.found([again, *words], prior=(), round_=one, read_to=at)
    await book.end_round(one, rebuilt=False)
    found = await ledger.query(account_reads.differences(after=0, limit=10))
    assert (found[0].key, found[0].since_utc, found[0].last_utc > row.since_utc) == (row.key, row.since_utc, True)
    assert [(one.difference.detail, one.times) for one in found] == [("still", 2), ("counts 3", 2), ("counts 2", 1)]
    assert (await book.reading()).differences == 3
    assert len(await ledger.query(account_reads.differences(after=row.key, limit=1))) == 1
    await book.close(Occasion.DAILY, Account(), docking=None, given=None, facts={})
    assert rows(
        tmp_path,
        "SELECT json_extract(body, '$.cause'), json_extract(body, '$.facts.clips'),"
        " json_extract(body, '$.facts.miscounted') FROM custody ORDER BY seq DESC LIMIT 1",
    ) == [("difference", "e" * 64, "2")]
    two = await book.begin_round()
    await book.end_round(two, rebuilt=False)
    reading = await book.reading()
    assert (reading.differences, reading.round, reading.cursor, reading.listed) == (0, 2, *at)


async def test_a_custody_entry_names_some_clips_and_the_table_all(ledger: StationLedger, tmp_path: Path) -> None:
    many = [Difference(kind=Kind.UNKNOWN_HERE, clip_id=ClipId(f"{number:064x}"), detail="x") for number in range(50)]
    await ledger.accounts.found(many, prior=(), round_=0, read_to=(0, Count()))
    await ledger.accounts.close(Occasion.DAILY, Account(), docking=None, given=None, facts={})
    sql = "SELECT json_extract(body, '$.facts.clips') FROM custody ORDER BY seq DESC LIMIT 1"
    ((clips,),) = rows(tmp_path, sql)
    assert str(clips).split() == [f"{number:064x}" for number in range(20)]
    assert (await ledger.accounts.reading()).differences == 50


async def causes(tmp_path: Path) -> list[str]:
    """The causes of custody entries about the accounts."""
    found = rows(tmp_path, "SELECT json_extract(body, '$.cause') FROM custody ORDER BY seq")
    return [str(cause) for (cause,) in found if cause in {"difference", "unreconciled", "reconciled"}]


@pytest.mark.promise("I18")
async def test_an_alarm_is_given_where_other_differences_are_open_than_were_told(
    ledger: StationLedger, tmp_path: Path
) -> None:
    book, nothing = ledger.accounts, Count()

    async def close(*wrong: Difference, occasion: Occasion = Occasion.DAILY) -> list[str]:
        await book.close(occasion, Account(), docking=None, given=nothing, facts={}, wrong=wrong)
        return await causes(tmp_path)

    said = Difference(kind=Kind.MISCOUNTED, cause="store", detail="you are wrong")
    await book.found([WAITING], prior=(), round_=0, read_to=(0, nothing))
    assert await close(said) == ["difference"]
    assert await close(said, occasion=Occasion.DOCKING) == ["difference", "unreconciled"]
    one = await book.begin_round()
    await book.found([WAITING], prior=(), round_=one, read_to=(0, nothing))
    await book.end_round(one, rebuilt=False)
    assert (await book.reading()).differences == 2
    assert (await close(occasion=Occasion.DOCKING))[2:] == ["unreconciled"]
    assert (await close())[3:] == ["difference"]
    two = await book.begin_round()
    await book.end_round(two, rebuilt=False)
    await book.found([WAITING], prior=(), round_=two, read_to=(0, nothing))
    assert (await close())[4:] == ["difference"]
    await book.end_round(await book.begin_round(), rebuilt=False)
    assert (await close())[5:] == ["reconciled"]


@pytest.mark.promise("I18")
async def test_who_looked_at_differences_is_on_record_and_they_stay(ledger: StationLedger, tmp_path: Path) -> None:
    book = ledger.accounts
    await book.found([WAITING], prior=(), round_=0, read_to=(0, Count()))
    (row,) = await ledger.query(account_reads.differences(after=0, limit=10))
    later = Difference(kind=Kind.NOT_AT_STORE, clip_id=clip_id("d"), detail="x")
    await book.found([WAITING, later], prior=(), round_=0, read_to=(0, Count()))
    assert await book.acknowledge(up_to=row.key, actor="user:anna", why="a disk was replaced") == 1
    assert await book.acknowledge(up_to=row.key, actor="user:bert", why="again") == 0
    found = await ledger.query(account_reads.differences(after=0, limit=10))
    assert [one.acknowledged for one in found] == ["user:anna: a disk was replaced", ""]
    reading = await book.reading()
    assert (reading.differences, reading.unseen) == (2, 1)
    sql = "SELECT json_extract(body, '$.actor'), json_extract(body, '$.facts') FROM custody"
    told = rows(tmp_path, f"{sql} WHERE json_extract(body, '$.cause') = 'differences acknowledged'")
    ((actor, facts),) = told
    assert actor == "user:anna"
    assert json.loads(str(facts)) == {"differences": "1", "up_to": str(row.key), "why": "a disk was replaced"}


async def test_whose_receipts_are_elsewhere_is_kept_from_one_whole_comparison_to_the_next(
    ledger: StationLedger,
) -> None:
    book = ledger.accounts
    await book.end_round(await book.begin_round(), rebuilt=False, store="new", elsewhere={"old": 3, "older": 1})
    await book.end_round(await book.begin_round(), rebuilt=False)
    reading = await book.reading()
    assert (reading.store, reading.elsewhere, reading.whole_utc) == ("new", (("old", 3), ("older", 1)), None)
    await book.close(Occasion.DAILY, Account(), docking=None, given=None, facts={})
    assert (await book.reading()).whole_utc is not None
    await ledger.note("ledger-recovered", actor="ledger", facts={"why": "x"})
    assert (await book.reading()).whole_utc is None


async def test_receipts_are_given_by_key(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"), file("B.MP4"))
    held = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.RECEIPTED)
    assert await ledger.accounts.receipts([ClipKey(1), ClipKey(2), ClipKey(9)]) == {1: held.receipt}


@pytest.mark.promise("I16")
async def test_a_store_that_lists_strangers_without_end_does_not_fill_the_disk(
    ledger: StationLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "MOST_DIFFERENCES", 5)
    strangers = [
        Difference(kind=Kind.UNKNOWN_HERE, clip_id=ClipId(f"{number:064x}"), detail="x") for number in range(8)
    ]
    at = (0, Count())
    await ledger.accounts.found(strangers[:4], prior=(), round_=0, read_to=at)
    round_ = await ledger.accounts.begin_round()
    for start in (0, 4):
        await ledger.accounts.found(strangers[start : start + 4], prior=(), round_=round_, read_to=at)
    await ledger.accounts.end_round(round_, rebuilt=False)
    found = [one.difference for one in await ledger.query(account_reads.differences(after=0, limit=10))]
    assert found == [*strangers[:4], accounts.BEYOND]


@pytest.mark.promise("I18")
async def test_what_is_known_of_a_listed_receipt(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"), file("B.MP4"))
    held = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.RECEIPTED)
    pending = await bring(ledger, await ledger.clip(ClipKey(2)), ClipState.COPIED)
    assert held.clip_id is not None
    assert held.receipt is not None
    assert pending.clip_id is not None
    leaf = SIGNER.pinned().verify(held.receipt).claims.leaf
    await ledger.accounts.found([], prior=[listed("d" * 64)], round_=0, read_to=(0, Count()))
    known = await ledger.accounts.known(
        [
            listed(held.clip_id, receipt=held.receipt, leaf=leaf),
            listed(held.clip_id, leaf="1" * 64),
            listed(pending.clip_id, leaf=await ledger.leaf(pending.key)),
            listed(pending.clip_id, leaf=leaf),
            listed("d" * 64),
            listed("d" * 64, receipt="another"),
        ]
    )
    ours = Known(keys=(ClipKey(1),), holders=(ClipKey(1),), receipts=frozenset({held.receipt}))
    assert known == (
        Known(keys=ours.keys, holders=ours.holders, receipts=ours.receipts, leaf_known=True),
        ours,
        Known(keys=(ClipKey(2),), leaf_known=True),
        Known(keys=(ClipKey(2),)),
        Known(prior=True),
        Known(),
    )
    assert await ledger.accounts.known([]) == ()


@pytest.mark.promise("I18")
async def test_a_clip_that_is_copied_again_with_other_bytes_is_known_by_its_former_name(ledger: StationLedger) -> None:
    await docked(ledger, file("A.MP4"))
    first = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED, content="misread")
    assert first.clip_id is not None
    leaf = await ledger.leaf(first.key)
    lost = await ledger.move(first.key, Move.SPOOL_LOST, Change(), actor="upload")
    second = await ledger.move(first.key, Move.COPIED, copied(lost, content="read well"), actor="offload")
    assert second.clip_id not in {None, first.clip_id}
    (known,) = await ledger.accounts.known([listed(first.clip_id, leaf=leaf)])
    assert known == Known(keys=(first.key,), leaf_known=True)


async def test_clips_are_named_also_where_their_rows_are_gone(ledger: StationLedger, tmp_path: Path) -> None:
    await docked(ledger, file("A.MP4"), file("B.MP4"))
    copied_one = await bring(ledger, await ledger.clip(ClipKey(1)), ClipState.COPIED)
    with closing(sqlite3.connect(tmp_path / "state" / DATABASE)) as connection:
        connection.execute("DROP TRIGGER clips_stay")
        connection.execute("DELETE FROM clips")
        connection.commit()
    names = await ledger.accounts.names([ClipKey(1), ClipKey(2), ClipKey(3)])
    assert names == {1: copied_one.clip_id, 2: None, 3: None}
    assert await ledger.accounts.last_key() == 2
    assert await ledger.accounts.holding(after=ClipKey(0), limit=5) == ()


@pytest.mark.promise("I18")
async def test_a_declared_recovery_begins_the_comparison_anew_and_nothing_that_only_says_so_does(
    ledger: StationLedger,
) -> None:
    book = ledger.accounts
    await book.found([WAITING], prior=(), round_=0, read_to=(7, Count(files=2, bytes_=20)))
    await ledger.note(
        "lifted",
        actor="user:x",
        facts={"why": '"cause":"ledger-recovered"', "cause": "ledger-recovered", "clip": "null"},
    )
    assert (await book.reading()).cursor == 7
    await ledger.note("ledger-recovered", actor="ledger", facts={"why": "x"})
    reading = await book.reading()
    assert (reading.cursor, reading.listed, reading.rebuilding, reading.differences) == (0, Count(), True, 0)
    await book.end_round(await book.begin_round(), rebuilt=True)
    assert not (await book.reading()).rebuilding


@pytest.mark.promise("I18")
async def test_an_empty_ledger_has_an_empty_account(ledger: StationLedger) -> None:
    assert await ledger.accounts.account() == Account()
    assert await ledger.accounts.undeclared() is None
    chain = await ledger.accounts.chain()
    (link, *_) = (await ledger.links(after=0, limit=10))[::-1]
    assert (chain.instance, chain.entries, chain.head) == ("5ca1ab1e" * 4, link.seq, link.hash)
    assert listing().files == ()
