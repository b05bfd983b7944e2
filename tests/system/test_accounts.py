"""Accounts between a station and its store as whole processes: what is done behind their backs is found out by name."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.system.programs import Ended, StoreProcess, ingest
from tests.system.test_daemon import asked, configured, daemon, receipted

SOON_S = 30.0


def card(folder: Path, *names: str) -> Path:
    """Put files on a card, beside those that it has."""
    for name in names:
        path = folder / "DCIM" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    return folder


def brought(store: StoreProcess, folder: Path, state: Path) -> Ended:
    """Bring a card to the store."""
    ended = ingest(folder, to=store.url, state=state, key=store.key)
    assert ended.code == 0, ended.words()
    return ended


def account(state: Path, question: str = "account") -> tuple[int, dict[str, Any]]:
    """Ask dockctl of a state folder: its exit code and what it says."""
    command = [sys.executable, "-m", "dockd.ctl", question, "--state", str(state), "--json"]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    document: dict[str, Any] = json.loads(ended.stdout)
    return ended.returncode, document


def named(document: dict[str, Any]) -> set[tuple[str, str]]:
    """The kinds of differences and their clips."""
    return {(row["kind"], row["clip_id"]) for row in document["differences"] if row["clip_id"]}


def told(store: StoreProcess, path: str) -> dict[str, Any]:
    """Ask the store."""
    with urlopen(f"{store.base}{path}", timeout=30) as answer:  # noqa: S310 - our own store on loopback
        document: dict[str, Any] = json.load(answer)
        return document


def given(store: StoreProcess) -> dict[str, str]:
    """The receipts that the store lists for this station, by clip id."""
    return {line["clip_id"]: line["receipt"] for line in told(store, "/receipts?station=desk-1")["receipts"]}


@pytest.mark.promise("I18")
def test_a_docking_is_accounted_for_at_both_ends(store: StoreProcess, tmp_path: Path) -> None:
    brought(store, card(tmp_path / "card", "A.MP4", "B.MP4"), tmp_path / "state")
    code, document = account(tmp_path / "state")
    (heard,) = told(store, "/accounts")["accounts"]
    assert (code, document["differences"]) == (0, [])
    last = document["account"]["last"]
    assert (last["occasion"], last["compared"]) == ("docking", True)
    assert last["account"]["receipted"] == {"files": 2, "bytes": 1000}
    assert heard["statement"]["account"]["receipted_files"] == 2
    assert heard["statement"]["docking"]["files"] == 2
    assert heard["answer"] == {"schema": 1, "given": {"files": 2, "bytes": 1000}, "differs": []}


@pytest.mark.promise("I18")
def test_a_state_folder_that_was_set_back_is_an_alarm_at_both_ends_that_names_the_clips(
    store: StoreProcess, tmp_path: Path
) -> None:
    state, early = tmp_path / "state", tmp_path / "early"
    folder = card(tmp_path / "card", "A.MP4", "B.MP4")
    brought(store, folder, state)
    known = set(given(store))
    shutil.copytree(state, early)
    brought(store, card(folder, "C.MP4", "D.MP4", "E.MP4"), state)
    since = set(given(store)) - known
    assert len(since) == 3
    shutil.rmtree(state)
    shutil.copytree(early, state)
    for name in ("C.MP4", "D.MP4", "E.MP4"):
        (folder / "DCIM" / name).unlink()
    brought(store, folder, state)
    code, document = account(state)
    assert code == 1
    assert named(document) == {("unknown-here", clip_id) for clip_id in since}
    assert account(state, "status")[0] == 1
    answer = told(store, "/accounts")["accounts"][-1]["answer"]
    assert any("the state folder was set back" in words for words in answer["differs"])
    assert any("the store says of docking" in row["detail"] for row in document["differences"])


@pytest.mark.promise("I18")
def test_a_clip_that_the_store_lost_with_its_receipt_is_named(store: StoreProcess, tmp_path: Path) -> None:
    state = tmp_path / "state"
    folder = card(tmp_path / "card", "A.MP4", "B.MP4", "C.MP4")
    brought(store, folder, state)
    lost = sorted(given(store))[1]
    store.stop()
    with closing(sqlite3.connect(tmp_path / "store/index.sqlite3")) as index:
        index.execute("DELETE FROM given WHERE upload = (SELECT id FROM upload WHERE clip_id = ?)", (lost,))
        index.execute("DELETE FROM upload WHERE clip_id = ?", (lost,))
        index.execute("DELETE FROM object WHERE clip_id = ?", (lost,))
        index.commit()
    store.start()
    brought(store, folder, state)
    code, document = account(state)
    assert code == 1
    assert named(document) == {("not-at-store", lost)}


@pytest.mark.promise("I18")
def test_a_running_station_tells_its_account(store: StoreProcess, tmp_path: Path) -> None:
    config = configured(tmp_path, store)
    with daemon(config) as first:
        clips = receipted(config)
        first.kill()
        first.wait()
    with daemon(config):
        deadline_s = time.monotonic() + SOON_S
        while (document := asked(config, "account"))["account"]["last"] is None:
            assert time.monotonic() < deadline_s, document
        status = asked(config, "status")
    assert document["differences"] == []
    assert document["account"]["offered"] is True
    assert document["account"]["last"]["compared"] is True
    assert status["account"]["differences"] == 0
    statements = [heard["statement"] for heard in told(store, "/accounts")["accounts"]]
    assert {statement["docking"]["early"] for statement in statements if statement["docking"]} <= {None, True, False}
    assert sum(statement["account"]["seen_files"] for statement in statements) >= clips
    assert all(not heard["answer"]["differs"] for heard in told(store, "/accounts")["accounts"])


@pytest.mark.promise("I18")
def test_a_lost_ledger_that_is_continued_ends_without_a_difference(store: StoreProcess, tmp_path: Path) -> None:
    state = tmp_path / "state"
    folder = card(tmp_path / "card", "A.MP4", "B.MP4")
    brought(store, folder, state)
    (folder / "DCIM" / "B.MP4").unlink()
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (state / name).unlink(missing_ok=True)
    brought(store, card(folder, "C.MP4"), state)
    code, document = account(state)
    assert (code, document["differences"]) == (0, [])
    assert document["account"]["last"]["account"]["receipted"]["files"] == 2
    with closing(sqlite3.connect(f"file:{state}/ledger.db?mode=ro", uri=True)) as ledger:
        assert ledger.execute("SELECT count(*) FROM prior").fetchone() == (2,)
    assert [heard["answer"]["differs"] for heard in told(store, "/accounts")["accounts"]] == [[], []]
