"""Quarantine at a running station: what a retry and a release do with clips and cameras, and what they never do."""

import asyncio
import json

import pytest

from dockd.app.quarantine import PAGE, Answer
from dockd.domain.clip import Change, Move
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId, ClipId, ClipKey, DockingId, Sha256
from dockd.domain.quarantine import Outcome, Wish
from dockd.errors import Reason, TransientError
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy

DATA = b"a" * 900
ONE = {"A.MP4": DATA}
ANNA = "user:anna"


async def retry(world: Scene, key: int) -> Outcome:
    answer = await world.running.station.quarantine.clip(ClipKey(key), Wish.RETRY, actor=ANNA)
    assert answer.clip == key
    return answer.outcome


async def release(world: Scene, key: int) -> Outcome:
    answer = await world.running.station.quarantine.clip(
        ClipKey(key), Wish.RELEASE, actor=ANNA, why="looked at the card"
    )
    assert answer.clip == key
    return answer.outcome


def entries(world: Scene, key: int) -> list[tuple[str, str, str]]:
    """Cause, actor and reason given, of a clip's custody entries."""
    rows = world.books.connection.execute("SELECT body FROM custody WHERE clip = ? ORDER BY seq", (key,))
    bodies = [json.loads(body) for (body,) in rows]
    return [(body["cause"], body["actor"], body["facts"].get("why", "")) for body in bodies]


async def held_unreadable(world: Scene) -> None:
    camera = world.camera("cam", ONE)
    camera.files[b"A.MP4"].unreadable = True
    world.dock(camera, 1)
    await world.rest()
    assert [row.state for row in world.clips("A.MP4")] == ["held"]


async def held_on_a_bad_receipt(world: Scene) -> None:
    world.plan(Fault.FORGED, 1)
    world.dock(world.camera("cam", ONE), 1)
    await world.until(lambda: [row.state for row in world.clips("A.MP4")] == ["held"])
    assert (await world.running.ledger.clip(ClipKey(1))).reason is Reason.RECEIPT


@pytest.mark.promise("I1", "I15")
@pytest.mark.parametrize("ask", [retry, release])
def test_a_clip_with_a_bad_receipt_that_is_let_out_asks_the_store_anew(ask: object) -> None:
    """The bad receipt is no word of it: the clip is sent as if for the first time, and erased on a good one only."""

    async def scene(world: Scene) -> None:
        await held_on_a_bad_receipt(world)
        posts = sum("POST" in line for line in world.fate.lines)
        world.plan(Fault.LATE, 0)
        assert await ask(world, 1) is Outcome.SENT_ON  # type: ignore[operator]  # one of the two above
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.receipt, clip.url) == (None, None) or clip.receipt in world.store.genuine
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"
        assert world.clips("A.MP4")[0].receipt in world.store.genuine
        assert sum("POST" in line for line in world.fate.lines) >= posts
        assert ("resumed", ANNA) in [(cause, actor) for cause, actor, _ in entries(world, 1)]

    play(scene)


@pytest.mark.promise("I1")
def test_a_clip_that_is_let_out_and_gets_a_bad_receipt_again_is_held_again() -> None:
    async def scene(world: Scene) -> None:
        await held_on_a_bad_receipt(world)
        world.plan(Fault.FORGED, 1)
        assert await release(world, 1) is Outcome.SENT_ON
        await world.until(lambda: world.planned.injected[Fault.FORGED] == 2)
        await world.until(lambda: world.clips("A.MP4")[0].state == "held")
        assert world.rack.cameras["cam"].files[b"A.MP4"].data == DATA

    play(scene)


def test_a_retry_copies_from_the_docked_camera_again() -> None:
    async def scene(world: Scene) -> None:
        await held_unreadable(world)
        assert await retry(world, 1) is Outcome.COPIED_AGAIN
        await world.rest()
        assert world.clips("A.MP4")[0].state == "held", "it is as bad as before"
        world.rack.cameras["cam"].files[b"A.MP4"].unreadable = False
        assert await retry(world, 1) is Outcome.COPIED_AGAIN
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"
        assert await retry(world, 1) is Outcome.WRONG_STATE
        assert await retry(world, 99) is Outcome.UNKNOWN

    play(scene)


