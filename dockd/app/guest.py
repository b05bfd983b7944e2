"""A stay on its bus, with what the bus puts off and counts for it.

Owns what ends with the stay: docking a camera again begins with a clean slate. Decides nothing.
"""

from collections import Counter
from dataclasses import dataclass, field

from dockd.app.offload import WrongCopy
from dockd.app.stay import Stay
from dockd.app.waiting import Waiting
from dockd.domain.model import ClipKey

NEVER_S = float("inf")


@dataclass(slots=True, kw_only=True)
class Guest:
    """A stay on the bus, with what this stay puts off and counts: docking a camera again begins with a clean slate."""

    stay: Stay
    waiting: Waiting[ClipKey] = field(default_factory=Waiting)
    grown: set[ClipKey] = field(default_factory=set)
    spoiled: Counter[ClipKey] = field(default_factory=Counter)
    torn: set[ClipKey] = field(default_factory=set)
    salvaged: set[ClipKey] = field(default_factory=set)
    crowded: set[ClipKey] = field(default_factory=set)
    compared: Counter[ClipKey] = field(default_factory=Counter)
    wrong: dict[ClipKey, WrongCopy] = field(default_factory=dict)
    usb_failures: int = 0
    paused_until_s: float = 0.0

    def due_salvage(self) -> bool:
        """Let what gave errors have its turn; say whether there was any such file."""
        due = self.torn - self.salvaged
        self.salvaged |= due
        for key in due:
            self.waiting.forget(key)
        return bool(due)

    def next_in_s(self, now_s: float) -> float | None:
        """Say in how many seconds something is due; None where nothing waits for a time."""
        times = (self.waiting.next_in_s(now_s), self.paused_until_s - now_s)
        return min((wait_s for wait_s in times if wait_s is not None and 0 <= wait_s < NEVER_S), default=None)

    def forget(self, key: ClipKey) -> None:
        """Forget what is known against a clip, but for what is salvaged of it."""
        self.waiting.forget(key)
        self.torn.discard(key)
        del self.spoiled[key]

    def made_room(self) -> None:
        """Have what found no room tried again at once."""
        for key in self.crowded:
            self.waiting.forget(key)
        self.crowded.clear()
