"""TLS and credentials of the wire, by real certificates of a private authority, on both ways: control and bodies."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from dockd.edges.tus_http import TusWire, WireOptions
from dockd.errors import Reason, TransientError
from dockd.tus.message import BodyRange, Request, Response
from tests.tus_peers import DAY, Authority, length_of, read_head, server_tls, serving

pytestmark = pytest.mark.parametrize("way", ["control", "body"])

MIB = 1024 * 1024
TAKEN = b"HTTP/1.1 204 No Content\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 7\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A force's authority and files."""

    authority: Authority
    folder: Path

    @property
    def ca(self) -> Path:
        return self.authority.write_ca(self.folder)

    def certificate(self, name: str = "127.0.0.1", **options: datetime | timedelta) -> Path:
        return self.authority.write_certificate(self.folder, name, **options)  # type: ignore[arg-type] # start and life

    @property
    def clip(self) -> Path:
        path = self.folder / "clip"
        path.write_bytes(os.urandom(3 * MIB + 7))
        return path


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(authority=Authority.make(), folder=tmp_path)


class Peer:
    """Takes every request whole and keeps its head."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            text = await read_head(reader)
            self.heads.append(text)
            self.bodies.append(await reader.readexactly(length_of(text)))
            writer.write(TAKEN)
            await writer.drain()


@asynccontextmanager
async def wire_with(options: WireOptions) -> AsyncIterator[TusWire]:
    wire = TusWire(options)
    try:
        yield wire
    finally:
        await wire.close()


async def go(wire: TusWire, way: str, port: int, clip: Path, *, host: str = "127.0.0.1") -> Response:
    body = None if way == "control" else BodyRange(offset_bytes=0, length_bytes=clip.stat().st_size)
    request = Request(method="PATCH", url=f"https://{host}:{port}/files/u1", headers=(), body=body)
    return await wire.exchange(request, source=clip, progress=lambda _: None)


def options_for(port: int, ca: Path | None, *, host: str = "127.0.0.1") -> WireOptions:
    endpoint = f"https://{host}:{port}/files/"
    return WireOptions(endpoint=endpoint, ca_file=ca, connect_timeout_s=5.0, stall_timeout_s=5.0)


async def test_a_store_of_our_authority_is_believed(parts: Parts, way: str) -> None:
    peer, clip = Peer(), parts.clip
    async with (
        serving(peer, tls=server_tls(parts.certificate())) as port,
        wire_with(options_for(port, parts.ca)) as wire,
    ):
        for _ in range(3):
            assert (await go(wire, way, port, clip)).status == 204
    assert peer.bodies == [clip.read_bytes() if way == "body" else b""] * 3


@pytest.mark.promise("I14")
@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("wrong CA", Reason.TLS, "the store's certificate is refused: unable to get local issuer certificate"),
        ("system CA", Reason.TLS, "the store's certificate is refused: unable to get local issuer certificate"),
        ("expired", Reason.TLS, "the store's certificate is refused: certificate has expired"),
        ("wrong host", Reason.TLS, "the store's certificate is refused: .*[Mm]ismatch"),
        ("not yet valid", Reason.CLOCK, "certificate is not yet valid: is this station's clock right?"),
    ],
)
async def test_a_store_that_cannot_prove_itself_gets_nothing(
    parts: Parts, way: str, fault: str, reason: Reason, words: str
) -> None:
    """I14, 47: no byte of a request leaves us."""
    now_utc = datetime.now(UTC)
    certificate = parts.certificate()
    ca: Path | None = parts.ca
    match fault:
        case "expired":
            certificate = parts.certificate(start_utc=now_utc - 3 * DAY, life=2 * DAY)
        case "not yet valid":
            certificate = parts.certificate(start_utc=now_utc + 2 * DAY, life=2 * DAY)
        case "wrong host":
            certificate = parts.certificate("elsewhere.example")
        case "wrong CA":
            ca = Authority.make().write_ca(parts.folder)
        case _:
            ca = None
    peer = Peer()
    async with serving(peer, tls=server_tls(certificate)) as port, wire_with(options_for(port, ca)) as wire:
        with pytest.raises(TransientError, match=words) as caught:
            await go(wire, way, port, parts.clip)
    assert caught.value.reason is reason
    assert peer.heads == []


async def test_a_store_that_asks_who_we_are_is_shown_our_certificate(parts: Parts, way: str) -> None:
    tls = server_tls(parts.certificate(), client_ca=parts.ca)
    async with serving(Peer(), tls=tls) as port:
        mine = parts.certificate("station.example")
        options = replace(options_for(port, parts.ca), cert_file=mine, key_file=mine)
        async with wire_with(options) as wire:
            assert (await go(wire, way, port, parts.clip)).status == 204


@contextmanager
def refusing(tls: ssl.SSLContext) -> Iterator[int]:
    """Serve one connection from a thread, because asyncio closes without the alert; gives the port."""

    def refuse(listener: socket.socket) -> None:
        plain, _ = listener.accept()
        shaking = tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        with suppress(ssl.SSLError):
            shaking.do_handshake()
        with socket.socket(fileno=shaking.detach()) as refused, suppress(ConnectionError):
            refused.shutdown(socket.SHUT_WR)
            while refused.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,), name="refusing peer")
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


async def test_without_a_certificate_such_a_store_refuses_tls(parts: Parts, way: str) -> None:
    with refusing(server_tls(parts.certificate(), client_ca=parts.ca)) as port:
        async with wire_with(options_for(port, parts.ca)) as wire:
            with pytest.raises(TransientError, match=r"no TLS with the store: .*CERTIFICATE_REQUIRED") as caught:
                await go(wire, way, port, parts.clip)
    assert caught.value.reason is Reason.TLS


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_old_tls_is_not_spoken(parts: Parts, way: str) -> None:
    tls = server_tls(parts.certificate())
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with refusing(tls) as port:
        async with wire_with(options_for(port, parts.ca)) as wire:
            with pytest.raises(TransientError, match="no TLS with the store: ") as caught:
                await go(wire, way, port, parts.clip)
    assert caught.value.reason is Reason.TLS


async def test_a_peer_without_tls_is_no_store(parts: Parts, way: str) -> None:
    async def speak_plainly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(TAKEN)
        await writer.drain()

    async with serving(speak_plainly) as port, wire_with(options_for(port, parts.ca)) as wire:
        with pytest.raises(TransientError) as caught:
            await go(wire, way, port, parts.clip)
    assert caught.value.reason in {Reason.TLS, Reason.NETWORK}


async def test_a_peer_that_never_shakes_hands_is_given_up(parts: Parts, way: str) -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(say_nothing) as port:
        options = replace(options_for(port, parts.ca), connect_timeout_s=0.3)
        async with wire_with(options) as wire:
            with pytest.raises(TransientError, match="did not answer in time") as caught:
                await go(wire, way, port, parts.clip)
    assert caught.value.reason is Reason.NETWORK


async def test_an_answer_before_the_body_is_out_is_heard_through_tls_too(parts: Parts, way: str) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nbig!")
        await writer.drain()
        await asyncio.Event().wait()

    big = parts.folder / "big"
    with big.open("wb") as file:
        file.truncate(256 * MIB)
    async with (
        serving(early, tls=server_tls(parts.certificate())) as port,
        wire_with(options_for(port, parts.ca)) as wire,
    ):
        response = await go(wire, way, port, big)
    assert (response.status, response.body) == (413, b"big!")


async def test_certificates_replaced_while_we_run_are_used_for_the_next_connection(parts: Parts, way: str) -> None:
    ca = parts.folder / "ca.pem"
    ca.write_bytes(Authority.make("Old").write_ca(parts.folder).read_bytes())
    async with serving(Peer(), tls=server_tls(parts.certificate())) as port, wire_with(options_for(port, ca)) as wire:
        with pytest.raises(TransientError, match="certificate is refused"):
            await go(wire, way, port, parts.clip)
        fresh = parts.folder / "fresh.pem"
        fresh.write_bytes(parts.ca.read_bytes())
        fresh.replace(ca)
        assert (await go(wire, way, port, parts.clip)).status == 204


@pytest.mark.parametrize("which", ["ca_file", "cert_file", "key_file"])
async def test_a_file_that_cannot_be_used_is_named(parts: Parts, way: str, which: str) -> None:
    broken = parts.folder / "broken.pem"
    mine = parts.certificate("station.example")
    options = replace(
        options_for(1, broken if which == "ca_file" else parts.ca),
        cert_file=broken if which == "cert_file" else mine,
        key_file=broken if which == "key_file" else mine,
    )
    async with wire_with(options) as wire:
        with pytest.raises(TransientError, match=r"broken\.pem.*No such file") as caught:
            await go(wire, way, 1, parts.clip)
        assert caught.value.reason is Reason.TLS
        broken.write_bytes(b"not PEM\n")
        with pytest.raises(TransientError, match=r"broken\.pem") as caught:
            await go(wire, way, 1, parts.clip)
        assert caught.value.reason is Reason.TLS


async def test_a_key_with_a_passphrase_is_refused_and_asks_nobody(parts: Parts, way: str) -> None:
    mine = parts.certificate("station.example")
    key = serialization.load_pem_private_key(mine.read_bytes(), password=None)
    locked = parts.folder / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    async with wire_with(replace(options_for(1, parts.ca), cert_file=mine, key_file=locked)) as wire:
        with pytest.raises(TransientError, match="the key has a passphrase, expected one without"):
            await go(wire, way, 1, parts.clip)


async def test_the_token_is_shown_with_every_request_and_may_be_replaced(parts: Parts, way: str) -> None:
    token, peer = parts.folder / "token", Peer()
    async with (
        serving(peer, tls=server_tls(parts.certificate())) as port,
        wire_with(replace(options_for(port, parts.ca), token_file=token)) as wire,
    ):
        for text in ("first\n", "second\nof two lines\n"):
            token.write_text(text)
            await go(wire, way, port, parts.clip)
    shown = [line for head in peer.heads for line in head.split("\r\n") if line.startswith("Authorization")]
    assert shown == ["Authorization: Bearer first", "Authorization: Bearer second"]


@pytest.mark.parametrize("text", [None, b"", b"\n", b"two words\n", b"caf\xc3\xa9\n", b"a\rb\n", b"x" * 5000])
async def test_a_token_that_cannot_be_shown_is_an_auth_trouble(parts: Parts, way: str, text: bytes | None) -> None:
    token = parts.folder / "token"
    if text is not None:
        token.write_bytes(text)
    async with wire_with(replace(options_for(1, parts.ca), token_file=token)) as wire:
        with pytest.raises(TransientError, match=f"token file {token}: ") as caught:
            await go(wire, way, 1, parts.clip)
    assert caught.value.reason is Reason.AUTH
