"""`scripts/install`: what it puts where, whose it is, what it never writes again, and what it says instead of going on.

All of it into a folder; what it finds out about the machine it is on, without changing anything.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.wheelhouse import wheelhouse

ROOT = Path(__file__).resolve().parents[2]
WORD = "usbcore.authorized_default=0"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what is installed is root's: needs root")

SYSTEM = """
d 755 /etc
d 755 /etc/dockd
- 644 /etc/dockd/board.toml
d 755 /etc/dockd/cameras
d 755 /etc/dockd/conf.d
- 644 /etc/dockd/dockd.toml
d 755 /usr
d 755 /usr/lib
d 755 /usr/lib/dockd
- 644 /usr/lib/dockd/installed
d 755 /usr/lib/systemd
d 755 /usr/lib/systemd/system
- 644 /usr/lib/systemd/system/dockd-helper.service
- 644 /usr/lib/systemd/system/dockd-helper.socket
- 644 /usr/lib/systemd/system/dockd.service
d 755 /usr/lib/sysusers.d
- 644 /usr/lib/sysusers.d/dockd.conf
d 755 /usr/lib/tmpfiles.d
- 644 /usr/lib/tmpfiles.d/dockd.conf
d 755 /usr/lib/udev
d 755 /usr/lib/udev/rules.d
- 644 /usr/lib/udev/rules.d/60-dockd-lines.rules
- 644 /usr/lib/udev/rules.d/61-dockd-storage.rules
- 644 /usr/lib/udev/rules.d/70-dockd-authorise.rules
"""


def install(*arguments: str | Path, checkout: Path = ROOT, **environment: str) -> tuple[int, str]:
    """Run it with a umask that would let others in, and give its exit code and words."""
    command = ["sh", "-c", 'umask 0; exec "$@"', "sh", checkout / "scripts/install", *arguments]
    done = subprocess.run(
        command, check=False, stderr=subprocess.PIPE, text=True, timeout=100, env={**os.environ, **environment}
    )
    return done.returncode, done.stderr


def system(root: Path, *arguments: str) -> str:
    """Put all but dockd itself; give what was said."""
    code, said = install("--root", root, "--system-only", "--board", "emulated-14", *arguments)
    assert code == 0, said
    return said


def listed(root: Path) -> str:
    """Say of everything below a folder what it is and its mode; nobody but root may own any of it."""
    lines = []
    for path in sorted(root.rglob("*"), key=lambda path: str(path).replace("/", "\0")):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (0, 0), path
        kind = "l" if path.is_symlink() else "d" if path.is_dir() else "-"
        lines.append(f"{kind} {status.st_mode & 0o7777:o} /{path.relative_to(root)}")
    return "\n".join(lines)


def times(root: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in root.rglob("*")}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The root of an image, with nothing in it."""
    (tmp_path / "image").mkdir()
    return tmp_path / "image"


@pytest.fixture
def booting(image: Path) -> Path:
    """The command line of an image's kernel."""
    line = image / "boot/firmware/cmdline.txt"
    line.parent.mkdir(parents=True)
    line.write_text("console=tty1 root=PARTUUID=1a2b-02 rootwait\n")
    return line


def test_every_file_is_roots_and_nobody_else_may_write_it(image: Path) -> None:
    system(image)
    assert listed(image) == SYSTEM.strip()
    for put, source in (
        ("etc/dockd/board.toml", "hw/boards/emulated-14.toml"),
        ("usr/lib/systemd/system/dockd-helper.service", "systemd/dockd-helper.service"),
        ("usr/lib/udev/rules.d/70-dockd-authorise.rules", "hw/udev/70-dockd-authorise.rules"),
        ("usr/lib/sysusers.d/dockd.conf", "systemd/sysusers.conf"),
    ):
        assert (image / put).read_bytes() == (ROOT / source).read_bytes()


def test_a_second_time_changes_nothing(image: Path, booting: Path) -> None:
    system(image)
    before = times(image)
    assert system(image) == "install: done\n"
    assert times(image) == before
    assert booting.read_text() == f"console=tty1 root=PARTUUID=1a2b-02 rootwait {WORD}\n"


def test_a_dry_run_says_every_step_and_changes_nothing(image: Path, booting: Path) -> None:
    before = times(image)
    said = system(image, "--dry-run")
    assert times(image) == before
    assert booting.read_text() == "console=tty1 root=PARTUUID=1a2b-02 rootwait\n"
    for line in ("put /etc/dockd/board.toml", "put /usr/lib/systemd/system/dockd.service", f"add {WORD} to /boot/"):
        assert f"install: would {line}" in said


def test_a_dry_run_leaves_alone_what_another_run_is_making(image: Path) -> None:
    making = image / "opt/dockd-releases/.making"
    making.mkdir(parents=True)
    code, said = install("--root", image, "--board", "rpi4-8", "--python", sys.executable, "--dry-run")
    assert (code, "would make /opt/dockd-releases/0." in said) == (0, True), said
    assert making.is_dir()


