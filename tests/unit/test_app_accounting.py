"""The accounts of a station in its world: when they are compared and stated, and when they wait (I18)."""

import asyncio

import pytest

from dockd.app import comparison
from dockd.app.accounting import DAY_S, FIRST_S
from dockd.errors import Reason
from tests.account_scenes import CLIPS, closed, differences, facts, shift, shown, whole_day
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play


@pytest.mark.promise("I18")
def test_a_docking_that_ended_is_compared_stated_and_put_on_record() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await closed(world)
        assert facts(world, "reconciled") == [("docking", None)]
        (said,) = world.accounts.statements
        assert said["kind"] == "docking"
        assert said["account"] == {
            "seen_files": 5, "seen_bytes": 500, "receipted_files": 5, "receipted_bytes": 500,
            "pending_files": 0, "pending_bytes": 0, "quarantined_files": 0, "quarantined_bytes": 0,
        }  # fmt: skip
        assert said["listed"] == {"files": 5, "bytes": 500}
        view = await shown(world)
        assert (view.differences, view.offered, view.reason) == (0, True, None)
        assert view.last is not None
        assert (view.last.occasion, view.last.docking, view.last.compared) == ("docking", 1, True)

    play(scene)


@pytest.mark.promise("I18")
def test_the_whole_station_is_compared_soon_after_the_start_and_once_a_day() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await asyncio.sleep(FIRST_S)
        await whole_day(world)
        assert [occasion for occasion, _ in facts(world, "reconciled")] == ["docking", "daily", "daily"]
        assert [said["kind"] for said in world.accounts.statements] == ["docking", "daily", "daily"]

    play(scene)


@pytest.mark.promise("I18")
def test_a_docking_that_ends_while_clips_are_on_their_way_is_stated_as_it_ended() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": b"a" * 9000, "B.MP4": b"b" * 9000})
        world.dock(camera, 1)
        await world.until(lambda: world.clips("B.MP4") and world.clips("B.MP4")[0].state != "found")
        world.pull(camera)
        await world.rest()
        await closed(world)
        (said,) = world.accounts.statements
        account = said["account"]
        assert isinstance(account, dict)
        assert account["seen_files"] == 2
        assert account["pending_files"] >= 1
        await whole_day(world)
        assert not differences(world)
        assert world.accounts.statements[-1]["account"] == account | {
            "receipted_files": 2, "receipted_bytes": 18000, "pending_files": 0, "pending_bytes": 0
        }  # fmt: skip

    play(scene)


@pytest.mark.promise("I17")
@pytest.mark.promise("I18")
def test_a_whole_list_that_agrees_is_compared_without_a_write_for_each_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "PAGE", 1)

    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        said: list[str] = []
        world.books.connection.set_trace_callback(said.append)
        await whole_day(world)
        world.books.connection.set_trace_callback(None)
        assert facts(world, "reconciled")[-1] == ("daily", None)
        assert [text for text in said if text.startswith("UPDATE accounting SET cursor")] == []

    play(scene)


@pytest.mark.promise("I17")
def test_a_store_that_is_away_is_asked_again_and_the_account_is_closed_then() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIPS)
        world.dock(camera, 1)
        await world.rest()
        world.plan(Fault.BLACK_HOLE)
        world.pull(camera)
        await asyncio.sleep(60)
        assert not world.running.station.accounted
        view = await shown(world)
        assert (view.reason, view.last) == (Reason.NETWORK, None)
        assert "no answer" in view.detail
        world.plan(Fault.BLACK_HOLE, 0)
        await closed(world)
        view = await shown(world)
        assert view.reason is None
        assert [occasion for occasion, _ in facts(world, "reconciled")] == ["docking", "daily"]

    play(scene)


@pytest.mark.promise("I17")
def test_a_store_that_is_away_for_a_day_has_no_clip_looked_at_for_it() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        world.plan(Fault.BLACK_HOLE)
        said: list[str] = []
        world.books.connection.set_trace_callback(said.append)
        await asyncio.sleep(2 * DAY_S)
        assert not world.running.station.accounted
        assert [
            text for text in said if text.startswith(("UPDATE accounting SET round", "SELECT key, receipted_utc"))
        ] == []
        world.plan(Fault.BLACK_HOLE, 0)
        await closed(world)
        assert facts(world, "reconciled")[-1] == ("daily", None)

    play(scene)


@pytest.mark.promise("I18")
def test_an_account_that_a_power_cut_left_open_is_closed_after_it() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIPS), 1)
        await world.until(lambda: world.clips("4.MP4"))
        await world.lose_power()
        world.boot()
        await world.rest()
        await closed(world)
        (said,) = [said["docking"] for said in world.accounts.statements if said["docking"]]
        assert isinstance(said, dict)
        assert said["early"] is None

    play(scene)


@pytest.mark.promise("I17")
def test_a_restart_within_a_day_reads_only_what_is_new() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        days = len(facts(world, "reconciled"))
        rounds = "SELECT round FROM accounting"
        before = world.books.connection.execute(rounds).fetchone()
        for _ in range(3):
            await world.stop()
            world.boot()
            await asyncio.sleep(FIRST_S * 2)
            await closed(world)
        assert world.books.connection.execute(rounds).fetchone() == before
        assert len(facts(world, "reconciled")) == days
        await whole_day(world)
        assert facts(world, "reconciled")[days:] == [("daily", None)]

    play(scene)


@pytest.mark.promise("I18")
@pytest.mark.parametrize("utc", ["2999-01-01T00:00:00.000000Z", "2000-01-01T00:00:00.000000Z"], ids=["ahead", "old"])
def test_a_clock_that_cannot_be_has_the_whole_list_read_soon_after_the_start(utc: str) -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        days = len(facts(world, "reconciled"))
        await world.stop()
        world.books.connection.execute("UPDATE accounting SET whole_utc = ?", (utc,))
        world.boot()
        await asyncio.sleep(FIRST_S * 2)
        await closed(world)
        assert facts(world, "reconciled")[days:] == [("daily", None)]

    play(scene)
