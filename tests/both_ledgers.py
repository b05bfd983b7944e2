"""The ledger of the daemon and that of the simulation, a test run with each, and what their chains say."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from dockd.domain.custody import verify
from dockd.edges.ledger.ledger import StationLedger
from tests.ledger_parts import inline, threaded


@pytest.fixture(params=[threaded, inline], ids=["thread", "inline"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StationLedger]:
    async with await request.param(tmp_path / "state") as ledger:
        yield ledger


async def entries(ledger: StationLedger) -> list[dict[str, object]]:
    """Read the whole chain, checked."""
    links = await ledger.links(after=0, limit=10_000)
    return [json.loads(link.body) for link in verify(links)]


def said(entry: dict[str, object]) -> dict[str, object]:
    """Give an entry's facts but for the digest of the row, which each move of a clip has."""
    facts = cast("dict[str, object]", entry["facts"])
    assert ("row" in facts) == (entry["to"] != "" and entry["cause"] != "superseded")
    return {name: fact for name, fact in facts.items() if name != "row"}
