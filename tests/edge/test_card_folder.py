"""Which volume a folder is, from files like those of the kernel and udev."""

import os
from pathlib import Path

import pytest

from dockd.edges.folder import volume_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "card \\1"
    folder.mkdir()
    return folder


@pytest.fixture
def by_uuid(tmp_path: Path, folder: Path) -> Path:
    """Links as udev makes them: one to the device that the folder lies on, one to another, one to none."""
    names = tmp_path / "by-uuid"
    names.mkdir()
    try:
        os.mknod(tmp_path / "sdx1", 0o600 | 0o060000, folder.stat().st_dev)
    except PermissionError:
        pytest.skip("may not make a device node here")
    (names / "00FF-AA11").symlink_to("/dev/null")
    (names / "1A2B-3C4D").symlink_to(tmp_path / "sdx1")
    (names / "0000-0000").symlink_to(tmp_path / "none")
    return names


def mountinfo(folder: Path, *, root: str = "/", kind: str = "vfat", where: Path | None = None) -> Path:
    device = folder.stat().st_dev
    point = str(where or folder).replace("\\", "\\134").replace(" ", "\\040")
    file = folder.parent / "mountinfo"
    file.write_text(
        "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"36 21 {os.major(device)}:{os.minor(device)} {root} {point} ro,nosuid master:1 - {kind} /dev/sdx1 ro\n"
    )
    return file


@pytest.mark.promise("I10")
@pytest.mark.parametrize("kind", ["vfat", "exfat"])
def test_the_root_of_a_mounted_card_has_the_id_of_its_filesystem(folder: Path, by_uuid: Path, kind: str) -> None:
    assert volume_of(folder, mountinfo=mountinfo(folder, kind=kind), by_uuid=by_uuid) == "1A2B-3C4D"


def test_a_link_to_the_root_of_a_card_is_that_card(folder: Path, by_uuid: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert volume_of(tmp_path / "link", mountinfo=mountinfo(folder), by_uuid=by_uuid) == "1A2B-3C4D"


def test_a_folder_inside_a_card_is_a_folder(folder: Path, by_uuid: Path) -> None:
    inner = folder / "DCIM"
    inner.mkdir()
    assert volume_of(inner, mountinfo=mountinfo(folder), by_uuid=by_uuid) == "folder"


def test_a_folder_of_a_card_mounted_elsewhere_is_a_folder(folder: Path, by_uuid: Path) -> None:
    assert volume_of(folder, mountinfo=mountinfo(folder, root="/DCIM"), by_uuid=by_uuid) == "folder"


def test_the_disk_of_a_desk_computer_is_no_card(folder: Path, by_uuid: Path) -> None:
    assert volume_of(folder, mountinfo=mountinfo(folder, kind="ext4"), by_uuid=by_uuid) == "folder"


def test_a_card_without_a_known_id_is_a_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for names in (tmp_path / "empty", tmp_path / "none"):
        assert volume_of(folder, mountinfo=mountinfo(folder), by_uuid=names) == "folder"


def test_any_folder_of_this_machine_has_an_answer(folder: Path) -> None:
    assert volume_of(folder) == "folder"


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        volume_of(tmp_path / "none")
