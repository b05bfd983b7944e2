"""Faults that are planted into the guest's dockd, by name: what is put there to be found, so that tests can fail.

Owns the plants, and how one is laid over the dockd that is mounted in the guest. Must not know what finds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.vm.install import SITE, WHERE
from tests.vm.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
LAID = "/run/plants"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A file of dockd in which other words stand in the place of some that it has once."""

    file: str
    there: str
    instead: str

    def text(self) -> str:
        """Give the file with its fault; fails where the fault is planted nowhere any more."""
        text = (ROOT / self.file).read_text()
        count = text.count(self.there)
        assert count == 1, f"{self.file} has {count} times, expected once: {self.there}"
        return text.replace(self.there, self.instead)

    def lay(self, machine: Machine) -> None:
        """Lay it over what is there. A program of dockd has it from its next start on."""
        own = f"{LAID}/{Path(self.file).stem}"
        file = Path(f"{WHERE}/{SITE}", self.file)
        # What was compiled beforehand is not held against the text: an empty file in its place is no code at all.
        compiled = f"{file.parent}/__pycache__/{file.stem}.cpython-311.pyc"
        machine.agent.shell(
            f"mkdir -p {LAID} && cat >{own}.py && : >{own}.pyc && mount --bind {own}.py {file}"
            f" && if [ -e {compiled} ]; then mount --bind {own}.pyc {compiled}; fi",
            stdin=self.text().encode(),
        )

    def lift(self, machine: Machine) -> None:
        """Take it away again."""
        machine.agent.shell(f"grep -oE '{WHERE}/[^ ]+/{Path(self.file).stem}\\.[^ ]+' /proc/mounts | xargs umount")


PLANTS: Mapping[str, Plant] = {
    "structure-finds-nothing": Plant(
        file="dockd/structure/check.py", there="problems=tuple(findings.problems)", instead="problems=()"
    ),
    "erased-as-soon-as-copied": Plant(
        file="dockd/app/offload.py",
        there="    copied = await stay.card.copy(file, progress=progress)\n",
        instead="""    copied = await stay.card.copy(file, progress=progress)
    from dockd.domain.erasure import ErasePermit
    named = {"clip": clip.key, "docking": stay.docking, "path": clip.path}
    await stay.card.erase(ErasePermit(**named, length_bytes=copied.length_bytes, sha256=copied.sha256))
""",
    ),
    "daemon-keeps-a-mount": Plant(
        file="dockd/edges/doors.py",
        there="            os.close(held[0])\n",
        instead="            if not writable: os.close(held[0])\n",
    ),
    "helper-keeps-a-mount": Plant(
        file="dockd/helper/__main__.py",
        there="    if fd is not None:\n        os.close(fd)\n",
        instead='    if b"writable" in message:\n        signal.pause()\n',
    ),
}

IDLE_S = 2
SOON_IDLE = Plant(
    file="dockd/helper/__main__.py",
    there="1.0 if working else within_s)",
    instead=f"1.0 if working else {IDLE_S})",
)
"""No fault: a helper that ends sooner than it does in a station, for a test that cannot wait."""
