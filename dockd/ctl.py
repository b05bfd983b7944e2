"""`dockctl`: what people type at a station, over its local socket or on a state folder at rest.

Owns the commands, their words and exit codes. Everything it says comes from the documents of `edges.control`.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from dockd.edges.control.client import DaemonDownError, ForbiddenError, ask, pages
from dockd.edges.control.shape import Document
from dockd.errors import ConfigError, DockdError, OutputError, StartRefusedError

if TYPE_CHECKING:
    from dockd.edges.control.shape import Json

EX_OK, EX_FAILED = 0, 1
EX_NOINPUT, EX_UNAVAILABLE, EX_IOERR, EX_NOPERM, EX_CONFIG = 66, 69, 74, 77, 78
SOCKET = Path("/run/dockd/control.sock")
EPILOG = (
    "exit codes: 0 fine, 1 something is held, stuck or broken, 2 usage, 66 no such clip or folder,"
    " 69 the daemon is down, 74 standard output takes no more, 77 not permitted, 78 unfit state folder"
)


class Desk(Protocol):
    """Where answers come from: the daemon, or a state folder at rest."""

    def status(self) -> Document:
        """Give the station on one screen."""
        ...

    def rows(self, question: str, **filters: str | None) -> Iterator[Document]:
        """Give every row of `bays`, `clips` or `receipts`."""
        ...

    def verify(self) -> Document:
        """Check the whole custody chain and every receipt."""
        ...


class Daemon:
    """The daemon behind its socket."""

    def __init__(self, socket: Path) -> None:
        """Ask there."""
        self._socket = socket

    def status(self) -> Document:
        """Ask for the status."""
        return ask(self._socket, "status")

    def rows(self, question: str, **filters: str | None) -> Iterator[Document]:
        """Ask for all pages of a list."""
        return pages(self._socket, question, filters)

    def verify(self) -> Document:
        """Ask for a check."""
        return ask(self._socket, "verify")


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
    except FileNotFoundError as error:
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


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument("--socket", type=Path, default=SOCKET, metavar="FILE", help=f"the daemon's (default {SOCKET})")
    common.add_argument("--state", type=Path, metavar="DIR", help="read a state folder instead of asking the daemon")
    common.add_argument(
        "--store-key",
        action="append",
        default=[],
        metavar="KEY-OR-FILE",
        help="with --state: check receipts under this key (default: the keys last pinned there)",
    )
    parser = argparse.ArgumentParser(prog="dockctl", description="Look into a docking station.", epilog=EPILOG)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, summary: str, run: Callable[[Desk, argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary, epilog=EPILOG, parents=[common])
        made.set_defaults(run=run)
        return made

    command("status", "The station on one screen; exit code 1 where something is stuck.", _status)
    command("bays", "Every bay: lamp, camera, what is left.", _bays)
    clips = command("clips", "Clips, with the reason of those that are stuck.", _clips)
    clips.add_argument("--in", dest="in_state", metavar="STATE", help="only clips in this state (found, held, ...)")
    clips.add_argument("--camera", metavar="SERIAL", help="only clips of this camera")
    receipts = command("receipts", "Receipts; with a clip id, that clip's compact JWS.", _receipts)
    receipts.add_argument("clip_id", nargs="?", metavar="CLIP_ID", help="64 hex digits: print its receipt as a JWS")
    command("verify", "Check the whole custody chain and every receipt.", _verify)
    return parser


# --- the commands -------------------------------------------------------------------------------------------------


def _status(desk: Desk, arguments: argparse.Namespace) -> int:
    document = desk.status()
    backlog = cast("dict[str, dict[str, int]]", document["backlog"])
    store = cast("dict[str, Json]", document["store"])
    held = backlog["held"]["files"]
    trouble = bool(held or document["faults"] or document["spool_full"] or store["reason"] or store["overdue"])
    if arguments.json:
        _print_json(document)
        return EX_FAILED if trouble else EX_OK
    print(f"station {document['station']}: {document['docked']} of {document['bays']} bays in use")
    for state, counts in backlog.items():
        if counts["files"]:
            print(f"  {state:<10} {counts['files']:>8} clips {counts['bytes']:>16} bytes")
    print(f"  store      {store['reason'] or 'ok'}{': ' if store['detail'] else ''}{store['detail']}")
    if document["spool_full"]:
        print(f"  disk full  {document['spool_full']}")
    if document["faults"]:
        print(f"  faults     bays {', '.join(map(str, cast('list[int]', document['faults'])))}")
    return EX_FAILED if trouble else EX_OK


def _bays(desk: Desk, arguments: argparse.Namespace) -> int:
    rows = list(desk.rows("bays"))
    if arguments.json:
        _print_json({"bays": cast("Json", rows)})
    else:
        for row in rows:
            work = cast("dict[str, int]", row["work"])
            lamp = f"{row['colour']} {row['rhythm']}" if row["colour"] != "dark" else "dark"
            done = f"{work['receipted_files']}/{work['files']} receipted, {work['left_files']} left"
            print(f"bay {row['bay']:>2}  {row['phase']:<10} {lamp:<28} {row['camera'] or '-':<24} {done}")
            if row["reason"]:
                print(f"        {row['reason']}: {row['detail']}")
    return EX_FAILED if any(row["reason"] for row in rows) else EX_OK


def _clips(desk: Desk, arguments: argparse.Namespace) -> int:
    rows = desk.rows("clips", **{"in": arguments.in_state, "camera": arguments.camera})
    if arguments.json:
        _stream_json("clips", rows)
        return EX_OK
    for row in rows:
        why = f"  {row['reason']}: {row['detail']}" if row["reason"] else f"  {row['detail']}" if row["detail"] else ""
        clip_id = cast("str", row["clip_id"] or "-")[:16]
        print(f"{row['state']:<10} {row['assurance']:<9} {row['length_bytes']:>14} {clip_id:<16} {row['name']}{why}")
    return EX_OK


def _receipts(desk: Desk, arguments: argparse.Namespace) -> int:
    rows = desk.rows("receipts", clip_id=arguments.clip_id)
    if arguments.json:
        _stream_json("receipts", rows)
        return EX_OK
    if arguments.clip_id is None:
        for row in rows:
            print(f"{row['clip_id']} {row['received_utc']} {row['length_bytes']:>14}")
        return EX_OK
    first = next(rows, None)
    if first is None:
        raise FileNotFoundError(f"clip {arguments.clip_id}: there is no receipt for it here")
    print(first["jws"])
    return EX_OK


def _verify(desk: Desk, arguments: argparse.Namespace) -> int:
    document = desk.verify()
    problems = cast("list[str]", document["problems"])
    if arguments.json:
        _print_json(document)
    else:
        print(
            f"{document['entries']} custody entries, {document['clips']} clips, {document['receipts']} receipts"
            f" ({document['signatures']}): {'clean' if not problems else f'{len(problems)} problems'}"
        )
        for problem in problems:
            print(f"  {problem}")
    return EX_FAILED if problems else EX_OK


# --- how it says it -----------------------------------------------------------------------------------------------


def _print_json(document: Document) -> None:
    print(json.dumps(document, indent=2))


def _stream_json(name: str, rows: Iterator[Document]) -> None:
    """Print a list as one JSON object, a row a line, however long it is."""
    print(f'{{"{name}": [', end="")
    for index, row in enumerate(rows):
        print(f"{',' if index else ''}\n  {json.dumps(row)}", end="")
    print("\n]}")


def _mute() -> None:
    """Let nothing be written at exit that could not be written before."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stdout.fileno())
    os.close(silent)


def _say(error: Exception, code: int) -> int:
    sys.stderr.write(f"dockctl: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
