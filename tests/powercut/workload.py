"""A recorded workload: cameras filled, a station and a store at work on them, killed and started again, all logged.

Owns the course of it, by a seed: what lies on the cameras, how often and where the process is killed, which syncs fail.
Knows the filesystem only as a mount, and judges nothing.
"""

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from tests.powercut.life import CAMERAS, Order

REPOSITORY = Path(__file__).absolute().parent.parent.parent
LENGTHS = (0, 1, 100, 4095, 4096, 5000, 12_288, 20_001, 40_000)
KILLED = -9
RECEIVED, PARTS = r"^[0-9a-f]{64}$", r"\.part$"
SYNCS = {
    r"^ledger\.db-wal$": (5, 60),
    r"^index\.sqlite3-wal$": (5, 60),
    "": (5, 60),
    RECEIVED: (1, 8),
    PARTS: (1, 8),
}
"""In which sync of what a life is killed: commits that nobody was told of, and bytes that nobody knows to be lost."""
SYNCS_OF = {"store-believes-what-was-left": {RECEIVED: (1, 4)}}
"""Where a planted fault shows in some of these only."""
DISK_WORDS = (b"disk I/O error", b"Input/output error")
WITHIN_S, PLANTED_WITHIN_S = 120.0, 10.0
"""How long a life may take: half a second where nothing disturbs it, and for ever with some planted faults."""
OTHERS = (
    r"^ledger\.db-wal$",
    r"^ledger\.db$",
    r"^index\.sqlite3-wal$",
    r"^index\.sqlite3$",
    r"^spool$",
    RECEIVED,
)
"""What else fails to be synced, once: both databases and their logs, the spool's folder, what the store received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A workload that ran: its log, and what kept it from its end, if anything."""

    log: Path
    trouble: str


class MissingError(Exception):
    """Something of this machine is missing that a power cut takes."""


def require_fuse() -> None:
    """Raise MissingError unless a filesystem of our own can be mounted."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise MissingError("/dev/fuse: not there or not ours to open, expected a kernel with FUSE and root")
    if os.geteuid() != 0:
        raise MissingError("not root: expected a user who may mount")


def record(folder: Path, seed: int, plant: str) -> Recorded:
    """Run one workload on the strict filesystem; the folder takes its log and is otherwise left as it was."""
    chance = random.Random(seed)
    log = folder / f"{seed}{plant}.log"
    failing = [f"{chance.randrange(1, 8)}:{PARTS}"]
    if not plant:
        failing.append(f"{chance.randrange(1, 40)}:{chance.choice(OTHERS)}")
    with mounted(folder / f"mount-{seed}{plant}", log, failing) as mount:
        trouble = course(mount, mount, chance, plant=plant, syncs=SYNCS_OF.get(plant, SYNCS))
    return Recorded(log=log, trouble=trouble)


def course(
    root: Path,
    claims: Path,
    chance: random.Random,
    *,
    plant: str = "",
    killed: tuple[int, int] = (300, 2500),
    syncs: Mapping[str, tuple[int, int]] | None = None,
) -> str:
    """Fill cameras below `root` and let stations work, two of them killed; say what went wrong, or nothing.

    One is killed at a change between `killed`, the other in one of `syncs`, which fails: what it wrote last is not
    durable, and its successor reads it. Without them it is killed as the first is.
    """
    lay(root, claims, chance, chance.randrange(4, 8))
    order = Order(
        root=str(root),
        claims=str(claims),
        port=free_port(),
        pull_after=chance.randrange(12),
        kill_at=0,
        plant=plant,
        within_s=PLANTED_WITHIN_S if plant else WITHIN_S,
    )
    of = chance.choice(list(syncs)) if syncs else ""
    shot = [
        replace(order, pull_after=chance.randrange(12), kill_at=chance.randrange(*killed)),
        replace(
            order,
            pull_after=chance.randrange(12),
            kill_at=0 if syncs else chance.randrange(*killed),
            kill_before_sync=chance.randrange(*syncs[of]) if syncs else 0,
            kill_before_sync_of=of,
        ),
    ]
    chance.shuffle(shot)
    for each in shot:
        ended = live(each)
        # A planted fault may keep a life from its end: it has shown by then what it does. A sync that failed may end a
        # start, which the next one mends.
        if ended.returncode not in {0, KILLED} and not plant and not any(word in ended.stderr for word in DISK_WORDS):
            return ended.stderr.decode(errors="replace")
        lay(root, claims, chance, chance.randrange(1, 4))
    ended = live(order)
    if ended.returncode and any(word in ended.stderr for word in DISK_WORDS):
        ended = live(order)
    return ended.stderr.decode(errors="replace") if ended.returncode else ""


def live(order: Order) -> "subprocess.CompletedProcess[bytes]":
    """Run one life to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tests.powercut.life", order.text()],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=2 * order.within_s,
        check=False,
    )


def lay(root: Path, claims: Path, chance: random.Random, count: int) -> None:
    """Put clips onto the cameras, durably; what is there is claimed, once it cannot be lost any more."""
    for serial in CAMERAS:
        folder = root / "cameras" / serial / "DCIM" / "100DOCKD"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            # Some recordings have two files; counters begin anew, so that old names come again with other bytes.
            name = f"CLIP{number // 2:04}.{'GPX' if number % 2 else 'MP4'}"
            if (folder / name).exists():
                continue
            data = chance.randbytes(chance.choice(LENGTHS))
            facts = {"camera": serial, "path": f"DCIM/100DOCKD/{name}", "sha256": sha256(data).hexdigest()}
            say(claims, "laying", **facts)
            with (folder / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            for above in (folder, *folder.parents[:4]):
                sync(above)
                if above == root:
                    break
            say(claims, "laid", **facts)


def say(claims: Path, what: str, **facts: str) -> None:
    """Put a claim on the log."""
    os.setxattr(claims, "user.claim", json.dumps({"what": what, **facts}).encode("ascii"))


def sync(folder: Path) -> None:
    """Sync a folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def free_port() -> int:
    """Find a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def mounted(mount: Path, log: Path, failing: Sequence[str] = ()) -> Iterator[Path]:
    """Mount the strict filesystem for as long as the block runs; its log is whole afterwards."""
    require_fuse()
    mount.mkdir()
    command = [sys.executable, "-m", "tests.powercut.strictfs", str(mount), str(log), *failing]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            if server.stdout.readline() != b"mounted\n":
                raise MissingError(f"strictfs: not mounted: {server.stderr.read().decode(errors='replace')}")
            yield mount
        finally:
            # Lazily, so that nothing which is still open after a failure keeps the server, and us, for ever.
            subprocess.run(["umount", "--lazy", str(mount)], check=False, capture_output=True)
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
            mount.rmdir()
