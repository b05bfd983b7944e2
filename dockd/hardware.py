"""A station with real bays: what its configuration, its board and its profiles make together.

Owns which edges stand behind the ports of such a station, and what of the three files cannot be so. Decides nothing
else, and is the only place that knows both a board and a configuration.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dockd import gear
from dockd.app.ports import Attached, Cards
from dockd.compose import Plan, config_plan
from dockd.config import Config
from dockd.domain.board import Board
from dockd.domain.matching import Fits, knows, profile_of
from dockd.domain.plugged import CameraThere
from dockd.domain.profile import Profile
from dockd.edges.boards import ROOTS_BOARD, load_board, read_board
from dockd.edges.clock import SystemClock
from dockd.edges.copier_process import Patience
from dockd.edges.doors import Doors, Plugged
from dockd.edges.gpio.lamps import moving
from dockd.edges.gpio.wired import board_lines
from dockd.edges.helper import Helper
from dockd.edges.mounted import MountedCards
from dockd.edges.profiled import ProfiledCards
from dockd.edges.profiles import load_profiles
from dockd.edges.udev import UdevFeed
from dockd.errors import CameraGoneError, ConfigError, Problem


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
        StartRefusedError: bays are wired to the board's header, and it cannot be had.

    """
    hardware = hardware_of(config)
    board = hardware.board
    helper = Helper()
    doors = Doors(helper)
    async with AsyncExitStack() as opened:
        arrivals = await opened.enter_async_context(asyncio.TaskGroup())
        opened.callback(doors.close)
        feed = UdevFeed(
            board=board,
            known=partial(knows, hardware.profiles),
            arriving=lambda bay, ids: doors.arriving(bay, ids, arrivals),
        )
        clock = SystemClock()
        pins = opened.enter_context(board_lines(board))
        lamps = {bay: wiring.lamp for bay, wiring in board.bays.items() if wiring.lamp is not None}
        shown = await opened.enter_async_context(moving(lamps, pins=pins, clock=clock))
        power = gear.gear_of(board, config.charging, ports=helper, lines=pins, clock=clock)
        yield replace(
            config_plan(config, feed=feed, lamps=shown, pace=None),
            gear=await opened.enter_async_context(power),
            bays={bay: wiring.bus for bay, wiring in board.bays.items()},
            cards=CardsOfBays(feed, doors, hardware.profiles),
        )


def _board_of(config: Config) -> Board:
    """Read the board, cut down to the bays that are configured."""
    name = config.hardware.board
    if name is None:
        expected = "the board that the bays are wired to, or dockd run --simulate"
        raise ConfigError([Problem(path="hardware.board", value="(missing)", expected=expected)])
    board = load_board(name)
    problems = [*_lacking(config, board), *gear.problems(board, config.charging)]
    if not problems:
        problems += _other_than_roots(name, config, board)
    if problems:
        raise ConfigError(problems)
    return replace(board, bays={bay.number: board.bays[bay.number] for bay in config.bays})


def _other_than_roots(name: str, config: Config, board: Board) -> Iterator[Problem]:
    """Give the bays that root's helper, where it has a board here, takes for another port or does not know."""
    if name == str(ROOTS_BOARD) or not ROOTS_BOARD.is_file():
        return
    roots = read_board(ROOTS_BOARD).bays
    for bay in config.bays:
        port, theirs = board.bays[bay.number].port, roots.get(bay.number)
        if theirs is None or theirs.port != port:
            where = "no such bay" if theirs is None else theirs.port
            expected = f"{where}, as in {ROOTS_BOARD}, which root's helper reads"
            yield Problem(path="hardware.board", value=f"{name}: bay {bay.number} is {port}", expected=expected)


def _lacking(config: Config, board: Board) -> Iterator[Problem]:
    numbers = " ".join(map(str, sorted(board.bays)))
    for index, bay in enumerate(config.bays):
        if bay.number not in board.bays:
            expected = f"a bay of {board.name}, which has {numbers}"
            yield Problem(path=f"bays[{index}].number", value=str(bay.number), expected=expected)


class CardsOfBays:
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
        return Plugged(ids=there.ids, devname=there.usb_plugging, diskseq=there.plugging)

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
