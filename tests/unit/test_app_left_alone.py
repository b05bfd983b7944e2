"""Of two cameras that call themselves the same one is taken out: the other is worked on where it lies."""

import asyncio

import pytest

from dockd.errors import Reason
from tests.late_answers import late
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play

CLIP = {"A.MP4": b"a" * 900}


@pytest.mark.promise("I17")
@pytest.mark.parametrize("leaving", [1, 2])
def test_a_twin_whose_other_is_taken_out_is_worked_on_as_it_lies(leaving: int) -> None:
    async def scene(world: Scene) -> None:
        cameras = {1: world.camera("cam", CLIP), 2: world.camera("twin", {"B.MP4": b"b" * 50}, serial="cam")}
        third = world.camera("third", {"C.MP4": b"c" * 50}, serial="cam")
        world.plan(Fault.BLACK_HOLE)
        for number, camera in cameras.items():
            world.dock(camera, number)
            await asyncio.sleep(3)
        world.dock(third, 3)
        await asyncio.sleep(3)
        world.plan(Fault.BLACK_HOLE, 0)
        world.pull(third)
        await asyncio.sleep(60)
        assert [(await world.bay(number)).reason for number in (1, 2)] == [Reason.DUPLICATE_CAMERA] * 2
        world.pull(cameras.pop(leaving))
        await world.rest()
        (left,) = cameras
        assert ((await world.bay(left)).phase, cameras[left].files) == ("ready", {})
        assert not await world.running.ledger.broken()

    play(scene, buses={1: "a", 2: "a", 3: "a"})


@pytest.mark.promise("I17")
def test_a_camera_that_is_heard_of_in_its_new_bay_before_its_old_one_is_worked_on_there() -> None:
    async def scene(world: Scene) -> None:
        camera, same = world.camera("cam", CLIP), world.camera("same", CLIP, serial="cam")
        world.dock(camera, 1)
        await world.until(lambda: camera.listed)
        ledger = world.running.ledger
        ledger.broke = late(ledger.broke, seconds=2)  # type: ignore[method-assign, assignment]
        world.dock(same, 2)
        await asyncio.sleep(1)
        world.pull(camera)
        await asyncio.sleep(10)
        await world.rest()
        assert ((await world.bay(2)).phase, same.files) == ("ready", {})

    play(scene)
