"""Faults planted in dockd, each caught by the strikes named here; without them the same strikes find nothing wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.killpoint.campaign import struck
from tests.killpoint.faults import Strike
from tests.killpoint.mutants import NONE, PLANTS
from tests.killpoint.verdict import Verdict

pytestmark = [pytest.mark.timeout(300)]

UNLINK = "child:unlinkat:card/DCIM/100DOCKD/CLIP0001.MP4:1"
LOG_WRITES = tuple(f"kill@parent:pwrite64:state/ledger.db-wal:{number}" for number in range(180, 300, 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """The strikes that catch a mutant, and the words that do: in at least one verdict each."""

    mutant: str
    run: str
    by: Sequence[str]
    words: Sequence[str]


CATCHES = (
    Catch(
        mutant="short-write-ignored",
        run="station",
        by=("short@child:write:state/spool/PART:1",),
        words=("I5: state/spool/PART: given a name, and its bytes are those of no clip",),
    ),
    Catch(
        mutant="enospc-ignored",
        run="station",
        by=("enospc@child:write:state/spool/PART:1",),
        words=("I9: state/spool/PART: given a name after it could not be written or synced",),
    ),
    Catch(
        mutant="fsync-retried",
        run="station",
        by=("eio@child:fdatasync:state/spool/PART:1", "lost@child:fdatasync:state/spool/PART:2"),
        words=("I9: state/spool/PART: synced again after it could not be written or synced",),
    ),
    Catch(
        mutant="copy-not-synced",
        run="station",
        by=(f"kill@{UNLINK}",),
        words=("I8: state/spool/PART: given a name before it was synced",),
    ),
    Catch(
        mutant="folder-not-synced",
        run="station",
        by=(f"kill@{UNLINK}",),
        words=("and its copy's name was never synced",),
    ),
    Catch(
        mutant="claim-before-commit",
        run="station",
        by=(f"kill@{UNLINK}", f"power@{UNLINK}"),
        words=("ERASED EARLY: not on the card, and the ledger says receipted",),
    ),
    Catch(
        mutant="erase-without-receipt",
        run="station",
        by=(f"kill@{UNLINK}",),
        words=("LOST: not on the card, and the ledger says",),
    ),
    Catch(
        mutant="receipt-not-synced",
        run="station",
        by=(f"kill@{UNLINK}",),
        words=("I1: at the unlink, by what is synced",),
    ),
    Catch(
        mutant="custody-outside-transaction",
        run="station",
        by=LOG_WRITES,
        # Which move is torn from its entry is decided by which of them share a commit in this run.
        words=(", the custody log ", "dockctl verify: custody entry"),
    ),
    Catch(
        mutant="store-signs-before-sync",
        run="store",
        by=("kill@parent:rename:central/uploads/ID:2",),
        words=("I8: central/uploads/ID: made an object before it was synced",),
    ),
    Catch(
        mutant="store-fsync-retried",
        run="store",
        by=("eio@parent:fsync:central/uploads/ID:1",),
        words=("I9: central/uploads/ID: synced again after it could not be",),
    ),
    Catch(
        mutant="store-names-unsynced",
        run="store",
        by=("kill@parent:unlink:central/index.sqlite3-wal:1",),
        words=("I2: signed for object",),
    ),
    Catch(
        mutant="store-signs-first",
        run="store",
        by=("kill@parent:rename:central/uploads/ID:1",),
        words=("the store signed for", "and holds nothing"),
    ),
)


def words_of(verdicts: Sequence[Verdict]) -> str:
    return "\n".join(word for verdict in verdicts for word in verdict.wrong)


@pytest.mark.parametrize("catch", CATCHES, ids=[catch.mutant for catch in CATCHES])
def test_a_fault_planted_in_dockd_is_caught(catch: Catch) -> None:
    verdicts = struck(catch.run, [Strike.of(text) for text in catch.by], mutant=catch.mutant)
    for words in catch.words:
        assert words in words_of(verdicts), verdicts


def test_every_fault_that_can_be_planted_is() -> None:
    assert {catch.mutant for catch in CATCHES} == set(PLANTS)


@pytest.mark.parametrize("run", ["station", "store"])
def test_the_strikes_that_catch_a_planted_fault_find_nothing_without_it(run: str) -> None:
    strikes = sorted({text for catch in CATCHES if catch.run == run for text in catch.by})
    verdicts = struck(run, [Strike.of(text) for text in strikes], mutant=NONE)
    assert words_of(verdicts) == ""
    assert all(verdict.struck for verdict in verdicts)
