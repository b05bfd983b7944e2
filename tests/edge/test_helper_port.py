"""Root's helper: which port a bay is by the board file, and what is in it by sysfs."""

import errno
import os
from pathlib import Path

import pytest

from dockd.helper.port import Bay, Usb, bay_of
from tests.sysfs_tree import KEYBOARD, SERIAL_LINE, STORAGE, Tree, text

PCI = ("pci0000:00", "pci=0000:00:10.0")
HOST = "pci-0000:00:10.0"
BAY = Bay(host=HOST, chain="1.3", switched=True)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "sys")


def refusal_of(usb: Usb, bay: Bay) -> int | None:
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        usb.identity(bay)
    return refused.value.errno


# --- names of controllers, as udev has them -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folders", "host"),
    [
        (PCI, "pci-0000:00:10.0"),
        (("pci0000:00", "pci=0000:00:1c.0", "pci=0000:02:00.0"), "pci-0000:02:00.0"),
        (
            (
                "platform",
                "platform=scb",
                "platform=fd500000.pcie",
                "pci0000:00",
                "pci=0000:00:00.0",
                "pci=0000:01:00.0",
            ),
            "platform-fd500000.pcie-pci-0000:01:00.0",
        ),
        (("platform", "platform=axi", "platform=1f00200000.usb", "platform=xhci-hcd.0"), "platform-xhci-hcd.0"),
        (("platform", "platform=dummy_hcd.0"), "platform-dummy_hcd.0"),
    ],
)
def test_a_controller_has_the_name_that_udev_gives_it(tree: Tree, folders: tuple[str, ...], host: str) -> None:
    tree.device(tree.controller(*folders, bus=3), "3-2", devnum=7)
    found = Usb(tree.sys).identity(Bay(host=host, chain="2", switched=False))
    assert (found["busnum"], found["devnum"], found["serial"]) == ("3", "7", "CAM-0001")
    assert refusal_of(Usb(tree.sys), Bay(host=f"x{host}", chain="2", switched=False)) == errno.ENODEV


def test_the_same_chain_below_another_controller_is_another_port(tree: Tree) -> None:
    other = tree.controller("pci0000:00", "pci=0000:00:11.0", bus=1)
    tree.device(tree.hub(other, "1-1"), "1-1.3", devnum=4)
    tree.hub(tree.controller(*PCI, bus=2), "2-1")
    assert refusal_of(Usb(tree.sys), BAY) == errno.ENODEV


def test_a_port_that_two_devices_answer_to_is_nobodys(tree: Tree) -> None:
    for bus in (1, 2):
        tree.device(tree.hub(tree.controller(*PCI, bus=bus), f"{bus}-1"), f"{bus}-1.3", devnum=4)
    assert refusal_of(Usb(tree.sys), BAY) == errno.ENOTUNIQ


def test_a_serial_may_be_missing_or_hold_anything(tree: Tree) -> None:
    hub = tree.hub(tree.controller(*PCI, bus=1), "1-1")
    silent = tree.device(hub, "1-1.3", devnum=4, serial=None)
    assert Usb(tree.sys).identity(BAY)["serial"] == ""
    (silent / "serial").write_bytes(b"../../<script>\n\x1b\xff\n")
    assert Usb(tree.sys).identity(BAY)["serial"] == "../../<script>\n\x1b\\xff"


# --- authorising ----------------------------------------------------------------------------------------------------


def test_only_storage_is_let_in_and_a_keyboard_loses_its_driver(tree: Tree) -> None:
    root = tree.controller(*PCI, bus=1)
    camera = tree.device(tree.hub(root, "1-1"), "1-1.3", devnum=4, interfaces=(STORAGE, KEYBOARD, SERIAL_LINE))
    (camera / "1-1.3:1.1" / "authorized").write_text("1\n")
    usb = Usb(tree.sys)
    usb.authorise(usb.identity(BAY))
    assert text(root / "interface_authorized_default") == "0"
    assert text(camera / "authorized") == "1"
    assert [text(camera / f"1-1.3:1.{number}" / "authorized") for number in range(3)] == ["1", "0", "0"]


@pytest.mark.promise("I14")
def test_storage_that_no_driver_has_yet_is_offered_and_shut_out_until_its_own_is_there(tree: Tree) -> None:
    """Left inside, it is whoever's module comes next and takes it by its ids: a network's, a remote control's."""
    camera = tree.device(tree.hub(tree.controller(*PCI, bus=1), "1-1"), "1-1.3", devnum=4, driver=None)
    usb = Usb(tree.sys)
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        usb.authorise(usb.identity(BAY))
    assert (refused.value.errno, text(camera / "authorized")) == (errno.EIO, "0")
    assert text(tree.usb / "drivers_probe") == "1-1.3:1.0"
    tree.bind(camera / "1-1.3:1.0", "usb-storage")
    usb.authorise(usb.identity(BAY))
    assert text(camera / "authorized") == "1"