def test_a_retry_without_its_camera_waits_for_it_and_leaves_the_clip_as_it_is() -> None:
    async def scene(world: Scene) -> None:
        await held_unreadable(world)
        camera = world.rack.cameras["cam"]
        world.pull(camera)
        await asyncio.sleep(1)
        before = entries(world, 1)
        assert await retry(world, 1) is Outcome.WAITS
        assert entries(world, 1) == before
        camera.files[b"A.MP4"].unreadable = False
        world.dock(camera, 2)
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"

    play(scene)


@pytest.mark.promise("I4", "I18")
@pytest.mark.parametrize("docked", [True, False])
def test_a_clip_whose_bytes_are_nowhere_stays_on_the_accounts_when_it_is_released(docked: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    async def scene(world: Scene) -> None:
        await held_unreadable(world)
        camera = world.rack.cameras["cam"]
        if not docked:
            world.pull(camera)
            await asyncio.sleep(1)
        assert await release(world, 1) is Outcome.ACKNOWLEDGED
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.state.value, clip.reason) == ("held", Reason.UNREADABLE)
        assert clip.acknowledged == "user:anna: looked at the card"
        assert entries(world, 1)[-1] == ("acknowledged", ANNA, "looked at the card")
        assert (await world.running.ledger.backlog()).files == {clip.state: 1}
        assert camera.files[b"A.MP4"].data == DATA
        if docked:
            assert (await world.bay(1)).lamp is Lamp.LEAVE, "its footage is on that camera and nowhere else"

    play(scene)


def test_a_camera_at_fault_is_read_again_from_the_start_and_takes_its_clips_along() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA, "B.MP4": b"b" * 500})
        world.plan(Fault.LISTING_ERROR, 1)
        world.dock(camera, 1)
        await asyncio.sleep(3)
        (broken,) = await world.running.ledger.broken()
        assert (broken.reason, broken.bay, broken.camera.serial) == (Reason.LISTING, 1, "cam")
        assert (await world.bay(1)).lamp is Lamp.LEAVE
        answer = await world.running.station.quarantine.camera(broken.docking, Wish.RETRY, actor=ANNA)
        assert answer == Answer(outcome=Outcome.READ_AGAIN, docking=broken.docking)
        await world.rest()
        assert await world.running.ledger.broken() == ()
        assert not camera.files

    play(scene)


def test_a_clip_of_a_camera_at_fault_is_tried_by_a_new_stay() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA, "B.MP4": b"b" * 500})
        camera.files[b"A.MP4"].unreadable = True
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4") and world.clips("A.MP4")[0].state == "held")
        docking = world.running.station.docking(BayId(1))
        assert docking is not None
        await world.running.ledger.broke(docking, Reason.USB, "no answer")
        world.running.station._keepers[BayId(1)].broke(docking, Reason.USB, "no answer")
        assert not world.running.station.works_on(docking)
        camera.files[b"A.MP4"].unreadable = False
        assert await retry(world, 1) is Outcome.READ_AGAIN
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"

    play(scene)


def test_a_broken_camera_that_left_waits_and_may_be_let_be() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", ONE)
        world.plan(Fault.DUPLICATE_NAME, 1)
        world.dock(camera, 1)
        await asyncio.sleep(3)
        world.pull(camera)
        await asyncio.sleep(1)
        (broken,) = await world.running.ledger.broken()
        quarantine = world.running.station.quarantine
        waits = await quarantine.camera(broken.docking, Wish.RETRY, actor=ANNA)
        assert waits.outcome is Outcome.WAITS
        done = await quarantine.camera(broken.docking, Wish.RELEASE, actor=ANNA, why="imaged, exhibit 7")
        assert done.outcome is Outcome.ACKNOWLEDGED
        (broken,) = await world.running.ledger.broken()
        assert broken.acknowledged == "user:anna: imaged, exhibit 7"
        unknown = await quarantine.camera(DockingId(99), Wish.RELEASE, actor=ANNA, why="x")
        assert unknown.outcome is Outcome.UNKNOWN
        world.dock(camera, 1)
        await world.rest()
        assert await world.running.ledger.broken() == ()
        assert (await quarantine.camera(broken.docking, Wish.RETRY, actor=ANNA)).outcome is Outcome.UNKNOWN

    play(scene)


