"""A station with real bays, from its files: what of them cannot be; the camera that was seen is the one opened."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from dockd.app.ports import Attached, FeedEvent
from dockd.config import Config, parse
from dockd.domain.matching import knows
from dockd.domain.model import BayId, Camera, CameraSerial, VolumeId
from dockd.domain.profile import EraseMethod, Match
from dockd.edges.boards import load_board
from dockd.edges.copier_process import Patience
from dockd.edges.udev import UdevFeed
from dockd.errors import CameraGoneError, ConfigError, PermanentError
from dockd.hardware import CardsOfBays, docked, hardware_of
from tests.copier_parts import a_dock, permit
from tests.mount_parts import a_bay
from tests.plugs import Hub, Told
from tests.profile_parts import DATED

BOARD = """
name = "two bays"
host = "pci-0000:00:10.0"
most_usb_devices = 8
budget_ma = 2000
[[bays]]
number = 1
port = "pci-0000:00:10.0-usb-0:1.1"
bus = "left"
[[bays]]
number = 2
port = "pci-0000:00:10.0-usb-0:1.2"
bus = "right"
[[bays]]
number = 3
port = "pci-0000:00:10.0-usb-0:1.3"
"""


def config(hardware: str, *bays: int, more: str = "") -> Config:
    numbers = "".join(f"[[bays]]\nnumber = {bay}\n" for bay in bays)
    return parse(
        f'[station]\nid = "st-1"\n[store]\nurl = "https://store.example/files/"\n'
        f'receipt_keys = ["ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"]\n{hardware}\n{more}\n{numbers}',
        where="dockd.toml",
    )


def wired(board: Path) -> str:
    return f'[hardware]\nboard = "{board}"'


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board.toml"
    path.write_text(BOARD)
    return path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The station's own folder of profiles."""
    folder = tmp_path / "cameras"
    folder.mkdir()
    monkeypatch.setattr("dockd.edges.profiles.OWN_FOLDER", folder)
    return folder


def wrong(config: Config) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        hardware_of(config)
    return [f"{problem.path}: {problem.value}: {problem.expected}" for problem in refused.value.problems]


def test_a_station_without_a_board_is_told_what_is_missing() -> None:
    assert wrong(config("", 1)) == [
        "hardware.board: (missing): the board that the bays are wired to, or dockd run --simulate"
    ]


def test_a_board_that_is_not_there_is_refused_by_its_setting() -> None:
    (problem,) = wrong(config('[hardware]\nboard = "rpi4-9"', 1))
    assert problem.startswith("hardware.board: rpi4-9: a board that there is (")


def test_every_bay_has_to_be_on_the_board_and_every_profile_to_be_one(board: Path, own: Path) -> None:
    (own / "odd.toml").write_text('name = "odd"\nabout = "odd"\nerase = "always"\n')
    problems = wrong(config(wired(board), 1, 7, 34))
    assert problems[:2] == [
        "bays[1].number: 7: a bay of two bays, which has 1 2 3",
        "bays[2].number: 34: a bay of two bays, which has 1 2 3",
    ]
    (profile,) = problems[2:]
    assert profile.startswith('erase: "always":')


def test_a_board_on_which_two_bays_share_a_port_is_refused_at_the_start(board: Path) -> None:
    board.write_text(BOARD.replace("0:1.2", "0:1.1"))
    (problem,) = wrong(config(wired(board), 1))
    assert problem == "bays[1].port: pci-0000:00:10.0-usb-0:1.1: a port of its own: bay 1 port has it"


