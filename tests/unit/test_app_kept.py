"""What the profile of a camera keeps is brought to the store like any file, and stays on its card."""

import asyncio

import pytest

from dockd.domain.contents import contents_of, marked
from dockd.domain.lamps import Lamp
from dockd.domain.model import Listing
from dockd.errors import Reason
from tests.profile_parts import DATED
from tests.sim.cameras import SimCard
from tests.sim.scene import Scene, play

EVENT, NORMAL, NOTES = "Rec/20240701-150000_EVT.MP4", "Rec/20240701-143000_NOR.MP4", "NOTES.TXT"


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    list_card = SimCard.listing

    async def listing(self: SimCard) -> Listing:
        whole = await list_card(self)
        return marked(whole, contents_of(DATED, whole))

    monkeypatch.setattr(SimCard, "listing", listing)


@pytest.mark.promise("I6")
def test_what_a_profile_keeps_is_receipted_and_stays_without_being_read_again(profiled: None) -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {NORMAL: b"n" * 700, NOTES: b"t" * 50})
        world.dock(camera, 1)
        await world.rest()
        assert list(camera.files) == [NOTES.encode()]
        assert len(camera.read[camera.stay, NOTES.encode()]) == 1, "to be copied, and never again"
        bay = await world.bay(1)
        assert (bay.lamp, bay.kept_files) == (Lamp.GO_RECEIPTED, 0)
        (row,) = world.clips(NOTES)
        assert row.state == "receipted"
        assert "erase-begun" not in world.custody(row.key)
        world.pull(camera)
        await asyncio.sleep(1)
        world.dock(camera, 1)
        await world.rest()
        assert len(camera.read[camera.stay, NOTES.encode()]) == 1, "once, for the lamp to be believed"
        clip = await world.running.ledger.clip(row.key)
        assert (clip.reason, clip.detail) == (
            Reason.REFUSED,
            "it stays on its card: by the profile of its camera such a file is not erased",
        )

    play(scene)


def test_a_marked_recording_is_copied_before_what_is_older_and_not_marked(profiled: None) -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {NORMAL: b"n" * 700, EVENT: b"e" * 700, NOTES: b"t" * 50})
        world.dock(camera, 1)
        await world.rest()
        assert next(iter(camera.read)) == (camera.stay, EVENT.encode())
        for name, urgent in ((EVENT, True), (NORMAL, False), (NOTES, False)):
            (row,) = world.clips(name)
            assert (await world.running.ledger.clip(row.key)).urgent is urgent

    play(scene)