def test_a_retry_of_everything_or_of_one_camera_answers_for_each() -> None:
    async def scene(world: Scene) -> None:
        for number in (1, 2):
            camera = world.camera(f"cam{number}", {"A.MP4": DATA, "B.MP4": b"b" * 500})
            for file in camera.files.values():
                file.unreadable = True
            world.dock(camera, number)
        await world.rest()
        quarantine = world.running.station.quarantine
        one = await quarantine.retry_all(serial="cam2", actor=ANNA)
        assert [answer.outcome for answer in one] == [Outcome.COPIED_AGAIN] * 2
        await world.rest()
        for camera in world.cameras:
            for file in camera.files.values():
                file.unreadable = False
        every = await quarantine.retry_all(serial=None, actor=ANNA)
        assert len(every) == 4
        await world.rest()
        assert {row.state for row in world.auditor.rows()} == {"erased"}
        assert await quarantine.retry_all(serial=None, actor=ANNA) == []

    play(scene)


def test_a_retry_of_everything_begins_a_broken_camera_once() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": DATA, "B.MP4": b"b" * 500})
        for file in camera.files.values():
            file.unreadable = True
        world.dock(camera, 1)
        await world.rest()
        docking = world.running.station.docking(BayId(1))
        assert docking is not None
        await world.running.ledger.broke(docking, Reason.HASH, "it differs")
        world.running.station._keepers[BayId(1)].broke(docking, Reason.HASH, "it differs")
        for file in camera.files.values():
            file.unreadable = False
        answers = await world.running.station.quarantine.retry_all(serial=None, actor=ANNA)
        assert [(answer.docking, answer.outcome) for answer in answers] == [(docking, Outcome.READ_AGAIN)]
        await world.rest()
        assert not camera.files
        assert world.notes("docked") == 2

    play(scene)


def test_a_copy_of_a_broken_camera_that_left_is_sent_on_with_everything_else() -> None:
    async def scene(world: Scene) -> None:
        await held_on_a_bad_receipt(world)
        await world.running.ledger.broke(DockingId(1), Reason.USB, "no answer")
        world.pull(world.rack.cameras["cam"])
        await asyncio.sleep(1)
        quarantine = world.running.station.quarantine
        assert await quarantine.retry_all(serial="another", actor=ANNA) == []
        answers = await quarantine.retry_all(serial="cam", actor=ANNA)
        assert [answer.outcome for answer in answers] == [Outcome.WAITS, Outcome.TAKEN_ON]
        await world.until(lambda: world.clips("A.MP4")[0].state == "receipted")

    play(scene)


def test_more_clips_than_a_page_are_all_answered_for() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {f"{number:04}.MP4": b"" for number in range(PAGE + 3)})
        for file in camera.files.values():
            file.unreadable = True
        world.dock(camera, 1)
        await world.rest()
        world.pull(camera)
        await asyncio.sleep(1)
        answers = await world.running.station.quarantine.retry_all(serial=None, actor=ANNA)
        assert [answer.clip for answer in answers] == list(range(1, PAGE + 4))
        assert {answer.outcome for answer in answers} == {Outcome.WAITS}

    play(scene)


def test_a_copy_that_is_on_record_and_gone_is_not_sent_on() -> None:
    async def scene(world: Scene) -> None:
        await held_on_a_bad_receipt(world)
        world.pull(world.rack.cameras["cam"])
        await asyncio.sleep(1)
        world.disk.seen.clear()
        assert await retry(world, 1) is Outcome.WAITS
        assert await release(world, 1) is Outcome.ACKNOWLEDGED

    play(scene, policy=policy(erase=False))


