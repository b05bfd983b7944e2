"""The guest's disk, kernel and initrd: made by mmdebstrap once, and kept.

Owns how they are made. What is in them is in debian.py and guest/.
"""

import lzma
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from tests.vm import cache, debian

GUEST = Path(__file__).resolve().parent / "guest"
DISK_BYTES = 3 << 30

_ELF = b"\x7fELF"
_XZ = b"\xfd7zXZ\0"


def image() -> AbstractContextManager[Path]:
    """Lend the folder with `base.qcow2`, `vmlinux` and `initrd`, made first where nobody has yet (minutes)."""
    parts = (debian.SUITE, *debian.PACKAGES, *debian.LEFT_OUT, *cache.content(GUEST), Path(__file__).read_bytes())
    return cache.kept("image", cache.key_of(parts), make)


def make(into: Path) -> None:
    """Make them in this folder.

    Raises:
        PermissionError: not root, who alone can unpack packages.
        LookupError: this machine's apt knows no such Debian.
        RuntimeError: a step failed; the message ends with what it said.
    """
    if os.geteuid() != 0:
        raise PermissionError(f"the image of the guest is made by root: expected user 0, found {os.geteuid()}")
    with tempfile.TemporaryDirectory(dir=into, prefix="making-") as name:
        work = Path(name)
        root, raw, listed = work / "root", work / "disk.raw", work / "sources.list"
        listed.write_text("\n".join(debian.sources()) + "\n")
        _run("mmdebstrap", *_options(), debian.SUITE, str(root), str(listed))
        (kernel,) = root.glob("boot/vmlinuz-*")
        (into / "vmlinux").write_bytes(unpacked(kernel.read_bytes()))
        kernel.unlink()
        shutil.move(root / "boot/initrd.guest", into / "initrd")
        with raw.open("wb") as file:
            file.truncate(DISK_BYTES)
        extra = "lazy_itable_init=0,lazy_journal_init=0"
        _run(
            "mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum_seed", "-E", extra, "-m", "0", "-d", str(root), str(raw)
        )
        _run("qemu-img", "convert", "-O", "qcow2", str(raw), str(into / "base.qcow2"))
        _run("rm", "-rf", "--one-file-system", str(root))


def _options() -> Iterator[str]:
    yield from ("--mode=root", "--variant=minbase", "--format=directory")
    yield f"--include={','.join(debian.PACKAGES)}"
    yield '--aptopt=APT::Install-Recommends "false"'
    yield from (f"--aptopt={line}" for line in debian.settings())
    yield "--dpkgopt=force-confold"
    yield from (f"--dpkgopt=path-exclude={path}" for path in debian.LEFT_OUT)
    yield f"--essential-hook={GUEST / 'before-packages'}"
    yield f"--customize-hook={GUEST / 'after-packages'}"


def unpacked(packed: bytes) -> bytes:
    """Take the ELF image out of a kernel, so that the emulator starts it and the guest need not unpack it first.

    Raises:
        ValueError: there is none in it, packed by xz, as Debian's kernels are.
    """
    at = packed.find(_XZ)
    while at >= 0:
        try:
            plain = lzma.LZMADecompressor().decompress(packed[at:])
        except lzma.LZMAError:
            plain = b""
        if plain.startswith(_ELF):
            return plain
        at = packed.find(_XZ, at + 1)
    raise ValueError(f"a kernel of {len(packed)} bytes: expected an ELF image packed by xz in it")


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
