"""No question of the day reads all the clips: how SQLite says that it will answer them."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from dockd.domain.accounting import Listed
from dockd.domain.clip import Change, Move
from dockd.domain.model import Assurance, BayId, CameraSerial, ClipKey, ClipState, DockingId
from dockd.domain.receipt import NO_LEAF
from dockd.edges.ledger import account_reads, reads, views
from dockd.edges.ledger.anchors import HOLDS
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.reads import Query
from dockd.edges.ledger.schema import migrations
from dockd.edges.ledger.start import connect, prepare
from tests.ledger_parts import CAMERA, INSTANCE, STATION, Ticks, clip_id, copied, file, listing


@pytest.fixture
def core() -> Iterator[LedgerCore]:
    with closing(connect(":memory:")) as connection:
        yield prepare(connection, database=None, station=STATION, now=Ticks(), instance=INSTANCE, scripts=migrations())


def plan(connection: sqlite3.Connection, query: Query[Any]) -> list[str]:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.parameters).fetchall()
    return [row[3] for row in rows]


def steps(connection: sqlite3.Connection, query: Query[Any]) -> int:
    """Count the steps of SQLite's machine, which no load on this one changes."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 1)
    connection.execute(query.sql, query.parameters).fetchall()
    connection.set_progress_handler(None, 0)
    return count


KEY, DOCKING = ClipKey(1), DockingId(1)

