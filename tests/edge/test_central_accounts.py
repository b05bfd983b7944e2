"""The store's accounts with its stations: receipts in the order given, and statements that are held against them."""

import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dockd.central.accounts import MOST_FIGURES, hear, list_given
from dockd.central.index import MIGRATIONS
from dockd.domain.accounting import Account, Count
from dockd.domain.model import BayId, DockingId, Sha256, StationId
from dockd.domain.statement import Chain, DockingRecord, InstanceId, Occasion, Statement, statement_json
from tests.central_parts import Answer, Sample, Tus, central

RECORD = DockingRecord(
    key=DockingId(7),
    bay=BayId(3),
    serial="CAM0001",
    volume="1A2B-3C4D",
    model="BWC-9",
    firmware="2.1",
    attached_utc="2026-03-01T11:00:00.000000Z",
    listed_utc="2026-03-01T11:00:01.000000Z",
    ended_utc="2026-03-01T11:30:00.000000Z",
    listing_sha256=Sha256("a" * 64),
    listing_files=2,
    listing_bytes=16,
    early=False,
    left_files=0,
)
DOCKING = Statement(
    station=StationId("north-1"),
    chain=Chain(instance=InstanceId("b" * 32), entries=90, head="c" * 64),
    occasion=Occasion.DOCKING,
    docking=RECORD,
    account=Account(seen=Count(files=2, bytes_=16), receipted=Count(files=2, bytes_=16)),
    as_of=2,
    listed=Count(files=2, bytes_=16),
    utc="2026-03-01T11:30:02.000000Z",
)
DAILY = replace(DOCKING, occasion=Occasion.DAILY, docking=None)


async def listed(tus: Tus, path: str) -> dict[str, Any]:
    """One page."""
    answer = await tus.ask("GET", path)
    assert answer.status == 200, answer.text
    page: dict[str, Any] = json.loads(answer.text)
    return page


async def say(tus: Tus, statement: Statement | bytes, *, content_type: str = "application/json") -> Answer:
    """Declare an account."""
    body = statement if isinstance(statement, bytes) else statement_json(statement)
    return await tus.ask("POST", "/accounts", headers={"Content-Type": content_type}, body=body)


async def answered(tus: Tus, statement: Statement) -> dict[str, Any]:
    """Declare an account, and read the answer."""
    answer = await say(tus, statement)
    assert answer.status == 200, answer.text
    told: dict[str, Any] = json.loads(answer.text)
    return told


async def two(tus: Tus) -> list[Sample]:
    """Let the station have two receipts."""
    samples = [Sample(path=b"1.MP4"), Sample(path=b"2.MP4")]
    for sample in samples:
        await tus.send(sample)
    return samples


@pytest.mark.promise("I18")
async def test_receipts_are_listed_in_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        first, second = await two(tus)
        await tus.send(Sample(path=b"3.MP4", station="south-2"))
        receipt = (await tus.send(first)).headers["Clip-Receipt"]
        page = await listed(tus, "/receipts?station=north-1")
        other = await listed(tus, "/receipts?station=south-2")
        none = await listed(tus, "/receipts?station=west-3")
    assert page["receipts"][0] == {"seq": 1, "clip_id": first.clip_id, "length": 8, "receipt": receipt}
    assert [line["clip_id"] for line in page["receipts"]] == [first.clip_id, second.clip_id]
    assert (page["next"], page["total"], page["total_bytes"]) == (None, 2, 16)
    assert [line["seq"] for line in other["receipts"]] == [3]
    assert none == {"receipts": [], "next": None, "store": "dockd-central", "total": 0, "total_bytes": 0}