def test_the_bus_lets_no_interface_in_by_itself_before_the_device_is_let_in(tree: Tree) -> None:
    root = tree.controller(*PCI, bus=1)
    camera = tree.device(tree.hub(root, "1-1"), "1-1.3", devnum=4)
    usb = Usb(tree.sys)
    device = usb.identity(BAY)
    (root / "interface_authorized_default").unlink()
    with pytest.raises(FileNotFoundError):
        usb.authorise(device)
    assert text(camera / "authorized") == "0"


def test_an_interface_that_has_its_driver_is_not_probed_again(tree: Tree) -> None:
    tree.device(tree.hub(tree.controller(*PCI, bus=1), "1-1"), "1-1.3", devnum=4)
    usb = Usb(tree.sys)
    usb.authorise(usb.identity(BAY))
    assert text(tree.usb / "drivers_probe") == ""


@pytest.mark.parametrize("name", ["usb-storage", "uas", "ums-realtek", "ums_eneub6250"])
def test_storage_keeps_a_driver_of_storage(tree: Tree, name: str) -> None:
    camera = tree.device(tree.hub(tree.controller(*PCI, bus=1), "1-1"), "1-1.3", devnum=4)
    tree.bind(camera / "1-1.3:1.0", name)
    usb = Usb(tree.sys)
    usb.authorise(usb.identity(BAY))
    assert text(camera / "authorized") == "1"


@pytest.mark.parametrize("name", ["usbhid", "hub", "cdc_acm", "usb", "not-uas", "ums-"])
def test_storage_that_another_driver_takes_is_shut_out_with_its_device(tree: Tree, name: str) -> None:
    """What an interface says of itself is not what the kernel has to take it for."""
    camera = tree.device(
        tree.hub(tree.controller(*PCI, bus=1), "1-1"), "1-1.3", devnum=4, interfaces=(STORAGE, STORAGE)
    )
    tree.bind(camera / "1-1.3:1.1", name)
    usb = Usb(tree.sys)
    with pytest.raises(OSError, match=name) as refused:
        usb.authorise(usb.identity(BAY))
    assert (refused.value.errno, text(camera / "authorized")) == (errno.ENOTBLK, "0")


def test_a_device_without_storage_is_shut_out_again(tree: Tree) -> None:
    camera = tree.device(tree.hub(tree.controller(*PCI, bus=1), "1-1"), "1-1.3", devnum=4, interfaces=(KEYBOARD,))
    usb = Usb(tree.sys)
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        usb.authorise(usb.identity(BAY))
    assert refused.value.errno == errno.ENOTBLK
    assert (text(camera / "authorized"), text(camera / "1-1.3:1.0" / "authorized")) == ("0", "0")


def test_a_device_that_lost_its_configuration_on_a_bad_line_is_to_be_let_in_once_more(tree: Tree) -> None:
    camera = tree.device(tree.hub(tree.controller(*PCI, bus=1), "1-1"), "1-1.3", devnum=4, interfaces=())
    (camera / "authorized").write_text("1\n")
    usb = Usb(tree.sys)
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        usb.authorise(usb.identity(BAY))
    assert (refused.value.errno, text(camera / "authorized")) == (errno.EIO, "0")


# --- volumes --------------------------------------------------------------------------------------------------------


def test_a_disks_partitions_are_its_volumes_and_a_disk_without_any_is_one(tree: Tree) -> None:
    camera = tree.device(tree.hub(tree.controller(*PCI, bus=1), "1-1"), "1-1.3", devnum=4)
    usb = Usb(tree.sys)
    assert usb.blocks(usb.identity(BAY)) == {}
    tree.disk(camera, "sdb", "8:16", parts=(("sdb1", "8:17"),))
    tree.disk(camera, "sdc", "8:32")
    tree.disk(camera, "sdd", "8:48", size=0)  # a reader without a card
    assert usb.blocks(usb.identity(BAY)) == {"sdb1": os.makedev(8, 17), "sdc": os.makedev(8, 32)}


def test_a_disk_behind_another_class_of_interface_is_no_volume(tree: Tree) -> None:
    camera = tree.device(tree.hub(tree.controller(*PCI, bus=1), "1-1"), "1-1.3", devnum=4, interfaces=("ff", STORAGE))
    tree.disk(camera, "sdb", "8:16")
    assert Usb(tree.sys).blocks(Usb(tree.sys).identity(BAY)) == {}


# --- power ----------------------------------------------------------------------------------------------------------


def test_a_port_is_switched_at_its_hub_whatever_is_in_it(tree: Tree) -> None:
    hub = tree.hub(tree.controller(*PCI, bus=1), "1-1")
    port, usb = hub / "1-1:1.0" / "1-1-port3" / "disable", Usb(tree.sys)
    assert usb.switch(BAY, on=None)
    assert not usb.switch(BAY, on=False)
    assert text(port) == "1"
    assert not usb.switch(BAY, on=None)
    assert usb.switch(BAY, on=True)
    assert text(port) == "0"
    assert text(hub / "1-1:1.0" / "1-1-port2" / "disable") == "0"


def test_a_port_of_the_controller_itself_is_switched_too(tree: Tree) -> None:
    root = tree.controller(*PCI, bus=1)
    assert not Usb(tree.sys).switch(Bay(host=HOST, chain="2", switched=True), on=False)
    assert text(root / "1-0:1.0" / "usb1-port2" / "disable") == "1"


