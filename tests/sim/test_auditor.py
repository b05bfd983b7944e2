"""Who judges the judge: what the auditor must let pass, because nobody could have known better, and what never."""

import asyncio

import pytest

import dockd.app.erase
from dockd.app.ports import Ledger
from dockd.app.stay import Stay
from dockd.domain.clip import Change, Move
from dockd.domain.erasure import ErasePermit, Refusal
from dockd.domain.model import Clip
from dockd.errors import CameraGoneError
from tests.sim.cameras import SimCamera
from tests.sim.fate import Fault
from tests.sim.promise import ViolationError
from tests.sim.scene import Scene, play

CLIP = {"A.MP4": b"a" * 50}


async def _pulled_before_the_unlink(world: Scene, camera: SimCamera) -> None:
    world.plan(Fault.PULL_IN_ERASE, 1)
    world.dock(camera, 1)
    await world.until(lambda: world.planned.injected[Fault.PULL_IN_ERASE])
    await asyncio.sleep(1)


@pytest.mark.promise("I10")
@pytest.mark.promise("I11")
def test_a_twin_that_comes_while_the_others_listing_is_written_is_not_the_camera_that_was_listed() -> None:
    async def scene(world: Scene) -> None:
        first, second = world.camera("cam", CLIP), world.camera("twin", {"B.MP4": b"b" * 50}, serial="cam")
        await _pulled_before_the_unlink(world, first)
        assert [row.state for row in world.clips("A.MP4")] == ["erasing"]
        world.dock(second, 2)
        await world.until(lambda: second.listed, every_s=0.0005)
        world.dock(first, 1)
        await asyncio.sleep(5)
        assert [row.state for row in world.clips("A.MP4")] == ["erased"]
        # Nothing is lost by it: the file is there, and taken for a new one as soon as it is alone.
        assert first.files.keys() == {b"A.MP4"}
        world.pull(first)
        world.pull(second)
        await asyncio.sleep(1)
        world.dock(first, 1)
        await world.rest()
        assert [row.state for row in world.clips("A.MP4")] == ["erased", "erased"]
        assert not first.files

    play(scene)


@pytest.mark.promise("I11")
def test_an_erasure_that_a_twin_did_not_do_is_found_on_the_twin_that_was_to_do_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlink = dockd.app.erase._unlink

    async def inferred(clip: Clip, stay: Stay, permit: ErasePermit, *, ledger: Ledger) -> Refusal | None:
        try:
            return await unlink(clip, stay, permit, ledger=ledger)
        except CameraGoneError:
            await ledger.move(clip.key, Move.ERASED, Change(), actor="erase")
            return None

    monkeypatch.setattr(dockd.app.erase, "_unlink", inferred)

    async def scene(world: Scene) -> None:
        world.camera("twin", CLIP, serial="cam")
        await _pulled_before_the_unlink(world, world.camera("cam", CLIP))

    with pytest.raises(ViolationError, match="I11: clip 1 is on record as erased, cam has"):
        play(scene)