async def test_pages_of_receipts_follow_each_other(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        for number in range(5):
            await tus.send(Sample(path=b"%d.MP4" % number))
        first = await listed(tus, "/receipts?station=north-1&limit=2")
        second = await listed(tus, first["next"])
        third = await listed(tus, second["next"])
        last = await listed(tus, "/receipts?station=north-1&after=4")
    assert [[line["seq"] for line in page["receipts"]] for page in (first, second, third)] == [[1, 2], [3, 4], [5]]
    assert [line["seq"] for line in last["receipts"]] == [5]
    assert third["next"] is None
    assert {page["total"] for page in (first, second, third, last)} == {5}


async def test_a_clip_that_a_second_station_brings_later_comes_last_in_that_stations_lists(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        shared = Sample(path=b"shared.MP4")
        await tus.send(shared)
        await tus.send(Sample(path=b"own.MP4", station="south-2"))
        seen = await listed(tus, "/clips?station=south-2")
        await tus.send(replace(shared, station="south-2"))
        receipts = await listed(tus, f"/receipts?station=south-2&after={seen['clips'][-1]['seq']}")
        clips = await listed(tus, f"/clips?station=south-2&after={seen['clips'][-1]['seq']}")
        narrow = await listed(tus, "/clips?station=south-2&camera=CAM0001&limit=1")
        following = await listed(tus, narrow["next"])
    assert [line["clip_id"] for line in receipts["receipts"]] == [shared.clip_id]
    assert [clip["clip_id"] for clip in clips["clips"]] == [shared.clip_id]
    assert clips["clips"][0]["stations"] == ["north-1", "south-2"]
    assert [clip["clip_id"] for clip in following["clips"]] == [shared.clip_id]


async def test_receipts_of_an_older_index_are_listed_too(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        samples = await two(tus)
    index = sqlite3.connect(tmp_path / "central/index.sqlite3")
    index.executescript(
        "DROP TABLE given; DROP TABLE given_total; DROP TABLE account; DROP TRIGGER upload_given;"
        " PRAGMA user_version = 1;"
    )
    index.close()
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await tus.send(Sample(path=b"3.MP4"))
        page = await listed(tus, "/receipts?station=north-1")
    assert [line["clip_id"] for line in page["receipts"]][:2] == [sample.clip_id for sample in samples]
    assert page["total"] == 3


def steps_of(receipts: int) -> tuple[int, Count, int]:
    """Steps of the database for the first page of a list, the count on it, and steps for hearing a statement."""
    taken = [0]

    def step() -> None:
        taken[0] += 1

    db = sqlite3.connect(":memory:", isolation_level=None)
    for script in MIGRATIONS:
        db.executescript(script)
    db.execute("INSERT INTO object VALUES (1, 'k', ?, 1, 8, ?, '', '', NULL, NULL, NULL)", ("a" * 64, "b" * 64))
    for number in range(receipts):
        db.execute(
            "INSERT INTO upload VALUES (?, 'k', ?, ?, 1, 8, ?, '', '', 0, NULL, NULL)",
            (str(number), "north-1", f"{number:064x}", "b" * 64),
        )
        db.execute("UPDATE upload SET object_seq = 1, receipt = 'r' WHERE id = ?", (str(number),))
    db.set_progress_handler(step, 1)
    _, total = list_given(db, "north-1", after=0, limit=3)
    listed_steps = taken[0]
    hear(db, replace(DAILY, as_of=receipts, listed=Count(files=receipts, bytes_=8 * receipts)), heard_at=DAILY.utc)
    return listed_steps, total, taken[0] - listed_steps


@pytest.mark.promise("I17")
def test_a_page_of_receipts_and_a_statement_cost_the_same_however_many_receipts_there_are() -> None:
    few, of_few, hearing_few = steps_of(10)
    many, of_many, hearing_many = steps_of(500)
    assert (of_few, of_many) == (Count(files=10, bytes_=80), Count(files=500, bytes_=4000))
    assert many < few * 1.2
    assert hearing_many < hearing_few * 1.2


@pytest.mark.promise("I18")
async def test_a_receipt_that_is_gone_from_the_index_is_gone_from_its_count(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await two(tus)
    with closing(sqlite3.connect(tmp_path / "central/index.sqlite3")) as index:
        index.execute("DELETE FROM given WHERE seq = 1")
        index.commit()
    async with central(tmp_path) as store, Tus(store.url) as tus:
        page = await listed(tus, "/receipts?station=north-1")
        verdict = await answered(tus, replace(DAILY, as_of=1, listed=Count()))
    assert (page["total"], page["total_bytes"]) == (1, 8)
    assert verdict["differs"] == []


@pytest.mark.promise("I18")
async def test_a_statement_that_agrees_is_answered_with_our_own_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await two(tus)
        docking = await answered(tus, DOCKING)
        daily = await answered(tus, replace(DAILY, chain=replace(DAILY.chain, entries=91, head="d" * 64)))
        kept = await listed(tus, "/accounts")
    assert docking == daily == {"schema": 1, "given": {"files": 2, "bytes": 16}, "differs": []}
    assert kept["accounts"][0]["statement"] == json.loads(statement_json(DOCKING))
    assert [line["answer"] for line in kept["accounts"]] == [docking, daily]
    assert [line["statement"]["kind"] for line in kept["accounts"]] == ["docking", "daily"]
    assert "ALARM" not in caplog.text


@pytest.mark.promise("I18")
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            replace(DOCKING, account=replace(DOCKING.account, seen=Count(files=3, bytes_=16))),
            "seen is 3 files of 16 bytes, receipted, pending and quarantined come to 2 files of 16 bytes",
        ),
        (replace(DOCKING, as_of=1), "has read 2 files of 16 bytes up to receipt 1, it was given 1 files of 8 bytes"),
        (replace(DOCKING, listed=Count(files=2, bytes_=15)), "has read 2 files of 15 bytes up to receipt 2"),
        (replace(DOCKING, as_of=9), "has read up to receipt 9, the last that it was given is 2"),
    ],
    ids=["arithmetic", "too-many", "bytes", "ahead"],
)
async def test_a_statement_that_does_not_agree_is_an_alarm_and_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statement: Statement, words: str
) -> None:
    caplog.set_level(logging.ERROR)
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await two(tus)
        told = await answered(tus, statement)
        (kept,) = (await listed(tus, "/accounts?station=north-1"))["accounts"]
    assert any(words in differs for differs in told["differs"]), told
    assert kept["answer"] == told
    assert f"ALARM station north-1 docking 7: {told['differs'][0]}" in caplog.text


