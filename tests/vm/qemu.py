"""The emulated machine as a command line: one USB host controller, hubs on it, a root disk, a line to the host.

Owns what the machine consists of. Must not know who starts it, or when.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "qemu-system-x86_64"
HUB_PORTS = 8

CONTROLLER = "pci-0000:00:10.0"
"""What ID_PATH calls the USB host controller in the guest."""

HOST = "10.0.2.2"
"""Where the guest finds what listens on the host's loopback."""

_KERNEL = (
    "console=ttyS0 root=/dev/vda net.ifnames=0 mitigations=off nokaslr panic=-1 8250.nr_uarts=1 audit=0 apparmor=0 "
    "cryptomgr.notests random.trust_cpu=1 no_timer_check quiet loglevel=4 systemd.show_status=0"
)

_PROCESSOR = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+lahf-lm"
"""x86-64-v2, which compiled wheels ask for; the fuller models are slower to emulate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What differs between machines: a snapshot of memory fits only the shape that it was taken of.

    `kernel` is said to the kernel besides, `parts` are more words of the command line, for what is plugged in already.
    """

    memory_mib: int = 1024
    processors: int = 2
    hubs: int = 2
    kernel: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where the parts of one machine are on the host."""

    image: Path
    disk: Path
    sockets: Path
    console: Path

    @property
    def monitor(self) -> Path:
        return self.sockets / "monitor"

    @property
    def agent(self) -> Path:
        return self.sockets / "agent"


def by_hardware() -> bool:
    """Whether the machine can run on the processor itself: where a nested /dev/kvm only seems to work, flags tell."""
    virtual = re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    return virtual is not None and os.access("/dev/kvm", os.R_OK | os.W_OK)


def command(shape: Shape, files: Files, *, memory: Path | None = None) -> list[str]:
    """Give the command line that starts the machine; from a snapshot of its memory, if one is given."""
    return [PROGRAM, *_board(shape), *_disk(files), *_lines(files), *_usb(shape), *_start(shape, files, memory)]


def _board(shape: Shape) -> Iterator[str]:
    yield from ("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-rtc", "base=utc,clock=host")
    yield from ("-M", "q35,sata=off,smbus=off,vmport=off", "-m", str(shape.memory_mib), "-smp", str(shape.processors))
    if by_hardware():
        yield from ("-accel", "kvm", "-cpu", "host")
    else:
        yield from ("-accel", "tcg,thread=multi,tb-size=256", "-cpu", _PROCESSOR)


def _disk(files: Files) -> Iterator[str]:
    yield from ("-drive", f"if=none,id=root,file={files.disk},format=qcow2,cache=writeback,discard=unmap")
    yield from ("-device", "virtio-blk-pci,drive=root,addr=2")
    yield from ("-device", "virtio-scsi-pci,id=scsi0,addr=7")


def _lines(files: Files) -> Iterator[str]:
    yield from ("-chardev", f"file,id=console,path={files.console},append=on", "-serial", "chardev:console")
    yield from ("-device", "virtio-serial-pci,addr=3", "-device", "virtio-rng-pci,addr=4")
    yield from ("-chardev", f"socket,id=agent,path={files.agent},server=on,wait=off")
    yield from ("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
    yield from ("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,addr=6,romfile=")
    yield from ("-qmp", f"unix:{files.monitor},server=on,wait=off")


def _usb(shape: Shape) -> Iterator[str]:
    yield from ("-device", "qemu-xhci,id=xhci,p2=15,p3=15,addr=0x10")
    for hub in range(1, shape.hubs + 1):
        yield from ("-device", f"usb-hub,id=hub{hub},bus=xhci.0,port={hub},ports={HUB_PORTS},port-power=on")


def _start(shape: Shape, files: Files, memory: Path | None) -> Iterator[str]:
    yield from shape.parts
    yield from (
        "-kernel",
        str(files.image / "vmlinux"),
        "-initrd",
        str(files.image / "initrd"),
        "-append",
        f"{_KERNEL} {shape.kernel}".rstrip(),
    )
    if memory is not None:
        yield from ("-incoming", f"exec:cat {memory}")
