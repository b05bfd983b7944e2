"""A card with a bad sector on an IT desk: its file stays, the store has what can be read, and people are told."""

import http.client
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.system.evidence import clip_rows
from tests.system.programs import Ended, StoreProcess, ingest, verified
from tests.torn_card import NotMountedError, torn_card

FILES = {name: Random(name).randbytes(300_000) for name in ("A.MP4", "B.MP4", "C.MP4")}
BAD = "A.MP4:100000+1"
GAP = (98304, 4096)
"""The page that the bad byte is in."""
MORE = ("--erase", "--camera", "DKD-0001")


def brought(folder: Path, store: StoreProcess) -> Ended:
    """Bring the card in while it is torn."""
    card = folder / "card"
    card.mkdir()
    for name, data in FILES.items():
        (card / name).write_bytes(data)
    try:
        with torn_card(card, folder / "mount", [BAD]) as mount:
            return ingest(mount, to=store.url, state=folder / "state", key=store.key, more=MORE)
    except NotMountedError as error:
        pytest.skip(f"no filesystem of one's own: {error}")


def fetched(store: StoreProcess, path: str) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", store.port, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read()


def at_store(store: StoreProcess) -> list[dict[str, Any]]:
    clips: list[dict[str, Any]] = json.loads(fetched(store, "/clips"))["clips"]
    return clips


def content(store: StoreProcess, clip: dict[str, Any]) -> bytes:
    return fetched(store, clip["content"])


def dockctl(*words: str) -> tuple[int, str]:
    ended = subprocess.run([sys.executable, "-m", "dockd.ctl", *words], capture_output=True, check=False, timeout=30)
    return ended.returncode, ended.stdout.decode()


@pytest.mark.promise("I4", "I5")
def test_a_bad_sector_costs_its_page_and_the_file_stays_on_its_card(store: StoreProcess, tmp_path: Path) -> None:
    ended = brought(tmp_path, store)
    assert ended.code == 1, ended.words()
    # Nothing is erased yet: through FUSE, nobody can prove that a second reading came past every cache.
    assert ended.counts == (4, 3, 1, 0, 0), "three files and a salvaged one: three proven, one held"
    assert {path.name: path.read_bytes() for path in (tmp_path / "card").iterdir()} == FILES
    salvaged = [clip for clip in at_store(store) if clip["tags"] == ["salvaged"]]
    assert len(salvaged) == 1
    assert salvaged[0]["unreadable"] == "98304+4096"
    want = FILES["A.MP4"][: GAP[0]] + bytes(GAP[1]) + FILES["A.MP4"][sum(GAP) :]
    assert content(store, salvaged[0]) == want
    assert verified(tmp_path / "state")[:2] == (4, 3)

    state = str(tmp_path / "state")
    code, said = dockctl("quarantine", "list", "--state", state)
    assert code == 1
    assert "DKD-0001" in said
    assert "A.MP4  unreadable: the card gives errors for this file" in said
    held = next(row["key"] for row in clip_rows(tmp_path / "state") if row["state"] == "held")
    code, said = dockctl("quarantine", "show", str(held), "--state", state)
    assert code == 0
    assert "4096 of 300000 bytes cannot be read; the rest is salvaged as clip 4" in said

    # The same card, read by another reader that has no trouble with it: both are at the store in the end.
    again = ingest(tmp_path / "card", to=store.url, state=tmp_path / "state", key=store.key, more=MORE)
    assert again.code == 0, again.words()
    assert list((tmp_path / "card").iterdir()) == []
    named = [(clip["tags"], content(store, clip)) for clip in at_store(store) if clip["length"] == 300_000]
    assert ([], FILES["A.MP4"]) in named
    assert (["salvaged"], want) in named
    assert dockctl("quarantine", "list", "--state", state) == (0, "nothing is in quarantine\n")
    assert verified(tmp_path / "state")[:2] == (4, 4)