@pytest.mark.promise("I18")
@pytest.mark.parametrize(("entries", "head"), [(89, "d"), (90, "d")], ids=["shorter", "other"])
async def test_a_custody_chain_that_is_not_the_one_it_was_is_an_alarm(tmp_path: Path, entries: int, head: str) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await two(tus)
        await answered(tus, DOCKING)
        set_back = replace(DOCKING, chain=replace(DOCKING.chain, entries=entries, head=head * 64))
        told = await answered(tus, set_back)
        new = replace(set_back, chain=replace(set_back.chain, instance=InstanceId("e" * 32)))
        of_a_new_ledger = await answered(tus, new)
    now, before = f"{entries} entries and ends with {head * 64}", f"90 and ended with {'c' * 64}"
    assert told["differs"] == [f"the custody chain has {now}, it had {before} before: the state folder was set back"]
    assert of_a_new_ledger["differs"] == []


async def test_the_same_figures_said_again_are_one_statement_and_other_figures_another(tmp_path: Path) -> None:
    later = replace(
        DOCKING,
        chain=replace(DOCKING.chain, entries=95, head="d" * 64),
        as_of=3,
        listed=Count(files=3, bytes_=24),
        utc="2026-03-01T11:35:00.000000Z",
    )
    other = replace(later, account=replace(DOCKING.account, receipted=Count(files=1, bytes_=8)))
    async with central(tmp_path) as store, Tus(store.url) as tus:
        await two(tus)
        await answered(tus, DOCKING)
        await tus.send(Sample(path=b"3.MP4"))
        await answered(tus, later)
        once = await listed(tus, "/accounts?station=north-1")
        await answered(tus, other)
        both = await listed(tus, "/accounts?limit=1")
        second = await listed(tus, both["next"])
    assert [line["statement"] for line in once["accounts"]] == [json.loads(statement_json(later))]
    assert [line["statement"]["account"]["receipted_files"] for line in second["accounts"]] == [1]
    assert second["next"] is None


