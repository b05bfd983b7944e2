"""What tests of mounted cards share: a helper on a real socket that gives folders for mounts, and who has a mount.

A folder counts as mounted while anybody has a descriptor of it, copiers included: then it says EBUSY, as the real one.
"""

import errno
import json
import os
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dockd.app.ports import Attached
from dockd.domain.model import BayId
from dockd.domain.usb import UsbIds
from dockd.edges.copier_process import Patience
from dockd.edges.doors import Doors, Plugged
from dockd.edges.helper import Helper
from dockd.edges.mounted import MountedCards
from tests.copier_parts import CAMERA, Dock
from tests.fat_images import Fat

BAY = BayId(3)
ATTACHED = Attached(bay=BAY, camera=CAMERA, source="bay:3", device="bay:3")
IDS = UsbIds(vendor="2672", product="0049", serial="X00123")
PLUGGED = Plugged(ids=IDS, devname="/dev/bus/usb/001/004")
LET_IN: Mapping[str, object] = {"serial": "X00123", "busnum": 1, "devnum": 4}

Hook = Callable[[], None]


class Held:
    """A verb that is not answered until it is let go."""

    def __init__(self) -> None:
        self.come = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> None:
        self.come.set()
        self.go.wait(60)


@dataclass
class FakeHelper:
    """Answers for one bay. `refusals` are said first, by verb, in order; `hooks` run before a verb is answered.

    The device is an image of what the folder holds when it is asked for, unless there is another one.
    """

    folder: Path
    device: Path
    other: bool = False
    refusals: defaultdict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    hooks: dict[str, Hook] = field(default_factory=dict)
    let_in: Mapping[str, object] = field(default_factory=lambda: LET_IN)
    asked: list[str] = field(default_factory=list)

    @property
    def mounts(self) -> list[str]:
        """What was mounted, in order."""
        return [verb for verb in self.asked if verb in {"mount", "writable"}]

    def answer(self, connection: socket.socket) -> None:
        """Answer one request."""
        request = json.loads(connection.recv(8192))
        verb = str(request["do"])
        self.hooks.get(verb, lambda: None)()
        number = self.refusals[verb].popleft() if self.refusals[verb] else 0
        if not number and not self.folder.exists():
            number = errno.ENODEV
        if not number and verb in {"mount", "writable"} and holders(self.folder):
            number = errno.EBUSY
        if number:
            _send(connection, {"errno": number, "say": "not now"})
            return
        self.asked.append(verb)
        match verb:
            case "authorise":
                assert (request["bay"], request["vendor"], request["product"]) == (3, "2672", "0049")
                _send(connection, {"errno": 0, **self.let_in})
            case "mount" | "writable":
                _send(connection, {"errno": 0, "filesystem": "vfat"}, os.open(self.folder, os.O_PATH))
            case _:  # device
                if not self.other:
                    image_of(self.folder).disk.save(self.device)
                _send(connection, {"errno": 0, "filesystem": "vfat"}, os.open(self.device, os.O_RDONLY))


@dataclass(frozen=True)
class Bay:
    """A bay with a card in it, as the dock has it."""

    dock: Dock
    helper: FakeHelper
    socket: Path
    threads: list[threading.Thread]

    def doors(self, *, patience_s: float = 5.0) -> Doors:
        """Make the doors of this bay."""
        return Doors(Helper(self.socket, deadline_s=20.0), patience_s=patience_s, sys=self.sys)

    @property
    def sys(self) -> Path:
        """What stands for sysfs."""
        return self.dock.card.parent / "sys"

    def count(self, diskseq: str) -> None:
        """Have the kernel count the disk of which the card is a partition as this one."""
        number = self.dock.card.stat().st_dev
        disk = self.sys / "devices" / "sda"
        (disk / "sda1").mkdir(parents=True, exist_ok=True)
        (disk / "diskseq").write_text(f"{diskseq}\n")
        link = self.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to("../../devices/sda/sda1")

    def cards(
        self,
        *,
        erase: bool = True,
        patience: Patience | None = None,
        window_s: float = 60.0,
        plugged: Callable[[Attached], Plugged] = lambda _: PLUGGED,
        patience_s: float = 5.0,
        doors: Doors | None = None,
    ) -> MountedCards:
        """Make what opens cards here. A card stays writable for longer than any test takes, unless told otherwise."""
        doors = doors or self.doors(patience_s=patience_s)
        return MountedCards(
            self.dock.spool, doors=doors, plugged=plugged, erase=erase, patience=patience, window_s=window_s
        )

    def open_count(self) -> int:
        """Count who has a descriptor of the card or of its device, once the helper has let go of its own."""
        for thread in self.threads:
            thread.join()
        return len(holders(self.dock.card)) + len(holders(self.helper.device))


@contextmanager
def a_bay(dock: Dock, *, device: Path | None = None) -> Iterator[Bay]:
    """Run a helper for a dock; a device that is given lies beside its card whatever the card holds."""
    helper = FakeHelper(folder=dock.card, device=device or dock.card.parent / "card.img", other=device is not None)
    path = dock.card.parent / "helper.sock"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as listening:
        listening.bind(str(path))
        listening.listen()
        threads: list[threading.Thread] = []
        accepting = threading.Thread(target=_accept, args=(listening, helper, threads), name="helper")
        accepting.start()
        try:
            yield Bay(dock=dock, helper=helper, socket=path, threads=threads)
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def _accept(listening: socket.socket, helper: FakeHelper, threads: list[threading.Thread]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threads.append(threading.Thread(target=_serve, args=(connection, helper), name="helper"))
        threads[-1].start()


def _serve(connection: socket.socket, helper: FakeHelper) -> None:
    with closing(connection), suppress(BrokenPipeError):
        helper.answer(connection)


def _send(connection: socket.socket, answer: Mapping[str, object], *fds: int) -> None:
    try:
        socket.send_fds(connection, [json.dumps(answer).encode()], list(fds))
    finally:
        for fd in fds:
            os.close(fd)


def image_of(folder: Path) -> Fat:
    """Make an image that has the files of a folder."""
    image = Fat(16, clusters=4200)
    folders = {folder: image.root}
    for path in sorted(folder.rglob("*")):
        into = folders[path.parent]
        if path.is_dir():
            folders[path] = image.folder(path.name, into=into)
        else:
            image.add(path.name, path.read_bytes(), into=into)
    return image


def holders(path: Path) -> list[str]:
    """Name every descriptor of a file or folder that this process or a child of it has."""
    pids = [os.getpid(), *map(int, _children())]
    found: list[str] = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if fd.readlink() == path:
                        found.append(str(fd))
    return found


def _children() -> list[str]:
    found: list[str] = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += (thread / "children").read_text().split()
    return found
