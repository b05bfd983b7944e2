"""`dockctl` from its arguments to its exit code.

Owns the command line and what each error ends with. What a command does is its own module's.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dockd.ctl import accounting, cameras, looking, mapping, pointing, quarantine
from dockd.ctl.desk import Daemon, Desk
from dockd.ctl.exits import EPILOG, EX_CONFIG, EX_FAILED, EX_IOERR, EX_NOINPUT, EX_NOPERM, EX_OK, EX_UNAVAILABLE
from dockd.ctl.printing import shown
from dockd.edges.control.client import DaemonDownError, ForbiddenError, UnknownError
from dockd.errors import ConfigError, DockdError, OutputError, StartRefusedError

SOCKET = Path("/run/dockd/control.sock")


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one line an exit code
    """Run one command. Returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code = int(arguments.run(_desk(arguments), arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()  # the reader of a pipe has seen enough
        return EX_OK
    except DaemonDownError as error:
        return _say(error, EX_UNAVAILABLE)
    except (ForbiddenError, PermissionError) as error:
        return _say(error, EX_NOPERM)
    except (FileNotFoundError, UnknownError) as error:
        return _say(error, EX_NOINPUT)
    except (ConfigError, StartRefusedError) as error:
        return _say(error, EX_CONFIG)
    except DockdError as error:
        return _say(error, EX_FAILED)
    except OSError as error:
        _mute()
        return _say(OutputError(f"{error.filename or 'standard output'}: {error.strerror}"), EX_IOERR)
    return code


def _desk(arguments: argparse.Namespace) -> Desk:
    if arguments.state is None:
        return Daemon(arguments.socket)
    from dockd.edges.control.offline import Folder  # noqa: PLC0415 - sqlite only where it is asked for

    return Folder(arguments.state, key_texts=arguments.store_key)


def _common(*, suppressed: bool = False) -> argparse.ArgumentParser:
    """Make the options of every command; `suppressed` for a verb: what was said before it is not set back."""
    common = argparse.ArgumentParser(add_help=False)
    nothing: dict[str, Any] = {"default": argparse.SUPPRESS} if suppressed else {}
    common.add_argument("--json", action="store_true", help="print JSON", **nothing)
    common.add_argument(
        "--socket",
        type=Path,
        metavar="FILE",
        help=f"the daemon's (default {SOCKET})",
        **({"default": SOCKET} | nothing),
    )
    common.add_argument(
        "--state", type=Path, metavar="DIR", help="read a state folder instead of asking the daemon", **nothing
    )
    common.add_argument(
        "--store-key",
        action="append",
        metavar="KEY-OR-FILE",
        help="with --state: check receipts under this key (default: the keys last pinned there)",
        **({"default": []} | nothing),
    )
    return common


def _parser() -> argparse.ArgumentParser:
    common = _common()
    parser = argparse.ArgumentParser(prog="dockctl", description="Look into a docking station.", epilog=EPILOG)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, summary: str, run: Callable[[Desk, argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary, epilog=EPILOG, parents=[common])
        made.set_defaults(run=run)
        return made

    command("status", "The station on one screen; exit code 1 where something is stuck.", looking.status)
    command("bays", "Every bay: lamp, camera, what is left.", looking.bays)
    clips = command("clips", "Clips, with the reason of those that are stuck.", looking.clips)
    clips.add_argument("--in", dest="in_state", metavar="STATE", help="only clips in this state (found, held, ...)")
    clips.add_argument("--camera", metavar="SERIAL", help="only clips of this camera")
    receipts = command("receipts", "Receipts; with a clip id, that clip's compact JWS.", looking.receipts)
    receipts.add_argument("clip_id", nargs="?", metavar="CLIP_ID", help="64 hex digits: print its receipt as a JWS")
    account = command("account", "Seen, receipted, pending, quarantined, and what differs.", accounting.account)
    accounting.add_arguments(account, _common(suppressed=True))
    summary = "What is held back and why, and what can be done about it."
    held = commands.add_parser("quarantine", help=summary, description=summary, epilog=EPILOG)
    quarantine.add_arguments(held, common)
    summary = "Have a bay's light blink white, twice a second, to find the bay; its camera may stay or go as before."
    pointing.add_arguments(command("identify", summary, pointing.identify))
    summary = "Say which port a camera was just plugged into, and which bay that is; needs no daemon."
    mapping.add_arguments(commands.add_parser("map", help=summary, description=summary, epilog=EPILOG))
    summary = "What profiles of cameras make of a device and of its card; needs no daemon."
    cameras.add_arguments(commands.add_parser("cameras", help=summary, description=summary, epilog=EPILOG))
    check = command("verify", "Check the whole custody chain and every receipt.", looking.verify)
    check.add_argument(
        "--receipts",
        type=Path,
        metavar="FILE",
        help="with --state: hold the chain against the store's list too: its answer to GET /receipts, or a JWS a line",
    )
    return parser


def _mute() -> None:
    """Let nothing be written at exit that could not be written before."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stdout.fileno())
    os.close(silent)


def _say(error: Exception, code: int) -> int:
    # A configuration has a problem a line; whatever else a line holds is somebody's own.
    lines = map(str, error.problems) if isinstance(error, ConfigError) else [str(error)]
    sys.stderr.write("".join(f"dockctl: {shown(line)}\n" for line in lines))
    return code