def test_a_spool_that_cannot_be_looked_at_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        await held_on_a_bad_receipt(world)

        async def sick(_clip_id: str) -> None:
            raise TransientError(Reason.DISK, "reading: Input/output error")

        monkeypatch.setattr(world.running.spool, "digest", sick)
        assert await retry(world, 1) is Outcome.FAILED

        async def full(*_: object, **__: object) -> None:
            raise TransientError(Reason.DISK_FULL, "no room")

        monkeypatch.setattr(world.running.ledger, "acknowledge_docking", full)
        await world.running.ledger.broke(DockingId(1), Reason.USB, "no answer")
        answer = await world.running.station.quarantine.camera(DockingId(1), Wish.RELEASE, actor=ANNA, why="x")
        assert answer.outcome is Outcome.FAILED

    play(scene)


def test_a_clip_that_moves_in_the_middle_of_a_wish_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        await held_unreadable(world)
        ledger, held = world.running.ledger, world.running.ledger.held

        async def late(**known: object) -> object:
            answer = await held(**known)  # type: ignore[arg-type]  # its own arguments
            await ledger.move(ClipKey(1), Move.RECOPY, Change(), actor="offload")
            return answer

        monkeypatch.setattr(ledger, "held", late)
        assert await release(world, 1) is Outcome.WRONG_STATE

    play(scene)


@pytest.mark.promise("I18")
def test_a_clip_whose_file_is_another_one_now_waits_for_nothing_and_is_not_copied() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", ONE)
        world.plan(Fault.FORGED, 1)
        world.dock(camera, 1)
        await world.until(lambda: [row.state for row in world.clips("A.MP4")] == ["held"])
        docking = world.running.station.docking(BayId(1))
        assert docking is not None
        file = camera.listed[camera.stay].files[0]
        await world.running.ledger.supersede(ClipKey(1), file, docking=docking)
        world.disk.seen.clear()
        assert await retry(world, 1) is Outcome.WAITS
        assert world.clips("A.MP4")[0].state == "held"

    play(scene, policy=policy(erase=False))


def test_many_copies_are_read_after_the_answer_and_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.FORGED, 2)
        world.dock(world.camera("cam", {"A.MP4": DATA, "B.MP4": b"b" * 500}), 1)
        await world.until(lambda: [row.state for row in world.auditor.rows()] == ["held", "held"])
        world.pull(world.rack.cameras["cam"])
        await asyncio.sleep(1)
        spool, began_s = world.running.spool, asyncio.get_running_loop().time()
        look = spool.digest

        async def slow(clip_id: ClipId) -> tuple[Sha256, int] | None:
            await asyncio.sleep(300)
            return await look(clip_id)

        monkeypatch.setattr(spool, "digest", slow)
        quarantine = world.running.station.quarantine
        answers = await quarantine.retry_all(serial=None, actor=ANNA)
        assert [await quarantine.retry(ClipKey(key), actor=ANNA) for key in (1, 2)] == answers
        assert {answer.outcome for answer in answers} == {Outcome.TAKEN_ON}
        assert asyncio.get_running_loop().time() - began_s < 1
        await world.until(lambda: all(row.state == "receipted" for row in world.auditor.rows()), within_s=700)
        assert (await quarantine.retry(ClipKey(1), actor=ANNA)).outcome is Outcome.WRONG_STATE

    play(scene)


def test_a_ledger_that_cannot_be_read_leaves_what_was_taken_on_in_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(world: Scene) -> None:
        await held_on_a_bad_receipt(world)
        quarantine = world.running.station.quarantine

        async def fails(*_: object, **__: object) -> Answer:
            raise TransientError(Reason.DISK, "it does not answer")

        with monkeypatch.context() as patch:
            patch.setattr(quarantine, "clip", fails)
            await quarantine.retry(ClipKey(1), actor=ANNA)
            await asyncio.sleep(5)
        assert world.clips("A.MP4")[0].state == "held"
        await quarantine.retry(ClipKey(1), actor=ANNA)
        await world.until(lambda: world.clips("A.MP4")[0].state == "erased")

    play(scene)
