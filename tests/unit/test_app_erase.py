"""The last rung: what keeps a clip on its camera, and what every ending writes down."""

import asyncio
from dataclasses import replace

import pytest

from dockd.app.erase import erase_clip
from dockd.app.ports import Attached
from dockd.app.stay import Stay
from dockd.domain.erasure import ErasePermit, Refusal
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId, ClipKey, DockingId, Listing
from dockd.errors import Reason, TransientError
from tests.sim.cameras import SimCard, SimFile
from tests.sim.fate import Fault
from tests.sim.receipts import SimKeys
from tests.sim.scene import POLICY, Scene, play

CLIP = {"A.MP4": b"a" * 900}


async def _receipted(world: Scene) -> None:
    """Dock a camera whose card cannot be erased, and bring its clip to its receipt."""
    camera = world.camera("cam", CLIP)
    camera.read_only = True
    world.dock(camera, 1)
    await world.rest()
    assert world.clips("A.MP4")[0].state == "receipted"


async def _again(world: Scene) -> None:
    camera = world.rack.cameras["cam"]
    world.pull(camera)
    await asyncio.sleep(1)
    camera.read_only = False
    world.dock(camera, 1)
    await world.rest()


def test_a_card_that_says_no_keeps_its_file_and_the_clip_its_receipt() -> None:
    async def scene(world: Scene) -> None:
        await _receipted(world)
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.reason, "read-only" in clip.detail) == (Reason.REFUSED, True)
        assert world.custody(1)[-2:] == ["erase-begun", "erase-failed"]
        assert (await world.bay(1)).lamp is Lamp.GO_RECEIPTED

    play(scene)


@pytest.mark.promise("I3")
def test_a_file_replaced_between_two_dockings_is_not_erased_on_the_old_ones_receipt() -> None:
    async def scene(world: Scene) -> None:
        await _receipted(world)
        camera = world.rack.cameras["cam"]
        camera.files[b"A.MP4"] = SimFile(data=b"z" * 900, mtime_ns=7)
        await _again(world)
        old, new = world.clips("A.MP4")
        assert (old.state, new.state) == ("receipted", "erased")
        assert world.custody(old.key)[-1] == "superseded"
        assert sorted(world.store.objects.values()) == [b"a" * 900, b"z" * 900]

    play(scene)


@pytest.mark.promise("I5")
def test_a_camera_that_reads_otherwise_than_it_was_copied_is_not_believed() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.MISREAD, 1)
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.rest()
        bay = await world.bay(1)
        assert (bay.lamp, bay.reason) == (Lamp.LEAVE, Reason.HASH)
        assert camera.files[b"A.MP4"].data == b"a" * 900

    play(scene)


@pytest.mark.promise("I3")
def test_two_readings_that_a_flaky_contact_spoiled_do_not_matter_if_the_third_is_right() -> None:
    async def scene(world: Scene) -> None:
        await _receipted(world)
        world.plan(Fault.MISREAD, 2)
        await _again(world)
        assert not world.rack.cameras["cam"].files
        assert [row.state for row in world.auditor.rows()] == ["erased"]  # and not as a new clip under its old name

    play(scene)


@pytest.mark.promise("I3")
def test_a_reading_that_a_cache_may_have_answered_erases_nothing() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.CACHED)
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.state, clip.detail) == ("receipted", "the re-read may have come from a cache")
        assert world.rack.cameras["cam"].files

    play(scene)


@pytest.mark.promise("I1")
def test_a_stored_receipt_whose_key_is_pinned_no_more_erases_nothing() -> None:
    async def scene(world: Scene) -> None:
        await _receipted(world)
        world.keys._pinned.clear()
        world.keys._pinned.update(SimKeys(world.store.other_key)._pinned)
        await _again(world)
        clip = await world.running.ledger.clip(ClipKey(1))
        assert (clip.state, clip.reason) == ("receipted", Reason.RECEIPT)
        assert clip.verified_in == clip.docking  # it was read again all the same: the bay is ready
        assert (await world.bay(1)).phase == "ready"
        assert world.rack.cameras["cam"].files

    play(scene)


