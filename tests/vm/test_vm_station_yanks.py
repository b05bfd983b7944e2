"""Cameras are pulled out at any moment, in all bays at once, while they are erased too, and pushed into any bay."""

import os
import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.vm import contents
from tests.vm.cards import Card, card, clips
from tests.vm.proofs import held, signed
from tests.vm.station import EMPTY, Station
from tests.vm.yanks import Camera, Yanks

TIMES = int(os.environ.get("DOCKD_VM_YANKS", "60" if os.environ.get("CI") else "14"))
SEED = int(os.environ.get("DOCKD_VM_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
CLIPS = 4

AT_HOME = "all(bay['lamp'] == 'go-receipted' and bay['work']['erased_files'] == bay['work']['files'] for bay in bays)"


def recorded(folder: Path, number: int, shift: int) -> Card:
    """Give the card of a camera's shift: the same for a seed."""
    files = clips(SEED + 100 * shift + number, count=CLIPS, each_bytes=400_000)
    named = {name.replace("100CLIPS", f"{100 + shift}CLIPS"): data for name, data in files.items()}
    return card(folder / f"{number}.img", "exfat" if number % 2 else "vfat", named)


@pytest.mark.promise("I1", "I4", "I5", "I6", "I8", "I17")
def test_nothing_is_lost_or_erased_early_however_often_cameras_are_pulled_out(bays: Station, tmp_path: Path) -> None:
    print(f"DOCKD_VM_SEED={SEED} DOCKD_VM_YANKS={TIMES}")  # noqa: T201 - pytest shows it with a failure
    cameras = [Camera(serial=f"YANKED-{number}", shift=partial(recorded, tmp_path, number)) for number in bays.bays]
    yanks = Yanks(station=bays, cameras=cameras, chance=random.Random(SEED), in_work_s=20)
    yanks.pull(TIMES)
    bays.until("bays", AT_HOME, within_s=300)
    for camera in cameras:
        assert camera.stay is not None
        camera.stay.stick.yank()
        assert contents.digests(camera.card.image) == {}
        camera.see_nothing_lost((), lambda: signed(bays.store))
    bays.until("bays", EMPTY, within_s=60)
    assert bays.mounted() == ""
    put = {(camera.serial, name): digest for camera in cameras for name, digest in camera.put.items()}
    assert dict(held(bays.store, {camera.serial for camera in cameras})) == put
    assert bays.ask("verify")["problems"] == []


# --- who sees it is held to it, without a machine -------------------------------------------------------------------


def a_camera(folder: Path, *, lost: int = 0, altered: int = 0) -> Camera:
    """Make a camera that recorded three clips, of which some are not on its card any more, or otherwise."""
    files = clips(9, count=3, each_bytes=50_000)
    digests = card(folder / "card.img", "exfat", files).digests
    names = sorted(files)
    now = {name: files[name][::-1] if name in names[:altered] else files[name] for name in names[lost:]}
    return Camera(serial="LOST", shift=lambda _: replace(card(folder / "card.img", "exfat", now), digests=digests))


def test_a_clip_that_is_nowhere_is_seen(tmp_path: Path) -> None:
    camera = a_camera(tmp_path, lost=1)
    with pytest.raises(AssertionError, match=r"CLIP0001\.MP4 is neither on the card nor receipted"):
        camera.see_nothing_lost(camera.left(), dict)
    assert a_camera(tmp_path).left() == camera.card.digests.keys()


def test_a_clip_that_left_its_card_before_its_receipt_is_seen(tmp_path: Path) -> None:
    camera = a_camera(tmp_path, lost=1)
    digest = camera.card.digests["DCIM/100CLIPS/CLIP0001.MP4"]
    with pytest.raises(AssertionError, match=r"CLIP0001\.MP4 left the card 1\.\d+ s before its receipt"):
        camera.see_nothing_lost(camera.left(), lambda: {digest: camera.image_ns / 1e9 + 1.5})
    camera.see_nothing_lost(camera.left(), lambda: {digest: camera.image_ns / 1e9 - 0.5})


def test_a_clip_that_is_otherwise_than_it_was_recorded_is_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not what the camera recorded"):
        a_camera(tmp_path, altered=1).left()
