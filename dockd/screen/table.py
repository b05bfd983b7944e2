"""The live table of bays.

Owns how a view of a station looks on a terminal: columns, colours, blinking. Its words are those of `words`.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import IO, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dockd.app.view import BayView, StationView
from dockd.domain.lamps import PATTERNS, Colour, Lamp, is_lit
from dockd.domain.model import BayId
from dockd.screen.words import done_share, show_backlog, show_doing, show_lamp, show_ready, show_store, show_text

BAR_CELLS = 8
WIDE_COLUMNS = 132

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What a bay's lamp shows, and since when."""

    lamp: Lamp
    since_s: float


class LiveBays:
    """A table of bays that is drawn in place; its lamps blink as the real ones would."""

    def __init__(self, *, file: IO[str] | None = None) -> None:
        """Draw on a terminal (stdout unless `file`)."""
        self._console = Console(file=file or sys.stdout, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False)
        self._lamps: dict[BayId, _Shown] = {}

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back as it was, the last table left standing."""
        self._live.stop()

    def update(self, view: StationView, *, now_s: float, title: str, store: str) -> None:
        """Draw a view as it is at `now_s` on a clock that never goes back; `store` says where the store is."""
        self._live.update(self.frame(view, now_s=now_s, title=title, store=store), refresh=True)

    def say(self, line: str) -> None:
        """Print a line that stays, above the table."""
        self._console.print(Text(line))

    def frame(self, view: StationView, *, now_s: float, title: str, store: str) -> RenderableType:
        """Give the picture of a view."""
        elapsed_s: dict[BayId, float] = {}
        for bay in view.bays:
            shown = self._lamps.get(bay.number)
            if shown is None or shown.lamp is not bay.lamp:
                shown = self._lamps[bay.number] = _Shown(lamp=bay.lamp, since_s=now_s)
            elapsed_s[bay.number] = now_s - shown.since_s
        return station_picture(
            view,
            elapsed_s=elapsed_s,
            store=store,
            title=title,
            ascii_only=self._console.options.ascii_only,
            narrow=self._console.width < WIDE_COLUMNS,
        )


def station_picture(
    view: StationView,
    *,
    elapsed_s: Mapping[BayId, float],
    store: str,
    title: str,
    ascii_only: bool = False,
    narrow: bool = False,
) -> RenderableType:
    """Draw a station: a table of bays, and under it the store, the backlog and what is wrong.

    `elapsed_s` says how long each bay's lamp has shown what it shows. `narrow` fits 80 columns, with taller rows.
    """
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("bay", justify="right", no_wrap=True)
    table.add_column("camera", no_wrap=True)
    table.add_column("lamp", min_width=13)
    table.add_column("may I take it?", min_width=10)
    table.add_column("is my evidence safe?", min_width=13)
    if narrow:
        table.add_column("progress", min_width=16)
    else:
        table.add_column("copied", no_wrap=True)
        table.add_column("ready", justify="right", no_wrap=True)
        table.add_column("receipts", justify="right", no_wrap=True)
        table.add_column("battery", justify="right", no_wrap=True)
    for bay in view.bays:
        lamp = _lamp_text(bay, elapsed_s=elapsed_s.get(bay.number, 0.0), ascii_only=ascii_only)
        table.add_row(*_cells(bay, lamp, ascii_only=ascii_only, narrow=narrow))
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


def _lamp_text(bay: BayView, *, elapsed_s: float, ascii_only: bool) -> Text:
    style = _STYLES[PATTERNS[bay.lamp].colour]
    lit, dark = ("*", ".") if ascii_only else ("●", "○")
    on = is_lit(bay.lamp, elapsed_s=elapsed_s)
    return Text.assemble((lit if on else dark, style if on else "bright_black"), " ", (show_lamp(bay.lamp), style))


def _cells(bay: BayView, lamp: Text, *, ascii_only: bool, narrow: bool) -> Iterator[Text]:
    pattern = PATTERNS[bay.lamp]
    yield Text(str(bay.number))
    yield Text(show_text(bay.camera.serial) if bay.camera else "-")
    yield lamp
    yield Text(pattern.take)
    yield Text(pattern.safe)
    if bay.camera is None:
        yield from (Text("-") for _ in range(1 if narrow else 4))
        return
    inferred = "about " if bay.inferred else ""
    ready, charge = show_ready(bay), "unknown" if bay.charge_pct is None else f"{inferred}{bay.charge_pct} %"
    receipts = f"{bay.work.receipted_files}/{bay.work.files}"
    share = done_share(bay) if bay.docking is not None else 0.0
    progress = f"{int(share * 100):3d} % {show_doing(bay)}"
    if narrow:
        yield Text(f"{progress.strip()}\nready: {ready}\nreceipts: {receipts}\nbattery: {charge}")
        return
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    cells = int(share * BAR_CELLS)
    yield Text(f"{full * cells}{empty * (BAR_CELLS - cells)} {progress}")
    yield Text(ready)
    yield Text(receipts)
    yield Text(charge)


def _store_text(view: StationView) -> Text:
    return Text(show_store(view), style="green" if view.uplink.reason is None else "red")