@pytest.mark.promise("I16")
async def test_a_station_that_says_other_figures_each_time_fills_no_disk_and_hides_no_chain(tmp_path: Path) -> None:
    """Of one docking the latest are kept, and whatever held the longest chain: what was set back still shows."""

    def other(number: int) -> Statement:
        account = replace(DOCKING.account, receipted=Count(files=number, bytes_=8))
        return replace(DOCKING, account=account, chain=replace(DOCKING.chain, entries=10 + number, head="d" * 64))

    async with central(tmp_path) as store, Tus(store.url) as tus:
        await two(tus)
        await answered(tus, DOCKING)
        await answered(tus, replace(DAILY, chain=replace(DAILY.chain, entries=20)))
        told = [await answered(tus, other(number)) for number in range(30)]
        kept = (await listed(tus, "/accounts"))["accounts"]
    assert all("it had 90 and ended with" in answer["differs"][-1] for answer in told)
    said = [(line["statement"]["kind"], line["statement"]["chain"]["entries"]) for line in kept]
    assert said == [("docking", 90), ("daily", 20), *(("docking", 24 + number) for number in range(MOST_FIGURES))]


@pytest.mark.promise("I16")
async def test_below_the_reserve_no_statement_is_kept_and_the_station_is_told_to_come_back(tmp_path: Path) -> None:
    async with central(tmp_path, reserve_bytes=1 << 50) as store, Tus(store.url) as tus:
        answer = await say(tus, DOCKING)
        assert (await listed(tus, "/accounts"))["accounts"] == []
    assert answer.status == 507
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "statement: b'': expected a JSON object"),
        (b"[]", "statement: []: expected a JSON object"),
        (b"\xff", "expected a JSON object"),
        (b"[" * 9000, "expected a JSON object"),
        (b'{"schema": 1, "schema": 1}', "schema: '(twice)': expected each field once"),
        (statement_json(DOCKING).replace(b'"schema":1', b'"schema":2'), "schema: 2: expected 1"),
        (statement_json(DOCKING).replace(b'"as_of":2', b'"as_of":true'), "as_of: True: expected a whole number"),
        (statement_json(DOCKING).replace(b'"as_of":2', b'"as_of":-1'), "as_of: -1: expected a whole number"),
        (statement_json(DOCKING).replace(b'"as_of":2', b'"as_of":9223372036854775808'), "as_of: 9223372036854775808"),
        (statement_json(DOCKING).replace(b'"as_of":2,', b""), "as_of: '(missing)': expected it to be there"),
        (statement_json(DOCKING).replace(b'"as_of":2', b'"as_of":2,"extra":{}'), "extra: {}: expected only account"),
        (statement_json(DOCKING).replace(b'"docking","listed"', b'"weekly","listed"'), "kind: 'weekly': expected one"),
        (statement_json(DAILY).replace(b'"daily"', b'"docking"'), "docking: None: expected an object where kind is"),
        (statement_json(DOCKING).replace(b'"early":false', b'"early":0'), "docking.early: 0: expected true, false or"),
        (statement_json(DOCKING).replace(b'"CAM0001"', b'"caf\xc3\xa9"'), "docking.serial: 'caf\xe9': expected text"),
        (statement_json(DOCKING).replace(b'"bay":3', b'"bay":"3"'), "docking.bay: '3': expected a whole number"),
        (statement_json(DOCKING).replace(b'"c' + b"c" * 63, b'"g' + b"c" * 63), "chain.head: 'gccc"),
        (statement_json(DOCKING).replace(b'"listed":{', b'"listed":5,"x":{'), "x: {"),
        (statement_json(DOCKING).replace(b'"listed":{"bytes":16,"files":2}', b'"listed":5'), "listed: 5: expected a"),
        (statement_json(DOCKING).replace(b'"seen_files":2', b'"seen_files":2.0'), "account.seen_files: 2.0: expected"),
    ],
)
async def test_what_is_no_statement_is_refused_with_what_was_expected(tmp_path: Path, body: bytes, words: str) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        answer = await say(tus, body)
        kept = await listed(tus, "/accounts")
    assert answer.status == 400
    assert words in answer.text
    assert kept["accounts"] == []