def test_a_file_that_others_may_write_or_that_is_a_link_is_put_anew(image: Path) -> None:
    system(image)
    unit, rule = image / "usr/lib/systemd/system/dockd.service", image / "usr/lib/udev/rules.d/61-dockd-storage.rules"
    unit.chmod(0o666)
    elsewhere = image / "elsewhere"
    rule.rename(elsewhere)
    rule.symlink_to(elsewhere)
    system(image)
    elsewhere.unlink()
    assert listed(image) == SYSTEM.strip()


def test_the_configuration_names_the_board_and_its_bays_and_is_one_that_dockd_takes(image: Path) -> None:
    system(image)
    config = image / "etc/dockd/dockd.toml"
    assert config.read_text().count("[[bays]]\nnumber = ") == 14
    assert '[hardware]\nboard = "/etc/dockd/board.toml"' in config.read_text()
    own = config.read_text().replace("/etc/dockd/board.toml", str(image / "etc/dockd/board.toml"))
    config.write_text(own)
    checked = subprocess.run(
        [sys.executable, "-m", "dockd", "check-config", "--config", config], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_people_changed_is_theirs(image: Path) -> None:
    system(image)
    board, config = image / "etc/dockd/board.toml", image / "etc/dockd/dockd.toml"
    board.write_text(board.read_text() + "\n# measured\n")
    config.write_text("# ours\n")
    assert "keep /etc/dockd/board.toml, which differs: this version's is /etc/dockd/board.toml.dist" in system(image)
    assert board.read_text().endswith("# measured\n")
    assert config.read_text() == "# ours\n"
    assert (image / "etc/dockd/board.toml.dist").read_bytes() == (ROOT / "hw/boards/emulated-14.toml").read_bytes()
    code, said = install("--root", image, "--system-only")
    assert (code, "board.toml" in said) == (0, False), "without --board the one that is there is kept without a word"


def test_what_an_earlier_version_put_and_this_one_has_not_goes(image: Path) -> None:
    system(image)
    old, foreign = image / "usr/lib/udev/rules.d/60-dockd-old.rules", image / "usr/lib/udev/rules.d/60-other.rules"
    for path in (old, foreign):
        path.touch()
    with (image / "usr/lib/dockd/installed").open("a") as file:
        file.write("/usr/lib/udev/rules.d/60-dockd-old.rules\n")
    assert "remove /usr/lib/udev/rules.d/60-dockd-old.rules" in system(image)
    assert (old.exists(), foreign.exists()) == (False, True)


def test_the_kernel_is_told_once_on_its_one_line_and_the_line_as_it_was_is_kept(image: Path, booting: Path) -> None:
    booting.write_text("console=tty1 rootwait  ")
    system(image)
    system(image)
    assert booting.read_text() == f"console=tty1 rootwait {WORD}\n"
    assert (booting.parent / "cmdline.txt.dockd-old").read_text() == "console=tty1 rootwait  "


def test_a_kernel_that_is_told_otherwise_is_left_to_people(image: Path, booting: Path) -> None:
    booting.write_text("usbcore.authorized_default=2 rootwait\n")
    code, said = install("--root", image, "--system-only", "--board", "emulated-14")
    assert (code, f"expected {WORD}" in said) == (1, True)
    assert booting.read_text() == "usbcore.authorized_default=2 rootwait\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--board", "rpi9"), "--board rpi9: expected one of emulated-14 rpi4-2x7 rpi4-8 "),
        ((), "no --board, and no /etc/dockd/board.toml: expected one of emulated-14 "),
        (("--board", str(ROOT / "pyproject.toml")), "pyproject.toml: expected a board's file, with [[bays]]"),
        (("--board", "rpi4-8", "--root", "/none/such"), "--root /none/such: expected a folder that is there"),
        (("--board", "rpi4-8", "--python", "/bin/false"), "/bin/false: expected Python 3.11 or later"),
        (("--board", "rpi4-8", "--force"), "usage: "),
        (("--board",), "usage: "),
    ],
)
def test_what_is_not_meant_is_refused_in_words_before_anything_is_changed(
    image: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, said = install("--system-only", "--root", image, *arguments)
    assert code in {1, 2}
    assert words in said
    assert not [*image.iterdir()]


def test_somebody_elses_opt_dockd_is_in_the_way(image: Path) -> None:
    (image / "opt/dockd").mkdir(parents=True)
    code, said = install("--root", image, "--board", "rpi4-8")
    assert (code, "/opt/dockd: expected a link of ours, or nothing" in said) == (1, True)


# --- what it finds out about the machine it is on ---------------------------------------------------------------------


def programs(folder: Path, **texts: str) -> str:
    """Put programs in front of those of the machine."""
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_a_machine_that_starts_from_usb_is_not_told_to_shut_its_own_disk_out(tmp_path: Path) -> None:
    path = programs(tmp_path, findmnt="echo /dev/mapper/root", lsblk="echo; echo usb")
    code, said = install("--dry-run", "--system-only", "--board", "rpi4-8", PATH=path)
    assert (code, "this machine starts from USB" in said, "cmdline" in said) == (0, True, False)


def test_a_disk_for_copies_on_usb_is_refused(tmp_path: Path) -> None:
    path = programs(tmp_path, findmnt='case "$*" in *lib*) echo /dev/sda1 ;; *) echo /dev/mmcblk0p2 ;; esac')
    programs(tmp_path, lsblk='case "$*" in *sda1) echo usb ;; *) echo mmc ;; esac')
    code, said = install("--dry-run", "--system-only", "--board", "rpi4-8", PATH=path)
    assert (code, "is on a USB disk: expected a card, eMMC or NVMe" in said) == (1, True)


def test_a_python_in_a_home_is_out_of_the_services_reach(tmp_path: Path) -> None:
    programs(tmp_path, python='case "$2" in *base_prefix*) echo /home/somebody/python ;; esac')
    code, said = install("--dry-run", "--board", "rpi4-8", "--python", str(tmp_path / "python"))
    assert (code, "is in somebody's home" in said) == (1, True)


# --- dockd itself -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkout whose locks name what is installed here, and the folder that pip finds it in."""
    folder, checkout = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("checkout")
    for name in ("dockd", "hw", "systemd", "requirements"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "scripts").mkdir()
    for name in ("scripts/install", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy2(ROOT / name, checkout / name)
    for name in ("run", "gpio", "build"):
        lock = checkout / f"requirements/{name}.lock"
        # lgpio is no part of the tests' own environment.
        names = set(re.findall(r"^([\w.-]+)==", lock.read_text(), flags=re.MULTILINE)) - {"lgpio"}
        lock.write_text(wheelhouse(folder, names))
    return checkout, folder


def whole(registry: tuple[Path, Path], image: Path) -> tuple[int, str]:
    checkout, wheels = registry
    arguments = ("--root", image, "--board", "rpi4-8", "--python", sys.executable)
    return install(*arguments, checkout=checkout, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))


def answers(image: Path) -> str:
    """Ask the installed dockd for its version, as the units start it: by its own Python and nothing of this place."""
    python = image / "opt/dockd/bin/python"
    command = [str(python), "-I", "-c", "from dockd.cli import main; raise SystemExit(main(['--version']))"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout
    return said.strip()


@pytest.mark.timeout(400)
def test_dockd_is_made_whole_beside_the_one_in_use_and_the_one_before_is_kept(
    registry: tuple[Path, Path], image: Path
) -> None:
    checkout, _ = registry
    code, said = whole(registry, image)
    assert code == 0, said
    assert answers(image) == "dockd 0.1.0"
    (first,) = (image / "opt/dockd-releases").iterdir()
    assert str((image / "opt/dockd").readlink()) == f"dockd-releases/{first.name}"
    assert str((image / "usr/local/bin/dockctl").readlink()) == "/opt/dockd/bin/dockctl"
    assert (first / "bin/dockd").read_text().startswith(f"#!/opt/dockd-releases/{first.name}/bin/python")
    assert (first / "site/dockd/helper/__main__.py").is_file()
    assert (first / "site/dockd/hw/boards/rpi4-8.toml").is_file()
    writable = [line for line in listed(image).splitlines() if line[0] != "l" and int(line.split()[1], 8) & 0o6022]
    assert writable == []
    # Links to this machine's Python are the only words of this place.
    named = subprocess.run(["grep", "-rlIF", image, image], check=False, capture_output=True, text=True).stdout
    assert named == ""

    before = times(image)
    assert whole(registry, image)[0] == 0
    assert times(image) == before

    older = image / "opt/dockd-releases/0.0.9-0123456789ab"
    older.mkdir()
    project = checkout / "pyproject.toml"
    project.write_text(re.sub(r'^version = ".*"$', 'version = "0.1.1"', project.read_text(), flags=re.MULTILINE))
    code, said = whole(registry, image)
    assert code == 0, said
    second = (image / "opt/dockd").resolve()
    assert sorted(path.name for path in (image / "opt/dockd-releases").iterdir()) == [first.name, second.name]
    assert second.name.startswith("0.1.1-")

    lock = checkout / "requirements/gpio.lock"
    lock.write_text(re.sub(r"(?s)(msgspec==.*?sha256:)[0-9a-f]{8}", r"\g<1>00000000", lock.read_text()))
    (checkout / "requirements/run.lock").write_text("")
    code, said = whole(registry, image)
    assert (code, "DO NOT MATCH THE HASHES" in said, "install: failed: " in said) == (1, True, True), said
    assert (image / "opt/dockd").resolve() == second
    assert sorted(path.name for path in (image / "opt/dockd-releases").iterdir()) == [first.name, second.name]
