"""Root's helper: what is authorised is pinned, what is opened is what was authorised, and mounts have no place."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dockd.helper.request import Request
from dockd.helper.verbs import Pin, Verbs
from dockd.helper.volume import detached
from tests.card_images import Sparse
from tests.exfat_images import Exfat
from tests.fat_images import Fat
from tests.sysfs_tree import Tree, text

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes and mounts, which only root can")

BOARD = '[[bays]]\nnumber = 3\nport = "pci-0000:00:10.0-usb-0:1.3"\npower = "port"\n'
AUTHORISE = Request(do="authorise", bay=3, vendor="2672", product="0049")
DEVICE, MOUNT, WRITABLE = (Request(do=verb, bay=3) for verb in ("device", "mount", "writable"))
MOUNTABLE = {line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


@pytest.fixture
def hub(tree: Tree) -> Path:
    return tree.hub(tree.controller("pci0000:00", "pci=0000:00:10.0", bus=1), "1-1")


@pytest.fixture
def verbs(tree: Tree, hub: Path, tmp_path: Path) -> Verbs:
    for name in ("dev", "pins"):
        (tmp_path / name).mkdir()
    board = tmp_path / "board.toml"
    board.write_text(BOARD)
    return Verbs(uid=990, gid=991, sys=tree.sys, dev=tmp_path / "dev", board=board, pins=tmp_path / "pins")


@contextmanager
def block_device(image: Path) -> Iterator[int]:
    """Make a real block device of an image, and give its number."""
    made = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    loop = made.stdout.strip()
    try:
        yield Path(loop).stat().st_rdev
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)


@pytest.fixture
def docked(verbs: Verbs, tree: Tree, hub: Path, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Dock a camera whose card is a real block device: give its folder in sysfs."""
    with ExitStack() as devices:

        def dock(disk: Sparse, *, devnum: int = 4, serial: str = "CAM-0001", name: str = "sdb") -> Path:
            camera = hub / "1-1.3"
            if not camera.exists():
                tree.device(hub, "1-1.3", devnum=devnum, serial=serial)
            dev = devices.enter_context(block_device(disk.save(tmp_path / f"{name}-{devnum}.img")))
            tree.disk(camera, name, f"{os.major(dev)}:{os.minor(dev)}")
            (verbs.dev / name).unlink(missing_ok=True)
            os.mknod(verbs.dev / name, 0o600 | 0o060000, dev)
            return camera

        yield dock


def fat() -> Sparse:
    return Fat(16, clusters=5000).disk


def errno_of(verbs: Verbs, request: Request) -> int | None:
    """Perform what must be refused; give the number."""
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        verbs.perform(request)
    return refused.value.errno


# --- who is in the bay ----------------------------------------------------------------------------------------------


def test_an_authorised_cards_partition_is_given_for_reading_only(verbs: Verbs, docked: Callable[..., Path]) -> None:
    image = fat()
    docked(image)
    assert verbs.perform(AUTHORISE) == ({"serial": "CAM-0001", "busnum": 1, "devnum": 4}, None)
    answer, fd = verbs.perform(DEVICE)
    assert fd is not None
    assert answer == {"filesystem": "vfat"}
    assert os.pread(fd, 512, 0) == image.read(0, 512)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(fd, b"x", 0)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_what_nobody_authorised_is_not_opened(verbs: Verbs, docked: Callable[..., Path]) -> None:
    docked(fat())
    assert [errno_of(verbs, request) for request in (DEVICE, MOUNT, WRITABLE)] == [errno.ESTALE] * 3


def test_a_device_with_other_ids_than_were_said_is_not_let_in(verbs: Verbs, docked: Callable[..., Path]) -> None:
    camera = docked(fat())
    assert errno_of(verbs, replace(AUTHORISE, product="0050")) == errno.ESTALE
    assert text(camera / "authorized") == "0"
    assert errno_of(verbs, DEVICE) == errno.ESTALE


def test_a_failed_authorisation_ends_the_one_before(verbs: Verbs, docked: Callable[..., Path]) -> None:
    docked(fat())
    verbs.perform(AUTHORISE)
    assert errno_of(verbs, replace(AUTHORISE, vendor="0001")) == errno.ESTALE
    assert errno_of(verbs, DEVICE) == errno.ESTALE


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("devnum", "5"), ("busnum", "2"), ("serial", "CAM-0002"), ("idVendor", "0001"), ("idProduct", "0001")],
)
def test_a_device_that_is_not_the_pinned_one_in_anything_is_not_opened(
    verbs: Verbs, docked: Callable[..., Path], attribute: str, value: str
) -> None:
    camera = docked(fat())
    verbs.perform(AUTHORISE)
    (camera / attribute).write_text(f"{value}\n")
    assert [errno_of(verbs, request) for request in (DEVICE, MOUNT, WRITABLE)] == [errno.ESTALE] * 3


