"""Clearing a camera: its lamp waits for its card to be let go of, and its card is not made writable for each file."""

import asyncio

import pytest

from dockd.domain.lamps import Lamp
from dockd.domain.model import DockingId
from dockd.errors import Reason
from tests.sim.cameras import SimCamera
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy

CLIP = {"A.MP4": b"a" * 600}
FOUR = {f"{number}.MP4": bytes([number]) * 600 for number in range(4)}


def told(world: Scene, *words: str) -> list[str]:
    """Give what happened, as far as any of these words are in it, without its times."""
    lines = (line.split(maxsplit=1)[1] for line in world.fate.lines)
    return [line for line in lines if any(word in line for word in words)]


async def _cleared_to_the_last(world: Scene) -> SimCamera:
    """Dock a camera, and stop at the moment at which its only clip is on record as erased."""
    camera = world.camera("cam", CLIP)
    world.dock(camera, 1)
    await world.until(lambda: [row.state for row in world.clips("A.MP4")] == ["erased"], every_s=0.0005)
    return camera


@pytest.mark.promise("I6")
def test_a_lamp_says_go_only_after_the_card_was_let_go_of() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        assert told(world, "unlinks", "writable no more", "bay 1 lamp")[-4:] == [
            "bay 1 lamp wait",
            "cam unlinks b'A.MP4'",
            "cam is writable no more",
            "bay 1 lamp go-receipted",
        ]

    play(scene)


@pytest.mark.promise("I6")
def test_a_card_that_cannot_be_let_go_of_never_says_go() -> None:
    async def scene(world: Scene) -> None:
        camera = await _cleared_to_the_last(world)
        world.plan(Fault.HANG, 1)
        await asyncio.sleep(20)
        assert (await world.bay(1)).lamp is Lamp.WAIT
        await world.rest()
        bay = await world.bay(1)
        assert (bay.lamp, bay.reason) == (Lamp.LEAVE, Reason.USB)
        assert camera.writable
        assert world.notes("camera broken") == 1
        assert told(world, "bay 1 lamp")[-2:] == ["bay 1 lamp wait", "bay 1 lamp leave"]

    play(scene)


@pytest.mark.promise("I11")
def test_a_camera_that_left_while_it_was_let_go_of_is_not_called_broken() -> None:
    async def scene(world: Scene) -> None:
        await _cleared_to_the_last(world)
        world.plan(Fault.HANG, 1)
        await world.until(lambda: world.planned.injected[Fault.HANG])
        await world.running.station._buses["a"].leave(DockingId(1))
        await world.rest_of_bus("a")
        assert world.notes("camera broken") == 0
        assert (await world.bay(1)).lamp is Lamp.WAIT

    play(scene)


@pytest.mark.promise("I6")
def test_a_card_stays_writable_for_a_second_while_receipts_are_on_their_way() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", FOUR)
        world.dock(camera, 1)
        await world.until(lambda: len(camera.files) == 1)
        unlinked_s = world.clock.monotonic_s()
        await world.until(lambda: not camera.writable)
        assert 1.0 <= world.clock.monotonic_s() - unlinked_s < 1.2
        assert (await world.bay(1)).lamp is Lamp.GO_COPIED
        await world.rest()
        last = ["cam unlinks b'1.MP4'", "cam is writable no more"]
        assert told(world, "unlinks", "writable no more") == [
            "cam unlinks b'0.MP4'",
            "cam unlinks b'2.MP4'",
            "cam unlinks b'3.MP4'",
            "cam is writable no more",
            *last,
        ]

    play(scene, policy=policy(uploads_at_once=1))


def test_a_camera_that_leaves_is_not_waited_for_any_more() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", FOUR)
        world.dock(camera, 1)
        await world.until(lambda: len(camera.files) == 1)
        await asyncio.sleep(0.2)
        assert camera.writable
        world.pull(camera)
        await asyncio.sleep(0.2)
        world.running.station._buses["a"].ring()
        await asyncio.sleep(0.1)
        assert world.running.station._buses["a"].resting

    play(scene, policy=policy(uploads_at_once=1))


@pytest.mark.promise("I6")
def test_another_cameras_turn_ends_the_clearing_of_the_one_before() -> None:
    async def scene(world: Scene) -> None:
        one, other = world.camera("cam", FOUR), world.camera("other", CLIP)
        world.dock(one, 1)
        await world.until(lambda: len(one.files) == 2)
        world.dock(other, 2)
        await world.until(lambda: other.read, every_s=0.0005)
        assert not one.writable

    play(scene, policy=policy(uploads_at_once=1))
