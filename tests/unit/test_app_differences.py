"""What does not agree in a station's accounts, and by what name it is told (I18)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from dockd.app.accounting import FIRST_S
from dockd.domain.accounting import Given
from dockd.domain.model import ClipId
from tests.account_scenes import (
    CLIP,
    CLIPS,
    begin_anew,
    closed,
    differences,
    facts,
    forged,
    kinds,
    shift,
    whole_day,
    with_one_more,
    without,
)
from tests.sim.scene import Scene, play, policy


@pytest.mark.promise("I18")
def test_a_clip_that_the_store_dropped_is_named_at_the_next_docking() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await closed(world)
        dropped = world.clips("2.MP4")[0].clip_id
        assert dropped is not None
        world.accounts.planted = without(dropped)
        await shift(world, CLIP, name="other")
        await closed(world)
        assert [(kind, clip_id) for kind, clip_id, _ in differences(world)] == [("not-at-store", dropped)]
        assert facts(world, "difference") == [("docking", dropped)]
        world.accounts.planted = list
        await whole_day(world)
        assert not differences(world)
        assert facts(world, "reconciled")[-1] == ("daily", None)

    play(scene)


@pytest.mark.promise("I18")
def test_a_clip_that_another_came_in_the_place_of_is_named_within_a_day() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await asyncio.sleep(FIRST_S)
        dropped = world.clips("2.MP4")[0].clip_id
        assert dropped is not None
        receipt = forged(world)

        def swapped(given: Sequence[Given]) -> Sequence[Given]:
            return [
                replace(one, clip_id=ClipId("e" * 64), receipt=receipt) if one.clip_id == dropped else one
                for one in given
            ]

        world.accounts.planted = swapped
        await whole_day(world)
        found = {(kind, clip_id) for kind, clip_id, _ in differences(world)}
        assert found >= {("not-at-store", dropped), ("unknown-here", "e" * 64)}

    play(scene)


@pytest.mark.promise("I18")
def test_a_stranger_in_the_stores_list_is_named_and_every_day_again() -> None:
    async def scene(world: Scene) -> None:
        world.accounts.planted = with_one_more(forged(world))
        await shift(world)
        await closed(world)
        assert ("unknown-here", "e" * 64, "the store gave receipt 1 for it") in differences(world)
        since = world.books.connection.execute("SELECT since_utc FROM differences").fetchall()
        await whole_day(world)
        assert world.books.connection.execute("SELECT since_utc FROM differences").fetchall()[:1] == since[:1]
        assert facts(world, "difference") == [("docking", "e" * 64)]
        assert facts(world, "unreconciled")[-1] == ("daily", "e" * 64)
        assert not facts(world, "reconciled")

    play(scene)


@pytest.mark.promise("I18")
@pytest.mark.parametrize("flaw", ["text", "other clip", "other station", "other receipt"])
def test_a_listed_receipt_that_is_not_that_clips_for_us_is_named(flaw: str) -> None:
    async def scene(world: Scene) -> None:
        await shift(world, CLIP)
        clip_id = world.clips("A.MP4")[0].clip_id
        assert clip_id is not None
        receipt = {
            "text": "no receipt",
            "other clip": forged(world),
            "other station": forged(world, clip_id=clip_id, aud="south-2"),
            "other receipt": forged(world, clip_id=clip_id),
        }[flaw]
        world.accounts.planted = lambda given: [replace(one, receipt=receipt) for one in given]
        await whole_day(world)
        assert ("other-receipt", clip_id) in [(kind, named) for kind, named, _ in differences(world)]

    play(scene)


@pytest.mark.promise("I17")
@pytest.mark.promise("I18")
@pytest.mark.parametrize("what", ["half a character", "beyond all lengths", "too much together"])
def test_a_listed_receipt_that_cannot_be_put_down_is_named_and_stops_no_station(what: str) -> None:
    async def scene(world: Scene) -> None:
        receipt = {
            "half a character": "\ud800",
            "beyond all lengths": forged(world, length=10**30),
            "too much together": forged(world, length=2**63 - 1),
        }[what]
        world.accounts.planted = with_one_more(receipt)
        await shift(world)
        await whole_day(world)
        kind = "other-receipt" if what == "half a character" else "unknown-here"
        assert (kind, "e" * 64) in [(kind, named) for kind, named, _ in differences(world)]

    play(scene)


@pytest.mark.promise("I18")
def test_a_row_deleted_by_hand_is_named_by_the_custody_log() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await closed(world)
        clip_ids = [world.clips(f"{number}.MP4")[0].clip_id for number in (1, 4)]
        connection = world.books.connection
        (trigger,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'clips_stay'").fetchone()
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DROP TRIGGER clips_stay")
        connection.execute("DELETE FROM clips WHERE path IN (?, ?)", (b"1.MP4", b"4.MP4"))
        connection.execute(trigger)
        connection.execute("PRAGMA foreign_keys = ON")
        await whole_day(world)
        found = [(kind, clip_id) for kind, clip_id, _ in differences(world)]
        assert sorted(found) == sorted([(kind, one) for one in clip_ids for kind in ("miscounted", "unknown-here")])
        assert any("clip 2: its row is gone from the ledger" in detail for *_, detail in differences(world))

    play(scene, policy=policy(erase=False))


@pytest.mark.promise("I18")
def test_a_count_that_was_changed_by_hand_does_not_add_up() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await closed(world)
        world.books.connection.execute("UPDATE tallies SET files = files - 1 WHERE files = 5")
        await whole_day(world)
        (detail,) = [detail for kind, _, detail in differences(world) if "whole station" in detail]
        assert detail.startswith("the whole station: seen 5 files of 500 bytes, but receipted 4 files of 500 bytes")
        assert any("the store says of daily" in words for *_, words in differences(world))

    play(scene)


@pytest.mark.promise("I18")
def test_a_docking_whose_clips_do_not_add_up_is_told() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIPS)
        world.dock(camera, 1)
        await world.rest()
        world.books.connection.execute("UPDATE dockings SET files = 9")
        world.pull(camera)
        await asyncio.sleep(2)
        await closed(world)
        assert differences(world) == [
            ("miscounted", "", "docking 1: 9 files were listed on the camera, and 5 are on record")
        ]

    play(scene)


@pytest.mark.promise("I18")
def test_files_of_a_docking_that_never_came_on_record_are_not_forgotten_with_the_day() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIPS)
        world.dock(camera, 1)
        await world.rest()
        world.books.connection.execute("UPDATE dockings SET files = 9")
        world.pull(camera)
        await asyncio.sleep(2)
        for _ in range(3):
            await whole_day(world)
        assert differences(world) == [
            ("miscounted", "", "docking 1: 9 files were listed on the camera, and 5 are on record")
        ]
        assert facts(world, "difference") == [("docking", None)]
        assert facts(world, "unreconciled")[-1] == ("daily", None)

    play(scene)


@pytest.mark.promise("I18")
def test_a_store_whose_count_is_not_that_of_its_list_is_told() -> None:
    async def scene(world: Scene) -> None:
        size = world.accounts.size
        world.accounts.size = lambda given: replace(size(given), files=len(given) + 1)  # type: ignore[method-assign]
        await shift(world)
        await whole_day(world)
        details = [detail for kind, _, detail in differences(world) if kind == "miscounted"]
        assert "the store says that it gave 6 files of 500 bytes, and lists 5 files of 500 bytes" in details

    play(scene)


@pytest.mark.promise("I18")
def test_a_clip_that_was_copied_again_and_is_of_other_bytes_is_known_by_both_names() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4") and world.clips("A.MP4")[0].state == "copied", every_s=0.0005)
        connection = world.books.connection
        await world.rest()
        (clip,) = world.clips("A.MP4")
        # As after a misread copy that was uploaded, lost here, and made again.
        connection.execute("INSERT INTO former (clip_id, clip) VALUES (?, ?)", ("e" * 64, clip.key))
        leaf = connection.execute("SELECT hash FROM custody WHERE clip = ? LIMIT 1", (clip.key,)).fetchone()[0]
        world.accounts.planted = with_one_more(forged(world, leaf=leaf))
        await whole_day(world)
        assert "unknown-here" not in kinds(world)

    play(scene, policy=policy(erase=False))


def says(world: Scene, words: Callable[[dict[str, object]], str]) -> None:
    """Let the store find every statement wrong, in these words."""
    take = world.accounts.take
    world.accounts.take = lambda statement: replace(  # type: ignore[method-assign]
        take(statement), differs=(words(world.accounts.statements[-1]),)
    )


@pytest.mark.promise("I18")
def test_a_difference_that_stays_alarms_once_however_many_dockings_end() -> None:
    async def scene(world: Scene) -> None:
        world.accounts.planted = with_one_more(forged(world))
        for name in ("first", "second", "third"):
            await shift(world, {f"{name}.MP4": name.encode()}, name=name)
            await closed(world)
        await whole_day(world)
        assert world.notes("difference") == 1
        assert [occasion for occasion, _ in facts(world, "unreconciled")][:2] == ["docking", "docking"]
        world.accounts.planted = list
        await whole_day(world)
        assert facts(world, "reconciled")[-1] == ("daily", None)
        world.accounts.planted = with_one_more(forged(world))
        await whole_day(world)
        assert world.notes("difference") == 2

    play(scene)


@pytest.mark.promise("I18")
def test_what_the_store_says_of_every_docking_is_one_difference_with_its_count_and_times() -> None:
    async def scene(world: Scene) -> None:
        says(world, lambda said: f"receipt {said['as_of']} after {len(world.accounts.statements):064x} is odd")
        for name in ("first", "second", "third"):
            await shift(world, {f"{name}.MP4": name.encode()}, name=name)
            await closed(world)
        await whole_day(world)
        ((kind, detail, times, since, last),) = world.books.connection.execute(
            "SELECT kind, detail, times, since_utc, last_utc FROM differences"
        )
        assert (kind, times > 3, since < last) == ("miscounted", True, True)
        assert detail.startswith("the store says of daily ")
        assert world.notes("difference") == 1

    play(scene)


@pytest.mark.promise("I18")
def test_what_the_store_says_no_more_is_settled_at_the_end_of_a_day() -> None:
    async def scene(world: Scene) -> None:
        take = world.accounts.take
        says(world, lambda _: "you are wrong")
        await shift(world)
        await closed(world)
        world.accounts.take = take  # type: ignore[method-assign]
        await whole_day(world)
        await whole_day(world)
        assert not differences(world)

    play(scene)


@pytest.mark.promise("I18")
def test_differences_that_were_looked_at_stay_counted_and_a_new_one_alarms_again() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await world.stop()
        begin_anew(world)
        world.boot()
        await closed(world)
        book = world.running.ledger.accounts
        assert await book.acknowledge(up_to=10**6, actor="user:anna", why="the disk was replaced") == 5
        view = (await world.running.station.view()).account
        assert (view.differences, view.unseen) == (5, 0)
        await whole_day(world)
        view = (await world.running.station.view()).account
        assert (view.differences, view.unseen, world.notes("difference")) == (5, 0, 1)
        world.accounts.planted = with_one_more(forged(world))
        await whole_day(world)
        unseen = world.books.connection.execute("SELECT clip_id FROM differences WHERE acknowledged = ''").fetchall()
        assert ("e" * 64,) in unseen
        assert ((await world.running.station.view()).account.unseen, world.notes("difference")) == (len(unseen), 2)

    play(scene)
