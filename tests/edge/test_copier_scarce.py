"""A copier on a station that has no descriptor left: what cannot be watched is not kept, and holds no card."""

import asyncio
import errno
import os
import sys
from pathlib import Path

import pytest

from dockd.app.ports import Attached
from dockd.domain.listing import listing_of
from dockd.domain.model import BayId
from dockd.edges import copier_process
from dockd.edges.card import FolderCards
from dockd.errors import TransientError
from tests.copier_parts import CAMERA, a_dock
from tests.mount_parts import holders


async def test_a_copier_that_was_started_and_cannot_be_watched_holds_no_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last descriptors went into starting it; the one to kill it by is one too many."""
    dock = a_dock(tmp_path)
    card = await FolderCards(dock.spool, erase=True).open(Attached(bay=BayId(1), camera=CAMERA, source=str(dock.card)))
    pidfd_open = os.pidfd_open

    def scarce(pid: int, flags: int = 0) -> int:
        if sys._getframe(1).f_code.co_filename == copier_process.__file__:  # asyncio opens one of its own
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return pidfd_open(pid, flags)

    with monkeypatch.context() as patch:
        patch.setattr("os.pidfd_open", scarce)
        with pytest.raises(TransientError, match="Too many open files"):
            await card.listing()
    async with asyncio.timeout(10):
        while len(holders(dock.card)) > 1:  # noqa: ASYNC110 - nobody tells when a process has ended
            await asyncio.sleep(0.01)
    assert await card.listing() == listing_of([])
    await card.close()
