"""What tests of the reference store share: clips made by hand, a tus client of few lines, the store as a process."""

import asyncio
import base64
import io
import os
import select
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dockd.central.main import CentralOptions, Serving, serve
from dockd.domain.metadata import metadata_header
from dockd.domain.model import Camera, CameraSerial, Sha256, VolumeId, clip_id_of

READY_WITHIN_S = 30.0
"""A start takes under a second; on a loaded machine it has taken several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A clip as a station would send it."""

    data: bytes = b"one clip"
    station: str = "north-1"
    serial: str = "CAM0001"
    volume: str = "folder"
    path: bytes = b"DCIM/100DOCKD/CLIP0001.MP4"
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The digest of the bytes."""
        return sha256(self.data).hexdigest()

    @property
    def clip_id(self) -> str:
        """The identity's name."""
        camera = Camera(serial=CameraSerial(self.serial), volume=VolumeId(self.volume))
        return clip_id_of(camera=camera, path=self.path, length_bytes=len(self.data), sha256=Sha256(self.sha256))

    @property
    def metadata(self) -> dict[str, str]:
        """What the station declares."""
        return {
            "clip_id": self.clip_id,
            "station": self.station,
            "serial": self.serial,
            "volume": self.volume,
            "length": str(len(self.data)),
            "sha256": self.sha256,
            "name": base64.b64encode(self.path).decode("ascii"),
            **self.more,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def offset(self) -> int:
        """Upload-Offset."""
        return int(self.headers["Upload-Offset"])


class Tus:
    """Sends single requests, right or wrong ones."""

    def __init__(self, url: str, *, token: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Take the store's /files/ URL, and perhaps credentials."""
        self.url = url
        self.base = url.removesuffix("/files/")
        self._authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open connections."""
        connector = aiohttp.TCPConnector(limit=0) if self._tls is None else aiohttp.TCPConnector(ssl=self._tls)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
        assert self._session is not None
        await self._session.close()

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: object = None
    ) -> Answer:
        """Send one request as it is given; of a URL the path counts, so that one survives the store's restart."""
        assert self._session is not None
        url = self.base + urlsplit(path)._replace(scheme="", netloc="").geturl()
        sent = {"Tus-Resumable": "1.0.0", **self._authorization, **(headers or {})}
        if body is None and method in {"POST", "PATCH"}:
            body = b""
        if isinstance(body, bytes):
            body = io.BytesIO(body)  # large bytes as such would be sent in one piece
        async with self._session.request(
            method, url, headers=sent, data=body, skip_auto_headers=("Content-Type",), allow_redirects=False
        ) as response:
            content = await response.read()
            return Answer(
                status=response.status, headers=response.headers.copy(), text=content.decode("utf-8", "replace")
            )

    async def read(
        self, path: str, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """GET bytes."""
        assert self._session is not None
        sent = {**self._authorization, **(headers or {})}
        async with self._session.get(self.base + path, headers=sent) as response:
            return response.status, response.headers.copy(), await response.read()

    async def create(
        self,
        sample: Sample,
        *,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """POST a declaration."""
        sent = {
            "Upload-Length": str(len(sample.data)),
            "Upload-Metadata": metadata_header(sample.metadata if metadata is None else metadata),
            **({} if body is None else {"Content-Type": "application/offset+octet-stream"}),
            **(headers or {}),
        }
        return await self.ask("POST", "/files/", headers=sent, body=body)

    async def head(self, location: str) -> Answer:
        """HEAD an upload."""
        return await self.ask("HEAD", location)

    async def patch(
        self, location: str, body: object, *, offset: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """PATCH bytes into an upload."""
        sent = {
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
            **(headers or {}),
        }
        return await self.ask("PATCH", location, headers=sent, body=body)

    async def send(self, sample: Sample, *, headers: Mapping[str, str] | None = None) -> Answer:
        """POST and PATCH the whole clip; the last answer."""
        created = await self.create(sample, headers=headers)
        assert created.status == 201, created.text
        if "Clip-Receipt" in created.headers:
            return created
        return await self.patch(created.headers["Location"], sample.data, offset=0)


@dataclass(slots=True)
class Clock:
    """A wall clock that a test sets."""

    now: datetime = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def advance(self, **how_long: float) -> None:
        """Let time pass."""
        self.now += timedelta(**how_long)


@asynccontextmanager
async def central(folder: Path, *, clock: Clock | None = None, **changes: Any) -> AsyncIterator[Serving]:  # noqa: ANN401 - any option of the store
    """Run a store in this loop."""
    options = replace(CentralOptions(dir=folder / "central", reserve_bytes=0), **changes)
    async with serve(options, now_utc=clock or Clock()) as serving:
        yield serving


@dataclass(slots=True)
class CentralProcess:
    """A store as a process of its own."""

    process: subprocess.Popen[bytes]
    url: str

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as systemd does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=READY_WITHIN_S)


def claims_of(compact: str, public_key: str) -> dict[str, Any]:
    """What a receipt says, by the eyes of a third party: PyJWT and the pinned key, nothing of dockd."""
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(public_key.removeprefix("ed25519:") + "="))
    claims: dict[str, Any] = jwt.decode(
        compact, key, algorithms=["EdDSA"], options={"verify_aud": False, "require": ["aud"]}
    )
    return claims


def command(folder: Path, *arguments: str) -> Sequence[str]:
    """The command line of a store on a folder."""
    return (sys.executable, "-m", "dockd", "central", "--dir", str(folder), *arguments)


@contextmanager
def central_process(
    folder: Path, *arguments: str, port: int = 0, under: Sequence[str] = ()
) -> Iterator[CentralProcess]:
    """Start a store, perhaps under another program, and see to it that it has ended after the block."""
    with (folder.parent / f"{folder.name}.stderr").open("ab") as log:
        process = subprocess.Popen(
            (*under, *command(folder, "--listen", f"127.0.0.1:{port}", *arguments)), stdout=subprocess.PIPE, stderr=log
        )
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], READY_WITHIN_S)
        assert ready, f"store on {folder}: not listening after {READY_WITHIN_S} s"
        line = os.read(process.stdout.fileno(), 4096).decode("ascii")
        assert line.startswith("listening on "), f"store on {folder}: said {line!r}"
        yield CentralProcess(process=process, url=line.removeprefix("listening on ").strip())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@asynccontextmanager
async def running(folder: Path, *, port: int = 0, under: Sequence[str] = ()) -> AsyncIterator[CentralProcess]:
    """Do as `central_process` without holding up the loop: under strace on a loaded machine a start takes seconds."""
    with ExitStack() as opened:
        yield await asyncio.to_thread(opened.enter_context, central_process(folder, port=port, under=under))
        await asyncio.to_thread(opened.close)
