"""One emulated machine: started, cut off from its power, started again.

Owns the process, its folder, its disk and its two sockets. Must not know what is plugged in, nor what the guest runs.
"""

import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.vm import qemu
from tests.vm.agent import Agent
from tests.vm.wire import GoneError, Line

COLD_S = 900
"""A start without a snapshot takes 30 s on an idle machine, and may take this long."""

WARM_S = 300
"""A start from a snapshot takes 3 s on an idle machine, and may take this long."""

CALIBRATION = "python3 -c 'sum(range(100000))'"
CALIBRATION_S = 0.4
"""How long the calibration takes in the guest of an idle machine."""


class Machine:
    """A machine with a disk of its own, gone with it. Made from an image; from a snapshot it starts within seconds."""

    def __init__(self, image: Path, shape: qemu.Shape, *, snapshot: Path | None = None) -> None:
        self.image, self.shape, self.snapshot = image, shape, snapshot
        # Not pytest's own folder: the path of a socket has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="dockd-vm-"))
        files = {"disk": self.folder / "disk", "sockets": self.folder, "console": self.folder / "console"}
        self.files = qemu.Files(image=image, **files)
        self.agent = Agent(self.files.agent)
        self.started_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor: Line | None = None

    def __enter__(self) -> Self:
        """Give the machine, which is off."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Cut its power, and remove its disk."""
        self.cut()
        shutil.rmtree(self.folder)

    # --- power ---

    def boot(self) -> None:
        """Start with a new disk; from the snapshot, where there is one.

        Raises:
            GoneError: the emulator ended; with what it and the guest's console said.
            TimeoutError: the guest did not come up.
        """
        self.files.disk.unlink(missing_ok=True)
        backing = self.image / "base.qcow2" if self.snapshot is None else self.snapshot / "disk"
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(backing), "-F", "qcow2", str(self.files.disk)]
        subprocess.run(create, check=True)
        self._start(None if self.snapshot is None else self.snapshot / "memory")

    def reboot(self) -> None:
        """Start again on the same disk, after a cut: never from a snapshot, whose memory knows another disk."""
        self._start(None)

    def cut(self) -> None:
        """Cut the power: what the guest has not written out is lost. What its disk was told is kept, synced or not."""
        for line in (self._monitor, self.agent):
            if line is not None:
                line.close()
        self._monitor = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int | None:
        """The emulator's process id; None while the machine is off."""
        return None if self._process is None else self._process.pid

    def _start(self, memory: Path | None) -> None:
        if self._process is not None:
            raise RuntimeError("the machine is on: cut its power first")
        began_s = time.monotonic()
        for path in (self.files.monitor, self.files.agent):
            path.unlink(missing_ok=True)
        with (self.folder / "emulator").open("wb") as said:
            # A test run that is killed takes its machines with it.
            command = ["setpriv", "--pdeathsig", "KILL", *qemu.command(self.shape, self.files, memory=memory)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        try:
            self._connect()
            if memory is not None:
                self._wait_for("query-status", "inmigrate", within_s=WARM_S)
                self.ask("cont")
            self.agent.find(within_s=COLD_S if memory is None else WARM_S)
        except (GoneError, TimeoutError) as error:
            said_last = (self.tail("emulator"), self.tail("console"))
            self.cut()
            raise type(error)(f"{error}\n" + "\n".join(said_last)) from error
        self.started_s = time.monotonic() - began_s
        self._settle()

    def _settle(self) -> None:
        """Set the guest's clock, which a snapshot left behind, and measure how fast this machine is today."""
        self.agent.slowness = 10.0
        self.agent.shell(f"date -s @{time.time():.3f} >/dev/null")
        began_s = time.monotonic()
        self.agent.shell(CALIBRATION)
        self.agent.slowness = max(1.0, (time.monotonic() - began_s) / CALIBRATION_S)

    def tail(self, name: str) -> str:
        """Give the end of what the emulator or the guest's console said."""
        path = self.folder / name
        return path.read_bytes()[-2000:].decode(errors="replace") if path.exists() else ""

    # --- the monitor ---

    def ask(self, what: str, /, **arguments: Any) -> Any:  # noqa: ANN401 - the monitor's own words, both ways
        """Ask the emulator's monitor; names with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        return self.monitor.ask(what, named, within_s=60 * self.agent.slowness)

    @property
    def monitor(self) -> Line:
        if self._monitor is None:
            raise GoneError("the machine is off")
        return self._monitor

    def save(self, into: Path) -> None:
        """Stop the guest, and put down its memory and its disk as a snapshot to start from. The machine is off then."""
        self.ask("stop")
        self.ask("migrate-set-parameters", max_bandwidth=1 << 40)
        self.ask("migrate", uri=f"exec:cat >{shlex.quote(str(into / 'memory'))}")
        if self._wait_for("query-migrate", "setup", "active", "device", within_s=WARM_S) != "completed":
            raise GoneError(f"the snapshot of the guest's memory: {self.ask('query-migrate')}")
        self.cut()
        shutil.move(self.files.disk, into / "disk")

    def _connect(self) -> None:
        deadline_s = time.monotonic() + 60
        while self._monitor is None:
            try:
                self._monitor = Line(self.files.monitor)
            except OSError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline_s:
                    raise GoneError("the emulator did not come up") from None
                time.sleep(0.02)
        self.monitor.next(lambda message: "QMP" in message, within_s=60)
        self.monitor.ask("qmp_capabilities", None, within_s=60)

    def _wait_for(self, question: str, *passing: str, within_s: float) -> str:
        """Ask until the status is none of those that pass."""
        deadline_s = time.monotonic() + within_s
        while True:
            status = str(self.ask(question).get("status", "setup"))
            if status not in passing:
                return status
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{question}: still {status} after {within_s} s")
            time.sleep(0.05)
