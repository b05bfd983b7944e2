"""A proxy on loopback that counts what goes up, and holds hardly anything itself."""

import socket
import threading
from contextlib import suppress
from typing import Self

CHUNK_BYTES = 16 << 10
BUFFER_BYTES = 32 << 10


class CountingProxy:
    """Passes connections on to a port; `up_bytes` is what clients have sent through it so far."""

    def __init__(self, port: int) -> None:
        """Take where to pass connections on to; it may be gone for a while."""
        self._to = ("127.0.0.1", port)
        self.up_bytes = 0
        self.connections = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        # Whatever waits in the proxy when an end dies was sent and not received: keep it small.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()

    @property
    def url(self) -> str:
        """Where to upload."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/files/"

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        """End every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            for end in self._open:
                _break(end)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, work: object, *arguments: socket.socket) -> None:
        assert callable(work)
        thread = threading.Thread(target=work, args=arguments, name="counting proxy")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            try:
                server.connect(self._to)
            except OSError:
                server.close()
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            self._start(self._pass_up, client, server)

    def _pass_up(self, client: socket.socket, server: socket.socket) -> None:
        down = threading.Thread(target=_pump, args=(server, client), name="counting proxy, down")
        down.start()
        try:
            while chunk := client.recv(CHUNK_BYTES):
                self.up_bytes += len(chunk)
                server.sendall(chunk)
        except OSError:
            pass  # one end is gone: so is the other, below
        for end in (client, server):
            _break(end)
        down.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(CHUNK_BYTES):
            target.sendall(chunk)
    except OSError:
        pass  # one end is gone: so is the other, below
    for end in (source, target):
        _break(end)


def _break(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
