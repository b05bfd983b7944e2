"""tus 1.0.0 at /files/: one handler a method, thin.

Owns the reading and writing of headers and the order of the checks a request goes through. Decides nothing about
uploads (`store`) or people (`gate`).
Source: tus 1.0.0 (core; creation, creation-with-upload, expiration, termination).
"""

from email.utils import format_datetime

from aiohttp import hdrs, web

from dockd.central.declaration import declare, parse_leaf
from dockd.central.gate import Gate, require_upload
from dockd.central.receiving import BodyLostError
from dockd.central.refusal import RefusedError
from dockd.central.store import Permit, Status, Store
from dockd.tus import headers

FILES = "/files/"
_EXTENSIONS = "creation,creation-with-upload,expiration,termination"
_OVERRIDE = "X-HTTP-Method-Override"


class Uploading:
    """The handlers of /files/."""

    def __init__(self, *, store: Store, gate: Gate) -> None:
        """Take who decides."""
        self._store = store
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """The table for the router."""
        one = FILES + "{upload_id:[0-9a-f]{64}}"
        return [
            *(web.options(path, self.options) for path in (FILES, FILES.rstrip("/"), one)),
            *(web.post(path, self.create) for path in (FILES, FILES.rstrip("/"))),
            web.head(one, self.head),
            web.patch(one, self.patch),
            web.delete(one, self.delete),
            web.post(one, self.overridden),
        ]

    async def options(self, _request: web.Request) -> web.Response:
        """Tell what this server speaks; needs no credentials and no version."""
        told = {
            headers.TUS_VERSIONS: headers.TUS_VERSION,
            headers.TUS_EXTENSION: _EXTENSIONS,
            headers.TUS_MAX_SIZE: str(self._store.max_bytes),
        }
        return web.Response(status=204, headers=told)

    async def create(self, request: web.Request) -> web.Response:
        """POST: declare a clip, and perhaps send its first bytes with it."""
        _check_version(request)
        principal = self._gate.principal_of(request)
        if headers.UPLOAD_LENGTH not in request.headers:
            raise RefusedError(400, f"{headers.UPLOAD_LENGTH}: (missing): expected the file's length in bytes")
        length_bytes = headers.parse_count(headers.UPLOAD_LENGTH, request.headers[headers.UPLOAD_LENGTH])
        metadata = headers.parse_metadata(",".join(request.headers.getall(headers.UPLOAD_METADATA, [])))
        declaration = declare(metadata, upload_length_bytes=length_bytes)
        require_upload(principal, declaration.station)
        has_body = request.can_read_body
        if has_body:
            _check_content_type(request)
        leaf = _leaf_of(request)
        status = await self._store.declare(declaration, leaf=leaf)
        # A lost 201 is answered again; the body of the repeat is not needed where bytes are held already.
        if status.offset_bytes == 0 and (has_body or length_bytes == 0) and status.upload.receipt is None:
            upload_id = status.upload.id
            status = await self._receive(request, upload_id, permit=self._permit(request), offset_bytes=0, leaf=leaf)
        told = _told(status) | {headers.LOCATION: str(request.url.with_path(FILES + status.upload.id).with_query(None))}
        return web.Response(status=201, headers=told)

    async def head(self, request: web.Request) -> web.Response:
        """HEAD: the offset, what was declared, and the receipt once there is one."""
        _check_version(request)
        status = await self._store.look(request.match_info["upload_id"], permit=self._permit(request))
        told = _told(status) | {
            headers.UPLOAD_LENGTH: str(status.upload.length_bytes),
            headers.UPLOAD_METADATA: status.upload.metadata,
            hdrs.CACHE_CONTROL: "no-store",
            # Said although HEAD has no body: a client that cannot tell where an answer ends drops the connection.
            hdrs.CONTENT_LENGTH: "0",
        }
        return web.Response(status=200, headers=told)

    async def patch(self, request: web.Request) -> web.Response:
        """PATCH: more bytes; the last ones are answered with the receipt."""
        _check_version(request)
        permit = self._permit(request)
        _check_content_type(request)
        if headers.UPLOAD_OFFSET not in request.headers:
            raise RefusedError(400, f"{headers.UPLOAD_OFFSET}: (missing): expected where the body goes")
        offset_bytes = headers.parse_count(headers.UPLOAD_OFFSET, request.headers[headers.UPLOAD_OFFSET])
        leaf = _leaf_of(request)
        upload_id = request.match_info["upload_id"]
        status = await self._receive(request, upload_id, permit=permit, offset_bytes=offset_bytes, leaf=leaf)
        return web.Response(status=204, headers=_told(status))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE: give up an unfinished upload."""
        _check_version(request)
        await self._store.drop(request.match_info["upload_id"], permit=self._permit(request))
        return web.Response(status=204)

    async def overridden(self, request: web.Request) -> web.Response:
        """POST to an upload: the method is in X-HTTP-Method-Override, for clients that know GET and POST only."""
        handlers = {hdrs.METH_HEAD: self.head, hdrs.METH_PATCH: self.patch, hdrs.METH_DELETE: self.delete}
        method = request.headers.get(_OVERRIDE, "(missing)")
        if method not in handlers:
            raise RefusedError(405, f"{_OVERRIDE}: {method!r}: expected HEAD, PATCH or DELETE")
        return await handlers[method](request)

    def _permit(self, request: web.Request) -> Permit:
        principal = self._gate.principal_of(request)
        return lambda upload: require_upload(principal, upload.station)

    async def _receive(
        self, request: web.Request, upload_id: str, *, permit: Permit, offset_bytes: int, leaf: str | None
    ) -> Status:
        async def read() -> bytes:
            try:
                return await request.content.readany()
            except (ConnectionError, web.RequestPayloadError) as error:
                raise BodyLostError(f"connection lost: {error}") from error

        return await self._store.receive(
            upload_id,
            permit=permit,
            offset_bytes=offset_bytes,
            announced_bytes=request.content_length,
            leaf=leaf,
            read=read,
        )


def _told(status: Status) -> dict[str, str]:
    told = {headers.UPLOAD_OFFSET: str(status.offset_bytes)}
    if status.expires_utc is not None:
        told[headers.UPLOAD_EXPIRES] = format_datetime(status.expires_utc, usegmt=True)
    if status.upload.receipt is not None:
        told[headers.REPR_DIGEST] = headers.repr_digest(status.upload.sha256)
        told[headers.CLIP_RECEIPT] = status.upload.receipt
    return told


def _check_version(request: web.Request) -> None:
    version = request.headers.get(headers.TUS_RESUMABLE, "(missing)")
    if version != headers.TUS_VERSION:
        raise RefusedError(412, f"{headers.TUS_RESUMABLE}: {version!r}: expected {headers.TUS_VERSION}")


def _check_content_type(request: web.Request) -> None:
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "(missing)")
    if content_type != headers.OFFSET_CONTENT_TYPE:
        raise RefusedError(415, f"{hdrs.CONTENT_TYPE}: {content_type!r}: expected {headers.OFFSET_CONTENT_TYPE}")


def _leaf_of(request: web.Request) -> str | None:
    return parse_leaf(request.headers.get(headers.CUSTODY_LEAF))
