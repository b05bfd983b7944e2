"""What the helper does: each verb, with its checks. What is opened is checked after it is open, never only before."""

import errno
import fcntl
import json
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dockd.helper.port import Bay, Identity, Usb, bay_of
from dockd.helper.request import Request
from dockd.helper.volume import detached, filesystem_of, options_of

Answer = dict[str, str | int | bool]


class Pin:
    """What was authorised in a bay, kept in a file of root's; while held, others of the bay get EAGAIN."""

    def __init__(self, folder: Path, bay: str, held: ExitStack) -> None:
        self._fd = os.open(folder / f"bay-{bay}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        held.callback(os.close, self._fd)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def keep(self, device: Identity | None, dev: int | None = None) -> None:
        """Pin a device, and the volume of it that is worked on; or nothing."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps([device, dev]).encode("ascii"), 0)

    def require(self, device: Identity, dev: int | None = None) -> None:
        """Refuse another device or volume than is pinned (ESTALE); the first volume asked for is the one."""
        identity, pinned = json.loads(os.pread(self._fd, 65536, 0) or b"[null, null]")
        if identity != device or (None not in {dev, pinned} and dev != pinned):
            raise OSError(errno.ESTALE, "what is in the bay is not what was authorised")
        self.keep(device, dev if pinned is None else pinned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """The verbs, for one peer; only tests have other places than these."""

    uid: int
    gid: int
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    board: Path = Path("/etc/dockd/board.toml")
    pins: Path = Path("/run/dockd-helper")

    def perform(self, request: Request) -> tuple[Answer, int | None]:
        """Do what is asked; the descriptor is the caller's to close. Raises OSError."""
        bay, usb = bay_of(self.board, request.bay), Usb(self.sys)
        with ExitStack() as held:
            # Power has a file of its own, with nothing in it: it is what helps against another request that hangs.
            pin = Pin(self.pins, f"{request.bay}{'-power' * (request.do == 'power')}", held)
            if request.do == "power":
                return {"on": usb.switch(bay, on=request.on)}, None
            if request.do == "authorise":
                pin.keep(None)
                device = usb.identity(bay)
                if (device["idVendor"], device["idProduct"]) != (request.vendor, request.product):
                    raise OSError(errno.ESTALE, f"{device['idVendor']}:{device['idProduct']} is in the bay")
                usb.authorise(device)
                pin.keep(device)
                pin.require(usb.identity(bay))
                return {"serial": device["serial"], **{name: int(device[name]) for name in ("busnum", "devnum")}}, None
            fd, filesystem = self._volume(usb, bay, pin, held)
            writable, raw = request.do == "writable", request.do == "device"
            return {"filesystem": filesystem}, os.dup(fd) if raw else self._mount(fd, filesystem, writable=writable)

    def _volume(self, usb: Usb, bay: Bay, pin: Pin, held: ExitStack) -> tuple[int, str]:
        device = usb.identity(bay)
        pin.require(device)
        blocks, fit = usb.blocks(device), list[tuple[int, int, str]]()
        for name, dev in blocks.items():
            fd = os.open(self.dev / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            held.callback(os.close, fd)
            status = os.fstat(fd)
            if not stat.S_ISBLK(status.st_mode) or status.st_rdev != dev:
                raise OSError(errno.ESTALE, f"{name} in {self.dev} is not what it is in {self.sys}")
            if (filesystem := filesystem_of(os.pread(fd, 512, 0))) is not None:
                fit.append((fd, dev, filesystem))
        if len(fit) != 1:
            number = errno.ENOTUNIQ if fit else errno.EMEDIUMTYPE if blocks else errno.ENOMEDIUM
            raise OSError(number, f"{len(fit)} of {len(blocks)} volumes are FAT or exFAT, expected one")
        if usb.identity(bay) != device or usb.blocks(device) != blocks:
            raise OSError(errno.ESTALE, "another device came in between")
        pin.require(device, fit[0][1])
        return fit[0][0], fit[0][2]

    def _mount(self, fd: int, filesystem: str, *, writable: bool) -> int:
        source = f"/proc/self/fd/{fd}"  # the device that was looked at, whatever its name means by now
        os.close(os.open(source, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))  # EBUSY while it is mounted anywhere
        mounted = detached(filesystem, source, options_of(filesystem, uid=self.uid, gid=self.gid), writable=writable)
        if os.fstat(mounted).st_dev != os.fstat(fd).st_rdev:
            os.close(mounted)
            raise OSError(errno.ESTALE, "another device was mounted")
        return mounted
