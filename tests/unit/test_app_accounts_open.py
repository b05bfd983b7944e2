"""Accounts that cannot be closed: what differs is told all the same, and that they stay open is an alarm (I18)."""

import asyncio
from collections.abc import Callable

import pytest

from dockd.app.account_ports import GivenPage
from dockd.app.accounting import DAY_S, LATE_S
from dockd.domain.statement import Statement, Verdict
from dockd.errors import Reason, TransientError
from tests.account_scenes import CLIP, closed, differences, facts, shift, whole_day, without
from tests.sim.accounts import SimAccounts
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play


async def forbidden(_: SimAccounts, statement: Statement) -> Verdict | None:
    """Take no statement: whoever stands before the store lets only questions pass."""
    raise TransientError(Reason.AUTH, f"POST account {statement.about}: answered 403")


def rounds(world: Scene) -> int:
    """How often a whole comparison was begun."""
    (number,) = world.books.connection.execute("SELECT round FROM accounting").fetchone()
    return int(number)


@pytest.mark.promise("I18")
@pytest.mark.parametrize("docking", [True, False])
def test_what_differs_is_an_alarm_though_the_store_takes_no_statement(
    monkeypatch: pytest.MonkeyPatch, *, docking: bool
) -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        dropped = world.clips("2.MP4")[0].clip_id
        assert dropped is not None
        with monkeypatch.context() as patched:
            patched.setattr(SimAccounts, "declare", forbidden)
            world.accounts.planted = without(dropped)
            if docking:
                await shift(world, CLIP, name="other")
            await asyncio.sleep(DAY_S + 600)
            assert not world.running.station.accounted
            assert facts(world, "difference") == [("daily", dropped)]
        await whole_day(world)
        assert facts(world, "unreconciled")[-1] == ("daily", dropped)
        world.accounts.planted = list
        await whole_day(world)
        assert facts(world, "reconciled")[-1] == ("daily", None)
        assert len(facts(world, "difference")) == 1

    play(scene)


@pytest.mark.promise("I17")
@pytest.mark.promise("I18")
def test_a_store_that_takes_no_statement_does_not_have_its_list_read_whole_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        before = rounds(world)
        monkeypatch.setattr(SimAccounts, "declare", forbidden)
        await asyncio.sleep(1.5 * DAY_S)
        assert rounds(world) == before + 1

    play(scene)


def longer(page: GivenPage) -> GivenPage:
    """Count one receipt more than there is."""
    total = page.total
    return GivenPage(
        receipts=page.receipts, more=page.more, total=type(total)(files=total.files + 1, bytes_=total.bytes_)
    )


@pytest.mark.promise("I17")
@pytest.mark.promise("I18")
def test_a_store_that_counts_wrong_for_ever_has_its_list_read_whole_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    receipts = SimAccounts.receipts

    async def miscounted(accounts: SimAccounts, *, after: int, limit: int) -> GivenPage | None:
        page = await receipts(accounts, after=after, limit=limit)
        return None if page is None else longer(page)

    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        monkeypatch.setattr(SimAccounts, "receipts", miscounted)
        await shift(world, CLIP, name="first")
        await closed(world)
        before = rounds(world)
        for name in ("second", "third"):
            await shift(world, {f"{name}.MP4": name.encode()}, name=name)
            await closed(world)
        assert rounds(world) == before
        assert "the store says that it gave" in differences(world)[0][2]
        await whole_day(world)
        assert rounds(world) == before + 1

    play(scene)


def no_list(world: Scene) -> None:
    """Let the store keep no accounts any more."""
    world.accounts.offered = False


def no_answer(world: Scene) -> None:
    """Let the store be away."""
    world.plan(Fault.BLACK_HOLE)


@pytest.mark.promise("I18")
@pytest.mark.parametrize("ceasing", [no_list, no_answer])
def test_accounts_that_stay_open_are_an_alarm_until_they_are_closed(ceasing: Callable[[Scene], None]) -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        ceasing(world)
        await asyncio.sleep(DAY_S)
        assert not differences(world)
        await asyncio.sleep(LATE_S - 0.9 * DAY_S)
        ((kind, clip_id, detail),) = differences(world)
        assert (kind, clip_id) == ("overdue", "")
        assert detail.startswith("the whole station's account was closed last at 2024-03-0")
        assert facts(world, "difference") == [("daily", None)]
        await asyncio.sleep(1.2 * DAY_S)
        assert len(facts(world, "difference")) == 1
        world.accounts.offered = True
        world.plan(Fault.BLACK_HOLE, 0)
        await closed(world)
        assert not differences(world)
        assert facts(world, "reconciled")[-1] == ("daily", None)

    play(scene)


@pytest.mark.promise("I18")
def test_rows_that_do_not_add_up_are_an_alarm_though_the_store_is_away() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        world.plan(Fault.BLACK_HOLE)
        world.books.connection.execute("UPDATE tallies SET files = files + 1 WHERE state = 'erased'")
        await asyncio.sleep(DAY_S + LATE_S)
        assert "the whole station: seen 5 files" in [detail for *_, detail in differences(world)][-1]

    play(scene)


@pytest.mark.promise("I18")
def test_a_station_that_is_started_every_morning_alarms_all_the_same() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        world.plan(Fault.BLACK_HOLE)
        for _ in range(4):
            await asyncio.sleep(DAY_S / 2)
            await world.stop()
            await asyncio.sleep(DAY_S / 2)
            world.boot()
        await asyncio.sleep(DAY_S / 2)
        assert [kind for kind, *_ in differences(world)] == ["overdue"]

    play(scene)
