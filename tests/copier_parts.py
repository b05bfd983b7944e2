"""What tests of the card side share: a copier child driven by hand, under strace if asked to."""

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from dockd.domain.erasure import ErasePermit
from dockd.domain.model import Camera, CameraSerial, ClipKey, DockingId, ListedFile, Sha256, VolumeId
from dockd.edges.copier_process import COPIER, ISOLATED

CAMERA = Camera(serial=CameraSerial("X00123"), volume=VolumeId("1A2B-3C4D"))
PREFIX = "00ff" * 8
FOLDER = os.O_RDONLY | os.O_DIRECTORY
SPOOL_CALLS = "openat,fadvise64,readv,write,fdatasync,fsync,renameat,unlinkat"

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dock:
    """A card and a spool, both plain folders."""

    card: Path
    spool: Path

    def put(self, path: str | bytes, data: bytes = b"one clip") -> ListedFile:
        """Write a file onto the card; give it as a listing would."""
        name = os.fsencode(path)
        where = self.card / os.fsdecode(name)
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
        return self.listed(name)

    def listed(self, path: bytes) -> ListedFile:
        """Give a file of the card as a listing would."""
        status = (self.card / os.fsdecode(path)).stat()
        return ListedFile(path=path, length_bytes=status.st_size, mtime_ns=status.st_mtime_ns)

    def kept(self) -> list[str]:
        """Name what is in the spool."""
        return sorted(entry.name for entry in self.spool.iterdir())


def a_dock(folder: Path) -> Dock:
    """Make an empty card beside an empty spool."""
    dock = Dock(card=folder / "card", spool=folder / "spool")
    dock.card.mkdir()
    dock.spool.mkdir()
    return dock


def endless(dock: Dock) -> ListedFile:
    """Put a file on the card that takes minutes to copy."""
    dock.put("BIG.MP4", b"")
    os.truncate(dock.card / "BIG.MP4", 256 << 30)
    return dock.listed(b"BIG.MP4")


def permit(file: ListedFile, data: bytes = b"one clip") -> ErasePermit:
    """Give leave to erase a file of this content."""
    return ErasePermit(
        clip=ClipKey(1),
        docking=DockingId(1),
        path=file.path,
        length_bytes=file.length_bytes,
        sha256=Sha256(sha256(data).hexdigest()),
    )


def once(act: Callable[[], None]) -> Callable[[int], None]:
    """Do something at the first sign of progress."""
    acts = [act]

    def progress(done_bytes: int) -> None:
        if acts:
            acts.pop()()

    return progress


def unheard(done_bytes: int) -> None:
    """Take no note of progress."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


class Child:
    """A copier child and its two pipes."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def send(self, command: Mapping[str, object]) -> None:
        """Give a command and do not wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> Message:
        """Wait for one line; empty when the child ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        message: Message = json.loads(line) if line else {}
        return message

    def ask(self, command: Mapping[str, object]) -> tuple[Message, list[Message]]:
        """Have a command done: its answer, and everything said before."""
        self.send(command)
        signs: list[Message] = []
        while (message := self.hear()) and not message.keys() & {"done", "error"}:
            signs.append(message)
        return message, signs

    def listing(self) -> tuple[Message, list[ListedFile]]:
        """List the card: the answer, and the files."""
        answer, signs = self.ask({"do": "list"})
        files = [
            ListedFile(path=base64.b64decode(path), length_bytes=length, mtime_ns=mtime_ns)
            for sign in signs
            for path, length, mtime_ns in sign.get("files", ())
        ]
        return answer, files

    def copy(self, file: ListedFile) -> Message:
        """Copy a file."""
        return self.ask(copy_of(file))[0]

    def reread(self, file: ListedFile) -> Message:
        """Read a file again."""
        return self.ask({"do": "reread", "path": packed(file.path), "length": file.length_bytes})[0]

    def unlink(self, file: ListedFile, **other: object) -> Message:
        """Unlink a file, as a permit for it would have it."""
        command = {"do": "unlink", "path": packed(file.path), "length": file.length_bytes, "mtime_ns": None}
        return self.ask(command | {"sha256": "00" * 32} | other)[0]


def packed(path: bytes) -> str:
    """Write a path as the copier reads it."""
    return base64.b64encode(path).decode()


def copy_of(file: ListedFile) -> Message:
    """Command a copy of a file."""
    told = {"path": packed(file.path), "length": file.length_bytes, "mtime_ns": file.mtime_ns}
    return {"do": "copy", "part": "0-1.part", "prefix": PREFIX} | told


@contextmanager
def a_child(dock: Dock, *, wrap: Sequence[str] = (), device: Path | None = None) -> Iterator[Child]:
    """Run a copier on a dock; it is gone afterwards."""
    fds = [os.open(dock.card, FOLDER), os.open(dock.spool, FOLDER)]
    if device is not None:
        fds.append(os.open(device, os.O_RDONLY))
    # The interpreter itself: a shim would be what strace counts the calls of.
    python = os.path.realpath(sys.executable)
    command = [*wrap, python, *ISOLATED, str(COPIER), *map(str, fds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=fds)
    try:
        with process:
            yield Child(process)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=20)
    finally:
        process.kill()
        process.wait()
        for fd in fds:
            os.close(fd)


def can_trace() -> bool:
    """Say whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False, capture_output=True).returncode == 0


@dataclass(frozen=True, slots=True)
class Trace:
    """A log of strace."""

    log: Path

    def wrap(self, *faults: str, calls: str = SPOOL_CALLS, paths: Sequence[Path | str] = ()) -> tuple[str, ...]:
        """Give the command that runs a program under strace.

        `faults` are written as for `strace -e inject=`; with `paths` they, and the log, are of these alone.
        """
        faulty = [fault.partition(":")[0] for fault in faults]
        options = ["-e", "trace=" + ",".join({*calls.split(","), *faulty})]
        for fault in faults:
            options += ["-e", f"inject={fault}"]
        for path in paths:
            options += ["-P", str(path)]
        return ("strace", "-f", "-y", "-o", str(self.log), *options)

    def calls(self, pattern: str) -> list[str]:
        """Give the lines of the log that match, in order."""
        lines = self.log.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
        return [line for line in lines if re.search(pattern, line)]