def test_both_halves_of_a_connector_are_switched_together(tree: Tree) -> None:
    slow, fast = (tree.controller(*PCI, bus=bus) / f"{bus}-0:1.0" / f"usb{bus}-port2" for bus in (1, 2))
    (slow / "peer").symlink_to(fast)
    (fast / "peer").symlink_to(slow)
    assert not Usb(tree.sys).switch(Bay(host=HOST, chain="2", switched=True), on=False)
    assert (text(slow / "disable"), text(fast / "disable")) == ("1", "1")


def test_two_connectors_of_one_name_are_not_switched(tree: Tree) -> None:
    ports = [tree.controller(*PCI, bus=bus) / f"{bus}-0:1.0" / f"usb{bus}-port2" / "disable" for bus in (1, 2)]
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        Usb(tree.sys).switch(Bay(host=HOST, chain="2", switched=True), on=False)
    assert refused.value.errno == errno.ENOTUNIQ
    assert [text(port) for port in ports] == ["0", "0"]


@pytest.mark.parametrize(("chain", "switched"), [("1.3", False), ("1.9", True), ("2.1", True)])
def test_a_port_that_is_not_ours_to_switch_is_not_switched(tree: Tree, chain: str, *, switched: bool) -> None:
    hub = tree.hub(tree.controller(*PCI, bus=1), "1-1")
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        Usb(tree.sys).switch(Bay(host=HOST, chain=chain, switched=switched), on=False)
    assert refused.value.errno == errno.EOPNOTSUPP
    assert text(hub / "1-1:1.0" / "1-1-port3" / "disable") == "0"


# --- the board file -------------------------------------------------------------------------------------------------

BOARD = """
name = "a board"
[[bays]]
number = 1
port = "pci-0000:00:10.0-usb-0:1.3"
lamp = { red = "GPIO2", green = "GPIO3", blue = "GPIO4" }
power = "port"
[[bays]]
number = 2
port = "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.4.2"
power = "none"
"""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board.toml"
    path.write_text(BOARD)
    path.chmod(0o644)
    return path


def board_refusal(path: Path, number: int = 1) -> int | None:
    with pytest.raises(OSError, match=r"\[Errno") as refused:
        bay_of(path, number)
    return refused.value.errno


def test_a_bay_is_the_port_that_the_board_file_says(board: Path) -> None:
    assert bay_of(board, 1) == BAY
    assert bay_of(board, 2) == Bay(host="platform-fd500000.pcie-pci-0000:01:00.0", chain="1.4.2", switched=False)
    assert board_refusal(board, 3) == errno.ENOKEY


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent.parent / "hw" / "boards").glob("*.toml")), ids=str
)
def test_every_board_of_ours_is_one_that_the_helper_reads(path: Path, board: Path) -> None:
    board.write_bytes(path.read_bytes())
    assert bay_of(board, 1).chain


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_board_file_that_others_may_write_is_not_believed(board: Path, mode: int) -> None:
    board.chmod(mode)
    assert board_refusal(board) == errno.EUCLEAN


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away, which only root can")
def test_a_board_file_of_another_user_is_not_believed(board: Path) -> None:
    os.chown(board, 1, -1)
    assert board_refusal(board) == errno.EUCLEAN


def test_a_board_file_that_is_a_link_or_a_fifo_or_missing_is_not_believed(board: Path, tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to(board)
    os.mkfifo(tmp_path / "fifo.toml")
    for name in ("link.toml", "fifo.toml", "missing.toml"):
        assert board_refusal(tmp_path / name) == errno.EUCLEAN


@pytest.mark.parametrize(
    "content",
    [
        "",
        "bays = 1",
        "bays = [1]",
        "[[bays]]",
        "[[bays]]\nnumber = 1",
        "[[bays]]\nnumber = 1\nport = 3",
        '[[bays]]\nnumber = 1\nport = "../../etc"',
        '[[bays]]\nnumber = 1\nport = "pci-0000:00:10.0-usb-0:../1"',
        '[[bays]]\nnumber = 1\nport = "pci-0000:00:10.0-usb-0:1.3:1.0"',
        '[[bays]]\nnumber = 1\nport = "pci-0000:00:10.0-usb-0:1.*"',
        '[[bays]]\nnumber = [1]\nport = "pci-0-usb-0:1"',
        BOARD.replace("number = 2", "number = 1"),
        BOARD + '[[bays]]\nnumber = 3\nport = "pci-0000:00:10.0-usb-0:1.3"\n',
        "\x00",
        "bays = " + "[" * 5000,
    ],
)
def test_a_board_file_that_is_wrong_is_not_believed(board: Path, content: str) -> None:
    board.write_text(content)
    assert board_refusal(board) == errno.EUCLEAN


def test_a_board_file_that_is_no_text_is_not_believed(board: Path) -> None:
    board.write_bytes(b"\xff\xfe")
    assert board_refusal(board) == errno.EUCLEAN
