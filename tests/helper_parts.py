"""A socket where a helper listens, for the tests of its client: who answers there is up to each test."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dockd.domain.model import BayId
from dockd.edges.helper import Helper

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


@contextmanager
def listening_in(folder: Path) -> Iterator[Callable[[Peer], Helper]]:
    """Give clients of helpers that answer as told, for as long as the block runs."""
    listening: list[Listening] = []

    def start(peer: Peer) -> Helper:
        listening.append(Listening(folder / f"h{len(listening)}.sock", peer))
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
