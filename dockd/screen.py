"""The terminal: the live table of bays, the progress of an ingest, and the same news as plain lines.

Owns every word and picture that a view of the station becomes on a terminal, and rich. Text that came from a camera is
shown as data, never as markup or control codes. Must not know who asks, nor where a view came from.
"""

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import IO, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from dockd.app.view import BayView, StationView
from dockd.domain.bay import Phase
from dockd.domain.lamps import PATTERNS, Colour, Lamp, is_lit
from dockd.domain.model import BayId, ClipState
from dockd.domain.schedule import JobKind

FRAMES_S = 4.0
"""Fast enough for the quickest rhythm, two on and two off in a second."""
BAR_CELLS = 8

_STYLES: Mapping[Colour, str] = MappingProxyType(
    {
        Colour.DARK: "bright_black",
        Colour.WHITE: "bright_white",
        Colour.YELLOW: "yellow",
        Colour.GREEN: "green",
        Colour.BLUE: "bright_blue",
        Colour.RED: "red",
    }
)
_DOING: Mapping[JobKind, str] = MappingProxyType(
    {JobKind.COPY: "copying", JobKind.CONFIRM: "reading again", JobKind.ERASE: "clearing"}
)
_BACKLOG: Mapping[ClipState, str] = MappingProxyType(
    {
        ClipState.FOUND: "to copy",
        ClipState.COPIED: "to upload",
        ClipState.UPLOADED: "to be proven",
        ClipState.RECEIPTED: "receipted, still on a camera",
        ClipState.ERASING: "being erased",
        ClipState.HELD: "held for somebody to look at",
    }
)


# --- words --------------------------------------------------------------------------------------------------------


def show_bytes(count: int) -> str:
    """Write a number of bytes with a decimal unit, as disks and cameras are sold: 1234567 is '1.2 MB'."""
    if count < 1000:  # noqa: PLR2004 - the step of decimal units
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:  # noqa: PLR2004 - what still rounds to less than the next unit
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def show_text(text: str) -> str:
    """Write text from outside so that nothing in it can steer a terminal: what is not printable becomes an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def show_name(path: bytes) -> str:
    """Write a path as a card has it; bytes that are not UTF-8 and what is not printable become escapes."""
    return show_text(path.decode("utf-8", "backslashreplace"))


def show_lamp(lamp: Lamp) -> str:
    """Say a lamp in words: colour and rhythm."""
    pattern = PATTERNS[lamp]
    return pattern.rhythm if pattern.colour is Colour.DARK else f"{pattern.colour.value}, {pattern.rhythm}"


def show_ready(bay: BayView) -> str:
    """Say when a camera can be taken: 'now', how many minutes to copy, that it charges, or that nobody knows."""
    match bay.lamp:
        case Lamp.GO_COPIED | Lamp.GO_RECEIPTED:
            return "now"
        case Lamp.CHARGING_COPIED | Lamp.CHARGING_RECEIPTED:
            return "charging"
        case Lamp.WAIT if bay.minutes is not None:
            return f"{max(1, bay.minutes)} min"
        case Lamp.OFF | Lamp.EMPTY | Lamp.WAIT | Lamp.LEAVE | Lamp.IDENTIFY:
            return "-"


def show_doing(bay: BayView) -> str:
    """Say what is done with a camera just now."""
    if bay.underway is not None:
        return _DOING[bay.underway.kind]
    match Phase(bay.phase):
        case Phase.UNKNOWN | Phase.EMPTY:
            return ""
        case Phase.SETTLING:
            return "reading the card"
        case Phase.OFFLOADING:
            return "waits its turn"
        case Phase.READY:
            return "clean" if bay.work.erased_files == bay.work.files else "copied"
        case Phase.FAULT:
            return "stopped"


def done_share(bay: BayView) -> float:
    """Say how much of a camera is copied, from 0 to 1."""
    work = bay.work
    if not work.bytes_:
        return 0.0 if work.left_files else 1.0
    now_bytes = bay.underway.bytes_done if bay.underway is not None and bay.underway.kind is JobKind.COPY else 0
    return min(1.0, (work.bytes_ - work.left_bytes + now_bytes) / work.bytes_)


def show_store(view: StationView) -> str:
    """Say how the way to the store is."""
    uplink = view.uplink
    if uplink.reason is None:
        sending = f", sending {len(uplink.sending)}" if uplink.sending else ""
        verifying = f", {uplink.verifying_files} being verified there" if uplink.verifying_files else ""
        late = f", {uplink.overdue_files} receipts overdue" if uplink.overdue_files else ""
        return f"in reach{sending}{verifying}{late}"
    return f"{uplink.reason.value} for {uplink.failing_s:.0f} s, {uplink.failures} tries: {show_text(uplink.detail)}"


def show_backlog(view: StationView) -> str:
    """Say what is still on the way, by state."""
    parts = [
        f"{files} {words} ({show_bytes(view.backlog.bytes_.get(state, 0))})"
        for state, words in _BACKLOG.items()
        if (files := view.backlog.files.get(state, 0))
    ]
    return ", ".join(parts) or "nothing"


class Changes:
    """A station's news as plain lines, for a log or a pipe: one for each bay or store that changed."""

    def __init__(self) -> None:
        """Begin knowing nothing."""
        self._bays: dict[BayId, BayView] = {}
        self._store = ""

    def lines(self, view: StationView) -> Iterator[str]:
        """Give what changed since the last view."""
        for bay in view.bays:
            before = self._bays.get(bay.number)
            self._bays[bay.number] = bay
            if before is not None and before.camera is not None and bay.docking != before.docking:
                yield from self._left(before)
            if before is None or _news_of(bay) != _news_of(before):
                yield self._line(bay)
        store = view.uplink.reason.value if view.uplink.reason else ""
        if store != self._store:
            self._store = store
            yield f"store: {show_store(view)}"

    def _left(self, bay: BayView) -> Iterator[str]:
        if bay.work.left_files and bay.camera is not None:
            serial = show_text(bay.camera.serial)
            yield f"bay {bay.number}: {serial} left early, {bay.work.left_files} clips still on it: nothing is lost"

    def _line(self, bay: BayView) -> str:
        pattern, work = PATTERNS[bay.lamp], bay.work
        camera = f" {show_text(bay.camera.serial)}" if bay.camera else ""
        counts = f"; {work.receipted_files} of {work.files} receipted" if work.files else ""
        why = f"; {bay.reason.value}: {show_text(bay.detail)}" if bay.reason else ""
        return (
            f"bay {bay.number}:{camera} [{show_lamp(bay.lamp)}] may I take it? {pattern.take};"
            f" is my evidence safe? {pattern.safe}{counts}{why}"
        )


