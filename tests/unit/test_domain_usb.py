"""Port paths: what of an ID_PATH stays the same after a boot."""

import pytest
from hypothesis import given, strategies as st

from dockd.domain.usb import PortPath, UsbIds, chain_of, host_of, hubs_above, port_path, port_path_of

HOSTS = st.sampled_from(
    ["pci-0000:00:10.0", "platform-fd500000.pcie-pci-0000:01:00.0", "platform-fe980000.usb", "platform-xhci-hcd.0"]
)
CHAINS = st.lists(st.integers(1, 255), min_size=1, max_size=6).map(tuple)
ENDS = st.sampled_from(["", ":1.0", ":1.0-scsi-0:0:0:0", ":1.0-scsi-0:0:0:1", ":2.13-ata-1"])


@pytest.mark.parametrize(
    ("id_path", "port"),
    [
        ("pci-0000:00:10.0-usb-0:1.3:1.0-scsi-0:0:0:0", "pci-0000:00:10.0-usb-0:1.3"),
        ("pci-0000:00:10.0-usb-0:1.3", "pci-0000:00:10.0-usb-0:1.3"),
        ("pci-0000:00:10.0-usb-0:9:1.0", "pci-0000:00:10.0-usb-0:9"),
        (
            "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3.2.4:1.0-scsi-0:0:0:0",
            "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3.2.4",
        ),
        ("platform-fe980000.usb-usb-0:1.2:1.0-scsi-0:0:0:0", "platform-fe980000.usb-usb-0:1.2"),
        ("platform-xhci-hcd.1-usb-0:2:1.0-scsi-0:0:0:0", "platform-xhci-hcd.1-usb-0:2"),
    ],
)
def test_what_follows_the_port_is_no_part_of_its_path(id_path: str, port: str) -> None:
    assert port_path_of(id_path) == port


@pytest.mark.parametrize(
    "id_path",
    [
        "",
        "pci-0000:00:1f.2-ata-1",
        "pci-0000:00:10.0-usb-0:",
        "pci-0000:00:10.0-usb-0:0",
        "pci-0000:00:10.0-usb-0:1.03",
        "pci-0000:00:10.0-usb-0:1.256",
        "pci-0000:00:10.0-usb-0:1.2.3.4.5.6.7",
        "pci-0000:00:10.0-usb-0:1.3x",
        "pci-0000:00:10.0-usb-0:1.3\n",
        "pci-0000:00:10.0-usb-0:1.३",
        "../../etc-usb-0:1",
        "-usb-0:1",
    ],
)
def test_what_names_no_port_has_no_path(id_path: str) -> None:
    assert port_path_of(id_path) is None


@given(host=HOSTS, chain=CHAINS, end=ENDS)
def test_a_path_is_read_as_it_was_put_together(host: str, chain: tuple[int, ...], end: str) -> None:
    port = port_path_of(f"{port_path(host, chain)}{end}")
    assert port is not None
    assert (host_of(port), chain_of(port)) == (host, chain)
    assert port_path_of(port) == port


@given(text=st.text(alphabet="pci-0:.us1x\n ", max_size=40))
def test_whatever_is_read_is_read_again_as_itself(text: str) -> None:
    port = port_path_of(text)
    if port is not None:
        assert port_path_of(port) == port
        assert text.startswith(port)


def test_the_hubs_of_a_port_are_those_on_the_way_to_it() -> None:
    assert hubs_above(PortPath("h-usb-0:1.3.2")) == ("h-usb-0:1", "h-usb-0:1.3")
    assert hubs_above(PortPath("h-usb-0:9")) == ()


def test_ids_are_one_word_for_people() -> None:
    assert str(UsbIds(vendor="2672", product="0049", serial="C1")) == "2672:0049 C1"
    assert str(UsbIds(vendor="", product="0049", serial="")) == "?:0049"
