"""Peers for the tests of the wire: a private certificate authority, and servers that do as a script says."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What a server does with one connection; the connection is closed after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority as a force would run one: its certificates pass the strict checks of RFC 5280."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str = "Test Authority") -> Self:
        """Make a self-signed one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = _builder(subject, issuer=subject, key=key, start_utc=datetime.now(UTC) - DAY, life=30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(identifier, critical=False)
        return cls(key=key, certificate=builder.sign(key, hashes.SHA256()))

    def write_ca(self, folder: Path) -> Path:
        """Write the authority's own certificate; gives its path."""
        path = folder / f"ca-{self.certificate.serial_number}.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def write_certificate(
        self, folder: Path, name: str, *, start_utc: datetime | None = None, life: timedelta = 7 * DAY
    ) -> Path:
        """Write a certificate for a host or client, its key in the same file; gives its path."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        start_utc = start_utc or datetime.now(UTC) - DAY
        builder = _builder(subject, issuer=self.certificate.subject, key=key, start_utc=start_utc, life=life)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(purposes, critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        path = folder / f"{certificate.serial_number}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path


def _builder(
    subject: x509.Name, *, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start_utc: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start_utc)
        .not_valid_after(start_utc + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@asynccontextmanager
async def serving(handle: Handle, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on 127.0.0.1; gives the port. Connections still open at the end are broken off."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await handle(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # closing in form would wait for bytes and for TLS, half a minute each
            raise
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    ended = asyncio.Event()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if ended.is_set():
            writer.transport.abort()  # the kernel had it in its queue
            return
        task = asyncio.create_task(serve(reader, writer), name="scripted peer")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # Clients are through by now. A connection that the kernel still holds is taken first: asyncio loses one that it
        # has half made when the server closes.
        ended.set()
        await _turns()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        await _turns()


async def _turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def read_head(reader: asyncio.StreamReader) -> str:
    """Read a request up to its body."""
    return (await reader.readuntil(b"\r\n\r\n")).decode("ascii")


def length_of(head: str) -> int:
    """Give the Content-Length of a request, 0 if it has none."""
    for line in head.split("\r\n"):
        name, _, value = line.partition(": ")
        if name.lower() == "content-length":
            return int(value)
    return 0


def server_tls(certificate: Path, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """Give a server's context, which asks for a client's certificate if told whose."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context
