"""The daemon's end of the local socket: answers questions over HTTP, and takes wishes about quarantine and lights.

Owns aiohttp on a unix socket, its permissions and its routes. There is no route that erases, releases a hold on
evidence or weakens anything (I15). A wish has a clip in quarantine tried again, or notes who has looked at it or at the
accounts; it goes on record under the name of the user at the other end.
"""

import asyncio
import grp
import logging
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from dockd.app.pointing import Pointing
from dockd.app.quarantine import Quarantine
from dockd.app.view import StationView
from dockd.domain.model import BayId, CameraSerial, ClipId, ClipKey, ClipState, DockingId
from dockd.domain.quarantine import Wish
from dockd.edges.control.accounts import account_document, difference_document
from dockd.edges.control.cases import (
    MOST_DOCKINGS,
    alarms_document,
    answers_document,
    broken_document,
    camera_case,
    clip_case,
    held_document,
)
from dockd.edges.control.documents import clip_document, listed, receipt_document
from dockd.edges.control.live import bay_document, status_document
from dockd.edges.control.shape import Document
from dockd.edges.control.wishes import acknowledged_in, identify_in, wishes_in
from dockd.edges.ledger import account_reads, views
from dockd.edges.ledger.ledger import StationLedger
from dockd.errors import DockdError

MOST_ROWS = 1000
MOST_DIGITS = 18
"""What a database can be asked for: below 2**63."""
MOST_SHOWN = 60
SOCKET_MODE = 0o660
_UCRED = struct.Struct("3i")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the socket can be asked: the station's view, its bays' names, its ledger, a check of everything stored."""

    view: Callable[[], Awaitable[StationView]]
    names: Mapping[BayId, str]
    ledger: StationLedger
    verify: Callable[[], Awaitable[Document]]
    quarantine: Quarantine
    pointing: Pointing


@asynccontextmanager
async def serving(desk: Desk, *, path: Path, group: str | None) -> AsyncIterator[None]:
    """Answer on a unix socket that its group may use, for as long as the block runs.

    A socket file left by a dead daemon is replaced: the lock on the state folder says that no other one lives.
    """
    app = web.Application(middlewares=[_in_words])
    app.add_routes([*_routes(desk), *_account_routes(desk), _pointing_route(desk)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        listener = await asyncio.to_thread(_bound, path, group)
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()
        await asyncio.to_thread(_remove, path)


def _bound(path: Path, group: str | None) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Nobody may connect between bind and chmod.
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"control socket {path}: {error.strerror or error}") from error
    finally:
        os.umask(before)
    if group is not None:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    path.chmod(SOCKET_MODE)
    return listener


def _remove(path: Path) -> None:
    # Only a socket: a setting that names some other file must not cost that file.
    if path.is_socket():
        path.unlink()


@web.middleware
async def _in_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer in the words of the error where a question cannot be answered now: people see them."""
    try:
        return await handler(request)
    except DockdError as error:
        raise web.HTTPServiceUnavailable(text=str(error)) from error


def _routes(desk: Desk) -> list[web.RouteDef]:
    async def status(_: web.Request) -> web.Response:
        alarms = alarms_document(*await desk.ledger.query(views.alarms()))
        continues = await desk.ledger.query(views.continues())
        return web.json_response(status_document(await desk.view()) | {"quarantine": alarms, "continues": continues})

    async def bays(_: web.Request) -> web.Response:
        view = await desk.view()
        return web.json_response(
            listed([bay_document(bay, name=desk.names[bay.number]) for bay in view.bays], name="bays", after=None)
        )

    async def clips(request: web.Request) -> web.Response:
        return web.json_response(await _clips(desk.ledger, request))

    async def receipts(request: web.Request) -> web.Response:
        return web.json_response(await _receipts(desk.ledger, request))

    async def verify(_: web.Request) -> web.Response:
        return web.json_response(await desk.verify())

    async def held(request: web.Request) -> web.Response:
        return web.json_response(await _held(desk.ledger, request))

    async def broken(_: web.Request) -> web.Response:
        rows = await desk.ledger.query(views.broken())
        return web.json_response(listed([broken_document(row) for row in rows], name="broken", after=None))

    async def case(request: web.Request) -> web.Response:
        document = await _case(desk.ledger, request.match_info["kind"], int(request.match_info["number"]))
        return web.json_response(document)

    async def wish(request: web.Request) -> web.Response:
        return web.json_response(await _wish(desk.quarantine, request))

    return [
        web.get("/v1/status", status),
        web.get("/v1/bays", bays),
        web.get("/v1/clips", clips),
        web.get("/v1/receipts", receipts),
        web.get("/v1/verify", verify),
        web.get("/v1/held", held),
        web.get("/v1/broken", broken),
        web.get("/v1/{kind:clip|docking}/{number:[0-9]{1,18}}", case),
        web.post("/v1/quarantine/{wish:retry|release}", wish),
    ]


def _account_routes(desk: Desk) -> list[web.RouteDef]:
    async def account(_: web.Request) -> web.Response:
        return web.json_response(account_document((await desk.view()).account))

    async def differences(request: web.Request) -> web.Response:
        return web.json_response(await _differences(desk.ledger, request))

    async def acknowledge(request: web.Request) -> web.Response:
        try:
            up_to, why = acknowledged_in(await request.read())
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        actor = await asyncio.to_thread(_actor, _peer_uid(request))
        files = await desk.ledger.accounts.acknowledge(up_to=up_to, actor=actor, why=why)
        return web.json_response({"acknowledged": files})

    return [
        web.get("/v1/account", account),
        web.get("/v1/differences", differences),
        web.post("/v1/account/acknowledge", acknowledge),
    ]


