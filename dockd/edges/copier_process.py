"""One copier child: started when there is something to ask, watched while it works, killed when it is silent.

Owns the child process and the line protocol of `dockd/copier`. Knows no cards and no clips.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

COPIER = Path(__file__).parent.parent / "copier" / "__main__.py"
ISOLATED = ("-I", "-S", "-E", "-B", "-X", "utf8")
"""A child sees no environment, no site, no folder of whoever runs it, and writes nothing beside its own code."""
LINE_BYTES = 256 * 1024
ENVIRONMENT = ("LD_LIBRARY_PATH",)
"""What a child inherits: only what some builds of Python need to start at all."""

Command = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a silent child is waited for.

    `stall_s`: no sign of life while it works on the card. `disk_stall_s`: the same while it syncs the spool or reads
    it back, which a slow disk may draw out. `kill_s`: from the kill to the end; a child that hangs in the kernel on a
    dead device cannot die before the kernel lets it. `idle_s`: how long a child without work keeps its memory.
    """

    stall_s: float = 30.0
    disk_stall_s: float = 120.0
    kill_s: float = 2.0
    idle_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Bytes of a file done so far."""

    done_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDisk:
    """The child is busy with the spool: what it waits for now is not the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Some files of a listing: path, length in bytes, mtime in nanoseconds."""

    files: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The card's filesystem is sound: facts of it, and the lengths of files whose chain goes on behind their end."""

    facts: tuple[tuple[str, str], ...]
    behind: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The command is done; what a command does not tell is empty."""

    clip_id: str = ""
    sha256: str = ""
    length_bytes: int = 0
    mtime_ns: int = 0
    uncached: bool = False
    gaps: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The command could not be done; the child is well."""

    code: str
    say: str


Sign = At | OnDisk | Found | Checked
Answer = Done | Failed


class CopierLostError(Exception):
    """The child hung, died or made no sense, and is gone now; `on_disk` says that the spool kept it waiting."""

    def __init__(self, message: str, *, on_disk: bool) -> None:
        """Keep what it was busy with."""
        super().__init__(message)
        self.on_disk = on_disk


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    """A running copier, a descriptor of its process and its two pipes."""

    process: asyncio.subprocess.Process
    pidfd: int
    commands: asyncio.StreamWriter
    answers: asyncio.StreamReader
    pipe: asyncio.ReadTransport


class CopierProcess:
    """A copier for one card, by descriptors: started when there is work, and ended when there is none for a while."""

    def __init__(self, descriptors: tuple[int, ...], *, patience: Patience, abandoned: Callable[[int], None]) -> None:
        """Start nothing yet. `descriptors` are those of the card, the spool and, where there is one, the device.

        `abandoned` is told the process id of a child that outlived its kill.
        """
        self._descriptors = descriptors
        self._patience = patience
        self._abandoned = abandoned
        self._child: _Child | None = None
        self._rest: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the child, None while there is none."""
        return self._child.process.pid if self._child else None

    async def ask(self, command: Command, *, hear: Callable[[Sign], None]) -> Answer:
        """Have one command done, and be told how it goes; one at a time. A cancelled call ends the child.

        Raises:
            CopierLostError: no answer came.

        """
        try:
            answer = await self._converse(command, hear)
        except BaseException:
            # Whatever it was doing, nobody wants it any more: it must not go on.
            await self.end()
            raise
        self._rest = asyncio.get_running_loop().call_later(self._patience.idle_s, self._dismiss)
        return answer

    def kill(self) -> None:
        """Have the child die; whoever awaits its answer then sees to its end."""
        if self._child:
            # Not process.kill(): that looks whether the child has ended, and takes its end from whoever waits for it.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._child.pidfd, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the child, and see it end or abandon it."""
        self._stay()
        self.kill()
        child, self._child = self._child, None
        if child is None:
            return
        try:
            async with asyncio.timeout(self._patience.kill_s):
                await child.process.wait()
        except TimeoutError:
            self._abandoned(child.process.pid)
        finally:
            child.commands.close()
            # Here and now: a child that hangs in the kernel, or whoever else has the pipe, would keep it open.
            child.pipe.close()
            os.close(child.pidfd)

    def _dismiss(self) -> None:
        """Let an idle child go: it ends when its stdin does."""
        if self._child:
            self._child.commands.close()

    def _stay(self) -> None:
        if self._rest:
            self._rest.cancel()
            self._rest = None

    async def _converse(self, command: Command, hear: Callable[[Sign], None]) -> Answer:
        limit_s, on_disk = self._patience.stall_s, False
        try:
            async with asyncio.timeout(limit_s):
                child = await self._started()
                child.commands.write(json.dumps(command).encode("ascii") + b"\n")
                await child.commands.drain()
            while True:
                async with asyncio.timeout(limit_s):
                    line = await child.answers.readline()
                message = _parse(line)
                if isinstance(message, Done | Failed):
                    return message
                on_disk = isinstance(message, OnDisk)
                limit_s = self._patience.disk_stall_s if on_disk else self._patience.stall_s
                hear(message)
        except TimeoutError as error:
            raise CopierLostError(f"no sign of life from the copier for {limit_s:g} s", on_disk=on_disk) from error
        except (OSError, ValueError) as error:
            raise CopierLostError(f"the copier was lost: {error}", on_disk=on_disk) from error

    async def _started(self) -> _Child:
        self._stay()
        if self._child and self._child.commands.is_closing():
            await self.end()
        if self._child is None:
            self._child = await self._start()
        return self._child

    async def _start(self) -> _Child:
        answers = asyncio.StreamReader(limit=LINE_BYTES)
        reading, writing = os.pipe()
        # The pipe of answers is ours, not the process object's: we can close it, whatever becomes of the child.
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(answers), os.fdopen(reading, "rb", buffering=0)
        )
        try:
            process, commands = await self._spawn(writing)
            pidfd = _watched(process, commands)
        except BaseException:
            pipe.close()
            raise
        finally:
            os.close(writing)
        return _Child(process=process, pidfd=pidfd, commands=commands, answers=answers, pipe=pipe)

    async def _spawn(self, stdout: int) -> tuple[asyncio.subprocess.Process, asyncio.StreamWriter]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *ISOLATED,
            str(COPIER),
            *map(str, self._descriptors),
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=self._descriptors,
            env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        )
        if process.stdin is None:
            raise OSError("it was started without a pipe")
        return process, process.stdin