def test_a_board_other_than_roots_helper_reads_is_refused_bay_by_bay(
    board: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots.toml"
    monkeypatch.setattr("dockd.hardware.ROOTS_BOARD", roots)
    roots.write_text(BOARD)
    assert set(hardware_of(config(wired(board), 1, 2)).board.bays) == {1, 2}
    roots.write_text(BOARD.replace("0:1.2", "0:1.4").replace("number = 3", "number = 4"))
    own_way = f"as in {roots}, which root's helper reads"
    assert wrong(config(wired(board), 1, 2, 3)) == [
        f"hardware.board: {board}: bay 2 is pci-0000:00:10.0-usb-0:1.2: pci-0000:00:10.0-usb-0:1.4, {own_way}",
        f"hardware.board: {board}: bay 3 is pci-0000:00:10.0-usb-0:1.3: no such bay, {own_way}",
    ]
    monkeypatch.setattr("dockd.hardware.ROOTS_BOARD", board)
    assert set(hardware_of(config(wired(board), 2, 3)).board.bays) == {2, 3}


def test_bays_of_the_board_that_are_not_configured_are_left_alone(board: Path, own: Path) -> None:
    hardware = hardware_of(config(wired(board), 3, 1))
    assert set(hardware.board.bays) == {1, 3}
    assert {profile.name for profile in hardware.profiles} == {"dated", "dcf", "generic"}


def test_a_bus_stands_on_the_board_alone(board: Path) -> None:
    with pytest.raises(ConfigError, match=r'bays\[0\]\.bus: "left": expected no bus, since hardware.board says'):
        config(wired(board), more='[[bays]]\nnumber = 1\nbus = "left"')


async def test_a_station_is_planned_from_its_board(board: Path, own: Path) -> None:
    async with docked(config(wired(board), 1, 2)) as plan:
        assert plan.bays == {1: "left", 2: "right"}
        cards = plan.cards(Path("/nowhere"), erase=True, patience=Patience())
        camera = Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL"))
        with pytest.raises(CameraGoneError, match="camera CAM is not in it any more"):
            await cards.open(Attached(bay=BayId(1), camera=camera, source="bay:1", device="bay:1"))


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.plug("1.3", "X00123", lambda device: replace(device, ids=replace(device.ids, vendor="2672", product="0049")))
    return hub


async def first(feed: UdevFeed) -> tuple[AsyncGenerator[FeedEvent, None], Attached]:
    events = feed.events()
    assert isinstance(events, AsyncGenerator)
    event = await anext(events)
    assert isinstance(event, Attached)
    return events, event


async def test_the_camera_that_was_seen_is_opened_as_its_profile_says_and_no_other(tmp_path: Path, hub: Hub) -> None:
    match = Match(vendor="2672", product="0049", label="CAM")
    profiles = [replace(DATED, matches=(match,), erase=EraseMethod.NEVER)]
    dock = a_dock(tmp_path)
    file = dock.put("REC/20240701-143000_EVT.MP4")
    board = load_board("emulated-14")
    board = replace(board, bays={BayId(3): board.bays[BayId(3)]})
    feed = UdevFeed(board=board, known=lambda ids, card: knows(profiles, ids, card), listen=lambda _: Told(hub))
    events, attached = await first(feed)
    with a_bay(dock) as bay:
        async with aclosing(events):
            cards = CardsOfBays(feed, bay.doors(), profiles)(dock.spool, erase=True, patience=Patience())
            bay.helper.let_in = {"serial": "X00123", "busnum": 1, "devnum": 1}
            bay.count("1")
            card = await cards.open(attached)
            listing = await card.listing()
            assert [(it.path, it.urgent) for it in listing.files] == [(file.path, True)]
            with pytest.raises(PermanentError, match="by the profile dated such a file is not erased"):
                await card.erase(permit(file))
            await card.close()
            bay.count("2")
            with pytest.raises(CameraGoneError, match="is disk 2 by the kernel's count, expected 1"):
                await cards.open(attached)
            another = replace(attached, camera=replace(attached.camera, serial=CameraSerial("X00124")))
            with pytest.raises(CameraGoneError, match="camera X00124 is not in it any more"):
                await cards.open(another)
        assert bay.open_count() == 0
