"""`dockd`: the commands, and what their failures mean to a shell.

Owns the parser and the exit codes. Each command lives in its own module and is imported only when it is asked for.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from dockd.errors import (
    ConfigError,
    DockdError,
    InUseError,
    InvariantError,
    OutputError,
    PermanentError,
    StartRefusedError,
    TransientError,
)

EX_OK = 0
EX_FAILED = 1
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_OSERR = 71
EX_IOERR = 74
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78
INTERRUPTED = 130
CONFIG = Path("/etc/dockd/dockd.toml")
SHORT_OF = ("can't start new thread", "failed to map segment", "annot allocate memory")
"""How want of memory is put where it comes as no MemoryError: by threading, by the loader of libraries."""

EPILOG = (
    "exit codes: 0 done, 1 something unproven or wrong, 2 usage, 69 not available, 70 dockd contradicts itself,"
    " 71 the system refused, 74 standard output takes no more, 75 try again later, 77 not permitted,"
    " 78 wrong configuration or unfit state folder"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code; words about failures go to standard error."""
    code = _run(sys.argv[1:] if argv is None else argv)
    if code == EX_IOERR:
        _mute()  # said already
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _mute()
    except OSError as error:
        _mute()
        said = _explain([OutputError(f"standard output: {error.strerror}, expected room for what is to be said")])
        return code or said
    return code


def _run(argv: Sequence[str]) -> int:
    try:
        arguments = _parser(argv)
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (DockdError, OSError, MemoryError, RuntimeError, ImportError) as error:
        return _explain([error])
    except ExceptionGroup as group:
        return _explain(list(_leaves(group)))


def _mute() -> None:
    """Let nothing be written at exit that could not be written before."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, sys.stdout.fileno())
    os.close(silent)


def _parser(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dockd", description="The service in a docking station for body-worn cameras.", epilog=EPILOG
    )
    parser.add_argument("--version", action="version", version=f"dockd {metadata.version('dockd')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    # Only the command that is asked for is imported: a store needs no station, and a station no store.
    for name, summary, fill in (
        ("run", "run the station that a configuration describes", _fill_run),
        ("check-config", "show everything that is wrong with a configuration", _fill_check),
        (
            "make-safe",
            "leave every lamp dark and every bay with power, after a daemon that was killed",
            _fill_make_safe,
        ),
        ("demo", "run a simulated station with its store, and watch it", _fill_demo),
        ("ingest", "bring one mounted card or folder to a store", _fill_ingest),
        ("central", "run the reference store", _fill_central),
    ):
        command = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=EPILOG
        )
        if name in argv[:1]:
            fill(command)
    return parser.parse_args(argv)


def _fill_run(parser: argparse.ArgumentParser) -> None:
    from dockd import daemon  # noqa: PLC0415 - imported when asked for

    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"default {CONFIG}")
    parser.add_argument("--simulate", action="store_true", help="simulated cameras instead of real bays")
    parser.add_argument("--check-config", action="store_true", help="only check the configuration")
    parser.set_defaults(run=daemon.run)


def _fill_check(parser: argparse.ArgumentParser) -> None:
    from dockd import daemon  # noqa: PLC0415 - imported when asked for

    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"default {CONFIG}")
    parser.set_defaults(run=daemon.check_config)


def _fill_make_safe(parser: argparse.ArgumentParser) -> None:
    from dockd import make_safe  # noqa: PLC0415 - imported when asked for

    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help=f"default {CONFIG}")
    parser.set_defaults(run=make_safe.run)


def _fill_demo(parser: argparse.ArgumentParser) -> None:
    from dockd import demo  # noqa: PLC0415 - imported when asked for

    demo.add_arguments(parser)
    parser.set_defaults(run=demo.run)


def _fill_ingest(parser: argparse.ArgumentParser) -> None:
    from dockd import ingest  # noqa: PLC0415 - imported when asked for

    ingest.add_arguments(parser)
    parser.set_defaults(run=ingest.run)


def _fill_central(parser: argparse.ArgumentParser) -> None:
    from dockd.central import main as central  # noqa: PLC0415 - imported when asked for

    central.add_arguments(parser)
    parser.set_defaults(run=lambda arguments: central.run(central.options_from(arguments)))


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _explain(errors: Sequence[Exception]) -> int:
    """Say what went wrong, and give the code of the gravest; an error that nobody expected is raised as it is."""
    for error in errors:
        if not isinstance(error, DockdError | OSError) and not _scarce(error):
            raise error
    for words in dict.fromkeys(map(_words, errors)):
        sys.stderr.write(f"dockd: {words}\n")
    return max(_code(error) for error in errors)


def _words(error: Exception) -> str:
    if not _scarce(error):
        return str(error)
    said = str(error) or type(error).__name__
    return f"the system gives no more memory or threads ({said}): nothing is lost; give dockd more, and run it again"


def _scarce(error: Exception) -> bool:
    named = isinstance(error, RuntimeError | ImportError) and any(words in str(error) for words in SHORT_OF)
    return isinstance(error, MemoryError) or named


def _code(error: Exception) -> int:  # noqa: PLR0911 - one line an exit code
    match error:
        case _ if _scarce(error):
            return EX_OSERR
        case ConfigError() | StartRefusedError() if not isinstance(error, InUseError):
            return EX_CONFIG
        case InUseError() | TransientError():
            return EX_TEMPFAIL
        case OutputError():
            return EX_IOERR
        case PermanentError():
            return EX_FAILED
        case InvariantError():
            return EX_SOFTWARE
        case PermissionError():
            return EX_NOPERM
        case OSError():
            return EX_OSERR
        case _:
            return EX_FAILED