def test_the_same_numbers_in_another_folder_of_sysfs_are_another_device(
    verbs: Verbs, docked: Callable[..., Path], tmp_path: Path
) -> None:
    camera = docked(fat())
    verbs.perform(AUTHORISE)
    camera.rename(tmp_path / "kept")  # so that the number of its folder is not given away again
    subprocess.run(["cp", "-a", tmp_path / "kept", camera], check=True)
    assert errno_of(verbs, DEVICE) == errno.ESTALE
    verbs.perform(AUTHORISE)


def test_a_bay_that_is_empty_again_says_so(verbs: Verbs, tree: Tree, docked: Callable[..., Path]) -> None:
    camera = docked(fat())
    verbs.perform(AUTHORISE)
    tree.unplug(camera)
    assert [errno_of(verbs, request) for request in (AUTHORISE, DEVICE, MOUNT)] == [errno.ENODEV] * 3


# --- which volume ---------------------------------------------------------------------------------------------------


def test_a_card_that_is_not_there_yet_is_told_from_one_that_is_not_ours(
    verbs: Verbs, tree: Tree, hub: Path, docked: Callable[..., Path]
) -> None:
    tree.device(hub, "1-1.3", devnum=4)
    verbs.perform(AUTHORISE)
    assert errno_of(verbs, DEVICE) == errno.ENOMEDIUM
    docked(Sparse(1 << 20))
    assert errno_of(verbs, DEVICE) == errno.EMEDIUMTYPE


def test_of_two_volumes_that_fit_none_is_taken(verbs: Verbs, docked: Callable[..., Path]) -> None:
    docked(fat())
    docked(Sparse(1 << 20), name="sdc")
    verbs.perform(AUTHORISE)
    _, fd = verbs.perform(DEVICE)
    assert fd is not None
    os.close(fd)
    docked(Exfat(clusters=100).disk, name="sdd")
    assert errno_of(verbs, DEVICE) == errno.ENOTUNIQ


def test_the_volume_that_was_opened_first_is_the_one(verbs: Verbs, docked: Callable[..., Path]) -> None:
    camera = docked(fat())
    verbs.perform(AUTHORISE)
    _, fd = verbs.perform(DEVICE)
    assert fd is not None
    os.close(fd)
    (camera / "devnum").write_text("5\n")  # only to name another image
    docked(fat(), devnum=5)
    (camera / "devnum").write_text("4\n")
    assert errno_of(verbs, DEVICE) == errno.ESTALE
    verbs.perform(AUTHORISE)
    assert errno_of(replace(verbs, dev=Path("/nowhere")), DEVICE) == errno.ENOENT


def test_a_name_in_dev_that_means_another_device_is_not_opened(verbs: Verbs, docked: Callable[..., Path]) -> None:
    camera = docked(fat())
    verbs.perform(AUTHORISE)
    (camera / "1-1.3:1.0/host2/target2:0:0/2:0:0:0/block/sdb/dev").write_text("8:17\n")
    assert errno_of(verbs, DEVICE) == errno.ESTALE
    (verbs.dev / "sdb").unlink()
    (verbs.dev / "sdb").symlink_to("/dev/null")
    assert errno_of(verbs, DEVICE) == errno.ELOOP
    (verbs.dev / "sdb").unlink()
    (verbs.dev / "sdb").write_bytes(fat().read(0, 512))
    assert errno_of(verbs, DEVICE) == errno.ESTALE


# --- one at a time --------------------------------------------------------------------------------------------------


def test_a_second_request_of_a_bay_is_told_to_come_again(verbs: Verbs, docked: Callable[..., Path]) -> None:
    docked(fat())
    with ExitStack() as held:
        Pin(verbs.pins, "3", held)
        assert [errno_of(verbs, request) for request in (AUTHORISE, DEVICE, MOUNT)] == [errno.EAGAIN] * 3
        assert verbs.perform(Request(do="power", bay=3, on=False)) == ({"on": False}, None)
    verbs.perform(AUTHORISE)


