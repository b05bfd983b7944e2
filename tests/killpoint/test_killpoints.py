"""Every call of a two-clip run that changes a disk: killed before it, failed with EIO and ENOSPC, cut short."""

import os
import sys
from collections.abc import Sequence

import pytest

from tests.killpoint.campaign import MORE, NAMED, Campaign, campaign, learned, told_apart
from tests.killpoint.faults import Point

pytestmark = [pytest.mark.timeout(2500)]

ONE_IN = 1 if os.environ.get("CI") else int(os.environ.get("DOCKD_KILLPOINTS_ONE_IN", "11"))
"""In CI every strike; elsewhere one in so many, of all kinds and places. All of them take eight minutes and more."""

MISSED_OF_ALL = 0.01
"""Group commits differ a little from run to run: the last writes of a log are not in every run."""


def show(name: str, done: Campaign, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        which = "all kill points" if ONE_IN == 1 else f"one strike in {ONE_IN} at the kill points"
        sys.stdout.write(f"\n{which} of the two-clip run of {name}: {done}\n")


def nothing_elsewhere(points: Sequence[Point]) -> None:
    """A name that is not below the run's folder is absolute: a temporary file, say, where nobody looks after it."""
    assert [str(point) for point in points if point.what.startswith("/")] == []


def nothing_wrong(done: Campaign) -> None:
    assert not done.wrong, "\n".join(f"{verdict.strike}: {verdict.wrong}" for verdict in done.wrong[:20])
    assert len(done.missed) <= MISSED_OF_ALL * len(done.verdicts), done.missed


@pytest.mark.promise("I1")
@pytest.mark.promise("I4")
@pytest.mark.promise("I5")
@pytest.mark.promise("I8")
@pytest.mark.promise("I9")
@pytest.mark.promise("I11")
@pytest.mark.promise("I17")
def test_no_call_of_a_station_that_is_killed_failed_or_cut_short_costs_a_clip(
    capsys: pytest.CaptureFixture[str],
) -> None:
    points = learned("station")
    assert len(points) > 200
    nothing_elsewhere(points)
    done = campaign("station", points, [*NAMED, *MORE], one_in=ONE_IN)
    show("a station", done, capsys)
    nothing_wrong(done)


@pytest.mark.promise("I2")
@pytest.mark.promise("I8")
@pytest.mark.promise("I9")
@pytest.mark.promise("I17")
def test_no_call_of_a_store_that_is_killed_failed_or_cut_short_leaves_a_receipt_without_its_clip(
    capsys: pytest.CaptureFixture[str],
) -> None:
    points = told_apart(learned("store"))
    assert len(points) > 100
    nothing_elsewhere(points)
    done = campaign("store", points, [*NAMED, *MORE], one_in=ONE_IN)
    show("a store", done, capsys)
    nothing_wrong(done)
