"""What `dockd ingest` is told on its command line, checked: every problem at once, and then a plan.

Owns names, defaults and the form of each argument. Opens nothing.
"""

import argparse
import math
import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from dockd.app.policy import Policy
from dockd.compose import NoLamps, Plan, WireOptions, cards_by, pinned_keys
from dockd.config import Verify
from dockd.config.rules import station_id, store_url
from dockd.domain.model import StationId
from dockd.errors import ConfigError, Problem
from dockd.ingest.card import BAY, CardFeed, attached

SIZE = re.compile(r"([0-9]+)([KMG]?)(?:i?B)?")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
T = TypeVar("T")
LEAST_RATE_BYTES_S = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments, checked."""

    plan: Plan
    as_json: bool
    patience_s: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse what `dockd ingest` takes."""
    add = parser.add_argument
    add("path", type=Path, metavar="PATH", help="the mounted card, or a folder")
    add("--to", required=True, metavar="URL", help="the store's tus address, ending in '/'")
    add(
        "--store-key",
        action="append",
        default=[],
        metavar="KEY-OR-FILE",
        help="the store's public receipt key; without one a clip is only 'accepted', and nothing is erased",
    )
    add(
        "--verify",
        choices=[verify.value for verify in Verify],
        help="what to ask of the store: its signed receipt (the default with --store-key), each file's bytes back to"
        " compare, or only its word (the default otherwise); less than 'signed' ends with exit code 1",
    )
    add(
        "--device",
        type=Path,
        metavar="FILE",
        help="the partition or image that PATH is mounted from: its FAT or exFAT is checked, and nothing is taken or"
        " erased unless it holds together",
    )
    add("--erase", action="store_true", help="erase each file from the card once it is receipted")
    add("--json", action="store_true", help="print JSON lines, a summary last")
    add("--station", metavar="ID", help="name of this desk at the store (default: the host's name)")
    add("--camera", metavar="SERIAL", help="serial of the card's camera (default: made from the card)")
    add(
        "--profile",
        metavar="NAME",
        help="read the card as that of such a camera: its recordings, times and marks are told to the store, and what"
        " the profile keeps is not erased (default: nothing is read of its names)",
    )
    add("--state", type=Path, metavar="DIR", help="where ledger and copies are kept between runs")
    add("--ca", type=Path, metavar="FILE", help="certificate authorities to trust (PEM)")
    add("--cert", type=Path, metavar="FILE", help="this desk's certificate (PEM), with --key")
    add("--key", type=Path, metavar="FILE", help="private key of --cert (PEM)")
    add("--token-file", type=Path, metavar="FILE", help="file whose first line is the store's token")
    add("--limit", metavar="RATE", help="most bytes a second to send, such as 500K or 2M")
    add("--reserve", default="256M", metavar="BYTES", help="what to leave free on the disk of --state (default 256M)")
    add(
        "--patience",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="once all is copied, how long the store may be away before giving up with exit code 75, or may owe a"
        " receipt beyond the time it takes to read a clip (default 30)",
    )


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Check every argument, all problems at once.

    Raises:
        ConfigError: what is wrong.

    """
    path: Path = arguments.path
    station = arguments.station or _host_station()
    wanted = Verify(arguments.verify or ("signed" if arguments.store_key else "accepted"))
    state_dir = (arguments.state or _default_state()).absolute()
    problems = [
        Problem(path=name, value=repr(str(value)), expected=expected)
        for name, value, expected in (
            ("--station", station, station_id(station)),
            ("--to", arguments.to, store_url(arguments.to)),
            ("PATH", path, None if path.is_dir() else "a folder, or the folder where a card is mounted"),
            ("--device", arguments.device, _blocks(arguments.device)),
            ("--state", state_dir, _apart(state_dir, path)),
            ("--patience", arguments.patience, _seconds(arguments.patience)),
            ("--verify", wanted.value, _provable(wanted, arguments)),
            ("--erase", "given", _may_ask_to_erase(wanted, arguments)),
            ("--cert", arguments.cert, _pair(arguments.cert, arguments.key)),
            *((f"--{name}", file, _readable(file)) for name, file in _files(arguments)),
        )
        if expected is not None
    ]
    limit_bytes_s = _size("--limit", arguments.limit, problems, least=LEAST_RATE_BYTES_S)
    reserve_bytes = _size("--reserve", arguments.reserve, problems, least=0) or 0
    keys = _found(problems, partial(pinned_keys, arguments.store_key, setting="--store-key"))
    cards = _found(problems, partial(cards_by, arguments.profile, setting="--profile"))
    if problems or keys is None or cards is None:
        raise ConfigError(problems)
    plan = Plan(
        bays={BAY: "card"},
        policy=Policy(
            station=StationId(station),
            endpoint=arguments.to,
            wanted=wanted.assurance,
            erase=arguments.erase,
            reserve_bytes=reserve_bytes,
            growing_wait_s=2.0,
            receipt_s=arguments.patience,
        ),
        state_dir=state_dir,
        wire=WireOptions(
            endpoint=arguments.to,
            ca_file=arguments.ca,
            cert_file=arguments.cert,
            key_file=arguments.key,
            token_file=arguments.token_file,
            limit_bytes_s=limit_bytes_s,
        ),
        keys=keys,
        feed=CardFeed(attached(path, serial=arguments.camera, device=arguments.device)),
        lamps=NoLamps(),
        cards=cards,
    )
    return Settings(plan=plan, as_json=arguments.json, patience_s=arguments.patience)


def _found(problems: list[Problem], look: Callable[[], T]) -> T | None:
    """Look something up, or take down why it is not to be had."""
    try:
        return look()
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def _host_station() -> str:
    return re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:64] or "ingest"


def _default_state() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "dockd" / "ingest"


# Each says what was expected, or None where nothing is wrong.


def _apart(state_dir: Path, card: Path) -> str | None:
    one, other = state_dir.resolve(), card.resolve()
    apart = not one.is_relative_to(other) and not other.is_relative_to(one)
    return None if apart else "a folder outside of PATH: what is kept there is not the card's"


def _blocks(device: Path | None) -> str | None:
    if device is None or ((device.is_block_device() or device.is_file()) and os.access(device, os.R_OK)):
        return None
    return "a partition or an image that can be read"


def _seconds(value: float) -> str | None:
    return None if 0 <= value < math.inf else "a number of seconds, 0 or more"


def _provable(wanted: Verify, arguments: argparse.Namespace) -> str | None:
    keyless = wanted is Verify.SIGNED and not arguments.store_key
    return "--store-key too: a receipt is believed under a key you name" if keyless else None


def _may_ask_to_erase(wanted: Verify, arguments: argparse.Namespace) -> str | None:
    if not arguments.erase or (wanted is Verify.SIGNED and arguments.store_key):
        return None
    return "--store-key, and --verify signed: only a signed receipt under a key you name ever erases"


def _pair(cert: Path | None, key: Path | None) -> str | None:
    return None if (cert is None) == (key is None) else "--cert and --key together"


def _files(arguments: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    names = ("ca", "cert", "key", "token-file")
    return ((name, file) for name in names if (file := getattr(arguments, name.replace("-", "_"))) is not None)


def _readable(file: Path) -> str | None:
    return None if os.access(file, os.R_OK) else "a file that can be read"


def _size(name: str, text: str | None, problems: list[Problem], *, least: int) -> int | None:
    if text is None:
        return None
    found = SIZE.fullmatch(text)
    size = int(found[1]) * UNITS[found[2]] if found is not None else -1
    if size < least:
        expected = f"a number of bytes with K, M or G, such as 500K, at least {least}"
        problems.append(Problem(path=name, value=repr(text), expected=expected))
    return size
