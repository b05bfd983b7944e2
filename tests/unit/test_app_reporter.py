"""Telling the world outside: every event, once by its id, and never at the cost of a clip."""

import asyncio
import json
from collections import Counter

import pytest

import dockd.app.reporter
from dockd.app.reporter import AT_ONCE, REFUSED
from dockd.domain.event import EVENTS, EventType
from dockd.errors import Reason
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play

FOUR = {f"{number}.MP4": bytes([number]) * 700 for number in range(4)}


def types(world: Scene) -> Counter[str]:
    return Counter(json.loads(body)["type"] for body in world.broker.taken.values())


async def all_told(world: Scene, *, within_s: float = 600.0) -> None:
    await world.until(world.books.all_told, within_s=within_s, every_s=1.0)


def test_a_docking_is_told_from_its_beginning_to_its_end() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", FOUR)
        world.dock(camera, 1)
        await world.rest()
        world.pull(camera)
        await asyncio.sleep(1)
        await all_told(world)
        assert types(world) == {"docked": 1, "receipted": 4, "undocked": 1}
        first = next(json.loads(body) for body in world.broker.taken.values())
        assert (first["schema"], first["station"], first["bay"], first["camera"]) == (1, "station-1", 1, "cam")
        assert first["historical"] is False
        assert world.broker.repeats == 0

    play(scene)


@pytest.mark.promise("I16")
def test_a_dead_broker_costs_no_clip_a_moment_and_hears_everything_later_as_history() -> None:
    def receipted_after_s(*, dead: bool) -> float:
        took_s = 0.0

        async def scene(world: Scene) -> None:
            nonlocal took_s
            world.broker.dead = dead
            began_s = asyncio.get_running_loop().time()
            world.dock(world.camera("cam", FOUR), 1)
            await world.rest()
            took_s = asyncio.get_running_loop().time() - began_s
            reporter = world.running.station._reporter
            assert reporter is not None
            assert (reporter.reason is Reason.MQTT) == dead
            await asyncio.sleep(3600)
            assert bool(world.broker.taken) != dead
            world.broker.dead = False
            await all_told(world)
            assert types(world) == {"docked": 1, "receipted": 4}
            assert {json.loads(body)["historical"] for body in world.broker.taken.values()} == {dead}

        play(scene)
        return took_s

    # Delays are drawn by chance, so two runs differ by seconds; one wait for the broker's answer would be fifteen.
    assert receipted_after_s(dead=True) < receipted_after_s(dead=False) + 10


def test_what_happened_long_before_it_is_told_says_so() -> None:
    async def scene(world: Scene) -> None:
        world.broker.dead = True
        camera = world.camera("cam", FOUR)
        world.dock(camera, 1)
        await world.rest()
        await world.stop()
        await asyncio.sleep(3600)
        world.broker.dead = False
        world.boot()
        await all_told(world)
        told = [json.loads(body) for body in world.broker.taken.values()]
        assert {event["historical"] for event in told if event["type"] == "receipted"} == {True}

    play(scene)


def test_a_silent_broker_is_given_fifteen_seconds_and_told_again() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BROKER_SILENT, 3)
        world.plan(Fault.BROKER_LOST_ANSWER, 2)
        world.dock(world.camera("cam", FOUR), 1)
        await world.rest()
        await all_told(world)
        assert types(world) == {"docked": 1, "receipted": 4}
        assert world.broker.repeats == 2
        assert world.broker.most_in_flight <= AT_ONCE

    play(scene)


def test_a_broker_that_refuses_one_kind_of_event_hears_all_others_and_the_refusal_is_on_record() -> None:
    files = {f"{number}.MP4": bytes([number]) * 700 for number in range(2 * AT_ONCE)}

    async def scene(world: Scene) -> None:
        world.broker.refuses = "receipted"
        camera = world.camera("cam", files)
        world.dock(camera, 1)
        await world.rest()
        world.pull(camera)
        await asyncio.sleep(1)
        await all_told(world)
        reporter = world.running.station._reporter
        assert reporter is not None
        assert types(world) == {"docked": 1, "undocked": 1}
        assert (reporter.refused, reporter.reason) == (len(files), None)
        links = await world.running.ledger.links(after=0, limit=1000)
        bodies = {link.seq: json.loads(link.body) for link in links}
        said = [body["facts"] for body in bodies.values() if body["cause"] == REFUSED]
        assert {facts["why"] for facts in said} == {"not authorised to publish receipted"}
        named = [int(seq) for facts in said for seq in facts["entries"].split()]
        assert named == [seq for seq, body in bodies.items() if body["cause"] == "receipted"]

    play(scene)


def test_a_refusal_is_said_once_though_answers_to_other_events_are_lost() -> None:
    async def scene(world: Scene) -> None:
        world.broker.refuses = "docked"
        world.plan(Fault.BROKER_LOST_ANSWER, 2)
        world.dock(world.camera("cam", FOUR), 1)
        await world.rest()
        await all_told(world)
        assert world.notes(REFUSED) == 1
        assert types(world)["receipted"] == 4

    play(scene)


def test_what_a_restart_repeats_is_known_by_its_id() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BROKER_LOST_ANSWER)
        world.dock(world.camera("cam", FOUR), 1)
        await world.rest()
        await world.stop()
        world.plan(Fault.BROKER_LOST_ANSWER, 0)
        world.boot()
        await asyncio.sleep(1)
        await all_told(world)
        assert types(world)["receipted"] == 4
        assert world.broker.repeats >= 1

    play(scene)


def test_after_a_week_without_a_broker_only_alarms_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockd.app.reporter, "NEWS_ENTRIES", 1000)

    async def scene(world: Scene) -> None:
        world.broker.dead = True
        camera = world.camera("cam", FOUR)
        world.plan(Fault.UNREADABLE, 5)
        world.dock(camera, 1)
        await world.rest()
        world.pull(camera)
        await asyncio.gather(*(world.running.ledger.note("filler", actor="test") for _ in range(1300)))
        await world.stop()
        world.broker.dead = False
        world.boot()
        await all_told(world, within_s=7200)
        reporter = world.running.station._reporter
        assert reporter is not None
        assert types(world)["receipted"] == 0
        assert reporter.given_up >= 1
        assert types(world)["quarantined"] >= 1

    play(scene)


@pytest.mark.promise("I14")
def test_no_event_says_the_name_of_a_file_or_a_free_text() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"PC1234-SMITH.MP4": b"x" * 500})
        world.plan(Fault.UNREADABLE, 3)
        world.dock(camera, 1)
        await world.rest()
        await all_told(world)
        assert types(world)["quarantined"] == 1
        assert not any(b"SMITH" in body for body in world.broker.taken.values())
        held = next(json.loads(body) for body in world.broker.taken.values() if b"quarantined" in body)
        assert held["facts"] == {"reason": "unreadable"}

    play(scene)


def test_every_event_type_is_told_by_some_entry() -> None:

    assert {telling.type for telling in EVENTS.values()} == set(EventType)


def test_a_station_without_a_broker_does_its_work_and_tells_nobody() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", FOUR), 1)
        await world.rest()
        await asyncio.sleep(60)
        assert {row.state for row in world.auditor.rows()} == {"erased"}
        assert not world.broker.taken

    play(scene, broker=False)
