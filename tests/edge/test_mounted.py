"""Cards of real bays: one mount at a time, writable only to erase, and nothing left behind whatever goes wrong."""

import errno
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.app.ports import ReadAgain
from dockd.domain.listing import listing_of
from dockd.domain.model import Sha256
from dockd.edges.card import DescriptorCard
from dockd.edges.copier_process import Patience
from dockd.edges.mounted import MountedCard
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, TransientError
from tests.copier_parts import Dock, a_dock, endless, once, permit, unheard, until
from tests.crafted_cards import CRAFTED, ODD
from tests.mount_parts import ATTACHED, Bay, a_bay, holders

DIGEST = Sha256(sha256(b"one clip").hexdigest())


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


@pytest.fixture
def bay(dock: Dock) -> Iterator[Bay]:
    with a_bay(dock) as bay:
        yield bay


# --- one clip's way -------------------------------------------------------------------------------------------------


@pytest.mark.promise("I6")
async def test_a_card_is_mounted_for_reading_until_a_file_is_to_be_erased(dock: Dock, bay: Bay) -> None:
    file, other = dock.put("DCIM/a.mp4"), dock.put("b.mp4", b"another one")
    card = await bay.cards().open(ATTACHED)
    assert bay.helper.asked == ["authorise", "mount", "device"]
    listing = await card.listing()
    assert listing.files == listing_of([file, other]).files
    assert dict(listing.structure)["filesystem"] == "fat16"
    assert (await card.copy(file, progress=unheard)).sha256 == DIGEST
    assert await card.reread(file) == ReadAgain(sha256=DIGEST, length_bytes=8, uncached=True)
    assert bay.helper.mounts == ["mount"]
    await card.erase(permit(file))
    assert bay.helper.mounts == ["mount", "writable"]
    assert (await card.listing()).files == (other,)
    assert bay.helper.mounts == ["mount", "writable", "mount"]
    await card.close()
    assert bay.open_count() == 0


@pytest.mark.promise("I6")
async def test_clearing_a_card_costs_one_writable_mount(dock: Dock, bay: Bay) -> None:
    files = [dock.put(f"{number}.mp4") for number in range(30)]
    card = await bay.cards().open(ATTACHED)
    await card.listing()
    for file in files:
        assert (await card.reread(file)).uncached
        await card.erase(permit(file))
    assert bay.helper.mounts == ["mount", "writable"]
    assert (await card.listing()).files == ()
    await card.close()
    assert bay.open_count() == 0


@pytest.mark.promise("I6")
@pytest.mark.parametrize("other", ["copy", "salvage"])
async def test_whatever_else_is_asked_ends_the_writable_mount_first(dock: Dock, bay: Bay, other: str) -> None:
    file, stays = dock.put("a.mp4"), dock.put("b.mp4")
    card = await bay.cards().open(ATTACHED)
    await card.reread(file)
    await card.erase(permit(file))
    kept = await getattr(card, other)(stays, progress=unheard)
    assert kept.sha256 == DIGEST
    assert bay.helper.mounts == ["mount", "writable", "mount"]
    await card.close()


@pytest.mark.promise("I6")
async def test_a_writable_mount_that_rests_ends_and_leaves_nothing_mounted(dock: Dock, bay: Bay) -> None:
    file, stays = dock.put("a.mp4"), dock.put("b.mp4")
    card = await bay.cards(window_s=0.01).open(ATTACHED)
    await card.reread(file)
    await card.erase(permit(file))
    await until(lambda: bay.open_count() == 0)
    assert (await card.reread(stays)).uncached
    assert bay.helper.mounts == ["mount", "writable", "mount"]
    await card.close()


@pytest.mark.promise("I6")
async def test_a_card_that_may_not_be_erased_is_never_mounted_writable(dock: Dock, bay: Bay) -> None:
    file = dock.put("a.mp4")
    card = await bay.cards(erase=False).open(ATTACHED)
    await card.reread(file)
    with pytest.raises(PermanentError, match="opened for reading only") as refused:
        await card.erase(permit(file))
    assert refused.value.reason is Reason.REFUSED
    assert bay.helper.mounts == ["mount"]
    await card.close()


# --- what is believed across mounts ---------------------------------------------------------------------------------


@pytest.mark.promise("I3")
async def test_a_file_that_is_another_one_in_the_writable_mount_stays(dock: Dock, bay: Bay) -> None:
    file = dock.put("a.mp4")
    times = (file.mtime_ns, file.mtime_ns)

    def swap() -> None:
        (dock.card / "a.mp4").write_bytes(b"ANOTHER!")
        os.utime(dock.card / "a.mp4", ns=times)

    bay.helper.hooks["writable"] = swap
    card = await bay.cards().open(ATTACHED)
    assert (await card.reread(file)).sha256 == DIGEST
    with pytest.raises(PermanentError, match="read again to be erased, it has 8 bytes with sha256") as refused:
        await card.erase(permit(file))
    assert refused.value.reason is Reason.REFUSED
    await card.close()
    assert (dock.card / "a.mp4").read_bytes() == b"ANOTHER!"


