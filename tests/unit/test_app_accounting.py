"""The accounts of a station in its world: what agrees, what does not, and by what name (I18)."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from dockd.app import comparison
from dockd.app.accounting import DAY_S, FIRST_S
from dockd.app.comparison import REBUILD_S
from dockd.domain.accounting import Given
from dockd.domain.model import Assurance, ClipId
from dockd.errors import Reason
from tests.sim.auditor import Auditor
from tests.sim.books import Books
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy
from tests.sim.world import STATION

CLIP = {"A.MP4": b"a" * 900}
CLIPS = {f"{number}.MP4": bytes([number]) * 100 for number in range(5)}
Plant = Callable[[Sequence[Given]], Sequence[Given]]


def differences(world: Scene) -> list[tuple[str, str, str]]:
    """What differs, as it is on record."""
    rows = world.books.connection.execute("SELECT kind, clip_id, detail FROM differences ORDER BY key")
    return [(kind, clip_id, detail) for kind, clip_id, detail in rows]


def kinds(world: Scene) -> list[str]:
    """What kinds of differences there are."""
    return [kind for kind, *_ in differences(world)]


def facts(world: Scene, cause: str) -> list[tuple[str, str | None]]:
    """The occasion and the named clips of every such custody entry."""
    rows = world.books.connection.execute(
        "SELECT json_extract(body, '$.facts.occasion'), json_extract(body, '$.facts.clips') FROM custody"
        " WHERE json_extract(body, '$.cause') = ? ORDER BY seq",
        (cause,),
    )
    return [(occasion, clips) for occasion, clips in rows]


async def shift(world: Scene, files: dict[str, bytes] | None = None, *, name: str = "cam") -> None:
    """Let a camera come, be done with, and go."""
    camera = world.camera(name, files or CLIPS)
    world.dock(camera, 1)
    await world.rest()
    world.pull(camera)
    await asyncio.sleep(2)


async def closed(world: Scene) -> None:
    """Wait for every account."""
    await world.until(lambda: world.running.station.accounted)


async def whole_day(world: Scene) -> None:
    """Let a day go by."""
    await asyncio.sleep(DAY_S + FIRST_S)
    await closed(world)


def without(clip_id: str) -> Plant:
    """A list that lacks a clip."""
    return lambda given: [one for one in given if one.clip_id != clip_id]


def forged(world: Scene, **claims: str | int) -> str:
    """Sign a receipt for whatever is claimed."""
    usual: dict[str, str | int] = {
        "aud": STATION, "clip_id": "e" * 64, "leaf": "0" * 64, "length": 5, "meta_sha256": "a" * 64, "sha256": "b" * 64,
        "store": "simulated", "stored_at": "2024-03-01T06:00:00Z",
    }  # fmt: skip
    return world.store.key.sign(usual | claims)


def with_one_more(receipt: str, clip_id: str = "e" * 64) -> Plant:
    """A list with one more line, before all others."""
    return lambda given: [
        Given(seq=1, clip_id=ClipId(clip_id), receipt=receipt),
        *(replace(one, seq=one.seq + 1) for one in given),
    ]


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
        view = (await world.running.station.view()).account
        assert view is not None
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
    (end,) = connection.execute("SELECT seq, hash FROM custody ORDER BY seq DESC LIMIT 1")
    auditor._seq, auditor._hash = end
    world.boot()


def begin_anew(world: Scene) -> None:
    """Take an empty database, and let the auditor forget the chain that he saw."""
    world.books.connection.close()
    world.books = Books(world.fate, station=STATION, clock=world.clock, committed=world._committed)
    world.auditor = Auditor(
        connection=world.books.connection,
        disk=world.disk,
        store=world.store,
        rack=world.rack,
        now_s=world.clock.monotonic_s,
    )
    world.disk.discarding = world.auditor.discarding


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
        view = (await world.running.station.view()).account
        assert view is not None
        assert (view.reason, view.last) == (Reason.NETWORK, None)
        assert "no answer" in view.detail
        world.plan(Fault.BLACK_HOLE, 0)
        await closed(world)
        view = (await world.running.station.view()).account
        assert view is not None
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
        assert [text for text in said if text.startswith(("UPDATE accounting", "SELECT key, receipted_utc"))] == []
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


@pytest.mark.promise("I18")
def test_a_store_without_a_list_leaves_the_local_half() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await asyncio.sleep(FIRST_S * 2)
        await closed(world)
        assert world.notes("reconciled") == world.notes("difference") == 0
        assert not world.accounts.statements
        view = (await world.running.station.view()).account
        assert view is not None
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
        view = (await world.running.station.view()).account
        assert view is not None
        assert view.reason is Reason.STORE
        assert view.detail == "the store listed its receipts up to 5 before, and lists none now"

    play(scene)


@pytest.mark.promise("I18")
def test_a_store_whose_count_is_not_that_of_its_list_is_told() -> None:
    async def scene(world: Scene) -> None:
        size = world.accounts.size
        world.accounts.size = lambda given: replace(size(given), files=len(given) + 1)  # type: ignore[method-assign]
        await shift(world)
        await closed(world)
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
def test_receipts_of_another_store_are_no_difference_and_are_told_once() -> None:
    async def scene(world: Scene) -> None:
        await shift(world)
        await whole_day(world)
        world.accounts.name, world.accounts.planted = "central-2", lambda _: []
        await shift(world, CLIP, name="other")
        await closed(world)
        view = (await world.running.station.view()).account
        assert (view.differences, dict(view.elsewhere)) == (0, {"simulated": 6})
        await whole_day(world)
        assert not world.notes("difference")
        world.accounts.name, world.accounts.planted = "simulated", list
        await whole_day(world)
        assert dict((await world.running.station.view()).account.elsewhere) == {}

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


@pytest.mark.promise("I18")
def test_a_store_that_lists_receipts_and_takes_no_statements_is_compared_all_the_same() -> None:
    async def scene(world: Scene) -> None:
        world.accounts.take = lambda _: None  # type: ignore[method-assign, assignment, return-value]
        await shift(world)
        await whole_day(world)
        assert facts(world, "reconciled") == [("docking", None), ("daily", None), ("daily", None)]

    play(scene)
