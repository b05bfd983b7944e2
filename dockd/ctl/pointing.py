"""`dockctl identify`: which bay is it?

Owns its words. What the daemon makes of a wish is its own.
"""

import argparse
from typing import TYPE_CHECKING

from dockd.ctl.desk import Desk
from dockd.ctl.exits import EX_OK
from dockd.ctl.printing import print_json, say

if TYPE_CHECKING:
    from dockd.edges.control.shape import Document


def add_arguments(identify: argparse.ArgumentParser) -> None:
    """Add what is pointed at, and for how long."""
    identify.add_argument("bay", type=int, metavar="BAY", help="the number of the bay")
    how_long = identify.add_mutually_exclusive_group()
    how_long.add_argument(
        "--for", dest="seconds", type=int, metavar="SECONDS", help="for so long (default 60, at most 600)"
    )
    how_long.add_argument("--stop", dest="seconds", action="store_const", const=0, help="show its own state again now")


def identify(desk: Desk, arguments: argparse.Namespace) -> int:
    """Point at a bay, or stop that."""
    wanted: Document = {"bay": arguments.bay}
    if arguments.seconds is not None:
        wanted["seconds"] = arguments.seconds
    answer = desk.wish("identify", wanted)
    if arguments.json:
        print_json(answer)
    elif answer["seconds"]:
        say(f"bay {answer['bay']} blinks white, twice a second, for {answer['seconds']} s")
    else:
        say(f"bay {answer['bay']} shows its own state")
    return EX_OK
