"""A station's disk that says it has synced, and has not: whatever is left of the station, no clip is lost."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.powercut.campaign import scratch, started_again
from tests.powercut.jobs import require_machine
from tests.powercut.judge import Judge
from tests.powercut.oplog import ROOT, Linked, Record, Renamed, Synced, read
from tests.powercut.rebuild import Medium
from tests.powercut.workload import record

SEED = 5
CUT_EVERY, START_EVERY = 40, 800


def believed(log: Path) -> Iterator[Record]:
    """Give a log without the syncs of the station's folder and of everything in it."""
    station: set[int] = set()
    for each in read(log):
        match each:
            case Linked(parent=parent, name=name, ino=ino) if parent in station or (parent, name) == (ROOT, "station"):
                station.add(ino)
            case Renamed(to_parent=parent, ino=ino) if parent in station:
                station.add(ino)
            case Synced(ino=ino) if ino in station:
                continue
            case _:
                pass
        yield each


@pytest.mark.promise("I4")
@pytest.mark.timeout(600)
def test_on_a_disk_that_lies_about_its_syncs_every_clip_is_on_its_camera_or_at_the_store() -> None:
    require_machine()
    with scratch() as folder:
        recorded = record(folder, SEED, "")
        assert not recorded.trouble
        medium, judge, cuts, starts = Medium(), Judge(folder), 0, 0
        for at, each in enumerate(believed(recorded.log)):
            medium.take(each)
            if at % CUT_EVERY == 0 and medium.claims:
                cuts += 1
                wreck = medium.cut(random.Random(at))
                assert list(judge.lost(wreck)) == []
                if at % START_EVERY == 0:
                    # A station that lost its ledger begins anew: what is at the store already is found there.
                    starts += 1
                    root = folder / f"again-{at}"
                    assert list(Judge(folder).lost(started_again(wreck, root))) == []
                    assert [path for path in (root / "cameras").rglob("*") if path.is_file()] == []
        assert cuts > 50
        assert starts > 2
