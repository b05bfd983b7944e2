"""The accounts with stations, over HTTP: GET /receipts, POST /accounts, GET /accounts.

Owns the parameters, the JSON and the paging. What is read is in the access log before it is sent; what does not agree
is an ALARM in the store's own log.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime

from aiohttp import hdrs, web

from dockd.central import access, accounts
from dockd.central.accesslog import AccessLog
from dockd.central.accounts import GivenReceipt, Heard
from dockd.central.database import Database
from dockd.central.gate import Gate, require_account, require_read, require_upload
from dockd.central.parameters import MAX_SEQ, allow, number
from dockd.central.partials import DiskReserveError, Partials
from dockd.central.receiving import disk_full
from dockd.central.refusal import RefusedError
from dockd.domain.model import StationId
from dockd.domain.moment import utc_text
from dockd.domain.statement import MOST_BYTES, Statement, StatementError, Verdict, parse_statement, verdict_json

_log = logging.getLogger(__name__)
RECEIPTS = "/receipts"
ACCOUNTS = "/accounts"
_JSON = "application/json"
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000


class Accounting:
    """The handlers of /receipts and /accounts."""

    def __init__(
        self,
        *,
        database: Database,
        partials: Partials,
        gate: Gate,
        log: AccessLog,
        store_name: str,
        stall_s: float,
        now_utc: Callable[[], datetime],
    ) -> None:
        """Take the index, what knows the disk's reserve, who decides, who is told, our name in receipts, a deadline.

        `stall_s` is how long a statement may take to come.
        """
        self._database = database
        self._partials = partials
        self._gate = gate
        self._log = log
        self._store_name = store_name
        self._stall_s = stall_s
        self._now_utc = now_utc

    def routes(self) -> list[web.RouteDef]:
        """The table for the router."""
        return [
            web.get(RECEIPTS, self.receipts),
            web.post(ACCOUNTS, self.declare),
            web.get(ACCOUNTS, self.statements),
        ]

    async def receipts(self, request: web.Request) -> web.Response:
        """One page of a station's receipts, in the order in which they were given, and how many there are in all."""
        principal = self._gate.principal_of(request)
        allow(request.query, "after", "limit", "station")
        station = request.query.get("station")
        if not station:
            raise RefusedError(400, "station: (missing): expected the station whose receipts are asked for")
        require_account(principal, StationId(station))
        await self._note(request, access.name_of(principal))
        after = number(request.query, "after", least=0, most=MAX_SEQ, default=0)
        limit = number(request.query, "limit", least=1, most=_MAX_LIMIT, default=_DEFAULT_LIMIT)
        page, total = await self._database.read(lambda db: accounts.list_given(db, station, after=after, limit=limit))
        return web.json_response(
            {
                "receipts": [_receipt(given) for given in page[:limit]],
                "next": _next(request, page[limit - 1].seq) if len(page) > limit else None,
                "store": self._store_name,
                "total": total.files,
                "total_bytes": total.bytes_,
            }
        )

    async def declare(self, request: web.Request) -> web.Response:
        """Hear a station's statement of account, keep it, and answer with our own count and what differs."""
        principal = self._gate.principal_of(request)
        if request.content_type != _JSON:
            raise RefusedError(415, f"{hdrs.CONTENT_TYPE}: {request.content_type!r}: expected {_JSON}")
        try:
            statement = parse_statement(await self._body(request))
        except StatementError as error:
            raise RefusedError(400, str(error)) from error
        require_upload(principal, statement.station)
        heard_at = utc_text(self._now_utc())
        try:
            verdict = await self._database.write(lambda db: self._hear(db, statement, heard_at=heard_at))
        except DiskReserveError as error:
            raise disk_full(error) from error
        for differs in verdict.differs:
            _log.error("ALARM station %s %s: %s", statement.station, statement.about, differs)
        return web.Response(body=verdict_json(verdict), content_type=_JSON)

    async def statements(self, request: web.Request) -> web.Response:
        """One page of what stations said, in the order in which it was first heard."""
        principal = self._gate.principal_of(request)
        require_read(principal)
        allow(request.query, "after", "limit", "station")
        await self._note(request, access.name_of(principal))
        after = number(request.query, "after", least=0, most=MAX_SEQ, default=0)
        limit = number(request.query, "limit", least=1, most=_MAX_LIMIT, default=_DEFAULT_LIMIT)
        station = request.query.get("station")
        page = await self._database.read(lambda db: accounts.list_heard(db, station, after=after, limit=limit))
        following = _next(request, page[limit - 1].seq) if len(page) > limit else None
        return web.json_response({"accounts": [_heard(heard) for heard in page[:limit]], "next": following})

    def _hear(self, db: sqlite3.Connection, statement: Statement, *, heard_at: str) -> Verdict:
        # The reserve is for finishing what was begun; a statement is said again.
        self._partials.require_space(MOST_BYTES)
        return accounts.hear(db, statement, heard_at=heard_at)

    async def _body(self, request: web.Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._stall_s):
                while len(body) <= MOST_BYTES and (chunk := await request.content.readany()):
                    body += chunk
        except TimeoutError as error:
            raise RefusedError(408, f"statement: not whole within {self._stall_s:g} s") from error
        except (ConnectionError, web.RequestPayloadError) as error:
            raise RefusedError(400, f"statement: connection lost: {error}") from error
        if len(body) > MOST_BYTES:
            raise RefusedError(413, f"statement: longer than {MOST_BYTES} bytes, expected at most that")
        return bytes(body)

    async def _note(self, request: web.Request, who: str) -> None:
        try:
            await self._log.note(who=who, what=request.path, part=request.query_string or None)
        except OSError as error:
            _log.error("access log: %s: nothing is shown until it can be written", error)
            raise RefusedError(503, "access log: cannot be written, and nothing is shown unlogged") from error


def _next(request: web.Request, seq: int) -> str:
    return str(request.url.update_query(after=str(seq)))


def _receipt(given: GivenReceipt) -> dict[str, object]:
    return {"seq": given.seq, "clip_id": given.clip_id, "length": given.length_bytes, "receipt": given.receipt}


def _heard(heard: Heard) -> dict[str, object]:
    return {
        "seq": heard.seq,
        "heard_at": heard.heard_at,
        "statement": json.loads(heard.statement),
        "answer": json.loads(heard.verdict),
    }