QUESTIONS: dict[str, tuple[Query[Any], set[str]]] = {
    "heads": (
        reads.heads([DOCKING], skip=[KEY]),
        {"clips_copy", "clips_confirm", "clips_erase", "clips_recording"},
    ),
    "next_upload_copied": (reads.next_upload(skip=[KEY], wanted=Assurance.ACCEPTED), {"clips_send"}),
    "next_upload_readback": (reads.next_upload(skip=[KEY], wanted=Assurance.READBACK), {"clips_send", "clips_unread"}),
    "next_upload_signed": (reads.next_upload(skip=[KEY], wanted=Assurance.SIGNED), {"clips_unsigned"}),
    "next_reclaim": (
        reads.next_reclaim(receipted_before_utc="2024-05-01T00:00:00Z", copying=[KEY], skip=[KEY]),
        {"clips_reclaim", "clips_clip_id", "clips_found_path"},
    ),
    "spooled": (reads.spooled([clip_id("a")]), {"clips_clip_id"}),
    "clip": (reads.clip(KEY), set()),
    "leaf": (reads.leaf(KEY), {"custody_clip"}),
    "links": (reads.links(after=5, limit=10), set()),
    "tally": (reads.tally(DOCKING), set()),
    "backlog": (reads.backlog(), {"tallies_open"}),
    "clips_named": (views.clips_named(clip_id("a")), {"clips_clip_id"}),
    "receipts_of": (views.receipts(clip_id=clip_id("a"), limit=1), {"clips_clip_id"}),
    "clips": (views.clips(limit=10), set()),
    "clips_of_state": (views.clips(state=ClipState.COPIED, after=KEY, limit=10), set()),
    "custody_of": (views.custody_of(KEY), {"custody_clip"}),
    "bays": (views.bays(), {"dockings_open"}),
    "account_undeclared": (account_reads.undeclared(), {"accounts_undeclared"}),
    "account_known": (
        account_reads.known([Listed(seq=1, clip_id=clip_id("a"), receipt="r")]),
        {"clips_clip_id", "custody_clip"},
    ),
    "account_holding": (account_reads.holding(after=KEY, limit=10), set()),
    "account_last_key": (account_reads.last_key(), {"custody_clip"}),
    "account_names": (account_reads.names([KEY]), {"custody_clip"}),
    "account_receipts": (account_reads.receipts([KEY]), set()),
    "account_chain": (account_reads.chain(), set()),
    "account_differences": (account_reads.differences(after=1, limit=10), set()),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_of_the_day_scans_no_table(core: LedgerCore, name: str) -> None:
    query, indexes = QUESTIONS[name]
    steps = plan(core.connection, query)
    # A partial index may be walked from its first entry: it holds only what is asked for.
    scans = [step for step in steps if re.fullmatch(r"SCAN (clips|custody|c|s|o|f|dockings|tallies)", step)]
    assert not scans, steps
    used = set(re.findall(r"INDEX ([a-z]\w+)", " ".join(steps))) - {"sqlite_autoindex_tallies_1"}
    assert used == indexes
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    if name != "next_upload_readback":
        assert not sorts, steps


@pytest.mark.parametrize("state", [None, ClipState.COPIED])
def test_people_who_ask_for_one_camera_or_one_docking_read_its_clips_alone(
    core: LedgerCore, state: ClipState | None
) -> None:
    """They ask on the connection that the station reads on: it would wait for them."""
    camera = plan(core.connection, views.clips(serial=CameraSerial("CAM0001"), state=state, after=KEY, limit=10))
    assert any("dockings_camera (serial=?)" in step for step in camera), camera
    for steps in (camera, plan(core.connection, views.clips(docking=DOCKING, state=state, after=KEY, limit=10))):
        assert any("clips_recording (docking=?" in step for step in steps), steps
        assert not [step for step in steps if re.fullmatch(r"SCAN (c|f|d)\b.*", step)], steps


def test_a_receipt_of_the_stores_list_is_looked_for_by_index(core: LedgerCore) -> None:
    rows = core.connection.execute(f"EXPLAIN QUERY PLAN {HOLDS}", (clip_id("a"), "b" * 64, NO_LEAF)).fetchall()
    steps = [step for *_, step in rows]
    assert {index for index in ("clips_clip_id", "custody_clip") if index in " ".join(steps)} == {
        "clips_clip_id",
        "custody_clip",
    }
    assert not [step for step in steps if re.match(r"SCAN (clips|former|e)\b", step)], steps


def test_the_clips_of_a_recording_are_found_by_it(core: LedgerCore) -> None:
    docking = core.dock(bay=BayId(1), camera=CAMERA, time=Ticks()())
    core.record_listing(docking, listing(file("A.MP4")), time=Ticks()())
    steps = plan(core.connection, reads.recording(core.clip(KEY)))
    assert any("clips_recording (docking=? AND recording_id=?)" in step for step in steps)


def test_an_answer_does_not_take_longer_because_the_ledger_is_old(core: LedgerCore) -> None:
    """Steps of SQLite's machine, which no load on this one changes, with 20 and with 4,000 erased clips."""
    connection = core.connection
    docking = core.dock(bay=BayId(1), camera=CAMERA, time=Ticks()())
    core.record_listing(docking, listing(*(file(f"{number}.MP4") for number in range(20))), time=Ticks()())
    asked = [QUESTIONS[name][0] for name in ("heads", "next_upload_signed", "next_reclaim", "tally", "backlog")]
    # Once a day the tallies are added up: a few rows for each docking, however many clips it had.
    asked += [account_reads.account(), QUESTIONS["account_known"][0], QUESTIONS["account_holding"][0]]
    before = [steps(connection, query) for query in asked]
    connection.execute(
        "INSERT INTO clips (found_in, docking, path, length_bytes, mtime_s, mtime_part_ns, state, kind, recording_id,"
        " tags, urgent, verified_in, sha256, clip_id, url, assurance, receipt, meta_sha256, spooled, detail,"
        " copied_seq, receipted_utc)"
        " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)"
        " SELECT 1, 1, CAST(i AS BLOB), i, i, 0, 'erased', 'video', printf('%032x', i), '', 0, 1, printf('%064x', i),"
        " printf('%064x', i), 'http://127.0.0.1/x', 'signed', 'a.b.c', printf('%064x', i), 0, '', i, '2024' FROM n"
    )
    after = [steps(connection, query) for query in asked]
    # One more row in `tallies` for the docking's erased clips.
    assert all(later <= sooner + 40 for sooner, later in zip(before, after, strict=True)), (before, after)


RECORDING = (
    "INSERT INTO clips (found_in, docking, path, length_bytes, mtime_s, mtime_part_ns, state, kind, recording_id, tags,"
    " urgent, sha256, clip_id, url, assurance, receipt, meta_sha256, spooled, detail, copied_seq, receipted_utc)"
    " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :files)"
    " SELECT :docking, :docking, CAST(i AS BLOB), i, i * :order, 0, iif(i <= :erased, 'erased', 'receipted'), 'video',"
    " printf('%032x', :docking), '', 0, printf('%064x', i), printf('%064x', i), 'http://127.0.0.1/x', 'signed',"
    " 'a.b.c', printf('%064x', i), 0, '', i, '2024' FROM n"
)
"""One recording of so many files, their times forward or backward, the first of them erased."""


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("erased", [0.0, 0.5])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_to_be_erased_is_chosen_in_proportion_to_the_files_of_one_recording(
    core: LedgerCore, order: int, erased: float, *, whole: bool
) -> None:
    """The last file has its receipt or not: then it is looked for once, and not for every file before it."""
    counts = []
    for docking, files in ((DOCKING, 200), (DockingId(2), 800)):
        assert core.dock(bay=BayId(docking), camera=CAMERA, time=Ticks()()) == docking
        values = {"docking": docking, "files": files, "order": order, "erased": int(files * erased)}
        core.connection.execute(RECORDING, values)
        last = core.connection.execute("SELECT max(key) FROM clips").fetchone()[0]
        if not whole:
            core.connection.execute("UPDATE clips SET state = 'held', receipted_utc = NULL WHERE key = ?", (last,))
        query = reads.heads([docking], skip=[])
        (head,) = query.decode(core.connection.execute(query.sql, query.parameters).fetchall())
        first = last - files + 1 + values["erased"]
        assert (None if head.erase is None else head.erase.key) == (first if whole else None)
        counts.append(steps(core.connection, query))
        gate = reads.recording(core.clip(first))
        assert len(gate.decode(core.connection.execute(gate.sql, gate.parameters).fetchall())) == 2 - whole
    few, many = counts
    assert many < 5 * few, counts


def test_a_recording_waits_behind_no_file_that_cannot_be_erased_now(core: LedgerCore) -> None:
    """The first waits for something, the second proved to be another file: the third goes."""
    core.dock(bay=BayId(1), camera=CAMERA, time=Ticks()())
    core.connection.execute(RECORDING, {"docking": DOCKING, "files": 3, "order": 1, "erased": 0})
    core.connection.execute("UPDATE clips SET superseded_in = docking WHERE key = 2")
    query = reads.heads([DOCKING], skip=[ClipKey(1)])
    (head,) = query.decode(core.connection.execute(query.sql, query.parameters).fetchall())
    assert head.erase is not None
    assert head.erase.key == 3


def test_only_what_changed_is_written(core: LedgerCore) -> None:
    docking = core.dock(bay=BayId(1), camera=CAMERA, time=Ticks()())
    core.record_listing(docking, listing(file("A.MP4")), time=Ticks()())
    statements: list[str] = []
    core.connection.set_trace_callback(statements.append)
    clip = core.clip(KEY)
    core.move(KEY, Move.COPIED, copied(clip), actor="offload", time=Ticks()())
    core.move(KEY, Move.OPENED, Change(url="http://127.0.0.1/1"), actor="upload", time=Ticks()())
    core.connection.set_trace_callback(None)
    updates = [statement for statement in dict.fromkeys(statements) if statement.startswith("UPDATE clips")]
    named = [re.findall(r"(\w+) = ", statement.partition(" WHERE ")[0]) for statement in updates]
    assert named == [["state", "verified_in", "sha256", "clip_id", "spooled", "copied_seq"], ["url"]]
    assert ClipState(core.clip(KEY).state) is ClipState.COPIED
    assert CameraSerial("CAM0001") == core.clip(KEY).camera.serial
