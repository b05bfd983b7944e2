"""Root's helper over its socket: the client and the helper itself, and the whole process."""

import errno
import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dockd.domain.model import BayId
from dockd.edges.helper import Authorised, Helper
from dockd.errors import CameraGoneError, ListingError, PermanentError, Reason, TransientError
from dockd.helper.__main__ import serve
from dockd.helper.request import Request
from dockd.helper.verbs import Answer, Verbs
from tests.helper_parts import BAY, Peer, descriptors, listening_in
from tests.sysfs_tree import KEYBOARD, STORAGE, Tree, text

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[[Peer], Helper]]:
    with listening_in(tmp_path) as start:
        yield start


# --- the helper itself, asked by the client -------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


@pytest.fixture
def helper(tree: Tree, tmp_path: Path, listen: Callable[[Peer], Helper]) -> Helper:
    if os.geteuid() != 0:
        pytest.skip("the board file has to be root's")
    board = tmp_path / "board.toml"
    board.write_text('[[bays]]\nnumber = 3\nport = "pci-0000:00:10.0-usb-0:1.3"\npower = "port"\n')
    (tmp_path / "pins").mkdir()

    def verbs(*, uid: int, gid: int) -> Verbs:
        return Verbs(uid=uid, gid=gid, sys=tree.sys, dev=tmp_path, board=board, pins=tmp_path / "pins")

    return listen(lambda connection: serve(connection, verbs, user=os.getuid()))


@pytest.fixture
def hub(tree: Tree) -> Path:
    return tree.hub(tree.controller("pci0000:00", "pci=0000:00:10.0", bus=1), "1-1")


async def test_a_camera_is_let_in_and_its_storage_alone(helper: Helper, tree: Tree, hub: Path) -> None:
    camera = tree.device(hub, "1-1.3", devnum=4, serial="../../<script>", interfaces=(STORAGE, KEYBOARD))
    let_in = await helper.authorise(BAY, vendor="2672", product="0049")
    assert let_in == Authorised(busnum=1, devnum=4)
    assert [text(camera / f"1-1.3:1.{number}" / "authorized") for number in (0, 1)] == ["1", "0"]
    with pytest.raises(TransientError, match="0 of 0 volumes"):
        await helper.mount(BAY)


async def test_an_empty_bay_and_another_camera_are_a_camera_that_left(helper: Helper, tree: Tree, hub: Path) -> None:
    with pytest.raises(CameraGoneError, match=r"bay 3: authorise: .*ENODEV"):
        await helper.authorise(BAY, vendor="2672", product="0049")
    tree.device(hub, "1-1.3", devnum=4)
    with pytest.raises(CameraGoneError, match="ESTALE"):
        await helper.authorise(BAY, vendor="2672", product="0050")
    for ask in (helper.mount, helper.writable, helper.device):
        with pytest.raises(CameraGoneError, match="ESTALE"):
            await ask(BAY)


async def test_a_keyboard_alone_is_no_card(helper: Helper, tree: Tree, hub: Path) -> None:
    tree.device(hub, "1-1.3", devnum=4, interfaces=(KEYBOARD,))
    with pytest.raises(ListingError, match="ENOTBLK") as refused:
        await helper.authorise(BAY, vendor="2672", product="0049")
    assert refused.value.reason is Reason.STRUCTURE


async def test_a_bay_that_roots_board_file_has_not_is_refused(helper: Helper, hub: Path) -> None:
    with pytest.raises(PermanentError, match="ENOKEY") as refused:
        await helper.mount(BayId(4))
    assert refused.value.reason is Reason.REFUSED


async def test_a_bays_port_is_switched_and_told(helper: Helper, hub: Path) -> None:
    assert await helper.powered(BAY)
    await helper.power(BAY, on=False)
    assert not await helper.powered(BAY)
    assert text(hub / "1-1:1.0" / "1-1-port3" / "disable") == "1"
    await helper.power(BAY, on=True)
    assert await helper.powered(BAY)


async def test_a_port_without_a_switch_is_told_as_power(helper: Helper, tree: Tree) -> None:
    tree.controller("pci0000:00", "pci=0000:00:10.0", bus=1)
    with pytest.raises(PermanentError, match="no switch of ours") as refused:
        await helper.powered(BAY)
    assert refused.value.reason is Reason.POWER


