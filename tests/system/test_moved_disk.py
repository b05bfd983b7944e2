"""A state folder that is put into another station: refused, and left as it is."""

from pathlib import Path

import pytest

from tests.system.programs import StoreProcess, dockctl, ingest, ingest_command, ingesting


@pytest.mark.promise("I10")
def test_a_state_folder_of_another_station_is_refused_and_left_as_it_is(tmp_path: Path, store: StoreProcess) -> None:
    card, state = tmp_path / "card", tmp_path / "state"
    card.mkdir()
    (card / "A.MP4").write_bytes(b"a" * 5000)
    assert ingest(card, to=store.url, state=state, key=store.key).code == 0
    before = dockctl("verify", state)
    command = [
        "desk-2" if word == "desk-1" else word
        for word in ingest_command(card, to=store.url, state=state, key=store.key, more=("--erase",))
    ]
    with ingesting(command, tmp_path / "other.stderr") as run:
        ended = run.ended()
    assert ended.code == 78
    assert "desk-1" in ended.stderr
    assert "desk-2" in ended.stderr
    assert (card / "A.MP4").read_bytes() == b"a" * 5000
    assert dockctl("verify", state) == before
