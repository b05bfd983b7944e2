"""Where a demonstration is shown: a terminal, a pipe, or nowhere.

Owns the choice, and the order in which things are said. Must not know what is demonstrated.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from dockd.app.view import StationView
from dockd.screen.changes import Changes
from dockd.screen.table import LiveBays


class Showing(Protocol):
    """Shows a station, and says what is to stay."""

    def show(self, view: StationView, *, title: str, store: str) -> None:
        """Show the station as it is now, and where its store is."""
        ...

    def say(self, line: str) -> None:
        """Say something that stays."""
        ...


@contextmanager
def showing(*, quiet: bool) -> Iterator[Showing]:
    """Show on stdout: a table that is drawn in place on a terminal, else a line a change; nothing if `quiet`."""
    if quiet:
        yield _Silence()
    elif sys.stdout.isatty():
        with LiveBays() as live:
            yield _Table(live)
    else:
        yield _Lines()


class _Silence:
    def show(self, view: StationView, *, title: str, store: str) -> None:
        pass

    def say(self, line: str) -> None:
        pass


class _Lines:
    def __init__(self) -> None:
        self._changes = Changes()
        self._title = ""

    def show(self, view: StationView, *, title: str, store: str) -> None:
        if title != self._title:
            self._title = title
            self.say(f"{title}, store {store}")
        for line in self._changes.lines(view):
            self.say(line)

    def say(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


class _Table:
    def __init__(self, live: LiveBays) -> None:
        self._live = live

    def show(self, view: StationView, *, title: str, store: str) -> None:
        self._live.update(view, now_s=time.monotonic(), title=title, store=store)

    def say(self, line: str) -> None:
        self._live.say(line)
