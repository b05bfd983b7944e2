"""This checkout's dockd in the guest, with what its locks name: on a disk made here, for no registry is in reach there.

Owns the disk, where it is mounted, and the guest's way to a port of the host's loopback. Must not know what dockd does.
"""

import compileall
import py_compile
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from packaging.markers import Marker

from tests.vm import cache, qemu
from tests.vm.machine import Machine
from tests.vm.usb import disk

ROOT = Path(__file__).resolve().parents[2]
LOCKS = (ROOT / "requirements/run.lock", ROOT / "requirements/gpio.lock")

WHERE = "/opt/dockd"
"""Where the guest has it: a virtual environment of its own Python, with nothing of Debian's modules."""

_PYTHON = (3, 11)
"""The Python of bookworm."""
_LIBC = 36
"""Its GNU C library is 2.36, and runs what was built for an older one."""
_ABOUT = {
    "implementation_name": "cpython",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.2",
    "python_version": "3.11",
    "sys_platform": "linux",
}
SITE = "lib/python3.11/site-packages"


def install(machine: Machine, image: Path) -> None:
    """Put dockd into a guest that has just booted: `dockd` and `dockctl` are commands there from now on."""
    device = disk(machine, image, serial="DOCKD", read_only=True)
    links = " ".join(f"{WHERE}/bin/{name}" for name in ("dockd", "dockctl"))
    machine.agent.shell(f"mkdir -p {WHERE} && mount -o ro {device} {WHERE} && ln -sf {links} /usr/local/bin/")


def forward(machine: Machine, port: int) -> None:
    """Make a port of the host's loopback one of the guest's loopback, over which dockd needs no TLS."""
    listen = f"--unit=host-{port} --socket-property=ListenStream=127.0.0.1:{port}"
    machine.agent.shell(f"systemd-run -q {listen} /lib/systemd/systemd-socket-proxyd {qemu.HOST}:{port}")


def disk_with_dockd(work: Path) -> Path:
    """Make the disk, in an empty folder, and give its path; what the locks name is kept from one time to the next.

    Raises:
        RuntimeError: a package could not be had or put in.
    """
    root, image = work / "root", work / "dockd.img"
    key = cache.key_of((*(lock.read_bytes() for lock in LOCKS), sys.version, Path(__file__).read_bytes()))
    with cache.kept("locked", key, _install_locked) as locked:
        shutil.copytree(locked / SITE, root / SITE)
    _pip(root / SITE, "--no-index", "--no-build-isolation", str(ROOT))
    _compile(root / SITE)
    # No unit names a version of Python.
    (root / "site").symlink_to(SITE)
    (root / "bin").mkdir()
    (root / "bin/python").symlink_to("/usr/bin/python3")
    (root / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for name, module in (("dockd", "dockd.cli"), ("dockctl", "dockd.ctl")):
        (root / "bin" / name).write_text(
            f"#!{WHERE}/bin/python\nimport sys\n\nfrom {module} import main\n\nsys.exit(main())\n"
        )
        (root / "bin" / name).chmod(0o755)
    size_bytes = sum(path.stat().st_size + 4096 for path in root.rglob("*") if not path.is_symlink())
    with image.open("wb") as file:
        file.truncate((size_bytes >> 20) + 32 << 20)
    _run("chmod", "-R", "a+rX", str(root))
    _run("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-O", "^has_journal", "-d", str(root), str(image))
    shutil.rmtree(root)
    return image


def _install_locked(into: Path) -> None:
    lock = into / "guest.lock"
    lock.write_text("".join(_for_guest("\n".join(path.read_text() for path in LOCKS))))
    libc = [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(_LIBC, 4, -1)]
    platforms = [*libc, "--platform=manylinux2014_x86_64", "--platform=linux_x86_64", "--platform=any"]
    python = ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
    _pip(into / SITE, "--only-binary=:all:", *platforms, *python, "--require-hashes", "--requirement", str(lock))
    _compile(into / SITE)


def _for_guest(locks: str) -> Iterable[str]:
    """Take from locks what is for the guest, whatever Python this is: pip would ask the markers about itself."""
    pins: dict[str, str] = {}
    for pin in re.split(r"^(?=[A-Za-z0-9])", locks, flags=re.MULTILINE)[1:]:
        head, slash, hashes = pin.partition(" \\\n")
        name, _, marker = head.partition(" ; ")
        if not marker or Marker(marker).evaluate(_ABOUT):
            pins[name] = f"{name}{slash}{hashes}\n"
    return pins.values()


def _pip(into: Path, *arguments: str) -> None:
    quiet = ("--disable-pip-version-check", "--no-input", "--quiet")
    _run(sys.executable, "-m", "pip", *quiet, "install", "--no-deps", "--no-compile", "--target", str(into), *arguments)


def _compile(site: Path) -> None:
    """Compile here what the guest would compile at each start, at a tenth of the speed; only its own Python can."""
    if sys.version_info[:2] == _PYTHON:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(site, quiet=2, invalidation_mode=mode, stripdir=str(site), prependdir=f"{WHERE}/{SITE}")


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
