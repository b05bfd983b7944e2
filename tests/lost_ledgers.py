"""What tests of lost ledgers share: one that was made and closed, its end, and its one recovery, checked."""

import json
import sqlite3
from pathlib import Path

from dockd.domain.checkpoint import Head
from dockd.domain.model import ClipState
from dockd.domain.recovery import recovery_signing_input, signature_of
from dockd.edges.ledger.checkpoint import kept
from dockd.edges.ledger.entries import MADE
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.ledger.survey import survey
from dockd.edges.seal import verifies
from tests.ledger_parts import STATION, bring, clips, docked, file, threaded


async def made(folder: Path) -> Head:
    """Make a ledger with one receipted clip, close it, and give the end of its chain."""
    async with await threaded(folder) as ledger:
        docking = await docked(ledger, file("A.MP4"), file("B.MP4"))
        (clip,) = await clips(ledger, 1)
        await bring(ledger, clip, ClipState.RECEIPTED)
        await ledger.undock(docking, early=True, left_files=1)
    return ended(folder)


def ended(folder: Path) -> Head:
    """Give the end of a folder's chain."""
    end = survey(folder / DATABASE).end
    assert end is not None
    return end


def entries(folder: Path) -> list[dict[str, object]]:
    """Give every entry of a chain."""
    connection = sqlite3.connect(folder / DATABASE)
    bodies = connection.execute("SELECT body FROM custody ORDER BY seq").fetchall()
    connection.close()
    return [json.loads(body) for (body,) in bodies]


def facts_of(folder: Path, cause: str) -> list[dict[str, str]]:
    """Give the facts of every entry with a cause."""
    return [entry["facts"] for entry in entries(folder) if entry["cause"] == cause]  # type: ignore[misc] # JSON


async def recovered(folder: Path) -> dict[str, str]:
    """Start and stop the ledger of a folder; give the facts of its one recovery, its signature checked."""
    async with await threaded(folder) as ledger:
        await docked(ledger, file("A.MP4"))
    (made_,) = facts_of(folder, MADE)
    (facts,) = facts_of(folder, "ledger-recovered")
    assert (facts["station"], facts["instance"]) == (STATION, made_["instance"])
    assert verifies(made_["key"], recovery_signing_input(facts), signature_of(facts))
    assert ended(folder) == stated(folder)
    return facts


def stated(folder: Path) -> Head:
    """Give what a folder's checkpoint says."""
    statement = kept(folder).stated
    assert statement is not None
    return statement.checkpoint.head


def old(facts: dict[str, str]) -> Head | None:
    """Give the head that a recovery continues."""
    if "old_head" not in facts:
        return None
    return Head(instance=facts["old_instance"], seq=int(facts["old_seq"]), hash=facts["old_head"])
