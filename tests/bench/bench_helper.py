"""What a request to root's helper costs in processor time, beside a start of it for each. Prints one JSON a line.

Run: `.venv/bin/python tests/bench/bench_helper.py`, as root, since the board file has to be root's. Both sides do the
same for the same folder that stands for /sys, one request after another, and are charged for all that they start; the
peer is what systemd does with Accept=yes, without the sandbox that it makes each time, which is not counted.
"""

import json
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.sysfs_tree import Tree  # noqa: E402 - this is a program: what it is beside has to be found first

REQUESTS = 100
PEER_REQUESTS = 10
ROUNDS = 3
ASKED = (
    {"do": "authorise", "bay": 3, "vendor": "2672", "product": "0049"},
    {"do": "power", "bay": 3},
)

PROGRAM = """
import os, socket, sys
root, place, connection = sys.argv[1:]
sys.path.append(root)
from pathlib import Path
from dockd.helper.__main__ import connected, serve
from dockd.helper.verbs import Verbs

def verbs(*, uid, gid):
    at = Path(place)
    return Verbs(uid=uid, gid=gid, sys=at / "sys", dev=at, board=at / "board.toml", pins=at)

given = socket.socket(fileno=0)
serve(given if connection == "yes" else connected(given, within_s=5.0), verbs, user=os.getuid())
os._exit(0)
"""


def started(place: Path, given: socket.socket, *, connection: bool) -> "subprocess.Popen[bytes]":
    """Start the helper with a connection, or with the socket where it is asked."""
    words = (str(ROOT), str(place), "yes" if connection else "no")
    command = (sys.executable, "-I", "-S", "-B", "-c", PROGRAM, *words)
    return subprocess.Popen(command, stdin=given.fileno(), stderr=subprocess.DEVNULL)


def asked(asking: socket.socket, request: Mapping[str, object]) -> None:
    """Ask, and take the answer yes."""
    asking.settimeout(60)
    asking.send(json.dumps(request).encode())
    answer = json.loads(asking.recv(8192))
    if answer["errno"]:
        sys.exit(f"expected an answer yes: {answer}")


def ours(place: Path, request: Mapping[str, object]) -> None:
    """Ask one helper, from its start to its end by itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")
        listener.listen()
        with started(place, listener, connection=False):
            for _ in range(REQUESTS):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
                    asking.connect(listener.getsockname())
                    asked(asking, request)


def peers(place: Path, request: Mapping[str, object]) -> None:
    """Start one for each request."""
    for _ in range(PEER_REQUESTS):
        asking, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with asking, given, started(place, given, connection=True):
            asked(asking, request)


def cpu_ms(work: Callable[[], None], requests: int) -> float:
    """Processor time of all that was started for some work, a request."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / requests * 1e3


def main() -> None:
    """Measure in turns, and show the medians."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        board = (ROOT / "hw" / "boards" / "emulated-14.toml").read_bytes()
        (place / "board.toml").write_bytes(board)
        tree = Tree(place / "sys")
        hub = tree.hub(tree.controller("pci0000:00", "pci=0000:00:10.0", bus=1), "1-1", ports=14)
        for port in range(1, 15):
            tree.device(hub, f"1-1.{port}", devnum=port + 3)
        for request in ASKED:
            us, them = [], []
            for _ in range(ROUNDS):
                us.append(cpu_ms(lambda: ours(place, request), REQUESTS))  # noqa: B023 - called at once
                them.append(cpu_ms(lambda: peers(place, request), PEER_REQUESTS))  # noqa: B023 - the same
            ms, peer_ms = median(us), median(them)
            figures = {"cpu_ms": round(ms, 2), "peer_cpu_ms": round(peer_ms, 2), "ratio": round(peer_ms / ms, 1)}
            sys.stdout.write(json.dumps({"what": request["do"], **figures}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
