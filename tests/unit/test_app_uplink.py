"""The way to the store: when a clip is tried again, what is waited for, and what ends an attempt."""

import asyncio

import pytest

from dockd.app.policy import Policy
from dockd.domain.model import Assurance
from dockd.errors import Reason
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy

CLIP = {"A.MP4": b"a" * 900}


async def _docked(world: Scene, files: dict[str, bytes] | None = None) -> None:
    world.dock(world.camera("cam", files or CLIP), 1)
    await world.until(lambda: world.clips("A.MP4"))


@pytest.mark.promise("I17")
def test_a_receipt_is_asked_for_soon_however_often_the_network_failed_before() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BLACK_HOLE)
        await _docked(world)
        await asyncio.sleep(3600)
        world.plan(Fault.BLACK_HOLE, 0)
        world.plan(Fault.LATE, 1)
        await world.until(lambda: world.store.uploads)
        (upload,) = world.store.uploads.values()
        await world.until(lambda: upload.proven_s is not None)
        upload.proven_s = 1e9
        await world.until(lambda: world.clips("A.MP4")[0].state == "uploaded", within_s=700)
        uploaded_s = world.clock.monotonic_s()
        upload.proven_s = uploaded_s + 1
        await world.until(lambda: world.clips("A.MP4")[0].state in {"receipted", "erasing", "erased"})
        assert world.clock.monotonic_s() - uploaded_s < 10

    play(scene)


@pytest.mark.promise("I17")
def test_bytes_that_had_to_be_sent_again_give_the_store_its_whole_time_again() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.LATE, 1)
        await _docked(world)
        await world.until(lambda: world.store.uploads)
        (upload,) = world.store.uploads.values()
        await world.until(lambda: upload.proven_s is not None)
        upload.proven_s = 1e9
        await world.rest()
        assert (await world.running.station.view()).uplink.overdue_files == 1
        world.plan(Fault.LATE, 1)
        world.store.shorten(upload.url)
        await world.until(lambda: upload.proven_s is not None)
        upload.proven_s = world.clock.monotonic_s() + 30
        await asyncio.sleep(1)
        assert not world.running.station.uploaded
        await world.rest()
        assert world.clips("A.MP4")[0].state == "erased"

    play(scene)


def test_an_overdue_receipt_is_said_and_still_asked_for() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.LATE, 1)
        await _docked(world)
        await world.until(lambda: world.store.uploads)
        (upload,) = world.store.uploads.values()
        await world.until(lambda: upload.proven_s is not None)
        upload.proven_s = world.clock.monotonic_s() + 48 * 3600
        await world.rest()
        view = await world.running.station.view()
        assert view.uplink.overdue_files == 1
        clip = await world.running.ledger.clip(world.clips("A.MP4")[0].key)
        assert clip.reason is Reason.RECEIPT
        assert "every byte" in clip.detail
        await world.until(lambda: world.clips("A.MP4")[0].state == "erased", within_s=50 * 3600, every_s=10.0)
        assert (await world.running.station.view()).uplink.overdue_files == 0

    play(scene)


@pytest.mark.promise("I17")
def test_a_clip_whose_time_has_come_is_work_even_before_anybody_had_a_turn_to_look() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BLACK_HOLE)
        await _docked(world)
        uplink = world.running.station._uplink
        await world.until(lambda: uplink.view().failures and uplink._resting == 2)
        assert not world.running.station.uploaded
        due_s = uplink._waiting.next_in_s(world.clock.monotonic_s())
        assert due_s is not None
        late_s = world.clock.monotonic_s() + due_s + 0.001
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(uplink._clock, "monotonic_s", lambda: late_s)  # a loop that is busy with something else
            assert not world.running.station.uploaded
        assert uplink._waiting.next_in_s(world.clock.monotonic_s()) == due_s  # looking makes nobody forget it

    play(scene)


READBACK = policy(wanted=Assurance.READBACK)


def test_a_read_back_of_what_the_store_lost_leads_to_sending_it_again() -> None:
    async def scene(world: Scene) -> None:
        await _docked(world)
        await world.until(lambda: world.clips("A.MP4")[0].state == "uploaded")
        world.plan(Fault.BLACK_HOLE, 1)
        (url,) = world.store.uploads
        del world.store.uploads[url]
        await world.until(lambda: len(world.store.uploads) == 1)
        await world.rest()
        (row,) = world.clips("A.MP4")
        assert "store-lost" in world.custody(row.key)
        assert world.custody(row.key)[-1] in {"read-back", "reclaimed"}

    play(scene, policy=READBACK, receipts=False)


def test_a_read_back_that_differs_because_the_spool_rotted_is_copied_again() -> None:
    async def scene(world: Scene) -> None:
        world.plan(Fault.BLACK_HOLE)
        await _docked(world)
        await world.until(lambda: world.clips("A.MP4")[0].state == "copied")
        world.disk.rot()
        world.plan(Fault.BLACK_HOLE, 0)
        await world.rest()
        (row,) = world.clips("A.MP4")
        assert "spool-lost" in world.custody(row.key)
        assert world.custody(row.key)[-1] == "read-back"

    play(scene, policy=READBACK, receipts=False)


def test_a_read_back_that_differs_is_held_where_our_copy_is_good() -> None:
    async def scene(world: Scene) -> None:
        await _docked(world)
        await world.until(lambda: world.store.uploads)
        (upload,) = world.store.uploads.values()
        await world.until(lambda: len(upload.data) == 900)
        upload.data[0] ^= 1
        await world.rest()
        (row,) = world.clips("A.MP4")
        assert row.state == "held"

    play(scene, policy=READBACK, receipts=False)


def test_signed_wanted_without_a_pinned_key_waits_and_does_not_hammer_the_store() -> None:
    async def scene(world: Scene) -> None:
        world.keys.__init__()  # type: ignore[misc] # unpin every key
        await _docked(world)
        await asyncio.sleep(60)
        (row,) = world.clips("A.MP4")
        assert row.state == "uploaded"
        assert sum("HEAD" in line for line in world.fate.lines) < 30
        view = await world.running.station.view()
        assert view.uplink.reason is Reason.RECEIPT

    play(scene)


@pytest.mark.parametrize("settings", [policy(wanted=Assurance.ACCEPTED), READBACK], ids=["accepted", "read back"])
@pytest.mark.promise("I1")
def test_nothing_is_erased_on_less_than_a_receipt(settings: Policy) -> None:
    async def scene(world: Scene) -> None:
        await _docked(world)
        await world.rest()
        (row,) = world.clips("A.MP4")
        assert row.state == "uploaded"
        assert b"A.MP4" in world.rack.cameras["cam"].files

    play(scene, policy=settings, receipts=False)
