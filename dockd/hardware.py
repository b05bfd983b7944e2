"""A station with real bays: what its configuration, its board and its profiles make together.

Owns which edges stand behind the ports of such a station, and what of the three files cannot be so. Decides nothing
else, and is the only place that knows both a board and a configuration.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dockd.app.ports import Attached, Cards, Lamps
from dockd.compose import NoLamps, Plan, config_plan
from dockd.config import Config
from dockd.domain.board import Board, LampPins
from dockd.domain.matching import Fits, knows, profile_of
from dockd.domain.model import BayId
from dockd.domain.plugged import CameraThere
from dockd.domain.profile import Profile
from dockd.edges.boards import load_board
from dockd.edges.clock import SystemClock
from dockd.edges.copier_process import Patience
from dockd.edges.doors import Doors, Plugged
from dockd.edges.helper import Helper
from dockd.edges.mounted import MountedCards
from dockd.edges.profiled import ProfiledCards
from dockd.edges.profiles import load_profiles
from dockd.edges.udev import UdevFeed
from dockd.errors import CameraGoneError, ConfigError, Problem

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What there is beside the configuration: its bays on their board, and every camera that is known."""

    board: Board
    profiles: Sequence[Profile]


def hardware_of(config: Config) -> Hardware:
    """Read the board of a configuration and the profiles of cameras.

    Raises:
        ConfigError: every problem of all of them: no board is set, its file cannot be so, it has not all the bays, a
            profile cannot be so.

    """
    problems: list[Problem] = []
    board: Board | None = None
    profiles: Sequence[Profile] = ()
    try:
        board = _board_of(config)
    except ConfigError as error:
        problems += error.problems
    try:
        profiles = load_profiles()
    except ConfigError as error:
        problems += error.problems
    if board is None or problems:
        raise ConfigError(problems)
    return Hardware(board=board, profiles=profiles)


@asynccontextmanager
async def docked(config: Config) -> AsyncIterator[Plan]:
    """Plan a station with real bays; what its parts hold is let go of when the block ends.

    Raises:
        ConfigError: as `hardware_of`.
        StartRefusedError: its lamps cannot be had at all.

    """
    hardware = hardware_of(config)
    board = hardware.board
    doors = Doors(Helper())
    async with AsyncExitStack() as opened:
        arrivals = await opened.enter_async_context(asyncio.TaskGroup())
        opened.callback(doors.close)
        feed = UdevFeed(
            board=board,
            known=partial(knows, hardware.profiles),
            arriving=lambda bay, ids: doors.arriving(bay, ids, arrivals),
        )
        lamps = await opened.enter_async_context(_lamps(board))
        yield replace(
            config_plan(config, feed=feed, lamps=lamps, pace=None),
            bays={bay: wiring.bus for bay, wiring in board.bays.items()},
            cards=_CardsOfBays(feed, doors, hardware.profiles),
        )


def _board_of(config: Config) -> Board:
    """Read the board, cut down to the bays that are configured."""
    name = config.hardware.board
    if name is None:
        expected = "the board that the bays are wired to, or dockd run --simulate"
        raise ConfigError([Problem(path="hardware.board", value="(missing)", expected=expected)])
    board = load_board(name)
    problems = list(_lacking(config, board))
    if problems:
        raise ConfigError(problems)
    return replace(board, bays={bay.number: board.bays[bay.number] for bay in config.bays})


def _lacking(config: Config, board: Board) -> Iterator[Problem]:
    numbers = " ".join(map(str, sorted(board.bays)))
    for index, bay in enumerate(config.bays):
        if bay.number not in board.bays:
            expected = f"a bay of {board.name}, which has {numbers}"
            yield Problem(path=f"bays[{index}].number", value=str(bay.number), expected=expected)


@asynccontextmanager
async def _lamps(board: Board) -> AsyncIterator[Lamps]:
    """Give the lamps of a board; none where no lamp is on its header."""
    lamps = dict(_on_header(board))
    dark = sorted(bay for bay, wiring in board.bays.items() if wiring.lamp is not None and bay not in lamps)
    if dark:
        _log.warning("the lamps of bays %s stay dark: there is no driver for their expanders", dark)
    if not lamps:
        yield NoLamps()
        return
    # gpiozero, and the driver of the header, only where there are lamps on one.
    from dockd.edges.gpio.lamps import moving  # noqa: PLC0415 - as said
    from dockd.edges.gpio.pins import pi_pins  # noqa: PLC0415 - as said

    pins = pi_pins()
    try:
        async with moving(lamps, pins=pins, clock=SystemClock()) as shown:
            yield shown
    finally:
        pins.close()


def _on_header(board: Board) -> Iterator[tuple[BayId, LampPins]]:
    """Give the lamps of which every line is on the header: there is no driver for expanders."""
    for bay, wiring in board.bays.items():
        lamp = wiring.lamp
        if lamp is not None and all(line.expander is None for line in (lamp.red, lamp.green, lamp.blue)):
            yield bay, lamp


class _CardsOfBays:
    """Opens the cards of what a feed has seen, as their cameras' profiles say."""

    def __init__(self, feed: UdevFeed, doors: Doors, profiles: Sequence[Profile]) -> None:
        self._feed = feed
        self._doors = doors
        self._profiles = profiles

    def __call__(self, spool: Path, *, erase: bool, patience: Patience) -> Cards:
        """Make what opens them."""
        cards = MountedCards(spool, doors=self._doors, plugged=self._plugged, erase=erase, patience=patience)
        return ProfiledCards(cards, profile_of=self._profile_of)

    def _plugged(self, attached: Attached) -> Plugged:
        there = self._there(attached)
        return Plugged(ids=there.ids, devname=there.usb_plugging)

    def _profile_of(self, attached: Attached) -> Profile:
        there = self._there(attached)
        verdict = profile_of(self._profiles, there.ids, there.card)
        if not isinstance(verdict, Fits):
            raise CameraGoneError(f"bay {attached.bay}: no profile is of {there.ids} any more")
        return verdict.profile

    def _there(self, attached: Attached) -> CameraThere:
        """Give the camera as its bay was last seen: news of another one may be on the way."""
        there = self._feed.camera_in(attached.bay)
        if there is None or there.camera != attached.camera:
            raise CameraGoneError(f"bay {attached.bay}: camera {attached.camera.serial} is not in it any more")
        return there
