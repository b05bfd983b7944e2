"""The port CameraFeed: what holds for bays on a real bus holds for those of the simulated station."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import cast

import pytest

from dockd.app.ports import Attached, CameraFeed, ChargeRead, Detached, Empty, FeedEvent, Unknown
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial
from dockd.edges.boards import load_board
from dockd.edges.udev.feed import UdevFeed
from dockd.sim.battery import Battery
from dockd.sim.feed import ShiftFeed
from dockd.sim.itinerary import After, Visit, WhenDone
from dockd.sim.lamps import ShownLamps
from dockd.sim.rack import Rack
from tests.clock_parts import HandClock
from tests.plugs import Hub, Told

BAYS = tuple(BayId(bay) for bay in (1, 2, 3))
AT_START = {1: "CAM-A"}
MOVES: tuple[tuple[int, str | None], ...] = ((2, "CAM-B"), (1, None), (3, "CAM-A"), (2, None), (2, "CAM-C"))
"""What happens: a camera comes into a bay, or (None) whoever is in it leaves."""


async def on_the_bus(_folder: Path) -> AsyncIterator[FeedEvent]:
    """Carry it out at the ports of a hub, each move as soon as the one before was told."""
    board, hub = load_board("emulated-14"), Hub()
    for bay, serial in AT_START.items():
        hub.plug(f"1.{bay}", serial)
    hub.news.clear()
    told = Told(hub)
    feed = UdevFeed(
        board=replace(board, bays={bay: board.bays[bay] for bay in BAYS}),
        known=lambda _ids, _card: True,
        arriving=lambda _bay, _ids: None,
        listen=lambda _host: told,
        start=lambda work: work(),
    )
    async with aclosing(as_generator(feed)) as events:
        for _ in BAYS:
            yield await anext(events)
        for bay, comes in MOVES:
            if comes is None:
                hub.pull(f"1.{bay}")
            else:
                hub.plug(f"1.{bay}", comes)
            told.say([*hub.news])
            hub.news.clear()
            yield await anext(events)


async def in_a_shift(folder: Path) -> AsyncIterator[FeedEvent]:
    """Carry it out as the plan of a simulated shift."""
    names = ("CAM-A", "CAM-B", "CAM-C")
    cameras = [Camera(serial=CameraSerial(name), volume=FOLDER_VOLUME) for name in names]
    rack = Rack(folder)
    for camera in cameras:
        rack.shelf(camera).mkdir(parents=True)
    feed = ShiftFeed(
        visits=[
            Visit(camera=0, bay=BAYS[0], after_s=0, leaving=After(stay_s=4)),
            Visit(camera=1, bay=BAYS[1], after_s=2, leaving=After(stay_s=6)),
            Visit(camera=0, bay=BAYS[2], after_s=1, leaving=WhenDone()),
            Visit(camera=2, bay=BAYS[1], after_s=10, leaving=WhenDone()),
        ],
        cameras=cameras,
        batteries=[Battery(level_pct=100.0, tells=True) for _ in cameras],
        bays=BAYS,
        rack=rack,
        lamps=ShownLamps(),
        clock=HandClock(),
        speed=1.0,
    )
    async for event in feed.events():
        yield event


def as_generator(feed: CameraFeed) -> AsyncGenerator[FeedEvent]:
    """Give a feed's events as what can be closed."""
    return cast("AsyncGenerator[FeedEvent]", feed.events())


def said(events: Iterable[FeedEvent]) -> list[tuple[int, str]]:
    """Write events as who is in which bay; what a battery tells is left out."""
    words: list[tuple[int, str]] = []
    for event in events:
        match event:
            case Attached(bay=bay, camera=camera):
                words.append((bay, camera.serial))
            case Detached(bay=bay):
                words.append((bay, "out"))
            case Empty(bay=bay):
                words.append((bay, "empty"))
            case Unknown(bay=bay):
                words.append((bay, "unknown"))
            case ChargeRead():
                continue
    return words


async def heard(made: Callable[[Path], AsyncIterator[FeedEvent]], folder: Path) -> list[FeedEvent]:
    async with asyncio.timeout(20):
        return [event async for event in made(folder)]


both = pytest.mark.parametrize("made", [on_the_bus, in_a_shift])


@both
async def test_every_bay_is_told_once_at_the_start_and_then_each_change_in_order(
    made: Callable[[Path], AsyncIterator[FeedEvent]], tmp_path: Path
) -> None:
    words = said(await heard(made, tmp_path))
    assert sorted(words[:3]) == [(1, "CAM-A"), (2, "empty"), (3, "empty")]
    assert words[3:] == [(2, "CAM-B"), (1, "out"), (3, "CAM-A"), (2, "out"), (2, "CAM-C")]


@both
async def test_a_camera_that_comes_into_another_bay_is_the_same_camera(
    made: Callable[[Path], AsyncIterator[FeedEvent]], tmp_path: Path
) -> None:
    stays = [event for event in await heard(made, tmp_path) if isinstance(event, Attached)]
    by_serial = sorted(stays, key=lambda event: event.camera.serial)
    docked = {key: [*group] for key, group in groupby(by_serial, key=lambda event: event.camera.serial)}
    assert {serial: [stay.bay for stay in group] for serial, group in docked.items()} == {
        "CAM-A": [1, 3],
        "CAM-B": [2],
        "CAM-C": [2],
    }
    first, second = docked[CameraSerial("CAM-A")]
    assert first.camera == second.camera
    assert first.source != second.source