def _pointing_route(desk: Desk) -> web.RouteDef:
    async def identify(request: web.Request) -> web.Response:
        try:
            bay, for_s = identify_in(await request.read())
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        actor = await asyncio.to_thread(_actor, _peer_uid(request))
        if not (desk.pointing.begin(bay, for_s=for_s) if for_s else desk.pointing.end(bay)):
            raise web.HTTPNotFound(text=f"bay {bay}: there is no such one here")
        _log.info("bay %s is pointed at for %s s by %s", bay, for_s, actor)
        return web.json_response({"bay": bay, "seconds": for_s})

    return web.post("/v1/identify", identify)


async def _clips(ledger: StationLedger, request: web.Request) -> Document:
    state = request.query.get("in")
    if state is not None and state not in set(ClipState):
        raise _wrong("in", state, f"one of {', '.join(ClipState)}")
    serial = request.query.get("camera")
    limit = _count(request, "limit", MOST_ROWS)
    rows = await ledger.query(
        views.clips(
            state=None if state is None else ClipState(state),
            serial=None if serial is None else CameraSerial(serial),
            after=ClipKey(_count(request, "after", 0)),
            limit=limit,
        )
    )
    return listed(
        [clip_document(clip) for clip in rows], name="clips", after=rows[-1].key if len(rows) == limit else None
    )


async def _receipts(ledger: StationLedger, request: web.Request) -> Document:
    clip_id = request.query.get("clip_id")
    limit = _count(request, "limit", MOST_ROWS)
    rows = await ledger.query(
        views.receipts(
            clip_id=None if clip_id is None else ClipId(clip_id),
            after=ClipKey(_count(request, "after", 0)),
            limit=limit,
        )
    )
    after = rows[-1].clip if len(rows) == limit else None
    return listed([receipt_document(row) for row in rows], name="receipts", after=after)


async def _held(ledger: StationLedger, request: web.Request) -> Document:
    limit = _count(request, "limit", MOST_ROWS)
    rows = await ledger.query(views.held(after=ClipKey(_count(request, "after", 0)), limit=limit))
    after = rows[-1].clip.key if len(rows) == limit else None
    return listed([held_document(row) for row in rows], name="held", after=after)


async def _case(ledger: StationLedger, kind: str, number: int) -> Document:
    if kind == "docking":
        docking = await ledger.query(views.docking(DockingId(number)))
        if docking is None:
            raise web.HTTPNotFound(text=f"docking {number}: there is no such one here")
        held = await ledger.query(views.held(camera=docking.camera, after=ClipKey(0), limit=MOST_ROWS))
        others = await ledger.query(views.dockings_of(docking.camera, limit=MOST_DOCKINGS))
        return camera_case(docking, dockings=others, held=held)
    clip = await ledger.query(views.found(ClipKey(number)))
    if clip is None:
        raise web.HTTPNotFound(text=f"clip {number}: there is no such one here")
    return clip_case(
        clip,
        links=await ledger.query(views.custody_of(clip.key)),
        dockings=await ledger.query(views.dockings_of(clip.camera, limit=MOST_DOCKINGS)),
        salvaged=await ledger.query(views.salvaged_of(clip)),
    )


async def _wish(quarantine: Quarantine, request: web.Request) -> Document:
    wish = Wish(request.match_info["wish"])
    try:
        asked = wishes_in(await request.read(), wish)
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    actor = await asyncio.to_thread(_actor, _peer_uid(request))
    if asked.everything:
        return answers_document(await quarantine.retry_all(serial=asked.serial, actor=actor))
    if wish is Wish.RETRY and len(asked.clips) > 1:
        answers = [await quarantine.retry(key, actor=actor) for key in asked.clips]
    else:
        answers = [await quarantine.clip(key, wish, actor=actor, why=asked.why) for key in asked.clips]
    answers += [await quarantine.camera(docking, wish, actor=actor, why=asked.why) for docking in asked.dockings]
    return answers_document(answers)


def _peer_uid(request: web.Request) -> int:
    """Give the user at the other end, from the kernel. Source: unix(7), SO_PEERCRED."""
    peer = None if request.transport is None else request.transport.get_extra_info("socket")
    if peer is None:
        raise web.HTTPForbidden(text="the connection is gone, expected to know who asks")
    _, uid, _ = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def _actor(uid: int) -> str:
    try:
        return f"user:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user:uid-{uid}"


async def _differences(ledger: StationLedger, request: web.Request) -> Document:
    limit = _count(request, "limit", MOST_ROWS)
    rows = await ledger.query(account_reads.differences(after=_count(request, "after", 0), limit=limit))
    after = rows[-1].key if len(rows) == limit else None
    return listed([difference_document(row) for row in rows], name="differences", after=after)


def _count(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise _wrong(name, text[:MOST_SHOWN], "a whole number")
    return min(int(text), MOST_ROWS) if name == "limit" else int(text)


def _wrong(name: str, value: str, expected: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"{name}: {value!r}: expected {expected}")
