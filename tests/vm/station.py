"""A whole station in the guest: dockd as its own user under systemd, root's helper, udev's rules, a store on the host.

Owns what systemd/README.md has people install, the configuration, and the ways to look at the station from outside:
dockctl's answers, the journal, what is mounted. Must not know what a test does with it.
"""

import io
import json
import shlex
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.programs import StoreProcess
from tests.vm.agent import Done, FailedError
from tests.vm.install import forward, install
from tests.vm.machine import Machine
from tests.vm.plants import Plant
from tests.vm.usb import PRODUCT, VENDOR, Stick, plug
from tests.vm.wire import GoneError

ROOT = Path(__file__).resolve().parents[2]
STATION = "emulated-1"
BAYS = range(1, 15)

EMPTY = "all(bay['lamp'] == 'empty' for bay in bays)"
"""Nothing is in any bay."""

FAULT = "any(bay['phase'] == 'fault' and bay['reason'] != 'unknown-device' for bay in bays)"
"""Some bay's camera cannot be worked on. One that takes its time to become a camera is unknown for so long."""

USB2_BYTES_S = 35 << 20
"""What a card gives over USB 2, at most."""

_INSTALLED = {
    "systemd/dockd.service": "usr/lib/systemd/system/dockd.service",
    "systemd/dockd-helper.socket": "usr/lib/systemd/system/dockd-helper.socket",
    "systemd/dockd-helper.service": "usr/lib/systemd/system/dockd-helper.service",
    "systemd/sysusers.conf": "usr/lib/sysusers.d/dockd.conf",
    "systemd/tmpfiles.conf": "usr/lib/tmpfiles.d/dockd.conf",
    "hw/udev/60-dockd-lines.rules": "usr/lib/udev/rules.d/60-dockd-lines.rules",
    "hw/udev/61-dockd-storage.rules": "usr/lib/udev/rules.d/61-dockd-storage.rules",
    "hw/udev/70-dockd-authorise.rules": "usr/lib/udev/rules.d/70-dockd-authorise.rules",
}

_CAMERAS = f"""
name = "emulated"
about = "what the emulator's sticks and the guest's gadgets say they are"
like = "dcf"
zone = "UTC"

[[match]]
vendor = "{VENDOR}"
product = "{PRODUCT}"

[[match]]
vendor = "7e57"
product = "ca3e"
"""

_UNTIL = """
import contextlib, io, json, sys, time
from dockd.ctl import main

*words, condition, unless, within_s = sys.argv[1:]
end_s = time.monotonic() + float(within_s)
while True:
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        code = main([*words, "--json"])
    answer = json.loads(said.getvalue()) if code in {0, 1} else {}
    if answer and eval(condition, dict(answer)):
        break
    if time.monotonic() > end_s or (answer and eval(unless, dict(answer))):
        sys.exit(json.dumps(answer) + errors.getvalue())
    time.sleep(0.3)
print(json.dumps(answer))
"""

