"""`dockd ingest` and a store behind TLS: certificates, tokens, and what goes without them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.cards import contents
from tests.system.evidence import clip_rows
from tests.system.programs import Ended, StoreProcess, ingest
from tests.tus_peers import Authority

TOKEN = "the-token-of-desk-1"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def authority() -> Authority:
    return Authority.make()


@pytest.fixture
def strict_store(tmp_path: Path, authority: Authority) -> Iterator[StoreProcess]:
    """A store with TLS under a private authority, that lets in client certificates and tokens."""
    certificate = str(authority.write_certificate(tmp_path, "127.0.0.1"))
    tokens = tmp_path / "tokens"
    tokens.write_text(f"upload desk-1 {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    tls = ("--tls-cert", certificate, "--tls-key", certificate, "--client-ca", str(authority.write_ca(tmp_path)))
    with StoreProcess(tmp_path / "central", arguments=(*tls, "--token-file", str(tokens))) as process:
        yield process


def bring(card: Path, store: StoreProcess, *more: str | Path) -> Ended:
    """Ingest with a little patience, and erase what may be erased."""
    state = card.parent / "state"
    texts = ["--erase", "--patience", "1", *map(str, more)]
    return ingest(card, to=store.url, state=state, key=store.key, more=texts)


def test_a_client_certificate_under_a_private_authority_lets_in(
    tmp_path: Path, card: Path, strict_store: StoreProcess, authority: Authority
) -> None:
    ours = authority.write_certificate(tmp_path, "desk-1")
    ended = bring(card, strict_store, "--ca", authority.write_ca(tmp_path), "--cert", ours, "--key", ours)
    assert (ended.code, ended.counts) == (0, (2, 2, 0, 0, 2)), ended.words()
    assert contents(card) == {}


def test_a_token_lets_in(tmp_path: Path, card: Path, strict_store: StoreProcess, authority: Authority) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    ended = bring(card, strict_store, "--ca", authority.write_ca(tmp_path), "--token-file", tmp_path / "token")
    assert (ended.code, ended.counts) == (0, (2, 2, 0, 0, 2)), ended.words()


@pytest.mark.promise("I14")
def test_a_store_under_another_authority_is_told_nothing(
    tmp_path: Path, card: Path, strict_store: StoreProcess
) -> None:
    before = contents(card)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    other = Authority.make("Another").write_ca(tmp_path)
    ended = bring(card, strict_store, "--ca", other, "--token-file", tmp_path / "token")
    assert ended.code == 75, ended.words()
    assert {line["reason"] for line in ended.troubles.values()} == {"tls"}
    assert contents(card) == before


def test_without_credentials_or_with_wrong_ones_nothing_is_taken_and_the_reason_is_auth(
    tmp_path: Path, card: Path, strict_store: StoreProcess, authority: Authority
) -> None:
    before = contents(card)
    ca = authority.write_ca(tmp_path)
    other = authority.write_certificate(tmp_path, "desk-2")
    (tmp_path / "token").write_text("somebody-elses\n")
    (tmp_path / "empty").write_text("\n")
    ways = (
        (),
        ("--token-file", tmp_path / "token"),
        ("--token-file", tmp_path / "empty"),
        ("--cert", other, "--key", other),
    )
    for way in ways:
        ended = bring(card, strict_store, "--ca", ca, *way)
        assert (ended.code, ended.counts) == (1, (2, 0, 0, 2, 0)), ended.words()
        assert {line["reason"] for line in ended.troubles.values()} == {"auth"}
        assert TOKEN not in ended.words()
    assert contents(card) == before
    assert {row["state"] for row in clip_rows(tmp_path / "state")} == {"copied"}
    assert not list((strict_store.folder / "uploads").iterdir())