@pytest.mark.promise("I17")
def test_a_switch_that_hangs_for_ever_takes_no_second_process_of_roots(
    verbs: Verbs, docked: Callable[..., Path]
) -> None:
    """A hub that the kernel does not let go of: nothing ends who waits for it, and each new one would wait, too."""
    docked(fat())
    with ExitStack() as held:
        Pin(verbs.pins, "3-power", held)
        assert errno_of(verbs, Request(do="power", bay=3, on=True)) == errno.EAGAIN
        assert errno_of(verbs, Request(do="power", bay=3)) == errno.EAGAIN
        verbs.perform(AUTHORISE)
    assert verbs.perform(Request(do="power", bay=3, on=True)) == ({"on": True}, None)


def test_what_is_mounted_by_anybody_is_not_mounted_again(verbs: Verbs, docked: Callable[..., Path]) -> None:
    docked(fat())
    verbs.perform(AUTHORISE)
    mounted = os.open(verbs.dev / "sdb", os.O_RDONLY | os.O_EXCL)  # claimed, as every mount claims its device
    assert [errno_of(verbs, request) for request in (MOUNT, WRITABLE)] == [errno.EBUSY] * 2
    os.close(mounted)


@pytest.mark.skipif("vfat" in MOUNTABLE, reason="this kernel has vfat")
def test_a_kernel_without_the_filesystem_says_so(verbs: Verbs, docked: Callable[..., Path]) -> None:
    docked(fat())
    verbs.perform(AUTHORISE)
    assert errno_of(verbs, MOUNT) == errno.ENOSYS


@pytest.mark.skipif("vfat" not in MOUNTABLE, reason="this kernel has no vfat")
def test_a_card_is_mounted_once_read_only_or_writable(verbs: Verbs, docked: Callable[..., Path]) -> None:
    docked(fat())
    verbs.perform(AUTHORISE)
    _, mounted = verbs.perform(MOUNT)
    assert mounted is not None
    assert os.fstatvfs(mounted).f_flag & os.ST_RDONLY
    assert os.stat(".", dir_fd=mounted).st_uid == 990
    assert [errno_of(verbs, request) for request in (MOUNT, WRITABLE)] == [errno.EBUSY] * 2
    os.close(mounted)
    _, mounted = verbs.perform(WRITABLE)
    assert mounted is not None
    assert not os.fstatvfs(mounted).f_flag & os.ST_RDONLY
    os.close(mounted)


# --- the mount that has no place: the calls themselves, with a filesystem that every kernel has ---------------------

LIMITS = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME


def opened(mounted: int) -> int:
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mounted)


@pytest.mark.promise("I6")
def test_a_mount_is_read_only_and_limited_and_shows_nowhere() -> None:
    before = Path("/proc/self/mountinfo").read_text()
    mounted = detached("tmpfs", "card", {"mode": "0700"}, writable=False)
    flags = os.fstatvfs(mounted).f_flag
    assert flags & LIMITS == LIMITS
    assert flags & os.ST_RDONLY
    assert Path("/proc/self/mountinfo").read_text() == before
    assert not os.get_inheritable(mounted)
    root = opened(mounted)
    assert not list(os.scandir(root))
    with pytest.raises(OSError, match="Read-only file system"):
        os.open("x", os.O_WRONLY | os.O_CREAT, dir_fd=root)
    os.close(root)
    os.close(mounted)


def test_a_writable_mount_takes_files_and_follows_no_link() -> None:
    mounted = detached("tmpfs", "card", {"mode": "0700"}, writable=True)
    root = opened(mounted)
    assert os.fstatvfs(root).f_flag & (LIMITS | os.ST_RDONLY) == LIMITS
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=root))
    os.symlink("file", "link", dir_fd=root)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        os.open("link", os.O_RDONLY, dir_fd=root)
    os.close(root)
    os.close(mounted)


def test_a_mount_lives_as_long_as_a_descriptor_of_it_in_whatever_process() -> None:
    mounted = detached("tmpfs", "card", {"mode": "0755"}, writable=True)
    root = opened(mounted)
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=root))
    os.close(mounted)
    # Another user's process, which has it as its folder.
    listing = subprocess.run(["/bin/ls"], cwd=f"/proc/self/fd/{root}", user=65534, capture_output=True, check=True)
    assert listing.stdout == b"file\n"
    os.close(root)


def test_an_option_that_the_filesystem_refuses_is_the_kernels_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        detached("tmpfs", "card", {"mode": "no mode"}, writable=False)


def test_a_filesystem_that_the_kernel_has_not_is_not_a_camera_that_left() -> None:
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        detached("nofs", "card", {}, writable=False)
    assert refused.value.errno == errno.ENOSYS
