"""Lines of JSON over the emulator's two sockets: its monitor (QMP), and the agent in the guest.

Owns the sockets, the answers that belong to a question, and the events between them. Must not know what is asked.
Source: QEMU 7.2, docs/interop/qmp-spec.txt and qemu-ga-ref.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]
"""One message as it comes off the wire; who asks knows what is in it."""


class RefusedError(RuntimeError):
    """The emulator or the agent answered a question with an error."""


class GoneError(RuntimeError):
    """The emulator has ended, or closed its socket."""


@dataclass(slots=True)
class Line:
    """One connection. Once an answer did not come in time, it is of no more use: that answer would be misread."""

    path: Path
    _socket: socket.socket = field(init=False)
    _unread: bytes = b""
    events: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Connect; OSError where nobody listens."""
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(self.path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def ask(self, what: str, arguments: Json | None, *, within_s: float) -> Any:  # noqa: ANN401 - as it comes
        """Give the answer to one question.

        Raises:
            RefusedError: the other side says that it cannot.
            GoneError: it ended.
            TimeoutError: no answer in time.
        """
        self.say({"execute": what} | ({"arguments": dict(arguments)} if arguments else {}))
        answer = self.next(lambda message: "event" not in message, within_s=within_s)
        if "error" in answer:
            raise RefusedError(f"{what}: {answer['error']['desc']}")
        return answer["return"]

    def say(self, message: Json, *, before: bytes = b"") -> None:
        try:
            self._socket.sendall(before + json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise GoneError(f"{self.path.name}: {error}") from error

    def event(self, name: str, device: str, *, within_s: float) -> None:
        """Wait until the monitor has told of this event of this device."""

        def is_it(message: Json) -> bool:
            return message.get("event") == name and message["data"].get("device") == device

        for message in self.events:
            if is_it(message):
                self.events.remove(message)
                return
        self.next(is_it, within_s=within_s)

    def next(self, wanted: Callable[[Json], bool], *, within_s: float) -> Json:
        """Read on to a message that is wanted; events on the way are kept."""
        deadline_s = time.monotonic() + within_s
        while True:
            message = self._message(deadline_s)
            if wanted(message):
                return message
            if "event" in message:
                self.events.append(message)

    def _message(self, deadline_s: float) -> Json:
        while b"\n" not in self._unread:
            self._socket.settimeout(max(0.001, deadline_s - time.monotonic()))
            try:
                got = self._socket.recv(1 << 20)
            except TimeoutError:
                raise TimeoutError(f"{self.path.name}: no answer in time") from None
            except OSError as error:
                raise GoneError(f"{self.path.name}: {error}") from error
            if not got:
                raise GoneError(f"{self.path.name}: closed by the other side")
            self._unread += got
        line, _, self._unread = self._unread.partition(b"\n")
        message: Json = json.loads(line.lstrip(b"\xff") or b"{}")
        return message
