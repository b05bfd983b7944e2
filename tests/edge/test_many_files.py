"""A card of a hundred thousand files: listed by the copier and put on record within bounded memory."""

import asyncio
import re
from pathlib import Path

import pytest

from dockd.app.ports import Attached
from dockd.domain.model import BayId, ClipState
from dockd.edges.card import FolderCards
from tests.copier_parts import CAMERA, Dock, a_dock
from tests.ledger_parts import attached, threaded

FILES, FOLDERS = 100_000, 100
MOST_BYTES_A_FILE = 6 * 1024
"""Of memory, at the peak of a listing: far less than any file of footage has."""


def peak_bytes() -> int:
    """Give the most memory that this process has had since its peak was forgotten (proc(5), VmHWM)."""
    (kib,) = re.findall(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
    return int(kib) * 1024


def forget_peak() -> None:
    """Let the peak begin anew (proc(5), /proc/pid/clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


@pytest.fixture
def full_dock(tmp_path: Path) -> Dock:
    """Make a card that is as full of names as a card can be expected to be."""
    dock = a_dock(tmp_path)
    for folder in range(FOLDERS):
        inside = dock.card / f"{folder:03}DOCKD"
        inside.mkdir()
        for number in range(FILES // FOLDERS):
            (inside / f"CLIP{number:04}.MP4").touch()
    return dock


@pytest.mark.promise("I16")
@pytest.mark.timeout(300)
async def test_a_card_of_a_hundred_thousand_files_is_on_record_within_bounded_memory(
    full_dock: Dock, tmp_path: Path
) -> None:
    forget_peak()
    before_bytes = peak_bytes()
    card = await FolderCards(full_dock.spool, erase=False).open(
        Attached(bay=BayId(1), camera=CAMERA, source=str(full_dock.card))
    )
    async with await threaded(tmp_path / "state") as ledger:
        docking = await ledger.dock(attached(camera=CAMERA))
        listing = await card.listing()
        assert len(listing.files) == FILES
        await ledger.record_listing(docking, listing)
        tally = await ledger.tally(docking)
        assert tally.files == {ClipState.FOUND: FILES}
    await card.close()
    await asyncio.sleep(0)
    assert peak_bytes() - before_bytes < FILES * MOST_BYTES_A_FILE
