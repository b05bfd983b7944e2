"""What is plugged into the bays' ports: devices as they were announced, and what each bay holds by them.

Owns when a camera is there, and when what is there is a stranger. Devices are known by their path in the kernel's tree
(`devpath`), in which what belongs to a device lies below it. Must not know who announces them, nor any time.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dockd.domain.matching import CardIds
from dockd.domain.model import Camera, CameraSerial, VolumeId
from dockd.domain.profile import Filesystem
from dockd.domain.usb import PortPath, UsbIds

NO_VOLUME = VolumeId("none")
"""The volume id of a filesystem that has none."""


class Kind(StrEnum):
    """What a device is."""

    USB = "usb"
    DISK = "disk"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device at the moment it was announced, or looked at; a text is empty where nothing was said.

    `plugging` is another one each time it is plugged in (of a USB device its number, of a disk or partition the
    kernel's count of disks). `card` and `volume` are of the filesystem on a disk or partition. Of one that is `mute`
    nothing but its place is known: whoever reads it is kept waiting.
    """

    devpath: str
    kind: Kind
    port: PortPath
    ids: UsbIds
    plugging: str = ""
    model: str = ""
    firmware: str = ""
    volume: str = ""
    card: CardIds | None = None
    mute: bool = False


Devices = Mapping[str, Device]
"""By devpath."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """No device is in the port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """A device that may become a camera: its filesystem was not announced yet."""

    ids: UsbIds
    plugging: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraThere:
    """A camera with its filesystem, in the device `devpath`.

    `ids` and `usb_plugging` are those of the USB device that it is, the latter empty where none was announced.
    """

    camera: Camera
    devpath: str
    plugging: str
    ids: UsbIds
    card: CardIds
    usb_plugging: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A device that nobody knows how to treat: it is left alone. `why` is for people."""

    ids: UsbIds
    why: str


Occupant = Nothing | Arriving | CameraThere | Stranger

Known = Callable[[UsbIds, CardIds | None], bool]
"""Says whether some profile fits: by the ids alone while there is no card, by both then."""


def with_device(devices: Devices, device: Device) -> Devices:
    """Take a device that was announced, for the first time or again."""
    before = devices.get(device.devpath)
    if before is not None and device.kind is Kind.USB and before.plugging != device.plugging:
        # Its removal was missed, and with it those of everything below.
        devices = without_device(devices, device.devpath)
    return {**devices, device.devpath: device}


def without_device(devices: Devices, devpath: str) -> Devices:
    """Let go of a device, and of all that lies below it."""
    return {path: device for path, device in devices.items() if path != devpath and not path.startswith(f"{devpath}/")}


def occupants(devices: Devices, ports: Iterable[PortPath], *, known: Known) -> Mapping[PortPath, Occupant]:
    """Say what each port holds."""
    ordered = sorted(devices.values(), key=lambda device: device.devpath)
    return {port: _occupant([device for device in ordered if device.port == port], known) for port in ports}


def _occupant(here: list[Device], known: Known) -> Occupant:
    if not here:
        return Nothing()
    # What belongs to a device lies below it, and so comes after it.
    ids, plugging = here[0].ids, here[0].plugging
    if any(device.mute for device in here):
        return Stranger(ids=ids, why="it hangs: the kernel keeps whoever reads it waiting")
    if not known(ids, None):
        return Stranger(ids=ids, why="no profile is of such a device")
    volumes = [(device, device.card) for device in here if device.card is not None]
    match volumes:
        case []:
            return Arriving(ids=ids, plugging=plugging)
        case [(device, card)]:
            why = _strange(device, card, known)
            return Stranger(ids=ids, why=why) if why else _camera(device, card, here[0])
        case _:
            # Which of them holds evidence, and whether both do, nobody here can say.
            return Stranger(ids=ids, why=f"it has {len(volumes)} filesystems, expected one")


def _strange(device: Device, card: CardIds, known: Known) -> str:
    """Say what keeps a device with one filesystem from being a camera; nothing where it is one."""
    if card.filesystem not in set(Filesystem):
        return f"its filesystem is {card.filesystem}, expected vfat or exfat"
    if not device.ids.serial:
        return "it has no serial number"
    return "" if known(device.ids, card) else "no profile is of such a device with such a card"


def _camera(device: Device, card: CardIds, above: Device) -> CameraThere:
    camera = Camera(
        serial=CameraSerial(device.ids.serial),
        volume=VolumeId(device.volume) if device.volume else NO_VOLUME,
        model=device.model,
        firmware=device.firmware,
    )
    return CameraThere(
        camera=camera,
        devpath=device.devpath,
        plugging=device.plugging,
        ids=above.ids,
        card=card,
        usb_plugging=above.plugging if above.kind is Kind.USB else "",
    )
