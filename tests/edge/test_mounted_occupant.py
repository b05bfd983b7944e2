"""Cards of real bays: only the card that was seen is mounted, whatever takes its place."""

import asyncio
import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dockd.app.ports import Attached
from dockd.edges.doors import Plugged
from dockd.errors import CameraGoneError
from tests.copier_parts import Dock, a_dock, permit, unheard
from tests.mount_parts import ATTACHED, BAY, IDS, PLUGGED, Bay, Held, a_bay


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def bay(dock: Dock) -> Iterator[Bay]:
    with a_bay(dock) as bay:
        yield bay


@pytest.mark.promise("I10")
async def test_another_device_than_was_seen_is_never_mounted(bay: Bay) -> None:
    bay.helper.let_in = {"serial": "X00123", "busnum": 1, "devnum": 5}
    with pytest.raises(CameraGoneError, match=r"/dev/bus/usb/001/005 is in it, expected /dev/bus/usb/001/004"):
        await bay.cards().open(ATTACHED)
    assert bay.helper.asked == ["authorise"]


@pytest.mark.promise("I10")
async def test_a_camera_that_was_plugged_in_again_is_not_worked_on_in_the_old_stay(dock: Dock, bay: Bay) -> None:
    file = dock.put("a.mp4")
    seen = [PLUGGED, Plugged(ids=IDS, devname="/dev/bus/usb/001/005")]
    card = await bay.cards(plugged=lambda _: seen.pop(0)).open(ATTACHED)
    with pytest.raises(CameraGoneError, match="plugged in again"):
        await card.erase(permit(file))
    assert bay.helper.mounts == ["mount"]
    assert bay.open_count() == 0
    await card.close()


@pytest.mark.promise("I10")
async def test_a_camera_whose_pin_the_helper_lost_is_let_in_again_and_any_other_is_not(dock: Dock, bay: Bay) -> None:
    file, stays = dock.put("a.mp4"), dock.put("b.mp4")
    card = await bay.cards().open(ATTACHED)
    bay.helper.refusals["writable"].append(errno.ESTALE)
    await card.erase(permit(file))
    assert bay.helper.asked == ["authorise", "mount", "device", "authorise", "writable"]
    bay.helper.refusals["mount"].append(errno.ESTALE)
    bay.helper.let_in = {"serial": "X00123", "busnum": 1, "devnum": 5}
    with pytest.raises(CameraGoneError, match="/dev/bus/usb/001/005 is in it"):
        await card.copy(stays, progress=unheard)
    assert bay.helper.asked[5:] == ["authorise"]
    assert bay.open_count() == 0
    await card.close()


@pytest.mark.promise("I10")
async def test_a_camera_whose_place_was_taken_is_not_mounted_for_whom_was_let_in_there(bay: Bay) -> None:
    doors = bay.doors()
    bay.helper.let_in = {"serial": "X00124", "busnum": 1, "devnum": 5}
    async with asyncio.TaskGroup() as group:
        doors.arriving(BAY, IDS, group)
    with pytest.raises(CameraGoneError, match="/dev/bus/usb/001/005 is in it"):
        await bay.cards(doors=doors).open(ATTACHED)
    assert bay.helper.mounts == []


async def test_whoever_arrived_is_not_let_in_again_to_be_mounted(bay: Bay) -> None:
    doors = bay.doors()
    async with asyncio.TaskGroup() as group:
        bay.helper.refusals["authorise"].extend([errno.EAGAIN, errno.EBUSY])
        doors.arriving(BAY, IDS, group)
    await (await bay.cards(doors=doors).open(ATTACHED)).close()
    assert bay.helper.asked == ["authorise", "mount", "device"]


@pytest.mark.parametrize(
    ("number", "say"), [(errno.ENODEV, "left before it was let in"), (errno.ENOTBLK, "is not let in: ")]
)
async def test_whoever_is_not_let_in_is_told_of_and_nobody_ends_by_it(
    bay: Bay, caplog: pytest.LogCaptureFixture, number: int, say: str
) -> None:
    caplog.set_level("INFO")
    bay.helper.refusals["authorise"].append(number)
    async with asyncio.TaskGroup() as group:
        bay.doors().arriving(BAY, IDS, group)
    (told,) = caplog.messages
    assert told.startswith(f"bay 3: 2672:0049 X00123 {say}")
    assert errno.errorcode[number] in told
    assert bay.helper.asked == []


async def test_the_next_one_in_a_bay_is_not_kept_waiting_by_the_one_before(bay: Bay) -> None:
    bay.helper.refusals["authorise"].extend([errno.EBUSY] * 3)
    doors = bay.doors()
    async with asyncio.TaskGroup() as group:
        doors.arriving(BAY, IDS, group)
        doors.arriving(BAY, IDS, group)
    assert bay.helper.asked == ["authorise"]
    async with asyncio.TaskGroup() as group:
        held = bay.helper.hooks["authorise"] = Held()
        doors.arriving(BAY, IDS, group)
        assert await asyncio.to_thread(held.come.wait, 60)
        doors.close()
    held.go.set()


@pytest.mark.promise("I7")
@pytest.mark.parametrize("changed_by", ["mount", "device", "writable"])
async def test_a_card_that_was_changed_inside_its_reader_is_none_of_this_stay_before_anybody_announces_it(
    dock: Dock, bay: Bay, changed_by: str
) -> None:
    """Its volume has the same number, its camera the same name: by the kernel's count alone it is another one."""
    file = dock.put("a.mp4")
    bay.count("17")
    card = await bay.cards(plugged=lambda _: replace(PLUGGED, diskseq="17")).open(ATTACHED)
    assert (await card.listing()).files == (file,)
    await card.erase(permit(file))

    def change() -> None:
        bay.count("18")

    bay.helper.hooks[changed_by] = change
    say = "bay 3: the card in it is disk 18 by the kernel's count, expected 17"
    if changed_by == "writable":
        other = dock.put("b.mp4")
        await card.listing()
        with pytest.raises(CameraGoneError, match=say):
            await card.erase(permit(other))
    else:
        with pytest.raises(CameraGoneError, match=say):
            await card.listing()
    assert bay.open_count() == 0
    await card.close()


async def test_a_card_that_is_the_whole_disk_is_counted_and_one_whose_count_is_gone_is_gone(bay: Bay) -> None:
    bay.count("17")
    whole = bay.sys / "devices" / "sda" / "sda1" / "diskseq"
    whole.write_text("4\n")
    await (await bay.cards(plugged=lambda _: replace(PLUGGED, diskseq="4")).open(ATTACHED)).close()
    whole.unlink()
    (bay.sys / "devices" / "sda" / "diskseq").unlink()
    with pytest.raises(CameraGoneError, match="the card in it is disk none by the kernel's count, expected 4"):
        await bay.cards(plugged=lambda _: replace(PLUGGED, diskseq="4")).open(ATTACHED)


async def test_a_kernel_that_does_not_count_disks_is_told_of_once_a_bay(
    bay: Bay, caplog: pytest.LogCaptureFixture
) -> None:
    doors = bay.doors()
    for _ in range(2):
        await (await bay.cards(doors=doors).open(ATTACHED)).close()
    assert caplog.messages == ["bay 3: this kernel does not count disks: a changed card is seen when announced"]


async def test_a_camera_that_is_no_longer_seen_is_not_mounted(bay: Bay) -> None:
    def left(attached: Attached) -> Plugged:
        raise CameraGoneError(f"bay {attached.bay}: it left")

    with pytest.raises(CameraGoneError, match="bay 3: it left"):
        await bay.cards(plugged=left).open(ATTACHED)
    assert bay.helper.asked == []
