"""The progress of an ingest: one card, two bars.

Owns how they look. What the numbers mean is the station's.
"""

import sys
from types import TracebackType
from typing import IO, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dockd.app.view import StationView
from dockd.screen.words import done_share, show_bytes, show_store, show_text


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
