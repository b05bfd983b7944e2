"""The accounts of a station whose store lists nothing, takes nothing, or is another one than before (I18)."""

import asyncio
from dataclasses import replace

import pytest

from dockd.app.accounting import FIRST_S
from dockd.domain.model import Assurance
from dockd.errors import Reason
from tests.account_scenes import CLIP, closed, differences, facts, forged, kinds, shift, shown, whole_day, without
from tests.sim.scene import Scene, play, policy


@pytest.mark.promise("I18")
def test_a_store_without_a_list_leaves_the_local_half() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await asyncio.sleep(FIRST_S * 2)
        await closed(world)
        assert world.notes("reconciled") == world.notes("difference") == 0
        assert not world.accounts.statements
        view = await shown(world)
        assert view.offered is False
        assert view.last is not None
        assert (view.last.compared, view.last.account.pending.files) == (False, 5)
        world.books.connection.execute("UPDATE tallies SET files = files - 1 WHERE files = 5")
        await whole_day(world)
        assert kinds(world) == ["miscounted"]
        assert world.notes("difference") == 1

    play(scene, policy=policy(wanted=Assurance.ACCEPTED, erase=False), receipts=False)


@pytest.mark.promise("I18")
def test_a_store_that_listed_receipts_and_lists_none_any_more_is_no_store_without_a_list() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await closed(world)
        world.accounts.offered = False
        await shift(world, CLIP, name="other")
        view = await shown(world)
        assert view.reason is Reason.STORE
        assert view.detail == "the store listed its receipts up to 5 before, and lists none now"

    play(scene)


@pytest.mark.promise("I18")
def test_receipts_of_another_store_are_no_difference_and_are_told_once() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        world.accounts.name, world.accounts.planted = "central-2", lambda _: []
        await shift(world, CLIP, name="other")
        await closed(world)
        view = await shown(world)
        assert (view.differences, dict(view.elsewhere)) == (0, {"simulated": 6})
        await whole_day(world)
        assert not world.notes("difference")
        world.accounts.name, world.accounts.planted = "simulated", list
        await whole_day(world)
        assert dict((await shown(world)).elsewhere) == {}

    play(scene)


@pytest.mark.promise("I18")
def test_another_store_whose_list_is_as_long_as_the_old_one_is_read_from_its_beginning() -> None:
    async def scene(world: Scene) -> None:
        await shift(world, CLIP)
        await whole_day(world)
        (line,) = world.accounts.given()
        world.accounts.name = "central-2"
        world.accounts.planted = lambda _: [replace(line, receipt=forged(world, store="central-2"))]
        await shift(world, {}, name="empty")
        await closed(world)
        assert "other-receipt" in kinds(world)

    play(scene)


@pytest.mark.promise("I18")
@pytest.mark.parametrize("name", ["central-2", None])
def test_a_store_with_a_new_name_or_none_is_held_to_the_receipts_that_it_still_lists(name: str | None) -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        dropped = world.clips("2.MP4")[0].clip_id
        assert dropped is not None
        world.accounts.name, world.accounts.planted = name, without(dropped)
        await whole_day(world)
        assert [(kind, clip_id) for kind, clip_id, _ in differences(world)] == [("not-at-store", dropped)]

    play(scene)


@pytest.mark.promise("I18")
def test_a_store_that_lists_receipts_and_takes_no_statements_is_compared_all_the_same() -> None:
    async def scene(world: Scene) -> None:
        world.accounts.take = lambda _: None  # type: ignore[method-assign, assignment, return-value]
        await shift(world)
        await whole_day(world)
        assert facts(world, "reconciled") == [("docking", None), ("daily", None), ("daily", None)]

    play(scene)
