"""The store and the card that most tests of whole processes begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.cards import write
from tests.system.programs import StoreProcess


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A card of two recordings, a long and a short one."""
    folder = tmp_path / "card"
    write(folder, b"DCIM/LONG.MP4", bytes(range(256)) * 2048)  # 512 KiB
    write(folder, b"DCIM/SHORT.MP4", b"a short one")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    """A reference store, started."""
    with StoreProcess(tmp_path / "store") as running:
        yield running
