"""`dockctl clips --json` shows what a profile read, from the daemon and from a folder at rest alike, and escaped."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.control_parts import Station, served
from tests.ledger_parts import docked, file, reading, threaded

READ = reading(battery="unknown", clock_offset="none", recorded="2024-10-27T01:30:00", recorded_is="twice")


@pytest.fixture
async def station(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Station]:
    """Three clips: one that was read, one by a profile that would steer a terminal, one that nobody read."""
    async with await threaded(tmp_path) as ledger:
        odd = reading(category="\x1b[31m<b>\u00f6" + "x" * 200)
        await docked(ledger, file("A.MP4", reading=READ), file("B.MP4", reading=odd), file("C.MP4"))
        async with served(tmp_path, ledger):
            yield Station(tmp_path, ledger, capsys)


@pytest.mark.parametrize("offline", [False, True], ids=["socket", "state"])
async def test_a_clip_is_shown_with_what_was_read_of_it(station: Station, offline: bool) -> None:  # noqa: FBT001 - a column of the table
    said = await station.types("clips", "--json", offline=offline)
    read, odd, unread = (clip["facts"] for clip in said.json["clips"])
    assert read == dict(READ.facts)
    assert odd == {"category": "\\x1b[31m<b>\\xf6" + "x" * 81}
    assert unread == {}
    assert said.out.replace("\n", "").isprintable()
