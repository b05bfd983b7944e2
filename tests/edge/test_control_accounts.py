"""`dockctl account` over the local socket and on a folder at rest: what is open, and who has looked at it."""

import asyncio
import http.client
import json
import os
import pwd
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dockd import ctl
from dockd.app.accounting import AccountView
from dockd.app.quarantine import Quarantine
from dockd.app.uplink import UplinkView
from dockd.app.view import StationView
from dockd.domain.accounting import Count, Difference, Kind
from dockd.domain.model import StationId
from dockd.edges.control.server import Desk, serving
from dockd.edges.ledger.ledger import StationLedger
from tests.ledger_parts import STATION, clip_id, threaded

ME = f"user:{pwd.getpwuid(os.getuid()).pw_name}"
LOST = Difference(kind=Kind.UNKNOWN_HERE, clip_id=clip_id("e"), detail="the store gave receipt 1 for it")
ODD = Difference(kind=Kind.MISCOUNTED, cause="store", detail="the store says \x1b[31mno")


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[StationLedger]:
    """A state folder behind its daemon's socket, with one difference and three receipts of another store."""

    async def view() -> StationView:
        uplink = UplinkView(
            reason=None, detail="", failures=0, failing_s=0.0, sending={}, verifying_files=0, overdue_files=0
        )
        reading = await opened.accounts.reading()
        account = AccountView(
            differences=reading.differences, unseen=reading.unseen, elsewhere=reading.elsewhere, last=reading.last
        )
        backlog = await opened.backlog()
        station = StationId(STATION)
        return StationView(station=station, bays=(), uplink=uplink, backlog=backlog, spool_full="", account=account)

    async def verify() -> dict[str, Any]:
        return {}

    async with await threaded(tmp_path) as opened:
        quarantine = Quarantine(ledger=opened, spool=None, bays=None)  # type: ignore[arg-type]  # none is asked for
        desk = Desk(view=view, names={}, ledger=opened, verify=verify, quarantine=quarantine, pointing=None)  # type: ignore[arg-type] # never asked
        async with serving(desk, path=tmp_path / "control.sock", group=None):
            await opened.accounts.end_round(0, rebuilt=False, store="new", elsewhere={"old\x1b": 3})
            await opened.accounts.found([LOST], prior=(), round_=0, read_to=(0, Count()))
            yield opened


async def typed(folder: Path, *words: str, offline: bool = False, first: bool = False) -> int:
    """Type a command; `first` says where before the verb."""
    where = ("--state", str(folder)) if offline else ("--socket", str(folder / "control.sock"))
    line = [words[0], *where, *words[1:]] if first else [*words, *where]
    return await asyncio.to_thread(ctl.main, line)


@pytest.mark.promise("I18")
@pytest.mark.parametrize("first", [False, True])
async def test_differences_that_were_looked_at_stay_listed_and_alarm_no_more(
    ledger: StationLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, first: bool
) -> None:
    assert await typed(tmp_path, "status") == ctl.EX_FAILED
    assert "1 differences, 1 not looked at: dockctl account" in capsys.readouterr().out
    code = await typed(tmp_path, "account", "acknowledge", "--why", "disk replaced \x1b", first=first)
    assert (code, capsys.readouterr().out) == (ctl.EX_OK, "1 differences noted as looked at; 1 are open\n")
    for offline in (False, True):
        code = await typed(tmp_path, "account", offline=offline)
        out = capsys.readouterr().out
        assert code == ctl.EX_OK
        assert r"3 receipts are of another store (old\x1b)" in out
        assert f"{'e' * 64}  the store gave receipt 1 for it (since 2024" in out
        assert f"[looked at by {ME}: disk replaced \\x1b]" in out
        code = await typed(tmp_path, "account", "--json", offline=offline)
        told = json.loads(capsys.readouterr().out)
        assert (code, told["account"]["differences"], told["account"]["unseen"]) == (ctl.EX_OK, 1, 0)
        assert told["differences"][0]["acknowledged"] == f"{ME}: disk replaced \x1b"
    assert await typed(tmp_path, "status") == ctl.EX_OK
    assert "1 differences, 0 not looked at" in capsys.readouterr().out
    await ledger.accounts.found([ODD], prior=(), round_=0, read_to=(0, Count()))
    assert await typed(tmp_path, "status") == ctl.EX_FAILED
    assert await typed(tmp_path, "account", "--json") == ctl.EX_FAILED
    assert await typed(tmp_path, "account") == ctl.EX_FAILED
    assert "\x1b[31m" not in capsys.readouterr().out.splitlines()[-1]


async def test_where_nothing_differs_nothing_is_noted(
    ledger: StationLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await ledger.accounts.end_round(1, rebuilt=False)
    code = await typed(tmp_path, "account", "acknowledge", "--why", "x", "--json")
    assert (code, json.loads(capsys.readouterr().out)) == (ctl.EX_OK, {"acknowledged": 0})


@pytest.mark.promise("I15")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"x", "expected JSON"),
        (b'{"up_to": 1, "why": "x", "erase": true}', "expected an object with up_to, why"),
        (b'{"up_to": true, "why": "x"}', "expected up_to, the number of a difference, and why, a text"),
        (b'{"up_to": 1}', "expected up_to, the number of a difference, and why, a text"),
        (b'{"up_to": 1, "why": "  "}', "expected 1 to 1000 characters"),
    ],
)
async def test_only_a_number_and_a_reason_are_taken(
    ledger: StationLedger, tmp_path: Path, body: bytes, words: str
) -> None:
    def post() -> tuple[int, str]:
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(tmp_path / "control.sock"))
        connection.request("POST", "/v1/account/acknowledge", body)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said

    status, said = await asyncio.to_thread(post)
    assert (status, words in said) == (400, True), said
    assert (await ledger.accounts.reading()).unseen == 1


async def test_a_folder_at_rest_is_only_read(
    ledger: StationLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await typed(tmp_path, "account", "acknowledge", "--why", "x", offline=True)
    assert code == ctl.EX_UNAVAILABLE
    assert "expected a running daemon to tell it to" in capsys.readouterr().err
    assert (await ledger.accounts.reading()).unseen == 1
