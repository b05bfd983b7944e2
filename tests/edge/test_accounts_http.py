"""The store's side of accounting over HTTP: with the reference store, with stores that keep none, with nonsense."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dockd.app.account_ports import GivenPage
from dockd.domain.accounting import Account, Count, Given
from dockd.domain.model import BayId, ClipId, DockingId, StationId
from dockd.domain.receipt import parse_receipt
from dockd.domain.statement import Chain, DockingRecord, InstanceId, Occasion, Statement, Verdict
from dockd.edges.accounts_http import StoreAccounts
from dockd.edges.tus_http import TusWire, WireOptions
from dockd.errors import Reason, TransientError
from tests.central_parts import Sample, Tus, central
from tests.foreign_store import StartStore
from tests.tus_peers import length_of, read_head, serving

DAILY = Statement(
    station=StationId("north-1"),
    chain=Chain(instance=InstanceId("b" * 32), entries=9, head="c" * 64),
    occasion=Occasion.DAILY,
    docking=None,
    account=Account(seen=Count(files=1, bytes_=8), receipted=Count(files=1, bytes_=8)),
    as_of=1,
    listed=Count(files=1, bytes_=8),
    utc="2026-03-01T11:30:02.000000Z",
)


@asynccontextmanager
async def accounts_at(endpoint: str, *, token_file: Path | None = None) -> AsyncIterator[StoreAccounts]:
    """Ask a store."""
    wire = TusWire(WireOptions(endpoint=endpoint, stall_timeout_s=2.0, token_file=token_file))
    try:
        yield StoreAccounts(wire, endpoint=endpoint, station=StationId("north-1"))
    finally:
        await wire.close()


class Answering:
    """A peer that answers every request so, and remembers what came."""

    def __init__(self, status: str, body: bytes, *, more: str = "") -> None:
        self._head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
        self._body = body
        self.heads: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await read_head(reader)
        await reader.readexactly(length_of(text))
        self.heads.append(text)
        writer.write(self._head.encode("ascii") + self._body)


@pytest.mark.promise("I18")
@pytest.mark.parametrize("ending", ["", "/"])
async def test_the_reference_store_lists_receipts_and_hears_statements(tmp_path: Path, ending: str) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        samples = [Sample(path=b"%d.MP4" % number) for number in range(3)]
        receipts = [(await tus.send(sample)).headers["Clip-Receipt"] for sample in samples]
        async with accounts_at(store.url.rstrip("/") + ending) as accounts:
            first = await accounts.receipts(after=0, limit=2)
            second = await accounts.receipts(after=2, limit=2)
            none = await accounts.receipts(after=3, limit=2)
            right = await accounts.declare(DAILY)
            wrong = await accounts.declare(replace(DAILY, as_of=3))
    given = [
        Given(seq=number, clip_id=ClipId(sample.clip_id), receipt=receipt)
        for number, (sample, receipt) in enumerate(zip(samples, receipts, strict=True), start=1)
    ]
    total = Count(files=3, bytes_=24)
    assert first == GivenPage(receipts=tuple(given[:2]), more=True, total=total, store="dockd-central")
    assert second == GivenPage(receipts=tuple(given[2:]), more=False, total=total, store="dockd-central")
    assert none == GivenPage(receipts=(), more=False, total=total, store="dockd-central")
    assert parse_receipt(given[0].receipt).claims.clip_id == samples[0].clip_id
    assert right == Verdict(given=Count(files=1, bytes_=8), differs=())
    assert wrong is not None
    assert wrong.given == total
    assert "up to receipt 3" in wrong.differs[0]


async def test_a_foreign_store_keeps_no_accounts(tmp_path: Path, start_store: StartStore) -> None:
    foreign = start_store(tmp_path)
    async with accounts_at(foreign.url) as accounts:
        assert await accounts.receipts(after=0, limit=2) is None


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "410 Gone", "501 Not Implemented"])
async def test_a_store_that_only_takes_uploads_keeps_none(status: str) -> None:
    async with serving(Answering(status, b"no")) as port, accounts_at(f"http://127.0.0.1:{port}/files/") as accounts:
        assert await accounts.receipts(after=0, limit=2) is None
        assert await accounts.declare(DAILY) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("401 Unauthorized", Reason.AUTH),
        ("403 Forbidden", Reason.AUTH),
        ("302 Found", Reason.STORE),
        ("500 Oh", Reason.STORE),
    ],
)
async def test_a_refusal_is_to_be_tried_again(status: str, reason: Reason) -> None:
    peer = Answering(status, b"not now", more="Location: http://127.0.0.1:1/\r\n")
    async with serving(peer) as port, accounts_at(f"http://127.0.0.1:{port}/files/") as accounts:
        for asking in (accounts.receipts(after=0, limit=2), accounts.declare(DAILY)):
            with pytest.raises(TransientError, match=r"answered [0-9]+: 'not now'") as caught:
                await asking
            assert caught.value.reason is reason
            assert caught.value.retry_after_s is None


@pytest.mark.promise("I18")
@pytest.mark.parametrize("status", ["400 Bad Request", "413 Too Large", "422 No"])
async def test_a_statement_that_the_store_refuses_for_what_it_says_differs_and_holds_up_no_other(status: str) -> None:
    async with (
        serving(Answering(status, b"serial: \x1b")) as port,
        accounts_at(f"http://127.0.0.1:{port}/files/") as asked,
    ):
        verdict = await asked.declare(DAILY)
        with pytest.raises(TransientError, match=r"answered 4[0-9]+: "):
            await asked.receipts(after=0, limit=2)
    words = f"it refuses the statement: answered {status[:3]}: 'serial: \\x1b'"
    assert verdict == Verdict(given=Count(), differs=(words,))


@pytest.mark.promise("I18")
async def test_a_camera_with_a_very_long_name_leaves_the_accounts_of_others_alone(tmp_path: Path) -> None:
    docking = DockingRecord(
        key=DockingId(7), bay=BayId(1), serial="\\u4e2d" * 50, volume="v", model="", firmware="",
        attached_utc=DAILY.utc, listed_utc=None, ended_utc=DAILY.utc, listing_sha256=None, listing_files=None,
        listing_bytes=None, early=None, left_files=None,
    )  # fmt: skip
    long = replace(DAILY, occasion=Occasion.DOCKING, docking=docking, as_of=0, listed=Count())
    async with central(tmp_path) as store, accounts_at(store.url) as accounts:
        verdict = await accounts.declare(long)
    assert verdict is not None
    assert verdict.differs[0].startswith("it refuses the statement: answered 400: ")


@pytest.mark.parametrize(("said", "told"), [("7", 7.0), ("soon", None), ("9999999", None)])
async def test_how_long_to_wait_is_passed_on(said: str, told: float | None) -> None:
    peer = Answering("503 Busy", b"", more=f"Retry-After: {said}\r\n")
    async with serving(peer) as port, accounts_at(f"http://127.0.0.1:{port}/files/") as accounts:
        with pytest.raises(TransientError) as caught:
            await accounts.receipts(after=0, limit=2)
    assert caught.value.retry_after_s == told


LINE = {"seq": 5, "clip_id": "a" * 64, "receipt": "x"}
PAGE = {"receipts": [LINE], "next": None, "total": 1, "total_bytes": 8}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("<html>Sign in</html>", "is no list of receipts"),
        ("[" * 100_000, "is no list of receipts"),
        ({}, "expected receipts, total and total_bytes"),
        (PAGE | {"total": -1}, "total: -1: expected a whole number"),
        (PAGE | {"total_bytes": True}, "total_bytes: True: expected a whole number"),
        (PAGE | {"receipts": [LINE | {"clip_id": "A" * 64}]}, "expected seq, clip_id and receipt"),
        (PAGE | {"receipts": [LINE | {"receipt": "x" * 5000}]}, "receipt of 5000 characters: expected at most 4096"),
        (PAGE | {"receipts": [LINE | {"seq": "5"}]}, "seq: '5': expected a whole number"),
        (PAGE | {"receipts": [LINE, LINE]}, "expected one after the other"),
        (PAGE | {"receipts": [LINE | {"seq": 4}]}, "expected one after the other, beyond 4"),
        (PAGE | {"store": 7}, "store: '7': expected a name of 1 to 100 characters"),
        (PAGE | {"store": ""}, "store: '': expected a name"),
        (PAGE | {"store": "x" * 101}, "expected a name of 1 to 100 characters"),
        (PAGE | {"store": "half \ud800"}, r"store: 'half \\ud800': expected a name of 1 to 100 characters"),
        (PAGE | {"receipts": [LINE], "more": "x" * 3_000_000}, "the answer is longer than 2097152 bytes"),
    ],
)
async def test_a_list_that_makes_no_sense_is_no_list(document: object, words: str) -> None:
    body = document if isinstance(document, str) else json.dumps(document)
    peer = Answering("200 OK", body.encode("ascii"))
    async with serving(peer) as port, accounts_at(f"http://127.0.0.1:{port}/files/") as accounts:
        with pytest.raises(TransientError, match=words) as caught:
            await accounts.receipts(after=4, limit=2)
    assert caught.value.reason is Reason.STORE


async def test_an_endless_list_is_not_asked_for_again_where_nothing_comes() -> None:
    page = PAGE | {"receipts": [], "next": "http://127.0.0.1/elsewhere"}
    peer = Answering("200 OK", json.dumps(page).encode("ascii"))
    async with serving(peer) as port, accounts_at(f"http://127.0.0.1:{port}/files/") as accounts:
        assert await accounts.receipts(after=4, limit=2) == GivenPage(
            receipts=(), more=False, total=Count(files=1, bytes_=8)
        )


async def test_an_answer_to_a_statement_that_makes_no_sense_is_none() -> None:
    async with (
        serving(Answering("200 OK", b"{}")) as port,
        accounts_at(f"http://127.0.0.1:{port}/files/") as accounts,
    ):
        with pytest.raises(TransientError, match="is no answer to an account: given: "):
            await accounts.declare(DAILY)


@pytest.mark.promise("I14")
async def test_accounts_are_asked_for_beside_the_uploads_with_the_token_and_a_deadline(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    peer = Answering("200 OK", json.dumps(PAGE).encode("ascii"))
    async with (
        serving(peer) as port,
        accounts_at(f"http://127.0.0.1:{port}/a/files/", token_file=token) as accounts,
    ):
        await accounts.receipts(after=4, limit=2)
    (head,) = peer.heads
    assert head.startswith("GET /a/receipts?station=north-1&after=4&limit=2 HTTP/1.1\r\n")
    assert "Authorization: Bearer secret" in head

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port, accounts_at(f"http://127.0.0.1:{port}/files/") as accounts:
        with pytest.raises(TransientError, match="did not answer in time") as caught:
            await accounts.receipts(after=0, limit=1)
    assert caught.value.reason is Reason.NETWORK
