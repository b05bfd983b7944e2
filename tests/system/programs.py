"""Whole programs as processes: ingests and stores, what they say, what they hold, and their end."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

READY_WITHIN_S = 30.0
"""A start takes under a second; on a loaded machine it has taken several."""
GONE_WITHIN_S = 10.0
"""A copier notices within a tick that its parent is gone; a loaded machine may take longer to let it run."""

DOCKD = (sys.executable, "-m", "dockd")
STATION = "desk-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An ingest that ended: its exit code, its JSON lines, its standard error."""

    code: int
    lines: Sequence[dict[str, Any]]
    stderr: str

    @property
    def summary(self) -> dict[str, Any]:
        """The last line."""
        assert self.lines, f"exit code {self.code}, nothing on stdout; stderr: {self.stderr}"
        assert self.lines[-1]["event"] == "summary", f"exit code {self.code}: {self.lines[-1]}; stderr: {self.stderr}"
        return self.lines[-1]

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """Clips, receipted, quarantined, unproven, erased."""
        said = self.summary
        return said["clips"], said["receipted"], said["quarantined"], said["unproven"], said["erased"]

    @property
    def troubles(self) -> dict[str, dict[str, Any]]:
        """What was said of each clip that has no receipt, by name."""
        return {line["name"]: line for line in self.lines if line["event"] == "clip"}

    def words(self) -> str:
        """Everything that was said, for a failure's message."""
        return "\n".join([*map(json.dumps, self.lines[-12:]), self.stderr])


def ingest_command(
    card: Path, *, to: str, state: Path, key: str | None = None, more: Sequence[str] = ()
) -> tuple[str, ...]:
    """Write the command line of an ingest."""
    keys = () if key is None else ("--store-key", key)
    where = ("--to", to, "--state", str(state), "--station", STATION)
    return (*DOCKD, "ingest", str(card), *where, "--json", *keys, *more)


class Ingest:
    """An ingest under way."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Start it; `log` takes its standard error, and beside it its standard output."""
        self._said, self._log = log.with_suffix(".stdout"), log
        with self._said.open("wb") as said, log.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=errors)
        self._seen: set[int] = set()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Say whether it has not ended."""
        return self.process.poll() is None

    def tree(self) -> list[int]:
        """Its process id and those of its children."""
        pids = tree(self.pid)
        self._seen.update(pids)
        return pids

    def lines(self) -> list[dict[str, Any]]:
        """What it has said so far, whole lines."""
        text = self._said.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as kill -9 does, and see its children end by themselves."""
        self.tree()
        self.process.kill()
        self.process.wait()
        self.see_children_gone()

    def see_children_gone(self) -> None:
        """Wait until nothing of it is left; fail if something stays."""
        deadline_s = time.monotonic() + GONE_WITHIN_S
        while left := [pid for pid in self._seen if is_alive(pid)]:
            assert time.monotonic() < deadline_s, f"processes left behind by an ingest that was killed: {left}"
            time.sleep(0.01)

    def ended(self, *, within_s: float = 60.0) -> Ended:
        """Wait for its end."""
        try:
            code = self.process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            said = self.lines()[-3:]
            message = f"ingest: not at its end after {within_s} s; last said {said}; {self._log.read_text()}"
            raise AssertionError(message) from None
        self.see_children_gone()
        return Ended(code=code, lines=self.lines(), stderr=self._log.read_text(encoding="utf-8"))


@contextmanager
def ingesting(command: Sequence[str], log: Path) -> Iterator[Ingest]:
    """Start an ingest; it has ended after the block, whatever happened in it."""
    run = Ingest(command, log)
    try:
        yield run
    finally:
        if run.running:
            run.kill()


def ingest(
    card: Path,
    *,
    to: str,
    state: Path,
    key: str | None = None,
    more: Sequence[str] = (),
    within_s: float = 60.0,
) -> Ended:
    """Run an ingest to its end."""
    with ingesting(ingest_command(card, to=to, state=state, key=key, more=more), state.with_suffix(".stderr")) as run:
        return run.ended(within_s=within_s)


# --- dockctl on a state folder ------------------------------------------------------------------------------------


def dockctl(question: str, state: Path, *more: str) -> dict[str, Any]:
    """Ask `dockctl` of a state folder in JSON; it must say that all is well."""
    command = [sys.executable, "-m", "dockd.ctl", question, "--state", str(state), "--json", *more]
    said = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert said.returncode == 0, f"dockctl {question}: {said.returncode}: {said.stdout[-2000:]!r} {said.stderr!r}"
    document: dict[str, Any] = json.loads(said.stdout)
    return document


def verified(state: Path) -> tuple[int, int, int]:
    """See the custody chain and every receipt checked: how many clips, receipts, and receipts that name an entry."""
    report = dockctl("verify", state)
    assert report["problems"] == []
    assert report["signatures"] == "signatures checked", report
    return report["clips"], report["receipts"], report["anchored"]


# --- a store ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class StoreProcess:
    """`dockd central` on a folder, to be killed and started again on its port."""

    folder: Path
    arguments: Sequence[str] = ()
    before: Sequence[str] = ()
    """What runs the program: nothing, or strace."""
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def base(self) -> str:
        """Where it answers."""
        scheme = "https" if "--tls-cert" in self.arguments else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where to upload."""
        return f"{self.base}/files/"

    @property
    def key(self) -> str:
        """Its public receipt key."""
        command = [*DOCKD, "central", "--dir", str(self.folder), "--show-key"]
        return subprocess.run(command, check=True, capture_output=True, timeout=READY_WITHIN_S).stdout.decode().strip()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it, and wait until it listens; again on the port that it had."""
        command = [*self.before, *DOCKD, "central", "--dir", str(self.folder)]
        command += ["--listen", f"127.0.0.1:{self.port}", *self.arguments]
        errors = self.folder.with_suffix(".stderr")
        with errors.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], READY_WITHIN_S)
        line = os.read(self.process.stdout.fileno(), 4096).decode("ascii") if ready else ""
        assert line.startswith("listening on "), f"store: said {line!r}; {errors.read_text()}"
        self.port = int(line.rpartition(":")[2].partition("/")[0])

    def kill(self) -> None:
        """End it as kill -9 does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as systemd does."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=READY_WITHIN_S)
            self.process.stdout.close()
            self.process = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self.kill()


# --- processes ----------------------------------------------------------------------------------------------------


def tree(pid: int) -> list[int]:
    """Give a process and all below it, those that have just ended left out."""
    found, look = [], [pid]
    while look:
        pid = look.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                look += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that is dead and not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_line(pid: int) -> str:
    """Give a process's command line, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def pss_bytes(pid: int) -> int:
    """Give the proportional set size of a process: shared pages count once among those who share them.

    Source: proc(5), /proc/pid/smaps_rollup, Pss.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


class Gauge:
    """Weighs a process and its children while it runs, in a thread."""

    def __init__(self, run: Ingest, *, every_s: float = 0.1) -> None:
        """Begin with nothing weighed."""
        self._run, self._every_s = run, every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._weigh, name="gauge")
        self.samples = 0
        self.peak_bytes = 0
        self.most_processes = 0

    def __enter__(self) -> Self:
        """Begin weighing."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End weighing."""
        self._end.set()
        self._thread.join()

    def _weigh(self) -> None:
        while not self._end.wait(self._every_s):
            weights = [weight for pid in self._run.tree() if (weight := pss_bytes(pid))]
            if not weights:
                continue
            self.samples += 1
            self.peak_bytes = max(self.peak_bytes, sum(weights))
            self.most_processes = max(self.most_processes, len(weights))
