"""`dockd ingest PATH --to URL`: one card or folder, by the same road as a docked camera.

Owns the command: its arguments, when it has done what it can, what it says and its exit code. The road itself is the
station's.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dockd.app.policy import Policy
from dockd.app.ports import Attached, FeedEvent
from dockd.app.view import StationView
from dockd.compose import NoLamps, Plan, Running, WireOptions, pinned_keys, running, volume_of
from dockd.config import Verify
from dockd.config.rules import station_id, store_url
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial, Clip, ClipState, StationId, VolumeId
from dockd.errors import ConfigError, Problem, Reason
from dockd.screen import IngestProgress, show_bytes, show_name

BAY = BayId(1)
LOOK_S = 0.1
LINE_S = 1.0
EX_OK, EX_UNPROVEN, EX_TEMPFAIL = 0, 1, 75
SIZE = re.compile(r"([0-9]+)([KMG]?)(?:i?B)?")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
LEAST_RATE_BYTES_S = 16 << 10
SETTLED = frozenset({ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED})


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
    add("--erase", action="store_true", help="erase each file from the card once it is receipted")
    add("--json", action="store_true", help="print JSON lines, a summary last")
    add("--station", metavar="ID", help="name of this desk at the store (default: the host's name)")
    add("--camera", metavar="SERIAL", help="serial of the card's camera (default: made from the card)")
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


def run(arguments: argparse.Namespace) -> int:
    """Bring a card to the store. Returns 0, 1 or 75; raises what `cli` turns into words."""
    settings = _settings(arguments)
    return asyncio.run(_ingest(settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments, checked."""

    plan: Plan
    as_json: bool
    patience_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What became of a card. `unproven` clips may be at the store, but nobody has signed for them."""

    clips: int
    bytes_: int
    receipted: int
    quarantined: int
    erased: int
    unproven: int
    elapsed_s: float

    def line(self) -> str:
        """Write the summary as one JSON object."""
        return json.dumps(
            {
                "event": "summary",
                "clips": self.clips,
                "bytes": self.bytes_,
                "receipted": self.receipted,
                "quarantined": self.quarantined,
                "erased": self.erased,
                "unproven": self.unproven,
                "elapsed_s": round(self.elapsed_s, 3),
            }
        )


class CardFeed:
    """The feed of a station with one bay and one card, docked for good."""

    def __init__(self, attached: Attached) -> None:
        """Take the card."""
        self._attached = attached

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Give the one docking, and end."""
        yield self._attached


async def _ingest(settings: Settings) -> int:
    began_s = time.monotonic()
    async with running(settings.plan) as run_:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        with _reporting(as_json=settings.as_json) as report:
            code = await _watch(run_, settings, stop, report)
        clips = [clip async for clip in run_.clips_of_bay(BAY)]
        view = await run_.station.view()
        await run_.station.undock_all()
    broke = view.bays[0].detail
    proven = [clip for clip in clips if clip.state in SETTLED and run_.is_proven(clip)]
    held = [clip for clip in clips if clip.state is ClipState.HELD]
    summary = Summary(
        clips=len(clips),
        bytes_=sum(clip.length_bytes for clip in clips),
        receipted=len(proven),
        quarantined=len(held),
        erased=sum(clip.state is ClipState.ERASED for clip in clips),
        unproven=len(clips) - len(proven) - len(held),
        elapsed_s=time.monotonic() - began_s,
    )
    _say(settings, summary, clips, broke=broke, away=view.uplink.detail if code == EX_TEMPFAIL else "")
    if code == EX_OK and (broke or summary.receipted < summary.clips):
        return EX_UNPROVEN
    return code


async def _watch(run_: Running, settings: Settings, stop: asyncio.Event, report: "_Report") -> int:
    """Wait until all is done that can be done, and say how it ended so far."""
    while True:
        view = await run_.station.view()
        report.show(view)
        uplink = view.uplink
        if run_.station.settled:
            return EX_OK
        if stop.is_set():
            return EX_TEMPFAIL
        nothing_to_copy = run_.station.offloaded or run_.station.full
        if nothing_to_copy and uplink.reason is Reason.AUTH and uplink.failures > 1:
            return EX_UNPROVEN
        if nothing_to_copy and uplink.failing_s > settings.patience_s:
            return EX_TEMPFAIL
        if run_.station.stuck:
            return EX_UNPROVEN
        try:
            async with asyncio.timeout(LOOK_S):
                await stop.wait()
        except TimeoutError:
            continue


# --- what it says -------------------------------------------------------------------------------------------------


class _Report:
    """Says how far it is: a bar on a terminal, JSON lines for machines, nothing otherwise."""

    def __init__(self, *, as_json: bool, bar: IngestProgress | None) -> None:
        self._as_json = as_json
        self._bar = bar
        self._last = ""
        self._said_s = 0.0

    def show(self, view: StationView) -> None:
        if self._bar is not None:
            self._bar.update(view)
        if not self._as_json or time.monotonic() - self._said_s < LINE_S:
            return
        work, uplink = view.bays[0].work, view.uplink
        line = json.dumps(
            {
                "event": "progress",
                "clips": work.files,
                "bytes": work.bytes_,
                "left_clips": work.left_files,
                "left_bytes": work.left_bytes,
                "receipted": work.receipted_files,
                "quarantined": work.held_files,
                "erased": work.erased_files,
                "store": uplink.reason.value if uplink.reason else "ok",
                "detail": uplink.detail,
            }
        )
        if line != self._last:
            self._last, self._said_s = line, time.monotonic()
            print(line, flush=True)


