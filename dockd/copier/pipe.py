"""The line to the parent: commands in, messages out, and the error that ends a command.

Owns two descriptors and when to speak. Knows nothing of cards.
"""

import json
import os
import select
import sys
import time
from collections.abc import Mapping

LINE_BYTES = 256 * 1024
TICK_S = 0.25

Message = Mapping[str, object]


class CommandError(Exception):
    """A command that could not be done: a code for the parent, words for people."""

    def __init__(self, code: str, say: str) -> None:
        super().__init__(say)
        self.code = code


class Pipe:
    """Commands in, messages out; notices in mid-work that the parent is gone."""

    def __init__(self, *, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._pending, self._last_s = b"", 0.0
        self._poll = select.poll()
        self._poll.register(commands, select.POLLIN)

    def command(self) -> Message | None:
        """Wait for the next command; None at the end of them."""
        while b"\n" not in self._pending:
            if not self._more():
                return None
        line, _, self._pending = self._pending.partition(b"\n")
        self._last_s = time.monotonic()
        command: Message = json.loads(line)
        return command

    def tell(self, message: Message) -> None:
        """Say something, or end when nobody hears it."""
        self._last_s = time.monotonic()
        line = memoryview(json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n")
        try:
            while line:
                line = line[os.write(self._answers, line) :]
        except BrokenPipeError:
            sys.exit("copier: nobody is listening any more")

    def due(self) -> bool:
        """Say whether it is time for a sign of life."""
        return time.monotonic() - self._last_s >= TICK_S

    def tick(self, message: Message) -> None:
        """Say something if it is time to, or end when the parent closed our stdin, or died."""
        if self.due():
            if self._poll.poll(0) and not self._more():
                sys.exit("copier: nobody gives commands any more")
            self.tell(message)

    def _more(self) -> bool:
        chunk = os.read(self._commands, LINE_BYTES)
        self._pending += chunk
        if len(self._pending) > LINE_BYTES:
            sys.exit(f"copier: a command has more than {LINE_BYTES} bytes")
        return bool(chunk)
