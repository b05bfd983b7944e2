"""One run's way to the store, with every fault of a network and a proxy.

Owns how requests travel; what they do is the store's. Implements the port Wire.
"""

from collections.abc import Callable
from pathlib import Path

from dockd.domain.model import Sha256
from dockd.errors import Reason, TransientError
from dockd.tus.upload import Request, Response
from tests.sim.disk import SimSpool
from tests.sim.fate import Fate, Fault
from tests.sim.machine import Power
from tests.sim.promise import require
from tests.sim.store import ENDPOINT, TUS, Store

CHUNK_BYTES = 400
RATE_BYTES_S = 1500.0
DEADLINE_S = 60.0


class SimWire:
    """The port Wire."""

    def __init__(self, store: Store, fate: Fate, power: Power, spool: SimSpool) -> None:
        self._store = store
        self._fate = fate
        self._power = power
        self._spool = spool

    async def exchange(self, request: Request, *, source: Path | None, progress: Callable[[int], None]) -> Response:
        """Perform one request, or fail to."""
        self._fate.begins(request)
        answer: Response | None = None
        try:
            answer = await self._exchange(request, source, progress)
        finally:
            self._fate.ended(answer)
        return answer

    async def _exchange(self, request: Request, source: Path | None, progress: Callable[[int], None]) -> Response:
        fate, what = self._fate, f"{request.method} {request.url}"
        require(request.url.startswith(ENDPOINT), f"I14: {what} is not at the store")
        await self._power.step(what, least_s=0.005, most_s=0.1)
        if fate.lasts(Fault.BLACK_HOLE, what):
            await self._power.step(what, most_s=DEADLINE_S)
            raise TransientError(Reason.NETWORK, f"{what}: no answer within {DEADLINE_S} s")
        if fate.lasts(Fault.FLAP, what):
            raise TransientError(Reason.NETWORK, f"{what}: Network is unreachable")
        if fate.lasts(Fault.NO_TRUST, what):
            reason = fate.random.choice((Reason.TLS, Reason.DNS, Reason.CLOCK, Reason.AUTH))
            raise TransientError(reason, f"{what}: no connection that can be trusted")
        answer = self._instead(request)
        if answer is None:
            body = b"" if request.body is None else await self._send(request, source, progress)
            if fate.strikes(Fault.DUPLICATE, what):
                self._act(request, body)
            answer = self._act(request, body)
        if fate.strikes(Fault.LOST_ANSWER, what):
            raise TransientError(Reason.NETWORK, f"{what}: the connection was reset before the answer")
        if fate.strikes(Fault.SLOWLORIS, what):
            await self._power.step(what, least_s=DEADLINE_S, most_s=DEADLINE_S)
            raise TransientError(Reason.NETWORK, f"{what}: the answer did not end within {DEADLINE_S} s")
        await self._power.step(f"{what} answered {answer.status}", least_s=0.005, most_s=0.1)
        if 200 <= answer.status < 300 and request.method != "POST" and "tus-resumable" in answer.headers:
            self._note_claim(request, answer)
        fate.note(f"{what} answered {answer.status} {answer.headers.get('upload-offset', '')}")
        return answer

    async def digest(self, url: str) -> tuple[Sha256, int]:
        """Read a stored clip back."""
        await self._power.step(f"GET {url}", least_s=0.05, most_s=0.5)
        if self._fate.strikes(Fault.BLACK_HOLE, f"GET {url}"):
            raise TransientError(Reason.NETWORK, f"GET {url}: no answer")
        return self._store.digest(url)

    async def close(self) -> None:
        """Nothing is open."""

    def _instead(self, request: Request) -> Response | None:  # noqa: PLR0911 - one a fault
        """What somebody else answers, or the store before it acts."""
        fate, what = self._fate, request.method
        retry = {"retry-after": str(fate.random.choice((1, 20, 120)))}
        if fate.lasts(Fault.PAGE, what):
            return Response(status=200, headers={"content-type": "text/html"}, body=b"<html>Sign in</html>")
        if fate.strikes(Fault.REDIRECT, what):
            return Response(status=302, headers={"location": "https://elsewhere.example/"})
        if fate.lasts(Fault.AUTH, what):
            return Response(status=fate.random.choice((401, 403)), headers=TUS)
        if fate.lasts(Fault.BUSY, what):
            statuses = (429, 500, 502, 503, 507, *((413,) if request.method == "PATCH" else ()))
            return Response(status=fate.random.choice(statuses), headers=TUS | retry)
        if request.method == "POST":
            if not fate.strikes(Fault.REFUSED, what):
                return None
            return Response(status=fate.random.choice((400, 413, 415)), headers=TUS, body=b"no")
        if fate.lasts(Fault.LOCKED, what, of=request.url):
            return Response(status=423, headers=TUS)
        if request.method == "PATCH" and fate.strikes(Fault.CONFLICT, what):
            return Response(status=fate.random.choice((409, 460)), headers=TUS)
        if fate.strikes(Fault.GONE, what):
            self._store.lose(request.url)
        return None

    async def _send(self, request: Request, source: Path | None, progress: Callable[[int], None]) -> bytes:
        assert request.body is not None
        assert source is not None
        data = self._spool.read(source)
        first, end = request.body.offset_bytes, request.body.offset_bytes + request.body.length_bytes
        if data is None or len(data) < end:
            raise TransientError(Reason.DISK, f"{source}: expected {end} bytes")
        body, upload = data[first:end], self._store.uploads.get(request.url)
        slower = 20 if self._fate.lasts(Fault.SLOW_LINK, request.url) else 1
        broken_at = self._fate.random.randrange(len(body)) if self._fate.strikes(Fault.BROKEN_BODY) else None
        for done in range(0, len(body), CHUNK_BYTES):
            if broken_at is not None and done + CHUNK_BYTES > broken_at:
                if upload is not None and len(upload.data) == first + done:
                    upload.data += body[done:broken_at]
                raise TransientError(Reason.NETWORK, f"{request.url}: the connection was reset")
            chunk = body[done : done + CHUNK_BYTES]
            chunk_s = slower * len(chunk) / RATE_BYTES_S
            await self._power.step("body", least_s=chunk_s, most_s=chunk_s)
            progress(done + len(chunk))
            if broken_at is not None and upload is not None and len(upload.data) == first + done:
                # A server that keeps partial bodies has them as they come.
                upload.data += chunk
        return body

    def _act(self, request: Request, body: bytes) -> Response:
        fate, store = self._fate, self._store
        match request.method:
            case "POST":
                return store.create(request)
            case "HEAD":
                if fate.strikes(Fault.OFFSET_BACK, request.url):
                    store.shorten(request.url)
                answer = store.rogue(request, store.head(request))
                if answer.status == 200 and fate.strikes(Fault.OFFSET_TOO_HIGH, request.url):
                    too_high = int(answer.headers["upload-length"]) + fate.random.choice((1, 4096))
                    return Response(status=200, headers=dict(answer.headers) | {"upload-offset": str(too_high)})
                return answer
            case _:
                answer = store.rogue(request, store.patch(request, body))
                if answer.status == 204 and fate.strikes(Fault.BYTES_LOST, request.url):
                    fate.random.choice((store.lose, store.shorten))(request.url)
                return answer

    def _note_claim(self, request: Request, answer: Response) -> None:
        length_bytes = self._store.lengths.get(request.url)
        if length_bytes is not None and answer.headers.get("upload-offset") == str(length_bytes):
            self._store.claimed_full.add(request.url)
