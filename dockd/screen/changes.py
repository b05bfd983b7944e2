"""A station's news as plain lines, for a log or a pipe.

Owns what is news: a camera that came or went, a lamp, a reason. Counts and percentages are not.
"""

from collections.abc import Iterator

from dockd.app.view import BayView, StationView
from dockd.domain.lamps import PATTERNS
from dockd.screen.words import show_lamp, show_store, show_text


class Changes:
    """A station's news as plain lines, for a log or a pipe: one for each bay or store that changed."""

    def __init__(self) -> None:
        """Begin knowing nothing."""
        self._bays: dict[int, BayView] = {}
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
