"""`dockctl map`: which port a camera was just plugged into, for whoever writes a board's file.

Owns its words. Needs neither a daemon nor root, and lets nobody in.
"""

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from dockd.ctl.desk import Desk
from dockd.ctl.exits import EX_FAILED, EX_OK
from dockd.ctl.printing import print_row, say

if TYPE_CHECKING:
    from dockd.domain.board import Board
    from dockd.domain.plugged import Device
    from dockd.edges.control.shape import Document

BOARD = Path("/etc/dockd/board.toml")


def add_arguments(mapping: argparse.ArgumentParser) -> None:
    """Add what is waited for, and how long."""
    add = mapping.add_argument
    add("--json", action="store_true", help="print JSON, an object a line")
    add("--once", action="store_true", help="end after the first device")
    add("--timeout", type=_seconds, metavar="SECONDS", help="end when nothing was plugged in for so long")
    add(
        "--board",
        metavar="NAME-OR-FILE",
        help=f"say which bay of this board a port is (default: {BOARD}, where there is one)",
    )
    mapping.set_defaults(run=watch, state=None, socket=None)


def watch(_desk: Desk, arguments: argparse.Namespace) -> int:
    """Say of everything that is plugged in which port it is in, until Ctrl-C; 1 where nothing came in time."""
    from dockd.edges.udev.plugs import plugged_in  # noqa: PLC0415 - udev is looked for by this command alone
    from dockd.edges.udev.watch import Watch  # noqa: PLC0415 - the same

    board, seen = _board(arguments.board), 0
    try:
        with closing(Watch()) as announcements:
            devices = plugged_in(announcements, within_s=arguments.timeout)
            sys.stderr.write("dockctl: plug a camera into a bay; Ctrl-C ends\n")
            for device in devices:
                _tell(device, board, as_json=arguments.json)
                seen += 1
                if arguments.once:
                    break
    except KeyboardInterrupt:
        return EX_OK
    return EX_OK if seen else EX_FAILED


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 86_400:  # noqa: PLR2004 - a day
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, more than 0 and at most 86400")
    return seconds


def _board(name: str | None) -> "Board | None":
    from dockd.edges.boards import load_board  # noqa: PLC0415 - as above

    if name is None:
        return load_board(str(BOARD)) if BOARD.is_file() else None
    return load_board(name if "/" not in name else str(Path(name).absolute()))


def _tell(device: "Device", board: "Board | None", *, as_json: bool) -> None:
    bay = board.bay_at(device.port) if board is not None else None
    ids = device.ids
    if as_json:
        told: Document = {"port": device.port, "bay": bay}
        told |= {"vendor": ids.vendor, "product": ids.product, "serial": ids.serial, "model": device.model}
        print_row(told)
        return
    where = "" if board is None else f"bay {bay}" if bay is not None else f"no bay of {board.name}"
    what = f"{ids.vendor or '?'}:{ids.product or '?'}"
    say("  ".join(filter(None, [device.port, where, what, device.model, ids.serial and f"serial {ids.serial}"])))
    sys.stdout.flush()
