"""Commands in the guest, as root, by the agent that runs in it: no network, and no terminal, is between.

Owns starting them, waiting for them, and what they said. Must not know what the machine is, or why it is asked.
"""

import base64
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.vm.wire import GoneError, Json, Line

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ANSWER_S = 60
"""How long the agent may take for an answer on a machine that is as fast as it was measured at."""


class FailedError(AssertionError):
    """A command that must succeed in the guest did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a command."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Agent:
    """The line to the agent. `slowness` stretches every deadline: 1.0 is an idle machine."""

    path: Path
    slowness: float = 1.0
    _line: Line | None = None

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def find(self, *, within_s: float) -> None:
        """Wait until the agent answers, which is when commands can run.

        Raises:
            TimeoutError: it did not.
            GoneError: the emulator ended.
        """
        deadline_s = time.monotonic() + within_s
        number = 0
        while True:
            number += 1
            line = self._connected()
            # What is left of an earlier connection ends at the byte 0xff; an earlier question's answer has its number.
            line.say({"execute": "guest-sync-delimited", "arguments": {"id": number}}, before=b"\xff")
            try:
                line.next(partial(_answers, number), within_s=3)
            except (TimeoutError, ValueError):
                self.close()
            else:
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"the agent in the guest: expected an answer within {within_s:.0f} s, had none")

    def run(self, command: str, *, within_s: float = 60, stdin: bytes | None = None) -> Done:
        """Run a line of bash to its end.

        Raises:
            TimeoutError: it still runs.
        """
        return self.wait(self.start(command, stdin=stdin), within_s=within_s)

    def shell(self, command: str, *, within_s: float = 60, stdin: bytes | None = None) -> str:
        """Run a line of bash that must succeed, and give its output.

        Raises:
            FailedError: it did not; with all that it said.
        """
        done = self.run(command, within_s=within_s, stdin=stdin)
        if done.code:
            raise FailedError(f"in the guest: {command}\nended with {done.code}, expected 0\n{done.out}{done.err}")
        return done.out

    def until(self, condition: str, *, within_s: float = 60) -> None:
        """Wait in the guest until a line of bash succeeds.

        Raises:
            FailedError: it did not in that time.
        """
        seconds = within_s * self.slowness
        loop = f"end=$((SECONDS + {seconds:.0f})); until {condition}; do ((SECONDS < end)) || exit 1; sleep 0.2; done"
        self.shell(loop, within_s=within_s + ANSWER_S)

    def start(self, command: str, *, stdin: bytes | None = None) -> int:
        """Start a line of bash and give its process id; what it says is kept for `wait`."""
        arguments: dict[str, Any] = {
            "path": "/bin/bash",
            "arg": ["-c", command],
            "env": [f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8"],
            "capture-output": True,
        }
        if stdin is not None:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        return int(self._ask("guest-exec", arguments)["pid"])

    def ended(self, pid: int) -> Done | None:
        """Give what became of a command, or None while it runs; may be asked until it has said that it ended."""
        status = self._ask("guest-exec-status", {"pid": pid})
        if not status["exited"]:
            return None
        out, err = (base64.b64decode(status.get(key, "")).decode(errors="replace") for key in ("out-data", "err-data"))
        return Done(code=int(status.get("exitcode", 128 + status.get("signal", 0))), out=out, err=err)

    def wait(self, pid: int, *, within_s: float = 60) -> Done:
        """Wait for a command that was started.

        Raises:
            TimeoutError: it still runs.
        """
        deadline_s, pause_s = time.monotonic() + within_s * self.slowness, 0.05
        while (done := self.ended(pid)) is None:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"process {pid} in the guest still runs after {within_s * self.slowness:.0f} s")
            # Each question costs the guest, which also writes it into its journal: what takes long is asked seldom.
            time.sleep(pause_s)
            pause_s = min(2.0, pause_s * 1.3)
        return done

    def _ask(self, what: str, arguments: Json) -> Json:
        answer: Json = self._connected().ask(what, arguments, within_s=ANSWER_S * self.slowness)
        return answer

    def _connected(self) -> Line:
        if self._line is None:
            try:
                self._line = Line(self.path)
            except OSError as error:
                raise GoneError(f"the agent's socket: {error}") from error
        return self._line


def _answers(number: int, message: Json) -> bool:
    return message.get("return") == number