@pytest.mark.parametrize("missing", ["clip_id", "meta_sha256"])
@pytest.mark.promise("I1")
def test_a_clip_of_which_something_is_unknown_is_refused(missing: str) -> None:
    async def scene(world: Scene) -> None:
        await _receipted(world)
        run = world.running
        clip = await run.ledger.clip(ClipKey(1))
        camera = world.rack.cameras["cam"]
        card = await run.station._ports.cards.open(
            Attached(bay=BayId(1), camera=camera.identity, source=f"cam/{camera.stay}")
        )
        stay = Stay(
            bay=BayId(1),
            docking=DockingId(1),
            camera=camera.identity,
            card=card,
            watch=run.station._keepers[BayId(1)],
            alone=lambda: True,
        )
        await stay.list_card(ledger=run.ledger)
        strange = replace(clip, clip_id=None) if missing == "clip_id" else replace(clip, meta_sha256=None)
        verdict = await erase_clip(strange, stay, ledger=run.ledger, keys=world.keys, policy=POLICY)
        assert verdict == Refusal(why="the clip was never copied")
        assert camera.files

    play(scene)


@pytest.mark.promise("I7")
@pytest.mark.parametrize("unlinked", [True, False], ids=["done", "not done"])
def test_an_unlink_that_was_not_answered_is_looked_up_in_a_listing(
    *, unlinked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase = SimCard.erase
    asked: list[bytes] = []

    async def silent(card: SimCard, permit: ErasePermit) -> None:
        asked.append(permit.path)
        if unlinked or len(asked) > 1:
            await erase(card, permit)
        if len(asked) == 1:
            raise TransientError(Reason.USB, "no answer to the unlink within 30 s")

    monkeypatch.setattr(SimCard, "erase", silent)

    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"
        assert not world.rack.cameras["cam"].files
        assert len(asked) == (1 if unlinked else 2)

    play(scene)


@pytest.mark.promise("I1")
def test_no_file_goes_before_the_last_of_its_recording_is_receipted() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": b"a" * 900, "A.THM": b"t" * 50, "B.MP4": b"b" * 100})
        camera.files[b"A.THM"].unreadable = True
        world.dock(camera, 1)
        await world.rest()
        assert camera.files.keys() == {b"A.MP4", b"A.THM"}
        assert world.clips("A.MP4")[0].state == "receipted"
        assert world.clips("A.THM")[0].state == "held"
        camera.files[b"A.THM"].unreadable = False
        await _again(world)
        assert not camera.files

    play(scene)


@pytest.mark.promise("I3", "I4")
def test_a_file_with_more_behind_its_end_is_not_read_again_to_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    list_card = SimCard.listing

    async def listing(self: SimCard) -> Listing:
        return replace(await list_card(self), behind=frozenset({900}))

    monkeypatch.setattr(SimCard, "listing", listing)

    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {**CLIP, "B.MP4": b"b" * 700})
        world.dock(camera, 1)
        await world.rest()
        assert list(camera.files) == [b"A.MP4"]
        assert len(camera.read[camera.stay, b"A.MP4"]) == 1, "to be copied, and never again"
        bay = await world.bay(1)
        assert (bay.lamp, bay.kept_files) == (Lamp.GO_RECEIPTED, 1)
        key = world.clips("A.MP4")[0].key
        assert "erase-begun" not in world.custody(key)
        await _again(world)
        assert len(camera.read[camera.stay, b"A.MP4"]) == 1, "once, for the lamp to be believed"
        assert ((await world.bay(1)).lamp, world.clips("A.MP4")[0].state) == (Lamp.GO_RECEIPTED, "receipted")
        clip = await world.running.ledger.clip(ClipKey(key))
        assert (clip.reason, "goes on past its end" in clip.detail) == (Reason.REFUSED, True)
        world.pull(camera)
        await asyncio.sleep(1)
        assert (await world.bay(1)).kept_files == 0

    play(scene)
