"""What a bay holds by the devices in its port: cameras, strangers, and what is neither yet."""

from dataclasses import replace

from hypothesis import given, strategies as st

from dockd.domain.matching import CardIds
from dockd.domain.model import Camera, CameraSerial, VolumeId
from dockd.domain.plugged import (
    Arriving,
    CameraThere,
    Device,
    Devices,
    Kind,
    Nothing,
    Occupant,
    Stranger,
    occupants,
    with_device,
    without_device,
)
from dockd.domain.usb import UsbIds
from dockd.edges.udev.watch import Came, News, Went
from tests.plugs import Hub, devices_of, port

USB, DISK, PART = devices_of("1.3", "CAM-1")
IDS = UsbIds(vendor="46f4", product="0001", serial="CAM-1")
CAMERA = CameraThere(
    camera=Camera(
        serial=CameraSerial("CAM-1"), volume=VolumeId("CAM-1-VOL"), model="QEMU_USB_HARDDRIVE", firmware="2.5+"
    ),
    devpath=PART.devpath,
    plugging="1",
    ids=IDS,
    card=CardIds(filesystem="vfat", label="CAM"),
    usb_plugging=USB.plugging,
)


def known(ids: UsbIds, card: CardIds | None) -> bool:
    return ids.vendor == "46f4" and (card is None or card.label != "ODD")


def held(*devices: Device) -> Occupant:
    return occupants({device.devpath: device for device in devices}, [port("1.3")], known=known)[port("1.3")]


def after(devices: Devices, news: list[News]) -> Devices:
    for one in news:
        match one:
            case Came(device=device):
                devices = with_device(devices, device)
            case Went(devpath=devpath):
                devices = without_device(devices, devpath)
    return devices


def test_a_port_without_a_device_holds_nothing() -> None:
    assert held() == Nothing()
    assert held(*devices_of("1.4", "CAM-1")) == Nothing()


def test_a_device_is_a_camera_once_its_filesystem_is_there() -> None:
    assert held(USB) == Arriving(ids=IDS, plugging="/dev/bus/usb/001/001")
    assert held(USB, DISK) == Arriving(ids=IDS, plugging="/dev/bus/usb/001/001")
    assert held(USB, DISK, PART) == CAMERA


def test_a_filesystem_on_the_whole_disk_is_a_camera_too() -> None:
    whole = replace(DISK, card=PART.card, volume=PART.volume)
    assert held(USB, whole) == replace(CAMERA, devpath=DISK.devpath)


def test_a_disc_and_an_empty_card_reader_beside_the_card_change_nothing() -> None:
    second = replace(DISK, devpath=DISK.devpath.replace("1:0:0:0", "1:0:0:1"))
    assert held(USB, DISK, second, PART) == CAMERA


def test_two_filesystems_are_one_too_many_on_one_card_or_on_two() -> None:
    other = replace(PART, devpath=f"{DISK.devpath}/sda2", volume="B")
    assert held(USB, DISK, PART, other) == Stranger(ids=IDS, why="it has 2 filesystems, expected one")
    second = replace(PART, devpath=PART.devpath.replace("1:0:0:0", "1:0:0:1"))
    assert held(USB, DISK, PART, second) == Stranger(ids=IDS, why="it has 2 filesystems, expected one")


def test_a_device_that_keeps_its_readers_waiting_is_a_stranger_whatever_else_is_there() -> None:
    why = "it hangs: the kernel keeps whoever reads it waiting"
    assert held(USB, replace(DISK, mute=True), PART) == Stranger(ids=IDS, why=why)
    nobody = UsbIds(vendor="", product="", serial="")
    assert held(replace(USB, ids=nobody, mute=True)) == Stranger(ids=nobody, why=why)


def test_a_filesystem_that_is_never_mounted_is_a_stranger() -> None:
    ext4 = replace(PART, card=CardIds(filesystem="ext4", label="CAM"))
    assert held(USB, DISK, ext4) == Stranger(ids=IDS, why="its filesystem is ext4, expected vfat or exfat")


def test_a_device_that_no_profile_knows_is_a_stranger_before_its_card_is_looked_at() -> None:
    ids = replace(IDS, vendor="dead")
    strange = Stranger(ids=ids, why="no profile is of such a device")
    assert held(replace(USB, ids=ids)) == strange
    assert held(*(replace(it, ids=ids) for it in (USB, DISK, PART))) == strange


def test_a_card_that_no_profile_knows_is_a_stranger() -> None:
    odd = replace(PART, card=CardIds(filesystem="exfat", label="ODD"))
    assert held(USB, DISK, odd) == Stranger(ids=IDS, why="no profile is of such a device with such a card")


def test_a_device_without_a_serial_number_is_a_stranger() -> None:
    ids = replace(IDS, serial="")
    mute = [replace(it, ids=ids) for it in (USB, DISK, PART)]
    assert held(*mute) == Stranger(ids=ids, why="it has no serial number")


def test_a_filesystem_without_an_id_is_said_to_have_none() -> None:
    found = held(USB, DISK, replace(PART, volume=""))
    assert isinstance(found, CameraThere)
    assert found.camera.volume == "none"


def test_the_removal_of_a_device_takes_along_what_lies_below_it_and_nothing_else() -> None:
    neighbour = replace(USB, devpath=f"{USB.devpath}0", port=port("1.30"))
    devices = {it.devpath: it for it in (USB, DISK, PART, neighbour)}
    assert without_device(devices, USB.devpath) == {neighbour.devpath: neighbour}
    assert without_device(devices, DISK.devpath) == {it.devpath: it for it in (USB, neighbour)}


def test_another_device_in_the_same_bay_whose_predecessor_went_unheard_inherits_nothing() -> None:
    devices = {it.devpath: it for it in (USB, DISK, PART)}
    other = replace(USB, ids=replace(IDS, serial="CAM-2"), plugging="/dev/bus/usb/001/009")
    assert with_device(devices, other) == {other.devpath: other}


def test_a_device_told_again_changes_nothing_below_it() -> None:
    devices = {it.devpath: it for it in (USB, DISK, PART)}
    for again in (USB, DISK, PART, replace(DISK, plugging="2")):
        assert held(*with_device(devices, again).values()) == CAMERA


STEPS = st.lists(st.tuples(st.sampled_from(["1.1", "1.2", "2.1"]), st.sampled_from(["A", "B", ""])), max_size=12)


@given(steps=STEPS, begin=st.integers(0, 99), look=st.integers(0, 12), data=st.data())
def test_whatever_is_told_again_or_twice_the_end_is_what_is_there(
    steps: list[tuple[str, str]], begin: int, look: int, data: st.DataObject
) -> None:
    """Listening begins, then everything is looked up, then all is heard since: in between is heard of again."""
    hub, looked, listening = Hub(), dict[str, Device](), 0
    for index, (chain, serial) in enumerate(steps):
        if index == look:
            looked, listening = dict(hub.now), min(begin, len(hub.news))
        hub.plug(chain, serial) if serial else hub.pull(chain)
    heard = [one for one in hub.news[listening:] for _ in range(data.draw(st.integers(1, 2)))]
    assert after(looked, heard) == hub.devices()


def test_kinds_are_those_of_udev() -> None:
    assert [USB.kind, DISK.kind, PART.kind] == [Kind.USB, Kind.DISK, Kind.PARTITION]
