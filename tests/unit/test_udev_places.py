"""The port of a device by its path in sysfs."""

import pytest

from dockd.edges.udev.places import host_above, port_of

HOST = "platform-fd500000.pcie-pci-0000:01:00.0"
XHCI = "/devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/usb1"
STICK = f"{XHCI}/1-1/1-1.3/1-1.3.2"


@pytest.mark.parametrize(
    "devpath", [STICK, f"{STICK}/1-1.3.2:1.0", f"{STICK}/1-1.3.2:1.0/host0/target0:0:0/0:0:0:0/block/sda/sda1"]
)
def test_a_path_says_the_port_where_no_rule_has(devpath: str) -> None:
    assert port_of(devpath, "", host=HOST) == f"{HOST}-usb-0:1.3.2"


def test_what_the_rules_say_goes_before_the_path() -> None:
    assert port_of(STICK, "pci-0000:00:10.0-usb-0:9:1.0", host=HOST) == "pci-0000:00:10.0-usb-0:9"


@pytest.mark.parametrize(
    "devpath",
    [
        XHCI,
        f"{XHCI}/1-0:1.0",
        "/devices/virtual/block/loop0",
        STICK.replace("0000:01:00.0", "0000:02:00.0"),
        STICK.replace("0000:01:00.0", "1:00.0"),
    ],
)
def test_what_is_in_no_port_of_this_controller_has_none(devpath: str) -> None:
    assert port_of(devpath, "", host=HOST) is None


def test_a_controller_is_named_by_the_nearest_of_bridges_in_a_row_and_what_is_above_them() -> None:
    usb = [("usb", "1-1.3"), ("usb", "1-1"), ("usb", "usb1")]
    bridges = [("pci", "0000:01:00.0"), ("pci", "0000:00:00.0"), ("", "pci0000:00")]
    board = [("platform", "fd500000.pcie"), ("platform", "scb")]
    assert host_above([*usb, *bridges, *board]) == HOST
    assert host_above([*usb, ("pci", "0000:00:10.0"), ("", "pci0000:00")]) == "pci-0000:00:10.0"
    assert host_above([("platform", "xhci-hcd.0"), ("platform", "1000120000.pcie")]) == "platform-xhci-hcd.0"
    assert host_above([("", "loop0")]) == ""
