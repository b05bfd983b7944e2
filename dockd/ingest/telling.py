"""What `dockd ingest` says: how far it is, what became of each clip that needs a word, and a summary last.

Owns the words and the JSON. Decides nothing.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dockd.app.uplink import UplinkView
from dockd.app.view import StationView
from dockd.domain.model import Clip, ClipState
from dockd.errors import OutputError
from dockd.screen import IngestProgress, show_bytes, show_name, show_text

LINE_S = 1.0
SETTLED = frozenset({ClipState.RECEIPTED, ClipState.ERASING, ClipState.ERASED})


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


class Report:
    """Says how far it is: a bar on a terminal, JSON lines for machines, nothing otherwise."""

    def __init__(self, *, as_json: bool, bar: IngestProgress | None) -> None:
        """Take the form."""
        self._as_json = as_json
        self._bar = bar
        self._last = ""
        self._said_s = 0.0

    def show(self, view: StationView) -> None:
        """Show a view: at once on the bar, at most once a second as a line, and only where something changed."""
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
            _line(line)


@contextmanager
def reporting(*, as_json: bool) -> Iterator[Report]:
    """Give a report in the form that suits where it goes."""
    if as_json or not sys.stderr.isatty():
        yield Report(as_json=as_json, bar=None)
        return
    with IngestProgress() as bar:
        yield Report(as_json=False, bar=bar)


def troubled(clips: Sequence[Clip], uplink: UplinkView) -> Iterator[Clip]:
    """Give the clips of which there is something to say: no receipt yet, or still on the card against our will."""
    for clip in clips:
        if clip.reason is None and clip.state in {ClipState.COPIED, ClipState.UPLOADED}:
            # Not tried since, or listed again since: what the store says to all it says to this one.
            yield replace(clip, reason=uplink.reason, detail=uplink.detail)
        elif clip.reason is not None or clip.state not in SETTLED:
            yield clip


def tell(summary: Summary, clips: Iterable[Clip], *, as_json: bool, trouble: str) -> None:
    """Say what became of it all: the clips that need a word, what troubled the whole, and the summary last."""
    if as_json:
        for clip in clips:
            _line(_clip_line(clip))
        if trouble:
            _line(json.dumps({"event": "trouble", "detail": trouble}))
        _line(summary.line())
        return
    for clip in clips:
        why = f": {clip.reason.value}: {show_text(clip.detail)}" if clip.reason else ""
        _line(f"{show_name(clip.path)}: {clip.state.value} ({clip.assurance.value}){why}")
    if trouble:
        _line(show_text(trouble))
    _line(
        f"{summary.clips} clips, {show_bytes(summary.bytes_)}: {summary.receipted} receipted,"
        f" {summary.quarantined} quarantined, {summary.unproven} unproven, {summary.erased} erased,"
        f" in {summary.elapsed_s:.1f} s"
    )


def _clip_line(clip: Clip) -> str:
    return json.dumps(
        {
            "event": "clip",
            "name": show_name(clip.path),
            "state": clip.state.value,
            "assurance": clip.assurance.value,
            "reason": clip.reason.value if clip.reason else "",
            "detail": clip.detail,
        }
    )


def _line(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough, the card has not: go on without words, and let the exit code be the true one.
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, sys.stdout.fileno())
        os.close(silent)
    except OSError as error:
        raise OutputError(f"standard output: {error.strerror}, expected room for what is to be said") from error