def _watched(process: asyncio.subprocess.Process, commands: asyncio.StreamWriter) -> int:
    """Give a descriptor of a process that was just started; one of which none can be had is ended, as it has a card."""
    try:
        return os.pidfd_open(process.pid)
    except OSError:
        with suppress(ProcessLookupError):
            process.kill()
        commands.close()
        raise


def _parse(line: bytes) -> Sign | Answer:
    """Read one line of a child.

    Raises:
        ValueError: it is cut short, or none that a copier writes.

    """
    if not line.endswith(b"\n"):
        raise ValueError("it died")
    try:
        return _read(line)
    except (KeyError, RecursionError, TypeError) as error:  # a shape inside a shape that is none of ours
        raise ValueError(f"it said {line!r:.200}") from error


def _read(line: bytes) -> Sign | Answer:
    match json.loads(line):
        case {"at": int(done)}:
            return At(done_bytes=done)
        case {"on": "disk"}:
            return OnDisk()
        case {"files": [*files]}:
            return Found(files=tuple((str(path), int(length), int(mtime_ns)) for path, length, mtime_ns in files))
        case {"structure": {**facts}, "behind": [*behind]}:
            pairs = tuple(sorted((str(name), str(value)) for name, value in facts.items()))
            return Checked(facts=pairs, behind=frozenset(map(int, behind)))
        case {"error": str(code), "say": str(say)}:
            return Failed(code=code, say=say)
        case {"done": {**told}}:
            return _parse_done(told)
        case _:  # whatever another process sends: no closed union
            raise ValueError(f"it said {line!r:.200}")


def _parse_done(told: Mapping[object, object]) -> Done:
    match told:
        case {"clip_id": str(clip_id), "sha256": str(sha256), "length": int(length), "gaps": [*gaps]}:
            return Done(clip_id=clip_id, sha256=sha256, length_bytes=length, gaps=tuple(map(_gap, gaps)))
        case {"clip_id": str(clip_id), "sha256": str(sha256), "length": int(length)}:
            return Done(clip_id=clip_id, sha256=sha256, length_bytes=length)
        case {"sha256": str(sha256), "length": int(length), "mtime_ns": int(mtime_ns), "uncached": bool(uncached)}:
            return Done(sha256=sha256, length_bytes=length, mtime_ns=mtime_ns, uncached=uncached)
        case _:
            return Done()


def _gap(told: object) -> tuple[int, int]:
    match told:
        case [int(offset), int(length)]:
            return offset, length
        case _:
            raise ValueError(f"a gap is {told!r:.200}, expected an offset and a length")
