"""Who may upload to the reference store, who may read from it, and where it may listen."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dockd.central.access import Credential, Role, parse_tokens
from dockd.central.main import CentralOptions
from dockd.central.options import check
from dockd.errors import ConfigError
from tests.central_parts import Sample, Tus, central

Certified = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def token_file(folder: Path) -> Path:
    """Two stations and a reader; each token is the name said twice."""
    lines = [
        f"{role} {name} {sha256((name * 2).encode()).hexdigest()}"
        for role, name in (("upload", "north-1"), ("upload", "south-2"), ("read", "court"))
    ]
    path = folder / "tokens"
    path.write_text("# who may do what\n\n" + "\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


async def test_without_credentials_nothing_is_answered_but_options(tmp_path: Path) -> None:
    sample = Sample()
    async with central(tmp_path, token_file=token_file(tmp_path)) as store:
        async with Tus(store.url, token="wrong") as tus:
            answers = [
                await tus.create(sample),
                await tus.head("/files/" + "0" * 64),
                await tus.ask("GET", "/clips"),
                await tus.ask("GET", f"/clips/{sample.clip_id}/content"),
            ]
        async with Tus(store.url) as tus:
            answers.append(await tus.create(sample))
            assert (await tus.ask("OPTIONS", "/files/")).status == 204
            basic = await tus.ask("GET", "/clips", headers={"Authorization": "Basic bm9ydGg6bm9ydGg="})
            answers.append(basic)
    assert {answer.status for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {'Bearer realm="dockd central"'}


async def test_a_station_uploads_as_itself_only_and_sees_its_own_uploads_only(tmp_path: Path) -> None:
    async with central(tmp_path, token_file=token_file(tmp_path)) as store:
        north, south = Tus(store.url, token="north-1north-1"), Tus(store.url, token="south-2south-2")
        async with north, south:
            location = (await north.create(Sample(data=b"0123456789"))).headers["Location"]
            as_another = await south.create(Sample())
            looks = await south.head(location)
            writes = await south.patch(location, b"01234", offset=0)
            drops = await south.ask("DELETE", location)
            reads = await north.ask("GET", "/clips")
            assert (await north.head(location)).offset == 0
            own = await north.patch(location, b"0123456789", offset=0)
    assert [answer.status for answer in (as_another, looks, writes, drops, reads)] == [403] * 5
    assert as_another.text == "station: 'north-1': station south-2 may not upload or look here for it\n"
    assert own.status == 204


async def test_a_reader_reads_is_named_in_the_log_and_uploads_nothing(tmp_path: Path) -> None:
    sample = Sample()
    async with central(tmp_path, token_file=token_file(tmp_path)) as store:
        async with Tus(store.url, token="north-1north-1") as tus:
            await tus.send(sample)
        async with Tus(store.url, token="courtcourt") as tus:
            status, _, body = await tus.read(f"/clips/{sample.clip_id}/content")
            refused = await tus.create(Sample(path=b"new"))
    assert (status, body) == (200, sample.data)
    assert refused.status == 403
    assert '"who": "reader court"' in (tmp_path / "central/access.log").read_text()


async def test_without_credentials_a_page_that_rebinds_its_name_to_loopback_is_turned_away(tmp_path: Path) -> None:
    async with central(tmp_path) as store, Tus(store.url) as tus:
        for host in ("localhost", "127.0.0.1:99", "[::1]:99"):
            assert (await tus.ask("GET", "/clips", headers={"Host": host})).status == 200
        for host in ("evil.example", "127.0.0.1.evil.example:80"):
            assert (await tus.ask("GET", "/clips", headers={"Host": host})).status == 421


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("upload north-1", "tokens:1: upload north-1: expected 'upload STATION SHA256'"),
        ("admin root " + "0" * 64, "tokens:1: admin root: expected"),
        ("upload north-1 " + "A" * 64, "tokens:1: upload north-1: expected"),
        ("upload north-1 secret", "tokens:1: upload north-1: expected"),
        ("# nobody", "tokens: no credentials: expected at least one line"),
    ],
)
def test_a_wrong_token_file_is_refused_with_its_line_and_never_shows_a_hash(line: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_tokens(line + "\n", source="tokens")
    assert words in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_token_file_may_hold_comments_and_empty_lines() -> None:
    found = parse_tokens(f"# stations\n\n upload  north-1 {'0' * 64}\n", source="tokens")
    assert found == (Credential(role=Role.UPLOAD, name="north-1", token_sha256="0" * 64),)


async def test_a_token_file_that_others_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = token_file(tmp_path)
    path.chmod(0o644)
    async with central(tmp_path, token_file=path):
        assert f"token file {path}: others may read it, expected mode 0600" in caplog.text


async def test_a_token_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = token_file(tmp_path)
    path.chmod(0o620)
    with pytest.raises(
        ConfigError, match=r"--token-file: .*, mode 0620: expected a file that only its owner may write"
    ):
        async with central(tmp_path, token_file=path):
            pass


async def test_a_localhost_that_is_no_loopback_here_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 0))]

    monkeypatch.setattr("dockd.central.opening.socket.getaddrinfo", resolved)
    with pytest.raises(ConfigError, match=r"--listen: 192\.0\.2\.1 is beyond loopback"):
        async with central(tmp_path, host="localhost"):
            pass


CERT, KEY, CA, TOKENS = Path("cert"), Path("key"), Path("ca"), Path("tokens")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "store.example"])  # noqa: S104 - refused
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, "no TLS and no credentials"),
        ({"tls_cert": CERT, "tls_key": KEY}, "no credentials"),
        ({"token_file": TOKENS}, "no TLS"),
    ],
)
def test_beyond_loopback_it_listens_with_tls_and_credentials_only(
    host: str, given: dict[str, Any], missing: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        check(CentralOptions(dir=Path("c"), host=host, **given))
    assert f"--listen: {host} is beyond loopback and there is {missing}: expected" in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tls_cert": CERT}, "--tls-key: (missing)"),
        ({"tls_key": KEY}, "--tls-cert: (missing)"),
        ({"client_ca": CA}, "--tls-cert: (missing): expected a file, for --client-ca is given"),
    ],
)
def test_options_that_need_each_other_are_refused_alone(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        check(CentralOptions(dir=Path("c"), **given))
    assert words in str(refusal.value)


@pytest.mark.parametrize("given", [{"token_file": TOKENS}, {"client_ca": CA}])
def test_with_tls_and_either_credential_it_may_listen_anywhere(given: dict[str, Any]) -> None:
    check(CentralOptions(dir=Path("c"), host="0.0.0.0", tls_cert=CERT, tls_key=KEY, **given))  # noqa: S104 - allowed


# A private CA that passes Python 3.13's strict checks: key usage, key identifiers.


def certificate(common_name: str, *, issuer: Certified | None, unit: str | None = None) -> Certified:
    """Make a certificate: the CA itself without an issuer, a server for 127.0.0.1, or a client."""
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if unit is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    subject = x509.Name(attributes)
    now_utc = datetime.now(UTC)
    issuer_key = key if issuer is None else issuer[1]
    usage = x509.KeyUsage(
        digital_signature=issuer is not None,
        key_cert_sign=issuer is None,
        crl_sign=issuer is None,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now_utc - timedelta(hours=1))
        .not_valid_after(now_utc + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if issuer is not None:
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256()), key


def written(folder: Path, name: str, made: Certified) -> tuple[Path, Path]:
    """Write certificate and key as PEM."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(made[0].public_bytes(Encoding.PEM))
    key.write_bytes(made[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert, key


def client_tls(folder: Path, name: str | None) -> ssl.SSLContext:
    """Trust the CA, and show a certificate if one is named."""
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if name is not None:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A CA, a server, a station and a reader; and a station of another CA."""
    authority, other = certificate("Test CA", issuer=None), certificate("Other CA", issuer=None)
    written(tmp_path, "ca", authority)
    written(tmp_path, "server", certificate("127.0.0.1", issuer=authority))
    written(tmp_path, "station", certificate("north-1", issuer=authority))
    written(tmp_path, "reader", certificate("court", issuer=authority, unit="read"))
    written(tmp_path, "stranger", certificate("north-1", issuer=other))
    return tmp_path


async def test_a_client_certificate_is_a_credential(pki: Path) -> None:
    sample = Sample(data=b"over tls" * 100000)
    tls: dict[str, Any] = {"tls_cert": pki / "server.pem", "tls_key": pki / "server.key", "client_ca": pki / "ca.pem"}
    async with central(pki, **tls) as store:
        assert store.url.startswith("https://127.0.0.1:")
        async with Tus(store.url, tls=client_tls(pki, "station")) as tus:
            assert "Clip-Receipt" in (await tus.send(sample)).headers
            assert (await tus.create(Sample(station="south-2"))).status == 403
            assert (await tus.ask("GET", "/clips")).status == 403
        async with Tus(store.url, tls=client_tls(pki, "reader")) as tus:
            status, _, body = await tus.read(f"/clips/{sample.clip_id}/content")
            assert (status, body) == (200, sample.data)
            assert (await tus.create(sample)).status == 403
        for name in ("stranger", None):
            async with Tus(store.url, tls=client_tls(pki, name)) as tus:
                with pytest.raises(aiohttp.ClientError):
                    await tus.create(sample)


async def test_with_tokens_too_a_client_may_show_either(pki: Path) -> None:
    tls: dict[str, Any] = {"tls_cert": pki / "server.pem", "tls_key": pki / "server.key", "client_ca": pki / "ca.pem"}
    async with central(pki, token_file=token_file(pki), **tls) as store:
        async with Tus(store.url, tls=client_tls(pki, "station")) as tus:
            assert (await tus.create(Sample())).status == 201
        async with Tus(store.url, tls=client_tls(pki, None), token="north-1north-1") as tus:
            assert (await tus.create(Sample())).status == 201
        async with Tus(store.url, tls=client_tls(pki, None)) as tus:
            assert (await tus.create(Sample())).status == 401


async def test_a_certificate_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--tls-cert: .*server\.pem, .*: expected readable PEM files"):
        async with central(tmp_path, tls_cert=tmp_path / "server.pem", tls_key=tmp_path / "server.key"):
            pass