@pytest.mark.promise("I3")
async def test_a_file_that_is_gone_in_the_writable_mount_is_missing_and_a_longer_one_is_growing(
    dock: Dock, bay: Bay
) -> None:
    file, longer = dock.put("a.mp4"), dock.put("b.mp4")

    def change() -> None:
        (dock.card / "a.mp4").unlink()
        (dock.card / "b.mp4").write_bytes(b"one clip and more")

    bay.helper.hooks["writable"] = change
    card = await bay.cards().open(ATTACHED)
    with pytest.raises(PermanentError) as missing:
        await card.erase(permit(file))
    assert missing.value.reason is Reason.MISSING
    with pytest.raises(TransientError) as growing:
        await card.erase(permit(longer))
    assert growing.value.reason is Reason.GROWING
    await card.close()
    assert (dock.card / "b.mp4").exists()


async def test_a_file_that_cannot_be_read_in_the_writable_mount_is_refused(dock: Dock, bay: Bay) -> None:
    file = dock.put("a.mp4")

    def change() -> None:
        (dock.card / "a.mp4").unlink()
        (dock.card / "a.mp4").mkdir()

    bay.helper.hooks["writable"] = change
    card = await bay.cards().open(ATTACHED)
    with pytest.raises(PermanentError, match="no longer a plain file") as refused:
        await card.erase(permit(file))
    assert refused.value.reason is Reason.REFUSED
    await card.close()


