"""The accounts of a station whose ledger was lost or set back: what the store knows of it still is told (I18)."""

import asyncio
import sqlite3

import pytest

from dockd.app.accounting import FIRST_S
from dockd.app.comparison import REBUILD_S
from dockd.domain.accounting import Given
from dockd.domain.model import ClipId
from tests.account_scenes import CLIP, CLIPS, begin_anew, closed, differences, forged, kinds, shift, whole_day
from tests.sim.scene import Scene, play, policy


def snapshot(world: Scene) -> sqlite3.Connection:
    """Copy the state folder."""
    copy = sqlite3.connect(":memory:")
    world.books.connection.backup(copy)
    return copy


async def set_back(world: Scene, copy: sqlite3.Connection) -> None:
    """Put an old copy of the state folder in the place of the present one."""
    await world.stop()
    begin_anew(world)
    copy.backup(world.books.connection)
    copy.close()
    connection, auditor = world.books.connection, world.auditor
    auditor._states.update(connection.execute("SELECT key, state FROM clips"))
    found = connection.execute("SELECT key, facts, recording_id FROM clips")
    auditor._found.update((key, (facts, recording)) for key, facts, recording in found)
    (end,) = connection.execute("SELECT seq, hash FROM custody ORDER BY seq DESC LIMIT 1")
    auditor._seq, auditor._hash = end
    world.boot()


@pytest.mark.promise("I18")
def test_a_state_folder_that_was_set_back_is_found_out_and_the_clips_are_named() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIPS)
        await shift(world, CLIP, name="first")
        await closed(world)
        early = snapshot(world)
        world.dock(camera, 1)
        await world.rest()
        lost = {world.clips(f"{number}.MP4")[0].clip_id for number in range(5)}
        await set_back(world, early)
        await asyncio.sleep(FIRST_S * 2)
        await closed(world)
        found = {(kind, clip_id) for kind, clip_id, _ in differences(world) if clip_id}
        assert found == {("unknown-here", clip_id) for clip_id in lost}

    play(scene)


@pytest.mark.promise("I18")
def test_a_clip_known_before_and_after_the_folder_was_set_back_has_a_leaf_that_is_not_in_the_chain() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4"))
        early = snapshot(world)
        await world.rest()
        (clip,) = world.clips("A.MP4")
        await set_back(world, early)
        await world.rest()
        await asyncio.sleep(FIRST_S * 2)
        await closed(world)
        assert [(kind, clip_id) for kind, clip_id, _ in differences(world)] == [("leaf-unknown", clip.clip_id)]

    play(scene, policy=policy(erase=False))


async def lose_the_ledger(world: Scene) -> None:
    """Lose the whole database, and begin a new one that declares it."""
    await world.stop()
    begin_anew(world)
    world.boot()
    await world.running.ledger.note("ledger-recovered", actor="ledger")


@pytest.mark.promise("I18")
def test_after_a_declared_recovery_what_only_the_store_knows_is_taken_over_and_nothing_differs() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIPS)
        world.dock(camera, 1)
        await world.rest()
        await shift(world, CLIP, name="gone")
        await lose_the_ledger(world)
        await world.rest()
        await asyncio.sleep(FIRST_S * 2)
        await closed(world)
        assert not differences(world)
        (prior,) = world.books.connection.execute("SELECT count(*) FROM prior").fetchone()
        assert prior == 6
        assert world.books.connection.execute("SELECT rebuilding FROM accounting").fetchone() == (1,)
        await asyncio.sleep(REBUILD_S)
        await closed(world)
        assert world.books.connection.execute("SELECT rebuilding FROM accounting").fetchone() == (0,)
        world.accounts.planted = lambda given: [
            *given, Given(seq=99, clip_id=ClipId("e" * 64), receipt=forged(world))
        ]  # fmt: skip
        await whole_day(world)
        assert [kind for kind in kinds(world) if kind != "miscounted"] == ["unknown-here"]

    play(scene, policy=policy(erase=False))


@pytest.mark.promise("I18")
def test_a_ledger_that_was_lost_and_declares_nothing_is_an_alarm() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await world.stop()
        begin_anew(world)
        world.boot()
        await closed(world)
        assert kinds(world) == ["unknown-here"] * 5

    play(scene)