@contextmanager
def _reporting(*, as_json: bool) -> Iterator[_Report]:
    if as_json or not sys.stderr.isatty():
        yield _Report(as_json=as_json, bar=None)
        return
    with IngestProgress() as bar:
        yield _Report(as_json=False, bar=bar)


def _say(settings: Settings, summary: Summary, clips: Sequence[Clip], *, broke: str, away: str) -> None:
    troubled = [clip for clip in clips if clip.state not in SETTLED]
    if settings.as_json:
        for clip in troubled:
            print(
                json.dumps(
                    {
                        "event": "clip",
                        "name": show_name(clip.path),
                        "state": clip.state.value,
                        "assurance": clip.assurance.value,
                        "reason": clip.reason.value if clip.reason else "",
                        "detail": clip.detail,
                    }
                )
            )
        if broke or away:
            print(json.dumps({"event": "trouble", "detail": broke or away}))
        print(summary.line(), flush=True)
        return
    for clip in troubled:
        why = f": {clip.reason.value}: {clip.detail}" if clip.reason else ""
        print(f"{show_name(clip.path)}: {clip.state.value} ({clip.assurance.value}){why}")
    if broke or away:
        print(broke or away)
    print(
        f"{summary.clips} clips, {show_bytes(summary.bytes_)}: {summary.receipted} receipted,"
        f" {summary.quarantined} quarantined, {summary.unproven} unproven, {summary.erased} erased,"
        f" in {summary.elapsed_s:.1f} s"
    )


# --- what it was told ---------------------------------------------------------------------------------------------


def _settings(arguments: argparse.Namespace) -> Settings:
    """Check every argument, all problems at once.

    Raises:
        ConfigError: what is wrong.

    """
    path: Path = arguments.path
    problems: list[Problem] = []

    def wrong(name: str, value: object, expected: str | None) -> None:
        if expected is not None:
            problems.append(Problem(path=name, value=repr(str(value)), expected=expected))

    station = arguments.station or _host_station()
    wrong("--station", station, station_id(station))
    wrong("--to", arguments.to, store_url(arguments.to))
    wrong("PATH", path, None if path.is_dir() else "a folder, or the folder where a card is mounted")
    wrong(
        "--cert", arguments.cert, "--cert and --key together" if bool(arguments.cert) != bool(arguments.key) else None
    )
    for name in ("ca", "cert", "key", "token_file"):
        given: Path | None = getattr(arguments, name)
        if given is not None and not os.access(given, os.R_OK):
            wrong(f"--{name.replace('_', '-')}", given, "a file that can be read")
    wanted = Verify(arguments.verify or ("signed" if arguments.store_key else "accepted"))
    if wanted is Verify.SIGNED and not arguments.store_key:
        wrong("--verify", wanted.value, "--store-key too: a receipt is believed under a key you name")
    if arguments.erase and not (wanted is Verify.SIGNED and arguments.store_key):
        expected = "--store-key, and --verify signed: only a signed receipt under a key you name ever erases"
        wrong("--erase", "given", expected)
    limit_bytes_s = _size("--limit", arguments.limit, problems)
    if limit_bytes_s is not None and limit_bytes_s < LEAST_RATE_BYTES_S:
        wrong("--limit", arguments.limit, "at least 16K bytes a second")
    reserve_bytes = _size("--reserve", arguments.reserve, problems) or 0
    try:
        keys = pinned_keys(arguments.store_key, setting="--store-key")
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    if problems:
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
        state_dir=(arguments.state or _default_state()).absolute(),
        wire=WireOptions(
            endpoint=arguments.to,
            ca_file=arguments.ca,
            cert_file=arguments.cert,
            key_file=arguments.key,
            token_file=arguments.token_file,
            limit_bytes_s=limit_bytes_s,
        ),
        keys=keys,
        feed=CardFeed(_attached(path, serial=arguments.camera)),
        lamps=NoLamps(),
    )
    return Settings(plan=plan, as_json=arguments.json, patience_s=arguments.patience)


def _attached(path: Path, *, serial: str | None) -> Attached:
    volume = volume_of(path)
    camera = Camera(serial=CameraSerial(serial or _card_serial(path, volume)), volume=volume)
    return Attached(bay=BAY, camera=camera, source=str(path.resolve()))


def _card_serial(path: Path, volume: VolumeId) -> str:
    """Name a camera that nobody named: by its card's volume, or by where its folder is, so that two are never one."""
    if volume != FOLDER_VOLUME:
        return f"card-{volume}"
    return f"folder-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]}"


def _host_station() -> str:
    return re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:64] or "ingest"


def _default_state() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "dockd" / "ingest"


def _size(name: str, text: str | None, problems: list[Problem]) -> int | None:
    if text is None:
        return None
    found = SIZE.fullmatch(text)
    if found is None:
        problems.append(Problem(path=name, value=repr(text), expected="a number with K, M or G, such as 500K"))
        return None
    return int(found[1]) * UNITS[found[2]]
