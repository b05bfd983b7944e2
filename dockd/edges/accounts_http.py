"""The store's side of accounting over HTTP: `receipts` and `accounts`, beside the folder that clips are uploaded to.

Owns those two URLs, the JSON and what a status means. Connections, credentials and deadlines are the wire's; when to
ask again is not decided here.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlencode, urljoin

from dockd.app.account_ports import GivenPage
from dockd.domain.accounting import Count, Given
from dockd.domain.jws import MAX_COMPACT_CHARS
from dockd.domain.model import ClipId, StationId
from dockd.domain.statement import MOST_COUNT, Statement, StatementError, Verdict, parse_verdict, statement_json
from dockd.errors import Reason, TransientError
from dockd.tus.message import Request, Response

MOST_PAGE_BYTES = 2 * 1024 * 1024
MOST_ANSWER_BYTES = 16 * 1024
NOT_OFFERED = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE, HTTPStatus.NOT_IMPLEMENTED}
)
"""How a store that only takes uploads answers."""
REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
"""How a store answers a statement that it will never take: said again it says the same, and others wait behind it."""

_HEX64 = re.compile(r"[0-9a-f]{64}")
_SHOWN = 100
_MAX_RETRY_AFTER_DIGITS = 6


class Asking(Protocol):
    """What carries a request: `edges.tus_http.TusWire`."""

    async def ask(self, request: Request, *, document: bytes | None, most_bytes: int) -> Response:
        """Perform one request; the answer is whole."""
        ...


class StoreAccounts:
    """The `Accounts` port of `app.account_ports`, for one station."""

    def __init__(self, wire: Asking, *, endpoint: str, station: StationId) -> None:
        """Ask beside `endpoint`, where clips are uploaded to: never anywhere but at that store (I14)."""
        folder = endpoint if endpoint.endswith("/") else f"{endpoint}/"
        self._wire = wire
        self._station = station
        self._receipts_url = urljoin(folder, "../receipts")
        self._accounts_url = urljoin(folder, "../accounts")

    async def receipts(self, *, after: int, limit: int) -> GivenPage | None:
        """Give receipts in the order in which they were given to this station; None where the store has no such list.

        Raises:
            TransientError: as the wire does, and AUTH or STORE where the answer is not a list.

        """
        query = urlencode({"station": self._station, "after": after, "limit": limit})
        request = Request(method="GET", url=f"{self._receipts_url}?{query}", headers=())
        response = await self._wire.ask(request, document=None, most_bytes=MOST_PAGE_BYTES)
        if response.status in NOT_OFFERED:
            return None
        _require_done(request, response)
        try:
            page = _page(json.loads(response.body), after=after)
        except (ValueError, RecursionError) as error:
            raise TransientError(Reason.STORE, f"{request.url}: is no list of receipts: {error}") from error
        return page

    async def declare(self, statement: Statement) -> Verdict | None:
        """Tell the store what we know, and hear what it knows; None where the store takes no statements.

        That it refuses this one for what it says is a difference, too.

        Raises:
            TransientError: as `receipts`.

        """
        headers = (("Content-Type", "application/json"),)
        request = Request(method="POST", url=self._accounts_url, headers=headers)
        document = statement_json(statement)
        response = await self._wire.ask(request, document=document, most_bytes=MOST_ANSWER_BYTES)
        if response.status in NOT_OFFERED:
            return None
        if response.status in REFUSED:
            return Verdict(given=Count(), differs=(f"it refuses the statement: {_said(response)}",))
        _require_done(request, response)
        try:
            return parse_verdict(response.body)
        except StatementError as error:
            raise TransientError(Reason.STORE, f"{request.url}: is no answer to an account: {error}") from error


def _require_done(request: Request, response: Response) -> None:
    if response.status == HTTPStatus.OK:
        return
    auth = response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    raise TransientError(
        Reason.AUTH if auth else Reason.STORE,
        f"{request.method} {request.url}: {_said(response)}",
        retry_after_s=_retry_after_s(response.headers),
    )


def _said(response: Response) -> str:
    words = response.body[:_SHOWN].decode("utf-8", "replace").strip()
    return f"answered {response.status}: {words!r}"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    fits = text.isascii() and text.isdigit() and len(text) <= _MAX_RETRY_AFTER_DIGITS
    return float(text) if fits else None


def _page(document: object, *, after: int) -> GivenPage:
    match document:
        case {"receipts": list(lines), "total": total, "total_bytes": total_bytes, **rest}:
            receipts = tuple(map(_given, lines))
            order = [after, *(given.seq for given in receipts)]
            if order != sorted(set(order)):
                raise ValueError(f"receipts {order[:_SHOWN]}: expected one after the other, beyond {after}")
            total = Count(files=_count("total", total), bytes_=_count("total_bytes", total_bytes))
            more = rest.get("next") is not None and bool(receipts)
            return GivenPage(receipts=receipts, more=more, total=total, store=_store(rest.get("store")))
        case _:
            raise ValueError("expected receipts, total and total_bytes")


def _store(name: object) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not 0 < len(name) <= _SHOWN or not name.isprintable():
        raise ValueError(f"store: {str(name)[:_SHOWN]!r}: expected a name of 1 to {_SHOWN} characters, all printable")
    return name


def _given(line: object) -> Given:
    match line:
        case {"seq": seq, "clip_id": str(clip_id), "receipt": str(receipt)} if _HEX64.fullmatch(clip_id):
            if len(receipt) > MAX_COMPACT_CHARS:
                raise ValueError(f"receipt of {len(receipt)} characters: expected at most {MAX_COMPACT_CHARS}")
            return Given(seq=_count("seq", seq), clip_id=ClipId(clip_id), receipt=receipt)
        case _:
            raise ValueError(f"{str(line)[:_SHOWN]}: expected seq, clip_id and receipt")


def _count(name: str, value: object) -> int:
    # bool is an int to Python; `true` is no count.
    if type(value) is not int or not 0 <= value <= MOST_COUNT:
        raise ValueError(f"{name}: {value!r}: expected a whole number")
    return value
