"""The same on ext4: `python -m tests.powercut.ext4 FIRST COUNT [PLANT]`.

Its loop device lies over a file of the strict filesystem, so that its writes and flushes are on the log; of what was
not flushed any page survives, at any moment of its life. Every image is mounted, so that ext4 recovers by itself.

Owns the making, mounting and reading of images. A page of the device is whole or not there: ext4 relies on that.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.powercut.campaign import Ground, UnreadableError, cuts
from tests.powercut.rebuild import Leaf, Medium, Wreck
from tests.powercut.workload import MissingError, Recorded, course, mounted, require_fuse, sync

SYSTEM = "/usr/sbin:/sbin"
"""Where root's programs are, on any PATH."""
IMAGE = "disk"
IMAGE_BYTES = 32 << 20
PER_RUN = 50
"""Cuts of one recorded workload: a cut takes a mount."""
RESTARTED = 50
KILLED = (200, 1500)


def require_ext4() -> None:
    """Raise MissingError unless images can be made and mounted."""
    require_fuse()
    for program in ("losetup", "mkfs.ext4", "mount"):
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM}") is None:
            raise MissingError(f"{program}: not found, expected e2fsprogs and mount to be installed")
    if not Path("/dev/loop-control").exists():
        raise MissingError("/dev/loop-control: not there, expected a kernel with loop devices")


def record(folder: Path, seed: int, plant: str) -> Recorded:
    """Run one workload on ext4; the folder takes its log and is otherwise left as it was."""
    log = folder / f"ext4-{seed}.log"
    with mounted(folder / f"mount-{seed}", log) as below:
        image, root = below / IMAGE, folder / f"ext4-{seed}"
        with image.open("xb") as file:
            file.truncate(IMAGE_BYTES)
            os.fsync(file.fileno())
        sync(below)
        with _loop(image) as device:
            # Everything now: the kernel would go on making it in the background for seconds.
            _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", device)
            with _mount(device, root):
                trouble = course(root, below, random.Random(seed), plant=plant, killed=KILLED)
    return Recorded(log=log, trouble=trouble)


def cut(medium: Medium, chance: random.Random, folder: Path) -> Wreck:
    """Give what is left if the power goes now, after ext4 has recovered."""
    wreck = medium.cut(chance, torn=0.0)
    image, root = folder / "image", folder / "recovered"
    image.write_bytes(wreck.files[IMAGE].data)
    try:
        with _loop(image) as device, _mount(device, root):
            found = {path: path.is_dir() for path in root.rglob("*") if path.name != "lost+found"}
            files = {
                str(path.relative_to(root)): Leaf(path.read_bytes(), path.stat().st_mtime_ns)
                for path, folder_ in found.items()
                if not folder_
            }
            folders = [str(path.relative_to(root)) for path, folder_ in found.items() if folder_]
    except subprocess.CalledProcessError as error:
        raise UnreadableError(f"ext4 does not mount after a mere power cut: {error.stderr}") from error
    finally:
        image.unlink()
    return Wreck(files=files, folders=folders, claims=wreck.claims)


EXT4 = Ground(record=record, cut=cut, per_run=PER_RUN, restarted=RESTARTED)


def numbers(which: range) -> Iterator[tuple[int, str]]:
    """Give those numbers whose cuts went wrong, with what was wrong, for the soak."""
    yield from cuts(which.start, len(which), ground=EXT4).faults


@contextmanager
def _loop(image: Path) -> Iterator[str]:
    try:
        device = _run("losetup", "--find", "--show", str(image)).strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingError(f"losetup: {error}, expected a loop device") from error
    try:
        yield device
    finally:
        _run("losetup", "--detach", device)


@contextmanager
def _mount(device: str, root: Path) -> Iterator[None]:
    root.mkdir()
    try:
        _run("mount", "-t", "ext4", device, str(root))
        try:
            yield
        finally:
            _run("umount", str(root))
    finally:
        root.rmdir()


def _run(*command: str) -> str:
    where = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM}"}
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=where).stdout


if __name__ == "__main__":
    sys.stdout.write(cuts(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:], ground=EXT4).text())