_MOUNTS = """
for name in vfat exfat; do
    count=$(cat /sys/module/$name/refcnt 2>/dev/null || echo 0)
    if [ "$count" != 0 ]; then echo "$count mounted as $name"; fi
done
grep -E ' - (vfat|exfat) ' /proc/[0-9]*/mountinfo || true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A station that is installed. `board` is its board file, on the host; `plants` are faults that its dockd has."""

    machine: Machine
    dockd: Path
    store: StoreProcess
    board: Path = ROOT / "hw/boards/emulated-14.toml"
    bays: range = BAYS
    plants: Sequence[Plant] = ()

    # --- installation ---

    def begin(self) -> None:
        """Switch the machine on, put everything where it belongs, and start it."""
        self.machine.boot()
        self.install()

    def install(self) -> None:
        """Put everything where it belongs, and start it."""
        lay_out(
            self.machine,
            self.dockd,
            {
                "board.toml": self.board.read_text(),
                "dockd.toml": self._configuration(),
                "cameras/emulated.toml": _CAMERAS,
            },
        )
        for plant in self.plants:
            plant.lay(self.machine)
        forward(self.machine, self.store.port)
        self.machine.agent.shell("systemctl enable -q --now dockd-helper.socket dockd.service", within_s=120)
        self.until("bays", EMPTY, within_s=60)

    def come_up_again(self) -> None:
        """Bring up what a restart of the machine leaves to people: the disk with dockd, and the way to the store."""
        install(self.machine, self.dockd)
        forward(self.machine, self.store.port)
        self.machine.agent.until("systemctl is-active -q dockd.service", within_s=120)

    def _configuration(self) -> str:
        bays = "".join(f"[[bays]]\nnumber = {bay}\n" for bay in self.bays)
        return f"""
[station]
id = "{STATION}"
[store]
url = "{self.store.url}"
receipt_keys = ["{self.store.key}"]
[hardware]
board = "/etc/dockd/board.toml"
{bays}"""

    def is_at_rest(self) -> bool:
        """Say whether it is at work, and nothing is in any bay, nor mounted."""
        try:
            self.until("bays", EMPTY, within_s=10)
        except (FailedError, GoneError, TimeoutError):
            return False
        return self.mounted() == ""

    # --- what it says ---

    def ask(self, *words: str) -> dict[str, Any]:
        """Ask dockctl for JSON."""
        done = self.said(*words, "--json")
        assert done.code in {0, 1}, (words, done, self.journal())
        answer: dict[str, Any] = json.loads(done.out)
        return answer

    def said(self, *words: str) -> Done:
        """Let people ask dockctl, in the guest."""
        return self.machine.agent.run(shlex.join(["dockctl", *words]))

    def until(self, question: str, condition: str, *, unless: str = "False", within_s: float) -> dict[str, Any]:
        """Ask dockctl in the guest, again and again, until a condition holds of its JSON; give that JSON.

        Nobody waits any longer once the condition `unless` holds.

        `condition` is an expression of Python over the keys of the answer: `all(bay["work"]["files"] for bay in bays)`.

        Raises:
            FailedError: it did not hold in that time, or what must not be came first; with the last answer and the end
                of the journal.
        """
        seconds = within_s * self.machine.agent.slowness
        program = shlex.join(["/opt/dockd/bin/python", "-", *question.split(), condition, unless, f"{seconds:.0f}"])
        done = self.machine.agent.run(program, within_s=within_s + 60, stdin=_UNTIL.encode())
        if done.code:
            raise FailedError(f"not so within {seconds:.0f} s: {condition}\n{done.err}\n{self.journal()}")
        answer: dict[str, Any] = json.loads(done.out)
        return answer

    def lamps(self) -> Mapping[int, str]:
        """Give what each bay's lamp says, by dockctl."""
        return {bay["bay"]: bay["lamp"] for bay in self.ask("bays")["bays"]}

    def journal(self, *, lines: int = 60) -> str:
        """Give the end of what dockd and its helper wrote."""
        units = "-u dockd -u dockd-helper -u dockd-helper.socket"
        return self.machine.agent.shell(f"journalctl {units} -o short-monotonic --no-pager -n {lines}")

    # --- what it does ---

    def mounted(self) -> str:
        """Say what is mounted as FAT or exFAT: nothing where nothing is.

        A mount without a place, as the helper makes them, is in no table of mounts; the modules of the filesystems are
        in use for as long as there is one, whoever holds it, and though its disk is gone.
        """
        return self.machine.agent.shell(_MOUNTS).strip()

    def plug(self, bay: int, image: Path, *, serial: str, bytes_per_s: int = USB2_BYTES_S) -> Stick:
        """Push a card into a bay."""
        return plug(self.machine, image, port_of(bay), serial=serial, bytes_per_s=bytes_per_s)


def lay_out(machine: Machine, dockd: Path, etc: Mapping[str, str]) -> None:
    """Put dockd, its units, its user and its udev rules where systemd/README.md says, and files into /etc/dockd.

    From then on no USB device but hubs is let in by itself. Nothing is started yet.
    """
    install(machine, dockd)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for source, target in _INSTALLED.items():
            _add(archive, target, (ROOT / source).read_bytes())
        for name, text in etc.items():
            _add(archive, f"etc/dockd/{name}", text.encode())
    machine.agent.shell("tar -C / -xf -", stdin=packed.getvalue())
    machine.agent.shell(
        "systemd-sysusers && systemd-tmpfiles --create dockd.conf && systemctl daemon-reload"
        " && udevadm control --reload && udevadm trigger --action=add --subsystem-match=usb --settle",
        within_s=120,
    )


def port_of(bay: int) -> str:
    """Give the port of a bay, by the board file: seven on each hub."""
    hub, port = divmod(bay - 1, 7)
    return f"{hub + 1}.{port + 1}"


def _add(archive: tarfile.TarFile, target: str, data: bytes) -> None:
    entry = tarfile.TarInfo(target)
    entry.size, entry.mode = len(data), 0o644
    archive.addfile(entry, io.BytesIO(data))
