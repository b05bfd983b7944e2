"""The HTTP application: routes, and the one place where a refusal becomes an answer.

Owns nothing but the wiring of handlers and the form of errors: short text, with the status that tus means.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from dockd.central.accounting import Accounting
from dockd.central.declaration import DeclarationError
from dockd.central.reading import Reading
from dockd.central.refusal import CHECKSUM_MISMATCH, RefusedError
from dockd.central.uploading import FILES, Uploading
from dockd.tus import headers
from dockd.tus.headers import HeaderError

_log = logging.getLogger(__name__)
_REASONS = {CHECKSUM_MISMATCH: "Checksum Mismatch"}
_UNAUTHORISED = 401
_WRONG_VERSION = 412
_LINGER_S = 2.0
_INDEX_RETRY_S = 2

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(*, uploading: Uploading, reading: Reading, accounting: Accounting) -> web.Application:
    """Wire the handlers together."""
    app = web.Application(middlewares=[answer_refusals])
    app.add_routes([*uploading.routes(), *reading.routes(), *accounting.routes()])
    app.on_response_prepare.append(_say_version)
    return app


@web.middleware
async def answer_refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn a refusal into its answer, and let a body that nobody wants run out after it."""
    try:
        response = await handler(request)
    except RefusedError as refusal:
        response = _answer(request, refusal)
    except (DeclarationError, HeaderError) as error:
        response = _answer(request, RefusedError(400, str(error)))
    except sqlite3.Error as error:
        _log.error("%s %s: index: %s", request.method, request.path, error)
        response = _answer(
            request, RefusedError(503, "store: its index failed: come back", retry_after_s=_INDEX_RETRY_S)
        )
    if request.can_read_body and not request.content.at_eof():
        await _answer_in_mid_body(request, response)
    return response


def http_log() -> logging.Logger:
    """Give aiohttp a logger that quotes nothing of a malformed request: a bearer token may be in it."""
    logger = logging.getLogger(f"{__name__}.http")
    logger.addFilter(_without_quotes)
    return logger


def _without_quotes(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
    return True


async def _say_version(request: web.Request, response: web.StreamResponse) -> None:
    if request.path.startswith(FILES.rstrip("/")):
        response.headers[headers.TUS_RESUMABLE] = headers.TUS_VERSION


async def _answer_in_mid_body(request: web.Request, response: web.StreamResponse) -> None:
    # Closing while the client still sends makes its kernel throw the answer away: read on for a moment. Not aiohttp's
    # own lingering, which outlives a connection that is lost meanwhile.
    response.force_close()
    try:
        async with asyncio.timeout(_LINGER_S):
            await response.prepare(request)
            await response.write_eof()
            while await request.content.readany():
                pass
    except (TimeoutError, ConnectionError, web.RequestPayloadError):
        return  # it has had its moment, or it is gone


def _answer(request: web.Request, refusal: RefusedError) -> web.Response:
    _log.info("%s %s: %d %s", request.method, request.path, refusal.status, refusal)
    response = web.Response(
        status=refusal.status, reason=_REASONS.get(refusal.status), text=f"{refusal}\n", content_type="text/plain"
    )
    if refusal.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(refusal.retry_after_s)
    if refusal.status == _UNAUTHORISED:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="dockd central"'
    if refusal.status == _WRONG_VERSION:
        response.headers[headers.TUS_VERSIONS] = headers.TUS_VERSION
    return response
