"""Cards with their profiles: what is marked goes first, what a profile keeps stays, and all else is as before."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from dockd.app.ports import Attached, Cards
from dockd.domain.model import BayId, Camera, CameraSerial, VolumeId
from dockd.domain.profile import EraseMethod, Profile
from dockd.edges.card import FolderCards
from dockd.edges.profiled import ProfiledCards
from dockd.errors import PermanentError, Reason
from tests.copier_parts import Dock, a_dock, permit
from tests.profile_parts import DATED, GENERIC

EVENT, NORMAL, NOTES = b"Rec/20240701-143000_EVT.MP4", b"Rec/20240701-150000_NOR.MP4", b"NOTES.TXT"
CAMERA = Camera(serial=CameraSerial("CAM"), volume=VolumeId("1234-ABCD"))


@pytest.fixture
def dock(tmp_path: Path) -> Dock:
    return a_dock(tmp_path)


def cards(dock: Dock, profile: Profile) -> tuple[Cards, Attached]:
    """Give the cards of a dock whose camera has this profile, and the camera."""
    camera = Attached(bay=BayId(1), camera=CAMERA, source=str(dock.card))
    return ProfiledCards(FolderCards(dock.spool, erase=True), profile_of=lambda _: profile), camera


async def test_a_marked_recording_is_listed_as_urgent_and_everything_is_listed(dock: Dock) -> None:
    files = [dock.put(path) for path in (EVENT, NORMAL, NOTES)]
    opener, camera = cards(dock, DATED)
    card = await opener.open(camera)
    try:
        listing = await card.listing()
        assert {file.path: file.urgent for file in listing.files} == {EVENT: True, NORMAL: False, NOTES: False}
        assert {replace(file, urgent=False, reading=None) for file in listing.files} == {*files}
        assert listing.kept == {NOTES}
        assert listing.kept_files == 0
        read = {file.path: dict(file.reading.facts) for file in listing.files if file.reading is not None}
        assert {path: (facts["recorded"], facts["role"]) for path, facts in read.items()} == {
            EVENT: ("2024-07-01T14:30:00", "clip"),
            NORMAL: ("2024-07-01T15:00:00", "clip"),
            NOTES: ("unknown", "stranger"),
        }
    finally:
        await card.close()


@pytest.mark.promise("I6")
async def test_what_its_profile_keeps_stays_whatever_permit_comes_and_the_rest_may_go(dock: Dock) -> None:
    event, notes = dock.put(EVENT), dock.put(NOTES)
    opener, camera = cards(dock, DATED)
    card = await opener.open(camera)
    try:
        with pytest.raises(PermanentError, match="by the profile dated such a file is not erased") as early:
            await card.erase(permit(event))
        assert early.value.reason is Reason.REFUSED
        await card.listing()
        for file in (event, notes):
            assert (await card.reread(file)).length_bytes == 8
        with pytest.raises(PermanentError, match=r"b'NOTES.TXT': by the profile dated such a file is not erased"):
            await card.erase(permit(notes))
        await card.erase(permit(event))
    finally:
        await card.close()
    assert [path.name for path in dock.card.rglob("*") if path.is_file()] == ["NOTES.TXT"]


@pytest.mark.promise("I6")
@pytest.mark.parametrize("profile", [GENERIC, replace(DATED, erase=EraseMethod.VENDOR)], ids=["never", "vendor"])
async def test_a_camera_that_no_unlink_may_clear_loses_no_file(dock: Dock, profile: Profile) -> None:
    event = dock.put(EVENT)
    opener, camera = cards(dock, profile)
    card = await opener.open(camera)
    try:
        assert (await card.listing()).kept == {EVENT}
        await card.reread(event)
        with pytest.raises(PermanentError, match="is not erased"):
            await card.erase(permit(event))
    finally:
        await card.close()
    assert (dock.card / EVENT.decode()).read_bytes() == b"one clip"


async def test_copies_and_salvage_are_those_of_the_card(dock: Dock) -> None:
    event = dock.put(EVENT)
    opener, camera = cards(dock, DATED)
    card = await opener.open(camera)
    told: list[int] = []
    try:
        copied = await card.copy(event, progress=told.append)
        saved = await card.salvage(event, progress=told.append)
    finally:
        await card.close()
    assert copied.sha256 == saved.sha256 == sha256(b"one clip").hexdigest()
    assert saved.gaps == ()
    assert told[-1] == 8
