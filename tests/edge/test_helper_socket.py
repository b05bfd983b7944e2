"""Root's helper over its socket: the client and the helper itself, and answers of helpers that are not ours."""

import asyncio
import errno
import json
import os
import pwd
import resource
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from dockd.domain.model import BayId
from dockd.edges.helper import Authorised, Helper
from dockd.errors import CameraGoneError, InvariantError, ListingError, PermanentError, Reason, TransientError
from dockd.helper.__main__ import serve
from dockd.helper.request import Request
from dockd.helper.verbs import Answer, Verbs
from tests.sysfs_tree import KEYBOARD, STORAGE, Tree, text

ROOT = Path(__file__).parent.parent.parent
BAY = BayId(3)
Peer = Callable[[socket.socket], None]


class Listening:
    """A socket where a helper listens; each connection is given to `peer`, in a thread."""

    def __init__(self, path: Path, peer: Peer) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.bind(str(path))
        self._socket.listen()
        self._peer = peer
        self._thread = threading.Thread(target=self._run, name="helper")
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with closing(connection):
                self._peer(connection)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[[Peer], Helper]]:
    listening: list[Listening] = []

    def start(peer: Peer) -> Helper:
        listening.append(Listening(tmp_path / f"h{len(listening)}.sock", peer))
        return Helper(listening[-1].path, deadline_s=30.0)

    yield start
    for one in listening:
        one.close()


def answering(answer: object, *fds: int) -> Peer:
    """Be a helper with one answer."""

    def peer(connection: socket.socket) -> None:
        connection.recv(8192)
        message = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        socket.send_fds(connection, [message], list(fds))

    return peer


def descriptors() -> set[str]:
    """Name every open descriptor of this process."""
    found = {name: Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")}  # noqa: PTH208 - names alone
    return {f"{name} {path.readlink()}" for name, path in found.items() if path.is_symlink()}


async def left_with(before: set[str]) -> None:
    """Wait until only these are open: the other end lets go of its connection after it has answered."""
    async with asyncio.timeout(60):
        while True:
            if descriptors() == before:
                return
            await asyncio.sleep(0.01)


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


# --- answers of others ----------------------------------------------------------------------------------------------


async def test_a_descriptor_comes_to_the_caller_closed_on_exec(listen: Callable[[Peer], Helper]) -> None:
    reading, writing = os.pipe()
    helper = listen(answering({"errno": 0}, reading))
    for ask in (helper.mount, helper.writable, helper.device):
        fd = await ask(BAY)
        assert os.fstat(fd).st_ino == os.fstat(reading).st_ino
        assert not os.get_inheritable(fd)
        os.close(fd)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("number", "error", "reason"),
    [
        (errno.ENODEV, CameraGoneError, None),
        (errno.ENXIO, CameraGoneError, None),
        (errno.ESTALE, CameraGoneError, None),
        (errno.EMEDIUMTYPE, ListingError, Reason.STRUCTURE),
        (errno.ENOTUNIQ, ListingError, Reason.STRUCTURE),
        (errno.EINVAL, ListingError, Reason.STRUCTURE),
        (errno.EBUSY, TransientError, Reason.USB),
        (errno.EAGAIN, TransientError, Reason.USB),
        (errno.EIO, TransientError, Reason.USB),
        (errno.ENOMEDIUM, TransientError, Reason.USB),
        # What a transfer over a bad contact ends with. Source: Documentation/driver-api/usb/error-codes.rst.
        (errno.EPROTO, TransientError, Reason.USB),
        (errno.EPIPE, TransientError, Reason.USB),
        (errno.EILSEQ, TransientError, Reason.USB),
        (errno.ETIME, TransientError, Reason.USB),
        (errno.EOVERFLOW, TransientError, Reason.USB),
        (errno.EREMOTEIO, TransientError, Reason.USB),
        (errno.ESHUTDOWN, TransientError, Reason.USB),
        (errno.EPERM, PermanentError, Reason.REFUSED),
        (errno.EROFS, PermanentError, Reason.REFUSED),
        (errno.EUCLEAN, PermanentError, Reason.REFUSED),
        (errno.ENOSYS, PermanentError, Reason.REFUSED),
        (99999, PermanentError, Reason.REFUSED),
    ],
)
async def test_each_number_is_an_error_of_ours(
    listen: Callable[[Peer], Helper], number: int, error: type[Exception], reason: Reason | None
) -> None:
    helper = listen(answering({"errno": number, "say": "the words"}))
    with pytest.raises(error, match=r"bay 3: mount: the words") as raised:
        await helper.mount(BAY)
    assert getattr(raised.value, "reason", None) is reason


@pytest.mark.parametrize(
    "answer",
    [
        b"no JSON",
        b"\xff",
        [],
        {},
        {"errno": "0"},
        {"errno": errno.EBUSY},
        {"errno": errno.EBUSY, "say": 1},
        {"errno": 0, "say": "x" * 9000},
    ],
)
async def test_an_answer_that_is_none_keeps_no_descriptor(listen: Callable[[Peer], Helper], answer: object) -> None:
    reading, writing = os.pipe()
    helper = listen(answering(answer, reading))
    before = descriptors()
    with pytest.raises(InvariantError):
        await helper.mount(BAY)
    await left_with(before)
    os.close(reading)
    os.close(writing)


async def test_a_machine_that_is_short_of_descriptors_asks_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("dockd.edges.helper.socket.socket", none_left)
    with pytest.raises(TransientError, match="Too many open files") as raised:
        await Helper(tmp_path / "helper.sock").mount(BAY)
    assert raised.value.reason is Reason.USB


