"""What the client of root's helper makes of answers, of none, and of helpers that are not ours."""

import asyncio
import errno
import json
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from dockd.domain.model import BayId
from dockd.edges.helper import Helper
from dockd.errors import CameraGoneError, InvariantError, ListingError, PermanentError, Reason, TransientError
from tests.helper_parts import BAY, Peer, answering, descriptors, left_with, listening_in


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[[Peer], Helper]]:
    with listening_in(tmp_path) as start:
        yield start


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


async def test_a_switch_that_somebody_elses_request_is_at_is_asked_again_for_a_moment(
    listen: Callable[[Peer], Helper],
) -> None:
    """A bay that is to be dark, and then must not be as the daemon stops: the second wish is not lost."""
    busy = json.dumps({"errno": errno.EAGAIN, "say": "busy"}).encode()
    peers = [answering(answer) for answer in (b'{"errno": 0, "on": true}', busy, busy)]

    def next_one(connection: socket.socket) -> None:
        peers.pop()(connection)

    await listen(next_one).power(BAY, on=True)
    assert not peers
    with pytest.raises(TransientError, match="busy") as raised:
        await listen(answering(busy)).power(BAY, on=True)
    assert raised.value.reason is Reason.POWER


async def test_a_helper_that_dies_hangs_or_is_not_there_is_asked_again_later(
    listen: Callable[[Peer], Helper], tmp_path: Path
) -> None:
    with pytest.raises(TransientError, match=r"ended without an answer|reset|Broken pipe"):
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
