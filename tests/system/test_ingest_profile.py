"""A card that is read by a profile, from its names to the store's answer: each fact on record, told, and receipted."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.central_parts import claims_of
from tests.foreign_store import StartStore
from tests.system.cards import contents, write
from tests.system.evidence import clip_rows, entries, stored
from tests.system.programs import StoreProcess, dockctl, ingest, verified

FOLDER = b"AUTOCAPSULE/Recordings/"
EVENT, OTHER_LENS = FOLDER + b"Event/20241027-013000_EVT_D1.AVI", FOLDER + b"Event/20241027-013000_EVT_D2.AVI"
POSITION, STRANGE = FOLDER + b"Event/20241027-013000_EVT_D1.GPS", FOLDER + b"Event/20241027-013000_EVT_D1.XYZ"
NORMAL, NOTES = FOLDER + b"Normal/20241027-020000_NOR_D1.AVI", "caf\u00e9 \x1b[31m.TXT".encode()
CARD = (EVENT, OTHER_LENS, POSITION, STRANGE, NORMAL, NOTES)
READ = {
    EVENT: ("2024-10-27T01:30:00", "zone-unknown", "event", "sensor", "clip"),
    OTHER_LENS: ("2024-10-27T01:30:00", "zone-unknown", "event", "sensor", "clip"),
    POSITION: ("2024-10-27T01:30:00", "zone-unknown", "event", "sensor", "sidecar"),
    STRANGE: ("unknown", "unknown", "unknown", "unknown", "stranger"),
    NORMAL: ("2024-10-27T02:00:00", "zone-unknown", "none", "always", "clip"),
    NOTES: ("unknown", "unknown", "unknown", "unknown", "stranger"),
}
"""Of each file: its time as written, how sure that is, its marks, what began it, and what it is."""
NAMES = ("recorded", "recorded_is", "marks", "trigger", "role")

pytestmark = pytest.mark.timeout(120)


def told(facts: dict[str, str]) -> tuple[str, ...]:
    """Pick what is written above."""
    return tuple(facts[name] for name in NAMES)


@pytest.fixture
def public_key(store_key: Path, tmp_path: Path) -> str:
    """Write the public half of the receipt key, as openssl does."""
    path = tmp_path / "store-key.pub"
    subprocess.run(["openssl", "pkey", "-in", store_key, "-pubout", "-out", path], check=True, timeout=30)
    return str(path)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    for path in CARD:
        write(tmp_path / "card", path, b"of " + path)
    return tmp_path / "card"


@pytest.mark.promise("I1")
@pytest.mark.promise("I6")
def test_what_a_profile_reads_of_a_card_is_on_record_at_the_store_and_under_its_receipts(
    card: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with StoreProcess(tmp_path / "central") as store:
        more = ("--profile", "dated", "--erase")
        ended = ingest(card, to=store.url, state=state, key=store.key, more=more)
        assert (ended.code, ended.counts) == (0, (6, 6, 0, 0, 4)), ended.words()
        clips = {path: clip.told for path, clip in stored(store.base).items()}
        again = ingest(card, to=store.url, state=state, key=store.key, more=("--profile", "generic"))
        assert again.code == 0, again.words()
        assert {path: clip.told for path, clip in stored(store.base).items()} == clips
        key = store.key
    assert contents(card).keys() == {STRANGE, NOTES}  # what the profile keeps
    assert {path: told(clip["facts"]) for path, clip in clips.items()} == READ
    assert all(clip["facts"]["battery"] == "unknown" for clip in clips.values())
    assert all(clip["facts"]["clock_offset"] == "none" for clip in clips.values())
    assert {clip["facts"]["profile"] for clip in clips.values()} == {"dated"}
    assert [clips[path]["kind"] for path in (EVENT, POSITION)] == ["video", "sidecar"]
    recordings = [clips[path]["recording_id"] for path in CARD]
    assert recordings[:4] == recordings[:1] * 4
    assert len({*recordings}) == 3
    # Other eyes than dockd's: what is in the ledger is what the store was told, and what the receipt covers.
    for row in clip_rows(state):
        assert told(json.loads(row["facts"])) == READ[row["path"]]
        claims = claims_of(row["receipt"], key)
        assert claims["meta_sha256"] == row["meta_sha256"]
    assert verified(state) == (6, 6, 6)
    shown = {base64.b64decode(clip["name_base64"]): clip for clip in dockctl("clips", state)["clips"]}
    assert {path: told(clip["facts"]) for path, clip in shown.items()} == READ


@pytest.mark.promise("I18")
def test_the_marked_recording_goes_first(card: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with StoreProcess(tmp_path / "central") as store:
        assert ingest(card, to=store.url, state=state, key=store.key, more=("--profile", "dated")).code == 0
    keys = {row["key"]: row["path"] for row in clip_rows(state)}
    copied = [keys[entry["clip"]] for entry in entries(state) if entry["cause"] == "copied"]
    assert {*copied[:4]} == {EVENT, OTHER_LENS, POSITION, STRANGE}


def test_a_store_that_knows_nothing_of_such_facts_keeps_them_and_signs_for_them(
    start_store: StartStore, store_key: Path, public_key: str, card: Path, tmp_path: Path
) -> None:
    state, store = tmp_path / "state", start_store(tmp_path / "store", key=store_key)
    ended = ingest(card, to=store.url, state=state, key=public_key, more=("--profile", "dated"))
    assert (ended.code, ended.counts) == (0, (6, 6, 0, 0, 0)), ended.words()
    kept = [json.loads(path.read_text())["metadata"] for path in store.directory.glob("*.json")]
    assert {base64.b64decode(one["name"]): told(one) for one in kept} == READ
    for row in clip_rows(state):
        assert (row["state"], row["assurance"]) == ("receipted", "signed")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("datd", "--profile: 'datd': expected a profile that there is: dated dcf generic (did you mean dated?)"),
        ("../dated", "--profile: '../dated': expected a profile that there is"),
    ],
)
def test_a_profile_that_there_is_not_is_refused(card: Path, tmp_path: Path, name: str, words: str) -> None:
    before: dict[bytes, Any] = contents(card)
    ended = ingest(card, to="http://127.0.0.1:9/files/", state=tmp_path / "state", more=("--profile", name))
    assert ended.code == 78
    assert words in ended.stderr
    assert contents(card) == before
