"""A whole ingest to tus stores that we did not write: @tus/server as it comes, and with a hook that gives receipts."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.foreign_store import ForeignStore, StartStore
from tests.system.cards import contents, digests, odd_card, write
from tests.system.evidence import clip_rows, entries, moves
from tests.system.programs import ingest, ingest_command, ingesting
from tests.system.proxy import CountingProxy
from tests.system.waiting import until

FILES = 60
MOST_RESENT_BYTES = 3 << 20
LONG_BYTES = 48 << 20

pytestmark = pytest.mark.timeout(240)


def held(store: ForeignStore) -> list[bytes]:
    """Give the contents of every upload on a store's disk, in order of the bytes."""
    return sorted(file.read_bytes() for file in store.directory.iterdir() if file.suffix not in {".json", ".receipt"})


def assurances(state: Path) -> set[tuple[str, str]]:
    """Give the states and assurances that clips have."""
    return {(row["state"], row["assurance"]) for row in clip_rows(state)}


@pytest.fixture
def public_key(store_key: Path, tmp_path: Path) -> str:
    """Write the public half of the receipt key, as openssl does."""
    path = tmp_path / "store-key.pub"
    subprocess.run(["openssl", "pkey", "-in", store_key, "-pubout", "-out", path], check=True, timeout=30)
    return str(path)


def test_without_a_receipt_key_a_plain_stores_word_is_recorded_as_accepted_and_proves_nothing(
    start_store: StartStore, tmp_path: Path
) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    odd_card(card, files=FILES, seed=5)
    store = start_store(tmp_path / "store")
    ended = ingest(card, to=store.url, state=state)
    assert (ended.code, ended.counts) == (1, (FILES, 0, 0, FILES, 0)), ended.words()
    assert assurances(state) == {("uploaded", "accepted")}
    assert held(store) == sorted(contents(card).values())


@pytest.mark.promise("I1")
def test_a_plain_stores_bytes_are_read_back_and_that_is_recorded_as_such(
    start_store: StartStore, tmp_path: Path
) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    odd_card(card, files=FILES, seed=6)
    store = start_store(tmp_path / "store")
    ended = ingest(card, to=store.url, state=state, more=("--verify", "readback"))
    assert (ended.code, ended.counts) == (1, (FILES, 0, 0, FILES, 0)), ended.words()
    assert assurances(state) == {("uploaded", "readback")}
    assert len(moves(state, "read-back")) == FILES
    assert held(store) == sorted(contents(card).values())


@pytest.mark.promise("I5")
def test_a_plain_store_that_gives_back_other_bytes_is_found_out(start_store: StartStore, tmp_path: Path) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    write(card, b"CLIP.MP4", b"as it was recorded")
    store = start_store(tmp_path / "store")
    assert ingest(card, to=store.url, state=state).code == 1
    (upload,) = (file for file in store.directory.iterdir() if file.suffix != ".json")
    upload.write_bytes(b"as it was altered.")
    ended = ingest(card, to=store.url, state=state, more=("--verify", "readback"))
    assert ended.code == 1, ended.words()
    (found,) = (entry for entry in entries(state) if entry["cause"] == "held")
    assert found["facts"]["reason"] == "hash"
    assert "read back 18 bytes with sha256 " in found["facts"]["detail"]
    # Held, or sent anew if it was held before the card was listed: that is how people retry.
    (row,) = clip_rows(state)
    if row["state"] != "held":
        assert (row["state"], row["assurance"]) == ("uploaded", "readback")
        sent_anew = store.directory / row["url"].rpartition("/")[2]
        assert sent_anew != upload
        assert sent_anew.read_bytes() == b"as it was recorded"


@pytest.mark.promise("I1")
@pytest.mark.parametrize("proof", ["readback", "accepted"])
def test_erasing_on_less_than_a_receipt_cannot_even_be_asked_for(tmp_path: Path, proof: str) -> None:
    card = tmp_path / "card"
    write(card, b"CLIP.MP4", b"a clip")
    key = "ed25519:1mneeScUh3SwbDC0fNoV_1bhE8pktoU1ZeTPBzfWnSY"
    for keys in ((), ("--store-key", key)):
        ended = ingest(
            card, to="http://127.0.0.1:9/files/", state=tmp_path / "state", more=("--verify", proof, "--erase", *keys)
        )
        assert ended.code == 78, ended.words()
        assert "--erase: 'given': expected" in ended.stderr
    assert contents(card) == {b"CLIP.MP4": b"a clip"}
    assert not (tmp_path / "state").exists()


@pytest.mark.promise("I1")
def test_a_store_whose_hook_gives_receipts_is_as_good_as_ours(
    start_store: StartStore, store_key: Path, public_key: str, tmp_path: Path
) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    odd_card(card, files=FILES, seed=7)
    before = contents(card)
    store = start_store(tmp_path / "store", key=store_key)
    kept = ingest(card, to=store.url, state=state, key=public_key)
    assert (kept.code, kept.counts) == (0, (FILES, FILES, 0, 0, 0)), kept.words()
    assert contents(card) == before
    erased = ingest(card, to=store.url, state=state, key=public_key, more=("--erase",))
    assert (erased.code, erased.counts) == (0, (FILES, FILES, 0, 0, FILES)), erased.words()
    assert contents(card) == {}
    assert assurances(state) == {("erased", "signed")}
    assert held(store) == sorted(before.values())


def test_a_foreign_store_killed_in_mid_patch_is_gone_on_with_at_the_byte(
    start_store: StartStore, store_key: Path, public_key: str, tmp_path: Path
) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    write(card, b"LONG.MP4", os.urandom(1 << 20) * (LONG_BYTES >> 20))
    store = start_store(tmp_path / "store", key=store_key)
    with CountingProxy(store.port) as proxy:
        command = ingest_command(card, to=proxy.url, state=state, key=public_key, more=("--limit", "24M"))
        with ingesting(command, tmp_path / "run.stderr") as run:
            until(lambda: proxy.up_bytes > LONG_BYTES // 2, "half of the clip sent")
            store.kill()
            start_store(store.directory, key=store_key, port=store.port)
            ended = run.ended()
        resent_bytes = proxy.up_bytes - LONG_BYTES
    assert (ended.code, ended.counts) == (0, (1, 1, 0, 0, 0)), ended.words()
    assert 0 < resent_bytes <= MOST_RESENT_BYTES, f"{resent_bytes / 2**20:.2f} MiB sent again"
    (row,) = clip_rows(state)
    assert row["sha256"] == digests(card, [b"LONG.MP4"], tmp_path / "links")[b"LONG.MP4"]
    assert len(held(store)) == 1
