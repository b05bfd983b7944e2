"""What a thief finds: nothing of a clip that the store has proved is left in any file of the station."""

import os
from pathlib import Path

import pytest

from tests.system.programs import StoreProcess, ingest

CANARY = b"a canary that sings in every recording of this card "


def singing(folder: Path) -> list[str]:
    """Name every file below a folder in which the canary is heard."""
    found = []
    for base, _, names in os.walk(folder):
        paths = [Path(base, name) for name in names]
        found += [path.name for path in paths if path.is_file() and CANARY in path.read_bytes()]
    return found


@pytest.mark.promise("I14")
def test_nothing_of_a_receipted_clip_is_left_in_the_files_of_the_station(tmp_path: Path, store: StoreProcess) -> None:
    card, state, home = tmp_path / "card", tmp_path / "state", tmp_path / "home"
    card.mkdir()
    for number in range(3):
        (card / f"{number}.MP4").write_bytes(CANARY * (1000 + number))
    key, url = store.key, store.url
    store.kill()
    waiting = ingest(card, to=url, state=state, key=key, more=("--patience", "1"))
    assert waiting.code == 75
    assert len(singing(state)) == 3, "the test would not hear the canary"
    store.start()
    assert ingest(card, to=url, state=state, key=key, more=("--erase",)).code == 0
    assert singing(state) == []
    assert singing(card) == []
    assert not home.exists()