def _news_of(bay: BayView) -> tuple[object, ...]:
    return bay.docking, bay.lamp, bay.reason


# --- the live table -----------------------------------------------------------------------------------------------


class LiveBays:
    """A table of bays that is drawn in place; its lamps blink as the real ones would."""

    def __init__(self, *, store: str, file: IO[str] | None = None) -> None:
        """Draw on a terminal (stdout unless `file`); `store` says where the store is."""
        self._store = store
        self._console = Console(file=file or sys.stdout, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False)
        self._lamps: dict[BayId, tuple[Lamp, float]] = {}

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back as it was, the last table left standing."""
        self._live.stop()

    def update(self, view: StationView, *, now_s: float, title: str) -> None:
        """Draw a view as it is at `now_s` on a clock that never goes back."""
        self._live.update(self.frame(view, now_s=now_s, title=title), refresh=True)

    def say(self, line: str) -> None:
        """Print a line that stays, above the table."""
        self._console.print(Text(line))

    def frame(self, view: StationView, *, now_s: float, title: str) -> RenderableType:
        """Give the picture of a view."""
        elapsed_s: dict[BayId, float] = {}
        for bay in view.bays:
            if self._lamps.get(bay.number, (None, 0.0))[0] is not bay.lamp:
                self._lamps[bay.number] = (bay.lamp, now_s)
            elapsed_s[bay.number] = now_s - self._lamps[bay.number][1]
        return station_picture(
            view, elapsed_s=elapsed_s, store=self._store, title=title, ascii_only=self._console.options.ascii_only
        )


def station_picture(
    view: StationView, *, elapsed_s: Mapping[BayId, float], store: str, title: str, ascii_only: bool = False
) -> RenderableType:
    """Draw a station: a table of bays, and under it the store, the backlog and what is wrong.

    `elapsed_s` says how long each bay's lamp has shown what it shows.
    """
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, justify in (("bay", "right"), ("camera", "left"), ("battery", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("lamp", min_width=16)
    table.add_column("may I take it?", min_width=12)
    table.add_column("is my evidence safe?", min_width=14)
    table.add_column("copied", no_wrap=True)
    table.add_column("ready", justify="right", no_wrap=True)
    table.add_column("receipts", justify="right", no_wrap=True)
    for bay in view.bays:
        table.add_row(*_cells(bay, elapsed_s=elapsed_s.get(bay.number, 0.0), ascii_only=ascii_only))
    foot = [
        Text.assemble(("store    ", "bold"), f"{show_text(store)}: ", _store_text(view)),
        Text.assemble(("backlog  ", "bold"), show_backlog(view)),
    ]
    if view.spool_full:
        foot.append(Text(f"copying has stopped: {show_text(view.spool_full)}", style="red"))
    foot.extend(
        Text(f"bay {bay.number}: {bay.reason.value}: {show_text(bay.detail)}", style="red")
        for bay in view.bays
        if bay.reason is not None
    )
    return Group(table, *foot)


def _cells(bay: BayView, *, elapsed_s: float, ascii_only: bool) -> tuple[RenderableType, ...]:
    pattern, work = PATTERNS[bay.lamp], bay.work
    style = _STYLES[pattern.colour]
    lit, dark = ("*", ".") if ascii_only else ("●", "○")
    on = is_lit(bay.lamp, elapsed_s=elapsed_s)
    lamp = Text.assemble((lit if on else dark, style if on else "bright_black"), " ", (show_lamp(bay.lamp), style))
    docked = bay.camera is not None
    charge = "-" if not docked else "unknown" if bay.charge_pct is None else f"{bay.charge_pct} %"
    return (
        Text(str(bay.number)),
        Text(show_text(bay.camera.serial) if bay.camera else "-"),
        Text(charge),
        lamp,
        Text(pattern.take),
        Text(pattern.safe),
        _progress_text(bay, ascii_only=ascii_only) if docked else Text("-"),
        Text(show_ready(bay)),
        Text(f"{work.receipted_files}/{work.files}" if docked else "-"),
    )


def _progress_text(bay: BayView, *, ascii_only: bool) -> Text:
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    share = done_share(bay) if bay.docking is not None else 0.0
    cells = int(share * BAR_CELLS)
    bar = full * cells + empty * (BAR_CELLS - cells)
    return Text(f"{bar} {int(share * 100):3d} % {show_doing(bay)}")


def _store_text(view: StationView) -> Text:
    return Text(show_store(view), style="green" if view.uplink.reason is None else "red")


# --- ingest -------------------------------------------------------------------------------------------------------


class IngestProgress:
    """Two bars on stderr for one card: bytes copied off it, and files that the store has receipted."""

    def __init__(self, *, file: IO[str] | None = None) -> None:
        """Draw on a terminal (stderr unless `file`)."""
        console = Console(file=file or sys.stderr, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
        )
        self._copied = self._progress.add_task("copied", total=None, words="")
        self._receipted = self._progress.add_task("receipted", total=None, words="")

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back, the last state of the bars left standing."""
        self._progress.stop()

    def update(self, view: StationView) -> None:
        """Show how far the station's one card is."""
        bay = view.bays[0]
        work = bay.work
        done_bytes = int(done_share(bay) * work.bytes_)
        left = f"{work.files - work.left_files} of {work.files} files"
        rate = self._rate(self._copied)
        copied = f"{show_bytes(done_bytes)} of {show_bytes(work.bytes_)}, {left}{rate}"
        self._progress.update(self._copied, total=max(1, work.bytes_), completed=done_bytes, words=copied)
        trouble = "" if view.uplink.reason is None else f"; store: {show_store(view)}"
        full = f"; copying has stopped: {show_text(view.spool_full)}" if view.spool_full else ""
        held = f", {work.held_files} held" if work.held_files else ""
        receipted = f"{work.receipted_files} of {work.files} files{held}{trouble}{full}"
        self._progress.update(
            self._receipted, total=max(1, work.files), completed=work.receipted_files, words=receipted
        )
        self._progress.refresh()

    def _rate(self, task: TaskID) -> str:
        speed = next(each.speed for each in self._progress.tasks if each.id == task)
        return f", {show_bytes(int(speed))}/s" if speed else ""
