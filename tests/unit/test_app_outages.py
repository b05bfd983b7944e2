"""Outages of a whole station, in simulated time: every bay at once, a clock that steps, a receipt that comes late."""

import asyncio

import pytest

from tests.sim.fate import Fault
from tests.sim.scene import Scene, play

BAYS = {1: "a", 2: "a", 3: "b", 4: "b"}
DAY_S = 86_400.0


def put_off(world: Scene, seconds: float) -> None:
    """Let the store give no receipt for so long."""
    for upload in world.store.uploads.values():
        upload.proven_s = asyncio.get_running_loop().time() + seconds


@pytest.mark.promise("I17")
def test_a_hub_that_drops_every_bay_at_once_costs_nothing_but_the_time() -> None:
    async def scene(world: Scene) -> None:
        cameras = [world.camera(f"cam{bay}", {f"{bay}{letter}.MP4": b"x" * 1_000 for letter in "ABCD"}) for bay in BAYS]
        for _ in range(3):
            for camera, bay in zip(cameras, BAYS, strict=True):
                world.dock(camera, bay)
            await world.until(lambda: all(camera.stay in camera.listed for camera in cameras))
            await asyncio.sleep(0.2)
            for camera in cameras:
                world.pull(camera)
            await asyncio.sleep(5)
        for camera, bay in zip(cameras, reversed(BAYS), strict=True):
            world.dock(camera, bay)
        await world.rest()
        states = [world.clips(f"{bay}{letter}.MP4")[-1].state for bay in BAYS for letter in "ABCD"]
        assert states == ["erased"] * 16

    play(scene, buses=BAYS)


@pytest.mark.promise("I4")
@pytest.mark.promise("I1")
def test_a_receipt_two_days_late_erases_nothing_before_it_comes() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": b"a" * 900})
        world.plan(Fault.LATE)
        world.dock(camera, 1)
        await world.until(lambda: world.clips("A.MP4") and world.clips("A.MP4")[0].state == "uploaded")
        put_off(world, 2 * DAY_S)
        await asyncio.sleep(2 * DAY_S - 600)
        assert world.clips("A.MP4")[0].state == "uploaded"
        assert b"A.MP4" in camera.files
        world.plan(Fault.LATE, 0)
        await world.until(lambda: world.clips("A.MP4")[0].state == "erased", within_s=3600, every_s=1)
        assert b"A.MP4" not in camera.files

    play(scene)


@pytest.mark.promise("I13")
@pytest.mark.promise("I12")
@pytest.mark.parametrize("step_s", [-3 * DAY_S, 400 * DAY_S, -20_000 * DAY_S], ids=["-3 days", "+400 days", "to 1970"])
def test_a_clock_that_steps_by_days_changes_neither_the_order_nor_what_is_kept(step_s: float) -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": b"a" * 900, "B.MP4": b"b" * 900})
        world.plan(Fault.LATE)
        world.dock(camera, 1)
        await world.until(lambda: [row.state for row in world.auditor.rows()] == ["uploaded", "uploaded"])
        put_off(world, 7200)
        world.clock.ahead_s += step_s
        await asyncio.sleep(3600)
        assert [row.state for row in world.auditor.rows()] == ["uploaded", "uploaded"]
        assert set(camera.files) == {b"A.MP4", b"B.MP4"}
        assert len(world.disk.seen) == 2
        world.plan(Fault.LATE, 0)
        world.store.hurry()
        await world.until(lambda: {row.state for row in world.auditor.rows()} == {"erased"}, within_s=7200, every_s=1)
        order = ["found", "copied", "opened", "sent", "receipted", "erase-begun", "erased"]
        for row in world.auditor.rows():
            assert [cause for cause in world.custody(row.key) if cause in order] == order

    play(scene)
