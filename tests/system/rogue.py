"""A small tus store that does as its script says: honest until it is told to lie. Shares no code with dockd."""

import base64
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

STORED_AT = "2026-03-01T12:00:00.000000Z"


def b64url(data: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def canonical(value: Mapping[str, object]) -> bytes:
    """Write JSON as receipts are written."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


@dataclass(frozen=True, slots=True)
class Key:
    """A receipt key."""

    private: Ed25519PrivateKey

    @classmethod
    def make(cls) -> Self:
        """Make one."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def public(self) -> str:
        """The public key as it is pinned."""
        return f"ed25519:{self._x}"

    @property
    def _x(self) -> str:
        return b64url(self.private.public_key().public_bytes_raw())

    @property
    def kid(self) -> str:
        """The name of the key: its thumbprint."""
        return b64url(hashlib.sha256(canonical({"crv": "Ed25519", "kty": "OKP", "x": self._x})).digest())

    def header(self) -> dict[str, object]:
        """The header of its receipts."""
        return {"alg": "EdDSA", "kid": self.kid, "typ": "clip-receipt+jwt"}

    def jws(self, header: bytes, payload: bytes) -> str:
        """Sign two texts as they are."""
        signed = f"{b64url(header)}.{b64url(payload)}"
        return f"{signed}.{b64url(self.private.sign(signed.encode('ascii')))}"

    def receipt(self, claims: Mapping[str, object]) -> str:
        """Sign claims as they should be."""
        return self.jws(canonical(self.header()), canonical(claims))


@dataclass(slots=True, kw_only=True)
class Upload:
    """One upload: what was declared, and what has come."""

    metadata: str
    length: int
    leaf: str
    data: bytearray = field(default_factory=bytearray)
    lost: bool = False

    @property
    def facts(self) -> dict[str, str]:
        """The metadata by name."""
        pairs = (pair.split(" ") for pair in self.metadata.split(","))
        return {name: base64.b64decode(value).decode("utf-8") for name, value in pairs}

    @property
    def name(self) -> bytes:
        """The path on the card."""
        return base64.b64decode(self.facts["name"])

    @property
    def claims(self) -> dict[str, object]:
        """What an honest receipt for it says."""
        facts = self.facts
        return {
            "aud": facts["station"],
            "clip_id": facts["clip_id"],
            "leaf": self.leaf,
            "length": self.length,
            "meta_sha256": hashlib.sha256(self.metadata.encode("ascii")).hexdigest(),
            "sha256": facts["sha256"],
            "store": "scripted",
            "stored_at": STORED_AT,
        }


Receipt = Callable[[Upload], str | None]
Answer = Callable[[web.Request], web.Response | None]


@dataclass(slots=True, kw_only=True)
class Script:
    """What a store does: `receipt` says what it gives for a whole clip, and `on` which requests get it.

    `answer` has the first word on any request. `after` is what the store does once it acknowledged the last byte.
    """

    receipt: Receipt
    on: frozenset[str] = frozenset({"PATCH"})
    answer: Answer | None = None
    after: Callable[[Upload], None] | None = None


class ScriptedStore:
    """The store; `uploads` and `requests` tell what it was sent."""

    def __init__(self, script: Script) -> None:
        """Begin empty."""
        self.script = script
        self.uploads: dict[str, Upload] = {}
        self.requests: list[str] = []
        self._numbers = itertools.count(1)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.requests.append(f"{request.method} {request.path}")
        if self.script.answer is not None and (told := self.script.answer(request)) is not None:
            await request.read()
            return told
        match request.method:
            case "POST":
                return self._create(request)
            case "HEAD":
                return self._status(request)
            case "PATCH":
                return await self._take(request)
            case _:
                return web.Response(status=405)

    def _create(self, request: web.Request) -> web.Response:
        upload = Upload(
            metadata=request.headers["Upload-Metadata"],
            length=int(request.headers["Upload-Length"]),
            leaf=request.headers["Custody-Leaf"],
        )
        name = f"{next(self._numbers)}"
        self.uploads[name] = upload
        if "POST" in self.script.on:
            upload.data = bytearray(upload.length)  # it says that it has the clip already
        return self._answer("POST", upload, status=201, headers={"Location": f"/files/{name}"})

    def _status(self, request: web.Request) -> web.Response:
        upload = self._find(request)
        headers = {"Upload-Length": str(upload.length), "Upload-Offset": str(len(upload.data))}
        return self._answer("HEAD", upload, status=200, headers=headers)

    async def _take(self, request: web.Request) -> web.Response:
        upload = self._find(request)
        if int(request.headers["Upload-Offset"]) != len(upload.data):
            return web.Response(status=409, headers={"Tus-Resumable": "1.0.0"})
        async for chunk in request.content.iter_any():
            upload.data += chunk
        answer = self._answer("PATCH", upload, status=204, headers={"Upload-Offset": str(len(upload.data))})
        if len(upload.data) == upload.length and self.script.after is not None:
            self.script.after(upload)
        return answer

    def _find(self, request: web.Request) -> Upload:
        upload = self.uploads.get(request.path.rpartition("/")[2])
        if upload is None or upload.lost:
            raise web.HTTPNotFound(headers={"Tus-Resumable": "1.0.0"})
        return upload

    def _answer(self, method: str, upload: Upload, *, status: int, headers: dict[str, str]) -> web.Response:
        headers["Tus-Resumable"] = "1.0.0"
        whole = len(upload.data) == upload.length
        if whole and method in self.script.on and (receipt := self.script.receipt(upload)) is not None:
            headers["Clip-Receipt"] = receipt
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def serving(store: ScriptedStore) -> AsyncIterator[str]:
    """Serve in this loop; gives the URL where uploads are made."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{anything:.*}", store.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/files/"
    finally:
        await runner.cleanup()
