"""A statement of account and its answer: one form, strictly read."""

import json
from dataclasses import replace

import pytest

from dockd.domain.accounting import Account, Count
from dockd.domain.model import BayId, DockingId, StationId
from dockd.domain.statement import (
    Chain,
    DockingRecord,
    InstanceId,
    Occasion,
    Statement,
    StatementError,
    Verdict,
    contradictions,
    parse_statement,
    parse_verdict,
    statement_json,
    verdict_json,
)

CUT = DockingRecord(
    key=DockingId(2),
    bay=BayId(1),
    serial="caf\\xe9",
    volume="folder",
    model="",
    firmware="",
    attached_utc="2026-03-04T05:06:07.890123Z",
    listed_utc=None,
    ended_utc="2026-03-04T05:06:08Z",
    listing_sha256=None,
    listing_files=None,
    listing_bytes=None,
    early=None,
    left_files=None,
)
STATEMENT = Statement(
    station=StationId("north-1"),
    chain=Chain(instance=InstanceId("0" * 32), entries=3, head="1" * 64),
    occasion=Occasion.DOCKING,
    docking=CUT,
    account=Account(seen=Count(files=1, bytes_=5), quarantined=Count(files=1, bytes_=5)),
    as_of=0,
    listed=Count(),
    utc="2026-03-04T05:06:09Z",
)


@pytest.mark.promise("I18")
def test_a_statement_is_read_as_it_was_written() -> None:
    assert parse_statement(statement_json(STATEMENT)) == STATEMENT
    daily = replace(STATEMENT, occasion=Occasion.DAILY, docking=None)
    assert parse_statement(statement_json(daily)) == daily
    assert (STATEMENT.about, daily.about) == ("docking 2", "daily 2026-03-04")


def test_a_statement_is_small_however_long_its_texts() -> None:
    long = replace(STATEMENT, docking=replace(CUT, serial="s" * 256, volume="v" * 256, model="m" * 256))
    assert len(statement_json(long)) < 3000


def test_a_statement_that_adds_up_contradicts_nothing() -> None:
    assert contradictions(STATEMENT) == ()
    less = replace(STATEMENT, account=replace(STATEMENT.account, quarantined=Count()))
    assert contradictions(less) == (
        "seen is 1 files of 5 bytes, receipted, pending and quarantined come to 0 files of 0 bytes",
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"listing_sha256":null', '"listing_sha256":"f"', "docking.listing_sha256: 'f': expected text like"),
        ('"files":null', '"files":-2', "docking.files: -2: expected a whole number"),
        ('"docking":{', '"docking":7,"x":{', "x: {"),
        ('"station":"north-1"', '"station":""', "station: '': expected text like"),
        ('"early":null', '"early":null,"late":1', "docking.late: 1: expected only attached_utc"),
        ('"early":null', '"early":1', "docking.early: 1: expected true, false or null"),
        ('"schema":1', '"schema":2', "schema: 2: expected 1"),
        ('"schema":1', '"schema":1,"schema":1', "schema: '(twice)': expected each field once"),
        ('"kind":"docking"', '"kind":"weekly"', "kind: 'weekly': expected one of docking, daily"),
        ('"kind":"docking"', '"kind":"daily"', "docking: 'an object': expected an object where kind is docking"),
    ],
)
def test_a_field_that_is_wrong_is_named(before: str, after: str, words: str) -> None:
    text = statement_json(STATEMENT).decode("ascii")
    assert before in text
    with pytest.raises(StatementError) as caught:
        parse_statement(text.replace(before, after).encode("ascii"))
    assert str(caught.value).startswith(words)


def test_a_statement_that_is_no_object_is_refused() -> None:
    with pytest.raises(StatementError, match="expected a JSON object"):
        parse_statement(b"[]")


def test_a_docking_that_is_no_object_is_refused() -> None:
    document = json.loads(statement_json(STATEMENT)) | {"docking": 7}
    with pytest.raises(StatementError, match="docking: 7: expected a JSON object"):
        parse_statement(json.dumps(document).encode("ascii"))


def test_a_statement_longer_than_any_is_not_read() -> None:
    with pytest.raises(StatementError, match="statement: '16385 bytes': expected at most 16384"):
        parse_statement(b" " * 16385)


def test_an_answer_is_read_as_it_was_written_and_cut_where_it_is_endless() -> None:
    verdict = Verdict(given=Count(files=2, bytes_=16), differs=("something",))
    assert parse_verdict(verdict_json(verdict)) == verdict
    endless = replace(verdict, differs=tuple(map(str, range(500))))
    assert len(parse_verdict(verdict_json(endless)).differs) == 100
    hostile = replace(verdict, differs=("\x1b[2J" + "x" * 5000,))
    assert parse_verdict(verdict_json(hostile)).differs == ("\\x1b[2J" + "x" * 496,)
    later = json.loads(verdict_json(verdict)) | {"more": 1}
    assert parse_verdict(json.dumps(later).encode("ascii")) == verdict


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>", "expected a JSON object"),
        (b"{}", "given: '\\(missing\\)': expected it to be there"),
        (b'{"given": {"files": 1, "bytes": 1}, "differs": "all"}', "differs: 'all': expected a list of texts"),
        (b'{"given": {"files": 1, "bytes": 1}, "differs": [1]}', "differs: \\[1\\]: expected a list of texts"),
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes, words: str) -> None:
    with pytest.raises(StatementError, match=words):
        parse_verdict(answer)
