"""The evidence for those who may read it: GET /clips, /clips/ID and /clips/ID/content.

Owns the parameters, the JSON and the paging. Every answer is in the access log before it is sent.
"""

import logging
from collections.abc import Mapping

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from dockd.central import access, index
from dockd.central.accesslog import AccessLog
from dockd.central.database import Database
from dockd.central.evidence import Evidence
from dockd.central.gate import Gate, require_read
from dockd.central.index import Query, StoredClip
from dockd.central.parameters import MAX_SEQ, allow, number
from dockd.central.refusal import RefusedError
from dockd.domain import facts
from dockd.tus.headers import REPR_DIGEST, parse_metadata, repr_digest

_log = logging.getLogger(__name__)
CLIPS = "/clips"
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
_MOST_FACT_CHARS = 256


class _Content(web.FileResponse):
    """A stored file; a reader that stalls ends it as one that hangs up does, without a stack trace."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        try:
            return await super().prepare(request)
        except (TimeoutError, ConnectionError) as error:
            # The kernel gives up on a full window after TCP_USER_TIMEOUT; aiohttp expects connection errors only.
            _log.info("%s: reader gone: %s", request.path, error)
            raise ConnectionResetError(str(error)) from error


class Reading:
    """The handlers of /clips."""

    def __init__(self, *, database: Database, evidence: Evidence, gate: Gate, log: AccessLog) -> None:
        """Take the index, the objects, who decides, and who is told."""
        self._database = database
        self._evidence = evidence
        self._gate = gate
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        """The table for the router."""
        one = CLIPS + "/{clip_id:[0-9a-f]{64}}"
        return [
            web.get(CLIPS, self.list),
            web.get(one, self.show),
            web.get(one + "/content", self.content),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """One page of clips, in the order in which they became safe, and where the next page is."""
        await self._let_in(request, part=request.query_string or None)
        query = parse_query(request.query)
        page = await self._database.read(lambda db: index.list_clips(db, query))
        following = None
        if len(page) > query.limit:
            page = page[: query.limit]
            following = str(request.url.update_query(after=str(page[-1].seq)))
        return web.json_response({"clips": [json_of(clip) for clip in page], "next": following})

    async def show(self, request: web.Request) -> web.Response:
        """One clip."""
        await self._let_in(request)
        clip = await self._find(request)
        return web.json_response(json_of(clip))

    async def content(self, request: web.Request) -> web.FileResponse:
        """The bytes of one clip, or one range of them.

        Source: RFC 9110 section 14 (Range); the ETag is the file's, which never changes.
        """
        await self._let_in(request, part=request.headers.get(hdrs.RANGE))
        clip = await self._find(request)
        told = {
            hdrs.CONTENT_TYPE: "application/octet-stream",
            # Footage is for evidence tools: no browser is to run what a camera's card held.
            hdrs.CONTENT_DISPOSITION: "attachment",
            "X-Content-Type-Options": "nosniff",
            hdrs.CACHE_CONTROL: "private, no-cache",
            REPR_DIGEST: repr_digest(clip.sha256),
        }
        return _Content(self._evidence.path(clip.key), headers=told)

    async def _let_in(self, request: web.Request, *, part: str | None = None) -> None:
        principal = self._gate.principal_of(request)
        require_read(principal)
        try:
            await self._log.note(who=access.name_of(principal), what=request.path, part=part)
        except OSError as error:
            _log.error("access log: %s: nothing is shown until it can be written", error)
            raise RefusedError(503, "access log: cannot be written, and nothing is shown unlogged") from error

    async def _find(self, request: web.Request) -> StoredClip:
        clip_id = request.match_info["clip_id"]
        clip = await self._database.read(lambda db: index.find_clip(db, clip_id))
        if clip is None:
            raise RefusedError(404, f"clip {clip_id}: not stored here")
        return clip


def parse_query(parameters: Mapping[str, str]) -> Query:
    """Read the parameters of GET /clips.

    Raises:
        RefusedError: 400 with the parameter, its value and what was expected.

    """
    allow(parameters, "after", "camera", "limit", "recording", "station")
    return Query(
        after=number(parameters, "after", least=0, most=MAX_SEQ, default=0),
        limit=number(parameters, "limit", least=1, most=_MAX_LIMIT, default=_DEFAULT_LIMIT),
        station=parameters.get("station"),
        camera=parameters.get("camera"),
        recording_id=parameters.get("recording"),
    )


def json_of(clip: StoredClip) -> dict[str, object]:
    """Tell a clip in JSON. `name` is the base64 of the path on the card, `camera` its serial as in the metadata.

    `tags`, `unreadable` and `facts` are as its station declared them: what is salvaged has zeros in the ranges named
    there, and the facts are what the profile of its camera read, those that were told.
    """
    declared = parse_metadata(clip.declared)
    return {
        "seq": clip.seq,
        "clip_id": clip.clip_id,
        "clip_id_recomputed": clip.recomputed,
        "sha256": clip.sha256,
        "length": clip.length_bytes,
        "stations": list(clip.stations),
        "camera": clip.camera,
        "recording_id": clip.recording_id,
        "kind": clip.kind,
        "name": clip.name,
        "tags": declared.get("tags", "").split(),
        "unreadable": declared.get("unreadable", ""),
        "facts": {
            # An earlier version took any text.
            name: facts.ascii_text(declared[name], most=_MOST_FACT_CHARS)
            for name in facts.NAMES
            if name in declared
        },
        "stored_at": clip.stored_at,
        "content": f"{CLIPS}/{clip.clip_id}/content",
    }
