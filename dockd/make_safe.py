"""`dockd make-safe`: every lamp dark, every bay with power: what a daemon that was killed could not leave behind.

Owns what is done after such an end, whatever state lines and ports were left in. systemd runs it: see dockd.service.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from dockd.config import load
from dockd.domain.board import Board, PortPower, lines_of
from dockd.domain.model import BayId
from dockd.edges.boards import ROOTS_BOARD, load_board, read_board
from dockd.edges.gpio.lines import LineError, Lines
from dockd.edges.gpio.wired import board_lines
from dockd.edges.helper import Helper
from dockd.edges.power import PortSwitch
from dockd.errors import ConfigError, PermanentError, StartRefusedError, TransientError

EX_OK, EX_FAILED = 0, 1


def run(arguments: argparse.Namespace) -> int:
    """Do it for the board of a configuration. 1 where a lamp may be lit still, or a bay without power.

    Raises:
        ConfigError: the configuration, or its board's file, cannot be so, and root's helper has no board here either.

    """
    board = _board_of(arguments.config)
    if board is None:
        return EX_OK
    not_dark = list(_of_lines(board))
    unlit = asyncio.run(lit(board, Helper()))
    if not_dark:
        # What stopped a line may be over by now, such as an expander's bus that hung.
        not_dark = list(_of_lines(board))
    for what in [*not_dark, *unlit]:
        _say(what)
    return EX_FAILED if not_dark or unlit else EX_OK


def _board_of(config: Path) -> Board | None:
    """Read the board; somebody may have changed the configuration since the daemon began."""
    try:
        name = load(config).hardware.board
        return None if name is None else load_board(name)
    except ConfigError as error:
        if not ROOTS_BOARD.is_file():
            raise
        _say(f"taking the board of root's helper, {ROOTS_BOARD}: {error}")
        return read_board(ROOTS_BOARD)


def _say(what: str) -> None:
    sys.stderr.write(f"dockd make-safe: {what}\n")


def _of_lines(board: Board) -> Iterator[str]:
    try:
        with board_lines(board) as lines:
            yield from let_go(board, lines)
    except StartRefusedError as error:
        yield str(error)


def let_go(board: Board, lines: Lines) -> Iterator[str]:
    """Drive every line of a board off, and let go of it: lamps are dark, relays feed. Give what could not be."""
    with ExitStack() as taken:
        for bay, wiring in sorted(board.bays.items()):
            for part, line in lines_of(wiring):
                try:
                    # Whoever takes a line drives it off. All are taken before the first one is let go of.
                    taken.enter_context(closing(lines.output(line)))
                except LineError as error:
                    yield f"bay {bay}: {part.value}: {error}"


async def lit(board: Board, ports: PortSwitch) -> list[str]:
    """Give every hub port of a board its power; say where that failed. A port without a switch always has it."""
    left: list[str] = []

    async def light(bay: BayId) -> None:
        try:
            await ports.power(bay, on=True)
        except PermanentError:
            return
        except TransientError as error:
            left.append(str(error))

    async with asyncio.TaskGroup() as group:
        for bay, wiring in board.bays.items():
            if isinstance(wiring.power, PortPower):
                group.create_task(light(bay), name=f"power of bay {bay}")
    return left
