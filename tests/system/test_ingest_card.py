"""A whole card with every oddity goes to a store by the two commands that people type."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.system.cards import EMPTY, EQUAL, contents, digests, odd_card
from tests.system.evidence import clip_rows, contents_digests, entries, moves, objects, stored
from tests.system.programs import Ended, Gauge, StoreProcess, ingest, ingest_command, ingesting, verified

FILES = 2000
MOST_PSS_BYTES = 120 << 20

pytestmark = pytest.mark.timeout(300)


@dataclass(slots=True, kw_only=True)
class Brought:
    """One card after its first ingest; the store still runs."""

    folder: Path
    card: Path
    files: dict[bytes, int]
    store: StoreProcess
    key: str
    first: Ended
    gauge: Gauge
    openssl: dict[bytes, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brought]:
    folder = tmp_path_factory.mktemp("brought")
    card = folder / "card"
    files = odd_card(card, files=FILES, seed=20_000)
    with ExitStack() as opened:
        store = opened.enter_context(StoreProcess(folder / "central"))
        key = store.key
        command = ingest_command(card, to=store.url, state=folder / "state", key=key)
        run = opened.enter_context(ingesting(command, folder / "first.stderr"))
        with Gauge(run) as gauge:
            first = run.ended(within_s=240)
        openssl = dict(digests(card, files, folder / "links"))
        yield Brought(
            folder=folder, card=card, files=files, store=store, key=key, first=first, gauge=gauge, openssl=openssl
        )


def test_every_file_of_the_card_is_receipted_and_none_is_erased(brought: Brought) -> None:
    assert brought.first.code == 0, brought.first.words()
    assert brought.first.counts == (FILES, FILES, 0, 0, 0)
    assert brought.first.summary["bytes"] == sum(brought.files.values())
    assert brought.first.stderr == ""
    assert {path: len(data) for path, data in contents(brought.card).items()} == brought.files


@pytest.mark.promise("I5")
def test_the_store_lists_each_file_once_with_the_digest_that_openssl_gives(brought: Brought) -> None:
    clips = stored(brought.store.base)
    assert {path: clip.sha256 for path, clip in clips.items()} == brought.openssl
    assert {path: clip.length for path, clip in clips.items()} == brought.files


@pytest.mark.promise("I5")
def test_the_store_gives_back_the_bytes_of_every_file(brought: Brought) -> None:
    assert contents_digests(brought.store.base, stored(brought.store.base)) == brought.openssl


@pytest.mark.promise("I10")
def test_equal_contents_at_two_paths_are_two_exhibits_and_an_empty_file_is_one(brought: Brought) -> None:
    clips = stored(brought.store.base)
    first, second = (clips[path] for path in EQUAL)
    assert first.sha256 == second.sha256
    assert first.clip_id != second.clip_id
    assert clips[EMPTY].length == 0
    assert len({clip.clip_id for clip in clips.values()}) == FILES
    assert len(objects(brought.store.folder)) == FILES


@pytest.mark.promise("I11")
def test_the_custody_chain_holds_and_tells_of_each_clip_once(brought: Brought) -> None:
    assert verified(brought.state) == (FILES, FILES, FILES)
    for cause in ("found", "copied", "receipted"):
        told = moves(brought.state, cause)
        assert len(told) == FILES, cause
        assert set(told.values()) == {1}, cause
    assert len({row["clip_id"] for row in clip_rows(brought.state)}) == FILES


@pytest.mark.promise("I16")
def test_all_processes_of_an_ingest_together_stay_small(brought: Brought) -> None:
    assert brought.gauge.samples >= 20
    assert brought.gauge.most_processes == 2  # the ingest and its copier: both were weighed
    assert brought.gauge.peak_bytes < MOST_PSS_BYTES, f"{brought.gauge.peak_bytes / 2**20:.1f} MiB"


def test_running_it_again_uploads_nothing(brought: Brought) -> None:
    before, chain = objects(brought.store.folder), len(entries(brought.state))
    again = ingest(brought.card, to=brought.store.url, state=brought.state, key=brought.key, within_s=240)
    assert again.code == 0, again.words()
    assert again.counts == (FILES, FILES, 0, 0, 0)
    assert objects(brought.store.folder) == before
    assert not list((brought.store.folder / "uploads").iterdir())
    causes = {entry["cause"] for entry in entries(brought.state)[chain:] if entry["clip"] is not None}
    assert causes == {"redocked", "confirmed"}


@pytest.mark.promise("I10")
def test_a_wiped_ledger_finds_the_same_objects_and_uploads_nothing(tmp_path: Path) -> None:
    card = tmp_path / "card"
    odd_card(card, files=40, seed=2)
    with StoreProcess(tmp_path / "central") as store:
        key = store.key
        first = ingest(card, to=store.url, state=tmp_path / "state", key=key)
        assert first.code == 0, first.words()
        before, clips = objects(store.folder), stored(store.base)
        wiped = ingest(card, to=store.url, state=tmp_path / "new", key=key)
        assert wiped.code == 0, wiped.words()
        assert wiped.counts == (40, 40, 0, 0, 0)
        assert objects(store.folder) == before
        assert stored(store.base) == clips
    assert verified(tmp_path / "state") == (40, 40, 40)
    assert verified(tmp_path / "new") == (40, 40, 0)  # the receipts name entries of the chain that was wiped
    one, other = (sorted(row["receipt"] for row in clip_rows(tmp_path / name)) for name in ("state", "new"))
    assert one == other


def test_with_the_store_gone_a_card_that_is_receipted_needs_it_no_more(tmp_path: Path) -> None:
    card = tmp_path / "card"
    odd_card(card, files=20, seed=3)
    with StoreProcess(tmp_path / "central") as store:
        key = store.key
        first = ingest(card, to=store.url, state=tmp_path / "state", key=key)
        assert first.code == 0, first.words()
    again = ingest(card, to=store.url, state=tmp_path / "state", key=key)
    assert again.code == 0, again.words()
    assert again.counts == (20, 20, 0, 0, 0)


@pytest.mark.promise("I3")
def test_a_file_rewritten_after_its_receipt_is_brought_anew_and_the_old_one_stays_at_the_store(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    clip = card / "CLIP.MP4"
    clip.write_bytes(b"before")
    with StoreProcess(tmp_path / "central") as store:
        key = store.key
        assert ingest(card, to=store.url, state=tmp_path / "state", key=key).code == 0
        clip.write_bytes(b"after!")  # as long as before: a candidate, until it is read
        again = ingest(card, to=store.url, state=tmp_path / "state", key=key, more=("--erase",))
        assert again.code == 0, again.words()
        assert len(objects(store.folder)) == 2
    assert not clip.exists()
    assert [row["state"] for row in clip_rows(tmp_path / "state")] == ["receipted", "erased"]


@pytest.mark.promise("I1")
def test_with_erase_a_receipted_card_ends_empty_of_files(tmp_path: Path) -> None:
    card = tmp_path / "card"
    files = odd_card(card, files=60, seed=4)
    openssl = digests(card, files, tmp_path / "links")
    with StoreProcess(tmp_path / "central") as store:
        ended = ingest(card, to=store.url, state=tmp_path / "state", key=store.key, more=("--erase",))
        assert ended.code == 0, ended.words()
        assert ended.counts == (60, 60, 0, 0, 60)
        assert contents_digests(store.base, stored(store.base)) == openssl
    assert contents(card) == {}
    assert verified(tmp_path / "state") == (60, 60, 60)
    # The receipt was on record before the erasing was, and that before the file went (I8, I11).
    order: dict[int, list[str]] = {}
    for entry in entries(tmp_path / "state"):
        if entry["cause"] in {"receipted", "erase-begun", "erased"}:
            order.setdefault(entry["clip"], []).append(entry["cause"])
    assert len(order) == 60
    assert set(map(tuple, order.values())) == {("receipted", "erase-begun", "erased")}