async def test_a_statement_has_a_bound_and_a_content_type(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        long = await say(tus, b"{" + b" " * 20_000 + b"}")
        form = await say(tus, DOCKING, content_type="text/plain")
    assert (long.status, form.status) == (413, 415)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/receipts", "station: (missing): expected the station whose receipts are asked for"),
        ("/receipts?station=", "station: (missing)"),
        ("/receipts?station=a&camera=b", "'camera': not a parameter, expected one of after, limit, station"),
        ("/receipts?station=a&limit=1001", "limit: '1001': expected a whole number from 1 to 1000"),
        ("/receipts?station=a&after=-1", "after: '-1': expected a whole number"),
        ("/accounts?after=x", "after: 'x': expected a whole number"),
        ("/accounts?camera=b", "'camera': not a parameter"),
    ],
)
async def test_a_wrong_parameter_of_the_accounts_is_refused(tmp_path: Path, path: str, words: str) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        answer = await tus.ask("GET", path)
    assert answer.status == 400
    assert words in answer.text


@pytest.mark.promise("I14")
async def test_a_station_sees_and_states_its_own_account_and_a_reader_sees_all(tmp_path: Path) -> None:
    tokens = {"north": "upload north-1", "south": "upload south-2", "court": "read court"}
    file = tmp_path / "tokens"
    file.write_text("".join(f"{who} {sha256(token.encode()).hexdigest()}\n" for token, who in tokens.items()))
    file.chmod(0o600)
    async with central(tmp_path, token_file=file) as store:
        async with Tus(store.url, token="north") as tus:
            await two(tus)
            own = await tus.ask("GET", "/receipts?station=north-1")
            others = await tus.ask("GET", "/receipts?station=south-2")
            said = await say(tus, DOCKING)
            read = await tus.ask("GET", "/accounts")
        async with Tus(store.url, token="south") as tus:
            for_another = await say(tus, DOCKING)
        async with Tus(store.url, token="court") as tus:
            any_receipts = await tus.ask("GET", "/receipts?station=north-1")
            any_accounts = await tus.ask("GET", "/accounts")
            by_a_reader = await say(tus, DOCKING)
        async with Tus(store.url) as tus:
            nobody = [await tus.ask("GET", "/receipts?station=north-1"), await say(tus, DOCKING)]
    assert (own.status, others.status, said.status, read.status) == (200, 403, 200, 403)
    assert for_another.status == 403
    assert (any_receipts.status, any_accounts.status, by_a_reader.status) == (200, 200, 403)
    assert [answer.status for answer in nobody] == [401, 401]
    log = [json.loads(line) for line in (tmp_path / "central/access.log").read_text("ascii").splitlines()]
    assert [(line["who"], line["what"], line["range"]) for line in log] == [
        ("station north-1", "/receipts", "station=north-1"),
        ("reader court", "/receipts", "station=north-1"),
        ("reader court", "/accounts", None),
    ]


async def test_no_account_is_shown_that_cannot_be_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    async with central(tmp_path) as store, Tus(store.url) as tus:
        await two(tus)
        monkeypatch.setattr("dockd.central.accesslog.os.write", full)
        answer = await tus.ask("GET", "/receipts?station=north-1")
        monkeypatch.undo()
    assert answer.status == 503
    assert "Clip" not in answer.text


async def test_a_statement_that_does_not_come_to_its_end_is_cut(tmp_path: Path) -> None:
    async with central(tmp_path, stall_s=0.2) as store, Tus(store.url) as tus:
        answer = await tus.ask(
            "POST", "/accounts", headers={"Content-Type": "application/json", "Content-Length": "9"}, body=b"{"
        )
    assert answer.status == 408