def asked(message: bytes, *, user: int | None = None, fds: tuple[int, ...] = ()) -> Answer:
    """Ask the helper by hand, over a pair of real sockets."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(ours), closing(its):
        socket.send_fds(ours, [message], list(fds))
        serve(its, Verbs, user=os.getuid() if user is None else user)
        answer, passed, _, _ = socket.recv_fds(ours, 8192, 4)
        assert not passed
        return dict(json.loads(answer))


def test_whoever_is_not_dockds_user_is_told_no_and_nothing_else() -> None:
    answer = asked(b'{"do": "mount", "bay": 3}', user=os.getuid() + 1)
    assert answer == {"errno": errno.EPERM, "say": f"user {os.getuid()}: expected {os.getuid() + 1}"}


@pytest.mark.parametrize("message", [b"\xff", b'{"do": "mount", "bay": 3}'.ljust(4097), b"x" * 5000, b"["])
def test_what_is_no_request_is_refused_before_anything_is_looked_at(message: bytes) -> None:
    assert asked(message)["errno"] == errno.EBADMSG


def test_a_descriptor_that_comes_with_a_request_is_not_kept() -> None:
    reading, writing = os.pipe()
    before = descriptors()
    assert asked(b"{}", fds=(writing,))["errno"] == errno.EBADMSG
    assert descriptors() == before
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_what_is_asked_and_answered_is_one_line_of_the_journal(capfd: pytest.CaptureFixture[str]) -> None:
    asked(b'\n<0>forged\x1b[31m{"do": "mount"}' + b"x" * 3000)
    said = capfd.readouterr().err
    assert said.startswith("<5>b'")
    assert said.count("\n") == 1
    assert said.isascii()
    assert "\x1b" not in said
    assert len(said) < 1000


@pytest.mark.parametrize(
    ("raised", "number"),
    [
        (OSError(errno.ENOTUNIQ, "two"), errno.ENOTUNIQ),
        (OSError(errno.EIO, "Input/output error"), errno.EIO),
        (FileNotFoundError(errno.ENOENT, "No such file"), errno.ENODEV),
        (BlockingIOError(errno.EAGAIN, "again"), errno.EAGAIN),
        (OSError("no number"), errno.EIO),
    ],
)
def test_every_error_is_an_answer_and_no_descriptor(raised: Exception, number: int) -> None:
    class Failing(Verbs):
        def perform(self, _: Request) -> tuple[Answer, int | None]:
            raise raised

    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(ours), closing(its):
        ours.send(b'{"do": "mount", "bay": 3}')
        serve(its, Failing, user=os.getuid())
        assert json.loads(ours.recv(8192))["errno"] == number


def test_the_descriptor_goes_with_the_answer_and_the_helper_keeps_none() -> None:
    class Passing(Verbs):
        def perform(self, _: Request) -> tuple[Answer, int | None]:
            return {"filesystem": "vfat"}, os.open("/dev/null", os.O_RDONLY)

    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(ours), closing(its):
        before = descriptors()
        ours.send(b'{"do": "mount", "bay": 3}')
        serve(its, Passing, user=os.getuid())
        assert descriptors() == before
        answer, fds, _, _ = socket.recv_fds(ours, 8192, 4)
        assert (json.loads(answer), len(fds)) == ({"errno": 0, "filesystem": "vfat"}, 1)
        os.close(fds[0])


# --- the whole process ----------------------------------------------------------------------------------------------


def start(ours: socket.socket, *, listen_fds: str = "1", pid: str = "$$") -> "subprocess.CompletedProcess[str]":
    """Start the helper as systemd does: the connection is descriptor 3."""
    script = f'exec 3<&{ours.fileno()}; LISTEN_PID={pid} LISTEN_FDS={listen_fds} exec "$@"'
    program = (sys.executable, "-I", "-S", "-B", ROOT / "dockd" / "helper" / "__main__.py")
    command = ("bash", "-c", script, "bash", *program)
    return subprocess.run(command, pass_fds=[ours.fileno()], cwd="/", capture_output=True, text=True, check=False)


@pytest.mark.skipif("dockd" in {user.pw_name for user in pwd.getpwall()}, reason="this machine is a station")
def test_a_process_without_dockds_user_answers_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / "helper.sock"))
        listening.listen()
        ran = start(listening)
    assert ran.returncode == 1
    assert "KeyError: \"getpwnam(): name not found: 'dockd'\"" in ran.stderr


@pytest.mark.parametrize(("listen_fds", "pid"), [("2", "$$"), ("1", "1"), ("", "$$")])
def test_a_process_that_systemd_did_not_start_does_nothing(listen_fds: str, pid: str) -> None:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(ours), closing(its):
        ran = start(its, listen_fds=listen_fds, pid=pid)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "expected one socket from systemd" in ran.stderr


def test_root_runs_nothing_but_the_standard_library_and_the_helper() -> None:
    script = (
        "import sys; sys.argv = ['x']; import runpy\n"
        f"try: runpy.run_path({str(ROOT / 'dockd' / 'helper' / '__main__.py')!r}, run_name='looked at')\n"
        "finally: print(*sorted(name for name in sys.modules if not name.startswith('_')))\n"
    )
    command = (sys.executable, "-I", "-S", "-B", "-c", script)
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    foreign = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith("dockd.helper") and name != "dockd"} == set()
    assert {"asyncio", "http", "ssl", "subprocess"}.isdisjoint(loaded)