@pytest.mark.promise("I3")
async def test_a_reading_that_a_cache_may_have_answered_is_none_in_the_writable_mount(
    dock: Dock, bay: Bay, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, read = dock.put("a.mp4"), DescriptorCard.reread_path

    async def cached(card: DescriptorCard, path: bytes, length_bytes: int) -> ReadAgain:
        return replace(await read(card, path, length_bytes), uncached=False)

    monkeypatch.setattr(DescriptorCard, "reread_path", cached)
    card = await bay.cards().open(ATTACHED)
    with pytest.raises(PermanentError, match="uncached") as refused:
        await card.erase(permit(file))
    assert refused.value.reason is Reason.REFUSED
    await card.close()
    assert (dock.card / "a.mp4").exists()


@pytest.mark.promise("I4")
async def test_what_a_listing_told_of_lengths_is_known_in_every_later_mount(dock: Dock) -> None:
    image = ODD["fat16-chain-goes-on"].make()
    for path, data in image.files.items():
        dock.put(path, data)
    with a_bay(dock, device=image.disk.save(dock.card.parent / "other.img")) as bay:
        card = await bay.cards(window_s=0.01).open(ATTACHED)
        cut, sound = (await card.listing()).files
        digest = (await card.reread(sound)).sha256
        await card.erase(permit(sound, image.files[sound.path]))
        assert digest == permit(sound, image.files[sound.path]).sha256
        await until(lambda: bay.open_count() == 0)
        await card.reread(cut)
        with pytest.raises(PermanentError, match="has more on the card behind its end"):
            await card.erase(permit(cut, b""))
        assert bay.helper.mounts == ["mount", "writable", "mount"]
        await card.close()


@pytest.mark.promise("I4")
async def test_what_a_listing_told_of_lengths_before_it_failed_is_known_too(dock: Dock) -> None:
    image = ODD["fat16-chain-goes-on"].make()
    cut = min((dock.put(path, data) for path, data in image.files.items()), key=lambda file: file.path)
    (dock.card / "link").symlink_to("elsewhere")
    with a_bay(dock, device=image.disk.save(dock.card.parent / "other.img")) as bay:
        card = await bay.cards().open(ATTACHED)
        with pytest.raises(ListingError, match="not a plain file"):
            await card.listing()
        with pytest.raises(PermanentError, match="has more on the card behind its end"):
            await card.erase(permit(cut, image.files[cut.path]))
        assert bay.helper.mounts == ["mount"]
        await card.close()


@pytest.mark.promise("I7")
async def test_a_card_that_does_not_hold_together_is_not_listed(dock: Dock) -> None:
    image = CRAFTED["fat32-cycle"].make()
    for path, data in image.files.items():
        dock.put(path, data)
    with a_bay(dock, device=image.disk.save(dock.card.parent / "other.img")) as bay:
        card = await bay.cards().open(ATTACHED)
        with pytest.raises(ListingError) as broken:
            await card.listing()
        assert broken.value.reason is Reason.STRUCTURE
        await card.close()
        assert bay.open_count() == 0


@pytest.mark.promise("I10")
async def test_another_volume_in_the_bay_is_a_camera_that_left(dock: Dock, bay: Bay, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm") / f"dockd-test-{os.getpid()}"  # noqa: S108 - another filesystem is the point
    elsewhere.mkdir()
    try:
        if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is one filesystem here")
        file = dock.put("a.mp4")
        card = await bay.cards().open(ATTACHED)
        bay.helper.folder = elsewhere
        with pytest.raises(CameraGoneError, match="another volume"):
            await card.erase(permit(file))
        assert (bay.open_count(), holders(elsewhere)) == (0, [])
        await card.close()
    finally:
        elsewhere.rmdir()


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["authorise", "mount", "device"])
async def test_later_is_asked_again_and_the_card_is_open_then(dock: Dock, bay: Bay, verb: str) -> None:
    file = dock.put("a.mp4")
    bay.helper.refusals[verb].extend([errno.EBUSY, errno.EAGAIN, errno.ENOMEDIUM])
    card = await bay.cards().open(ATTACHED)
    assert (await card.listing()).files == (file,)
    await card.close()


@pytest.mark.promise("I17")
@pytest.mark.parametrize("verb", ["authorise", "mount", "device"])
async def test_later_for_ever_ends_in_a_bounded_time_with_nothing_mounted(bay: Bay, verb: str) -> None:
    bay.helper.refusals[verb].extend([errno.EBUSY] * 1000)
    with pytest.raises(TransientError, match="EBUSY") as later:
        await bay.cards(patience_s=0.2).open(ATTACHED)
    assert later.value.reason is Reason.USB
    assert bay.open_count() == 0


@pytest.mark.parametrize(
    ("number", "error", "reason"),
    [
        (errno.ESTALE, CameraGoneError, None),
        (errno.ENODEV, CameraGoneError, None),
        (errno.EMEDIUMTYPE, ListingError, Reason.STRUCTURE),
        (errno.EPERM, TransientError, Reason.USB),
        (errno.EUCLEAN, TransientError, Reason.USB),
    ],
)
async def test_a_refusal_is_an_error_of_the_port(
    bay: Bay, number: int, error: type[Exception], reason: Reason | None
) -> None:
    bay.helper.refusals["device"].append(number)
    with pytest.raises(error) as raised:
        await bay.cards().open(ATTACHED)
    assert getattr(raised.value, "reason", None) is reason
    assert bay.open_count() == 0


async def test_a_card_that_cannot_be_written_is_refused_and_read_as_before(dock: Dock, bay: Bay) -> None:
    file = dock.put("a.mp4")
    bay.helper.refusals["writable"].append(errno.EROFS)
    card = await bay.cards().open(ATTACHED)
    with pytest.raises(PermanentError, match="EROFS") as refused:
        await card.erase(permit(file))
    assert refused.value.reason is Reason.REFUSED
    assert (await card.listing()).files == (file,)
    await card.close()


async def test_a_spool_that_is_gone_is_a_fault_of_the_disk(dock: Dock, bay: Bay) -> None:
    dock.spool.rmdir()
    with pytest.raises(TransientError) as failed:
        await bay.cards().open(ATTACHED)
    assert failed.value.reason is Reason.DISK
    assert bay.open_count() == 0


# --- cameras that leave or hang -------------------------------------------------------------------------------------


async def test_a_camera_that_left_leaves_nothing_mounted_before_anybody_closes_it(dock: Dock, bay: Bay) -> None:
    file = dock.put("a.mp4")
    card = await bay.cards().open(ATTACHED)
    await card.listing()
    (dock.card / "a.mp4").unlink()
    dock.card.rmdir()
    with pytest.raises(CameraGoneError):
        await card.copy(file, progress=unheard)
    assert bay.open_count() == 0
    await card.close()


@pytest.mark.promise("I17")
async def test_after_a_copier_that_hung_the_card_is_mounted_anew(dock: Dock, bay: Bay) -> None:
    file = dock.put("a.mp4")
    card = await bay.cards(patience=Patience(stall_s=3.0)).open(ATTACHED)
    big = endless(dock)
    with pytest.raises(TransientError, match="no sign of life") as hung:
        await card.copy(big, progress=once(lambda: os.kill(copier(card), signal.SIGSTOP)))
    assert hung.value.reason is Reason.USB
    assert bay.open_count() == 0
    (dock.card / "BIG.MP4").unlink()
    assert (await card.copy(file, progress=unheard)).sha256 == DIGEST
    assert bay.helper.mounts == ["mount", "mount"]
    await card.close()


def copier(card: MountedCard) -> int:
    mounted = card._mounted
    assert mounted is not None
    pid = mounted.card.copier_pid
    assert pid is not None
    return pid
