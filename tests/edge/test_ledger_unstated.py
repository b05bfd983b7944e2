"""A chain whose checkpoint is gone or spoilt goes on, and says for ever that nobody knows how far it had come."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dockd.domain.event import EventType, event_type_of
from dockd.edges.control.documents import report_document
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.checkpoint import FILE
from dockd.edges.ledger.entries import UNSTATED
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.seal import verifies
from tests.ledger_parts import threaded
from tests.lost_ledgers import ended, facts_of, made, stated


def _remove(file: Path) -> None:
    file.unlink()


def _spoil(file: Path) -> None:
    file.write_text("rubbish")


def _empty(file: Path) -> None:
    file.write_text("")


def _forge(file: Path) -> None:
    head, payload, signature = file.read_text().strip().split(".")
    file.write_text(f"{head}.{payload}.{'A' * 84}{signature[84:]}\n")


async def started(folder: Path) -> None:
    """Start and stop."""
    async with await threaded(folder):
        pass


@pytest.mark.promise("I11")
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_remove, "its checkpoint is there no more"),
        (_spoil, "its checkpoint cannot be read"),
        (_empty, "its checkpoint cannot be read"),
        (_forge, "its checkpoint bears no signature of a known key"),
    ],
)
async def test_a_chain_whose_checkpoint_is_lost_says_so_before_another_is_signed(
    tmp_path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    end = await made(tmp_path)
    spoil(tmp_path / FILE)
    async with await threaded(tmp_path) as ledger:
        (entry,) = await ledger.links(after=end.seq, limit=9)
        assert event_type_of(entry) is EventType.FAULT
    assert facts_of(tmp_path, UNSTATED) == [{"entries": str(end.seq), "why": why}]
    assert ended(tmp_path) == stated(tmp_path)
    await started(tmp_path)
    assert len(facts_of(tmp_path, UNSTATED)) == 1
    report = verify_state(tmp_path, None, check=verifies)
    assert report.clean
    assert report_document(report)["unstated"] == (
        f"custody entry {end.seq + 1}: {why}; entries before it may be missing"
    )


async def test_a_new_folder_and_one_whose_checkpoint_holds_say_nothing_of_it(tmp_path: Path) -> None:
    await made(tmp_path)
    await started(tmp_path)
    assert facts_of(tmp_path, UNSTATED) == []
    assert report_document(verify_state(tmp_path, None, check=verifies))["unstated"] is None


async def test_a_first_start_that_was_cut_before_it_stated_anything_says_nothing_of_it(tmp_path: Path) -> None:
    await started(tmp_path)
    (tmp_path / FILE).unlink()
    await started(tmp_path)
    assert facts_of(tmp_path, UNSTATED) == []


async def test_the_first_start_after_a_version_without_checkpoints_says_nothing_of_it(tmp_path: Path) -> None:
    """Its chain names no key: there was nobody to sign."""
    source = Path(__file__).parents[1] / "databases/v1" / DATABASE
    (tmp_path / DATABASE).write_bytes(source.read_bytes())
    with closing(sqlite3.connect(source)) as connection:
        (station,) = connection.execute("SELECT station FROM meta").fetchone()
    async with await threaded(tmp_path, station=station):
        pass
    assert facts_of(tmp_path, UNSTATED) == []
