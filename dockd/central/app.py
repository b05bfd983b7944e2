"""The HTTP application: routes, and the one place where a refusal becomes an answer.

Owns nothing but the wiring of handlers and the form of errors: short text, with the status that tus means.
"""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

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
_STALLED = 408

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(*, uploading: Uploading, reading: Reading) -> web.Application:
    """Wire the handlers together."""
    app = web.Application(middlewares=[answer_refusals])
    app.add_routes([*uploading.routes(), *reading.routes()])
    app.on_response_prepare.append(_say_version)
    return app


@web.middleware
async def answer_refusals(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn a refusal into its answer."""
    try:
        return await handler(request)
    except RefusedError as refusal:
        return _answer(request, refusal)
    except (DeclarationError, HeaderError) as error:
        return _answer(request, RefusedError(400, str(error)))


async def _say_version(request: web.Request, response: web.StreamResponse) -> None:
    if request.path.startswith(FILES.rstrip("/")):
        response.headers[headers.TUS_RESUMABLE] = headers.TUS_VERSION


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
    if refusal.status == _STALLED:
        response.force_close()
    return response
