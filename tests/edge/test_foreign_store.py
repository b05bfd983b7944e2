"""The foreign store's hook writes receipts from their specification: dockd must read what it says."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dockd.domain.metadata import metadata_header, metadata_sha256
from dockd.domain.model import ClipId, Sha256, StationId
from dockd.domain.receipt import Expected, check_claims, kid_of, parse_receipt
from tests.foreign_store import ForeignStore, StartStore

DEADLINE = aiohttp.ClientTimeout(total=30)
STATION = "lon-1 \u00e9\u007f"
LEAF = "0123456789abcdef" * 4


@pytest.fixture
async def tus() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True)  # a connection to a store that was killed is of no use
    headers = {"Tus-Resumable": "1.0.0"}
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=DEADLINE) as session:
        yield session


@pytest.fixture
def store(start_store: StartStore, tmp_path: Path, store_key: Path) -> ForeignStore:
    return start_store(tmp_path / "store", key=store_key)


def facts_of(body: bytes) -> dict[str, str]:
    digest = sha256(body).hexdigest()
    return {"clip_id": "ab" * 32, "length": str(len(body)), "sha256": digest, "station": STATION}


async def create(tus: aiohttp.ClientSession, store: ForeignStore, facts: dict[str, str]) -> aiohttp.ClientResponse:
    headers = {"Upload-Length": facts["length"], "Upload-Metadata": metadata_header(facts)}
    async with tus.post(store.url, headers=headers) as answer:
        assert answer.status == 201
        return answer


async def send(tus: aiohttp.ClientSession, url: str, body: bytes, *, offset: int) -> aiohttp.ClientResponse:
    headers = {
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Custody-Leaf": LEAF,
    }
    async with tus.patch(url, headers=headers, data=body) as answer:
        await answer.read()
        return answer


def location(store: ForeignStore, answer: aiohttp.ClientResponse) -> str:
    return f"http://127.0.0.1:{store.port}{answer.headers['Location']}"


def check(text: str, body: bytes, key_file: Path, *, leaf: str) -> None:
    key = load_pem_private_key(key_file.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    facts = facts_of(body)
    receipt = parse_receipt(text)
    assert receipt.kid == kid_of(key.public_key().public_bytes_raw())
    key.public_key().verify(receipt.signature, receipt.signing_input)
    assert receipt.claims.leaf == leaf
    expected = Expected(
        clip_id=ClipId("ab" * 32),
        station=StationId(STATION),
        length_bytes=len(body),
        sha256=Sha256(facts["sha256"]),
        metadata=frozenset({metadata_sha256(facts)}),
    )
    check_claims(receipt.claims, expected)


async def test_the_last_patch_carries_a_receipt_and_an_empty_one_carries_it_again(
    tus: aiohttp.ClientSession, store: ForeignStore, store_key: Path, recording: Path
) -> None:
    body = recording.read_bytes()
    url = location(store, await create(tus, store, facts_of(body)))
    first = await send(tus, url, body[:1000], offset=0)
    assert "Clip-Receipt" not in first.headers
    last = await send(tus, url, body[1000:], offset=1000)
    check(last.headers["Clip-Receipt"], body, store_key, leaf=LEAF)
    again = await send(tus, url, b"", offset=len(body))
    assert again.headers["Clip-Receipt"] == last.headers["Clip-Receipt"]


async def test_an_empty_file_is_receipted_when_it_is_created(
    tus: aiohttp.ClientSession, store: ForeignStore, store_key: Path
) -> None:
    answer = await create(tus, store, facts_of(b""))
    check(answer.headers["Clip-Receipt"], b"", store_key, leaf="0" * 64)


async def test_other_bytes_than_declared_get_460_and_are_gone(tus: aiohttp.ClientSession, store: ForeignStore) -> None:
    url = location(store, await create(tus, store, facts_of(b"three")))
    answer = await send(tus, url, b"four!", offset=0)
    assert answer.status == 460
    assert "Clip-Receipt" not in answer.headers
    async with tus.head(url) as head:
        assert head.status == 404


async def test_a_killed_store_started_again_gives_the_same_receipt(
    tus: aiohttp.ClientSession, start_store: StartStore, store: ForeignStore, store_key: Path
) -> None:
    url = location(store, await create(tus, store, facts_of(b"whole")))
    before = await send(tus, url, b"whole", offset=0)
    store.kill()
    start_store(store.directory, key=store_key, port=store.port)
    after = await send(tus, url, b"", offset=5)
    assert after.headers["Clip-Receipt"] == before.headers["Clip-Receipt"]


async def test_the_plain_store_gives_the_bytes_back_and_no_receipt(
    tus: aiohttp.ClientSession, start_store: StartStore, tmp_path: Path
) -> None:
    plain = start_store(tmp_path / "plain")
    url = location(plain, await create(tus, plain, facts_of(b"whole")))
    answer = await send(tus, url, b"whole", offset=0)
    assert answer.status == 204
    assert "Clip-Receipt" not in answer.headers
    async with tus.get(url) as got:
        assert await got.read() == b"whole"