async def test_a_machine_that_has_no_descriptor_left_for_the_answer_asks_again_later(
    listen: Callable[[Peer], Helper],
) -> None:
    """I17: the kernel then drops the descriptor that comes, and says so by MSG_CTRUNC."""
    reading, writing = os.pipe()
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def peer(connection: socket.socket) -> None:
        free = os.dup(reading)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        answering({"errno": 0}, reading)(connection)

    try:
        with pytest.raises(TransientError, match="no descriptor is left") as raised:
            await listen(peer).mount(BAY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    assert raised.value.reason is Reason.USB
    os.close(reading)
    os.close(writing)


async def test_more_or_fewer_descriptors_than_one_are_refused_and_closed(listen: Callable[[Peer], Helper]) -> None:
    reading, writing = os.pipe()
    none, two = listen(answering({"errno": 0})), listen(answering({"errno": 0}, reading, writing))
    one = listen(answering({"errno": 0, "on": True}, reading))
    refusing = listen(answering({"errno": errno.EBUSY, "say": "busy"}, reading))
    before = descriptors()
    for helper in (none, two):
        with pytest.raises(InvariantError):
            await helper.mount(BAY)
    with pytest.raises(InvariantError, match="came with a descriptor"):
        await one.powered(BAY)
    with pytest.raises(TransientError, match="busy"):
        await refusing.mount(BAY)
    await left_with(before)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("answer", [{"errno": 0}, {"errno": 0, "busnum": "1", "devnum": 1}])
async def test_an_authorisation_without_who_was_let_in_is_refused(
    listen: Callable[[Peer], Helper], answer: object
) -> None:
    with pytest.raises(InvariantError, match="who was let in"):
        await listen(answering(answer)).authorise(BAY, vendor="2672", product="0049")


async def test_a_port_that_did_not_switch_is_not_called_switched(listen: Callable[[Peer], Helper]) -> None:
    with pytest.raises(TransientError, match="did not switch") as raised:
        await listen(answering({"errno": 0, "on": True})).power(BAY, on=False)
    assert raised.value.reason is Reason.POWER
    with pytest.raises(InvariantError, match="expected true or false"):
        await listen(answering({"errno": 0})).powered(BAY)
    with pytest.raises(TransientError, match="EIO") as raised:
        await listen(answering({"errno": errno.EIO, "say": "hub"})).powered(BAY)
    assert raised.value.reason is Reason.POWER


async def test_a_helper_that_dies_hangs_or_is_not_there_is_asked_again_later(
    listen: Callable[[Peer], Helper], tmp_path: Path
) -> None:
    with pytest.raises(TransientError, match=r"ended without an answer|reset"):
        await listen(lambda _: None).mount(BAY)
    with pytest.raises(TransientError, match="No such file"):
        await Helper(tmp_path / "nobody.sock").mount(BAY)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as deaf:
        deaf.bind(str(tmp_path / "deaf.sock"))
        with pytest.raises(TransientError, match="refused"):
            await Helper(tmp_path / "deaf.sock").mount(BAY)
        deaf.listen()
        with pytest.raises(TransientError, match=r"no answer in 0.05 s"):
            await Helper(tmp_path / "deaf.sock", deadline_s=0.05).mount(BAY)


async def test_bays_whose_requests_hang_hold_up_no_other_bay(tmp_path: Path) -> None:
    """I17: they hang for as long as a request may, and a station may have a hub full of them."""
    loop = asyncio.get_running_loop()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as listening, ExitStack() as connections:
        listening.bind(str(tmp_path / "slow.sock"))
        listening.listen()
        listening.setblocking(False)  # noqa: FBT003 - its parameter is positional only
        helper = Helper(tmp_path / "slow.sock", deadline_s=100.0)

        async def accepted() -> socket.socket:
            connection, _ = await loop.sock_accept(listening)
            return connections.enter_context(closing(connection))

        async with asyncio.TaskGroup() as asking:
            hanging = [
                asking.create_task(ask, name=f"hanging {number}")
                for number in range(1, 14)
                for ask in (helper.mount(BayId(number)), helper.powered(BayId(number)))
            ]
            for _ in hanging:
                await asyncio.wait_for(accepted(), 10.0)
            works = asking.create_task(helper.powered(BayId(14)), name="works")
            (await asyncio.wait_for(accepted(), 10.0)).send(b'{"errno": 0, "on": true}')
            assert await works
            for task in hanging:
                task.cancel()


async def test_a_path_that_is_no_such_socket_is_refused(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as stream:
        stream.bind(str(tmp_path / "stream.sock"))
        stream.listen()
        with pytest.raises(PermanentError, match="wrong type"):
            await Helper(tmp_path / "stream.sock").mount(BAY)


async def test_a_descriptor_that_comes_after_the_asker_gave_up_is_gone(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as listening:
        listening.bind(str(tmp_path / "slow.sock"))
        listening.listen()
        listening.setblocking(False)  # noqa: FBT003 - its parameter is positional only
        asking = asyncio.create_task(Helper(tmp_path / "slow.sock").mount(BAY), name="ask")
        connection, _ = await asyncio.get_running_loop().sock_accept(listening)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        with closing(connection), pytest.raises(BrokenPipeError):
            socket.send_fds(connection, [b'{"errno": 0}'], [writing])
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)


async def test_the_peers_user_is_what_the_kernel_says(listen: Callable[[Peer], Helper]) -> None:
    seen: list[tuple[int, ...]] = []

    def peer(connection: socket.socket) -> None:
        seen.append(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))
        answering({"errno": 0, "on": True})(connection)

    assert await listen(peer).powered(BAY)
    assert seen == [(os.getpid(), os.getuid(), os.getgid())]
