"""`dockd demo`: a simulated shift at a real station with a real store, to be watched, and then checked.

Owns the command: its arguments, when a shift is over, what is checked then, what is said and its exit code. Copiers,
ledger, uploads, receipts and erasing are the station's and the store's own.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from dockd.app.policy import Policy
from dockd.app.view import StationView
from dockd.central.main import CentralOptions, Serving, serve
from dockd.compose import Plan, Running, Shift, WireOptions, pinned_keys, running, simulated_shift
from dockd.domain.model import Assurance, BayId, ClipState, StationId
from dockd.edges.clock import SystemClock
from dockd.screen import Showing, show_bytes, showing

EX_OK, EX_DIFFERENT, INTERRUPTED = 0, 1, 130
STATION = StationId("demo")
MOST_CAMERAS, MOST_BAYS = 200, 34
BAYS_A_BUS = 4
BUS_BYTES_S, UPLINK_BYTES_S = 1_200_000, 800_000
"""At speed 1: a shift change in about a minute, its uploads a little behind its copies."""
UNWATCHED_SPEED = 20.0
"""How fast officers come and go where nobody watches and nothing is paced."""
RESERVE_BYTES = 64 << 20
GROWING_WAIT_S = 1.0
LOOK_S, LOOK_UNWATCHED_S = 0.25, 0.05
STUCK_S = 90.0
"""Longer than any deadline of the station's that can pass without a word."""
PAUSE_S = 6.0
LEAST_SPEED, MOST_SPEED = 0.1, 1000.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse what `dockd demo` takes."""
    add = parser.add_argument
    add("--cameras", type=_between(1, MOST_CAMERAS), default=6, metavar="N", help="cameras (default %(default)s)")
    add("--bays", type=_between(1, MOST_BAYS), default=8, metavar="N", help="bays (default %(default)s)")
    add("--seed", type=int, default=1, metavar="S", help="what the shift follows from (default %(default)s)")
    add("--once", action="store_true", help="one shift as fast as it goes, checked: exit code 0 or 1")
    add("--json", action="store_true", help="print one JSON object at the end, and nothing else")
    add("--dir", type=Path, metavar="DIR", help="keep cameras, ledger and store there (default: a folder that goes)")
    add("--speed", type=_speed, metavar="X", help="times as fast (default 1; with --once nothing is slowed down)")
    parser.epilog = (
        "Without --once, shift follows shift until Ctrl-C, and the exit code is 0. With --once: 0 if every clip put"
        " on a camera is receipted and given back by the store as it was, and left its camera only after that; 1 if"
        " not, with what differs on stderr; 130 if interrupted."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments. `speed` None is as fast as it goes; `dir` None keeps nothing."""

    cameras: int
    bays: tuple[BayId, ...]
    seed: int
    once: bool = True
    speed: float | None = None
    dir: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What became of the shifts so far."""

    clips: int = 0
    bytes_: int = 0
    receipted: int = 0
    quarantined: int = 0
    erased: int = 0
    elapsed_s: float = 0.0
    differences: tuple[str, ...] = field(default=())

    def line(self) -> str:
        """Write the summary as one JSON object."""
        facts = {
            "clips": self.clips,
            "bytes": self.bytes_,
            "receipted": self.receipted,
            "quarantined": self.quarantined,
            "erased": self.erased,
            "elapsed_s": round(self.elapsed_s, 3),
        }
        return json.dumps(facts)

    def words(self) -> str:
        """Write the summary for people."""
        held = f", {self.quarantined} quarantined" if self.quarantined else ""
        return (
            f"{self.clips} clips, {show_bytes(self.bytes_)}: {self.receipted} receipted and read back from the store,"
            f" {self.erased} erased after that{held}, in {self.elapsed_s:.1f} s"
        )


def run(arguments: argparse.Namespace) -> int:
    """Run shifts. Returns 0, 1 or 130; raises what `cli` turns into words."""
    settings = Settings(
        cameras=arguments.cameras,
        bays=tuple(BayId(number) for number in range(1, arguments.bays + 1)),
        seed=arguments.seed,
        once=arguments.once,
        speed=arguments.speed or (None if arguments.once else 1.0),
        dir=arguments.dir,
    )
    with showing(quiet=arguments.json) as screen:
        totals, interrupted = asyncio.run(_until_signalled(settings, screen))
    unfinished = settings.once and interrupted
    if arguments.json and not unfinished:
        print(totals.line(), flush=True)
    for difference in totals.differences:
        print(f"dockd demo: {difference}", file=sys.stderr)
    if totals.differences:
        return EX_DIFFERENT
    return INTERRUPTED if unfinished else EX_OK


async def _until_signalled(settings: Settings, screen: Showing) -> tuple[Summary, bool]:
    """Run shifts until they are over or a signal comes; the sum of those that ended, and whether one came."""
    summaries: list[Summary] = []
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        work = group.create_task(_shifts(settings, screen, summaries.append), name="demo")
        for number in (signal.SIGINT, signal.SIGTERM):
            # A second signal must not cut the end short: it would leave the folder behind.
            loop.add_signal_handler(number, lambda: work.cancel() if not work.cancelling() else None)
    return _sum(summaries), work.cancelled()


async def _shifts(settings: Settings, screen: Showing, ended: Callable[[Summary], None]) -> None:
    """Run one shift, or shift after shift until one goes wrong; `ended` hears how each ended."""
    while True:
        summary = await run_shift(settings, screen)
        ended(summary)
        screen.say(f"seed {settings.seed}: {summary.words()}")
        if settings.once or summary.differences:
            return
        settings = replace(settings, seed=settings.seed + 1)


async def run_shift(settings: Settings, screen: Showing) -> Summary:
    """Run one shift with a store and a station of its own, and judge it."""
    clock = SystemClock()
    began_s = clock.monotonic_s()
    title = f"dockd demo: {settings.cameras} cameras, {len(settings.bays)} bays, seed {settings.seed}"
    with _folder(settings.dir) as folder:
        options = CentralOptions(dir=folder / "store", name="demo-store", reserve_bytes=RESERVE_BYTES)
        made = await asyncio.to_thread(_make, settings, folder, clock)
        async with serve(options) as serving:
            shift = made.watched(serving.url, station=STATION)
            async with running(_plan(settings, folder, serving, shift)) as run_:
                stuck = await _watch(run_, clock, settings, partial(screen.show, title=title, store=serving.url))
                backlog = await run_.ledger.backlog()
                reckoning = await asyncio.to_thread(shift.reckon)
                summary = Summary(
                    clips=reckoning.clips,
                    bytes_=reckoning.bytes_,
                    receipted=reckoning.receipted,
                    quarantined=backlog.files.get(ClipState.HELD, 0),
                    erased=reckoning.erased,
                    elapsed_s=clock.monotonic_s() - began_s,
                    differences=((stuck,) if stuck else ()) + reckoning.differences,
                )
                if not settings.once:
                    await _pause(run_, clock, partial(screen.show, title=f"{title}: over", store=serving.url))
                await run_.station.undock_all()
    return summary


async def _watch(run_: Running, clock: SystemClock, settings: Settings, show: Callable[[StationView], None]) -> str:
    """Show the station until it has nothing left to do; say why, if it was given up on."""
    every_s = LOOK_UNWATCHED_S if settings.speed is None else LOOK_S
    seen: object = None
    moved_s = clock.monotonic_s()
    while not run_.station.settled:
        view = await run_.station.view()
        show(view)
        now = (
            view.backlog,
            tuple((bay.docking, bay.lamp, bay.work, bay.charge_pct, bay.underway) for bay in view.bays),
        )
        if now != seen:
            seen, moved_s = now, clock.monotonic_s()
        if clock.monotonic_s() - moved_s > STUCK_S:
            return f"nothing has moved for {STUCK_S:.0f} s, expected an end; store: {view.uplink.detail or 'in reach'}"
        await clock.sleep(every_s)
    show(await run_.station.view())
    return ""


async def _pause(run_: Running, clock: SystemClock, show: Callable[[StationView], None]) -> None:
    until_s = clock.monotonic_s() + PAUSE_S
    while clock.monotonic_s() < until_s:
        show(await run_.station.view())
        await clock.sleep(LOOK_S)


def _make(settings: Settings, folder: Path, clock: SystemClock) -> Shift:
    folder.joinpath("cameras").mkdir(parents=True, exist_ok=True)
    return simulated_shift(
        root=Path(tempfile.mkdtemp(prefix=f"seed-{settings.seed}-", dir=folder / "cameras")),
        cameras=settings.cameras,
        bays=settings.bays,
        seed=settings.seed,
        clock=clock,
        bus_bytes_s=None if settings.speed is None else max(1, int(BUS_BYTES_S * settings.speed)),
        speed=settings.speed or UNWATCHED_SPEED,
    )


def _plan(settings: Settings, folder: Path, serving: Serving, shift: Shift) -> Plan:
    limit_bytes_s = None if settings.speed is None else max(1, int(UPLINK_BYTES_S * settings.speed))
    return Plan(
        bays={bay: f"usb-{(bay - 1) // BAYS_A_BUS + 1}" for bay in settings.bays},
        policy=Policy(
            station=STATION,
            endpoint=serving.url,
            wanted=Assurance.SIGNED,
            erase=True,
            reserve_bytes=RESERVE_BYTES,
            growing_wait_s=GROWING_WAIT_S,
        ),
        state_dir=folder / "station",
        wire=WireOptions(endpoint=serving.url, limit_bytes_s=limit_bytes_s),
        keys=pinned_keys([serving.public_key], setting="the store's key"),
        feed=shift.feed,
        lamps=shift.lamps,
        pace=shift.pace,
    )


def _sum(summaries: Sequence[Summary]) -> Summary:
    return Summary(
        clips=sum(each.clips for each in summaries),
        bytes_=sum(each.bytes_ for each in summaries),
        receipted=sum(each.receipted for each in summaries),
        # The ledger counts what is held over all shifts.
        quarantined=summaries[-1].quarantined if summaries else 0,
        erased=sum(each.erased for each in summaries),
        elapsed_s=sum(each.elapsed_s for each in summaries),
        differences=tuple(difference for each in summaries for difference in each.differences),
    )


# --- what it was told ---------------------------------------------------------------------------------------------


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """Give the folder to work in: the one that was named, or one that goes at the end."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="dockd-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _between(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from {least} to {most}")
        return int(text)

    return number


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not LEAST_SPEED <= speed <= MOST_SPEED:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from {LEAST_SPEED} to {MOST_SPEED:g}")
    return speed
