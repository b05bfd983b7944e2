"""Machines that start within seconds: each from a snapshot of one that had come up, kept beside the image.

Owns when a snapshot still fits. Must not know what machines are for.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vm import cache, qemu
from tests.vm.image import image
from tests.vm.machine import Machine


@contextmanager
def bench(shape: qemu.Shape | None = None) -> Iterator["Bench"]:
    """Lend what machines of a shape are made of; image and snapshot are made first where nobody has yet (minutes)."""
    chosen = shape or qemu.Shape()
    with image() as made, cache.kept("warm", _key(made, chosen), lambda into: _make(made, chosen, into)) as snapshot:
        yield Bench(made, chosen, snapshot)


class Bench:
    """Makes machines that are alike."""

    def __init__(self, image_: Path, shape: qemu.Shape, snapshot: Path) -> None:
        self.image, self.shape, self.snapshot = image_, shape, snapshot

    def machine(self) -> Machine:
        """Give a machine that is off; its `boot` takes seconds, and its `reboot` as long as any cold start."""
        return Machine(self.image, self.shape, snapshot=self.snapshot)

    @property
    def cold_s(self) -> float:
        """How long the cold start took, of which this is the snapshot."""
        return float(json.loads((self.snapshot / "made.json").read_text())["cold_s"])


def _key(made: Path, shape: qemu.Shape) -> str:
    """Name a snapshot: it fits one image, one command line, and one version of the emulator."""
    nowhere = qemu.Files(image=made, disk=Path("disk"), sockets=Path(), console=Path("console"))
    version = subprocess.run([qemu.PROGRAM, "--version"], check=True, capture_output=True).stdout
    return cache.key_of((*qemu.command(shape, nowhere), version, Path(__file__).read_bytes()))


def _make(made: Path, shape: qemu.Shape, into: Path) -> None:
    with Machine(made, shape) as machine:
        machine.boot()
        machine.agent.run("systemctl is-system-running --wait", within_s=600)
        machine.agent.shell("udevadm settle && sync && echo 3 >/proc/sys/vm/drop_caches", within_s=300)
        machine.save(into)
        (into / "made.json").write_text(json.dumps({"cold_s": round(machine.started_s, 1)}))
