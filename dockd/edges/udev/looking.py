"""Looking every device up, in a thread of its own: some kernels keep a reader of a device waiting while it hangs.

Owns the thread, its deadline, and which devices are left out because they hang. What is heard while a look is under way
is heard again on top of it, so that nothing depends on how long it takes. A station that is short of threads or
descriptors looks again later, and not at half of it. Knows nothing of pyudev, nor of bays.
"""

import errno
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from dockd.domain.plugged import Devices, with_device, without_device
from dockd.edges.udev.watch import Came, Looking, News, Went

LOOK_S = 5.0
"""How long one device may take to be read: a healthy one takes a millisecond."""

_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Look:
    """A look in its thread, and what was heard since it began; `at` is where it was at the last check.

    `short` says what there was too little of: it ended without an answer.
    """

    looking: Looking
    until_s: float
    at: str = ""
    short: str = ""
    found: Future[Devices] = field(default_factory=Future)
    since: list[News] = field(default_factory=list)


def after(devices: Devices, news: Iterable[News]) -> Devices:
    """Give the devices as they are after the news."""
    for one in news:
        match one:
            case Came(device=device):
                devices = with_device(devices, device)
            case Went(devpath=devpath):
                devices = without_device(devices, devpath)
    return devices


def in_thread(work: Callable[[], None]) -> None:
    """Do something in a daemon thread: one that hangs in the kernel must not keep the station from ending."""
    threading.Thread(target=work, name="look", daemon=True).start()


class Looks:
    """Looks, one at a time. A device that hangs is looked past as long as its reader hangs: one thread each."""

    def __init__(
        self,
        look: Callable[[Looking], Devices],
        *,
        now_s: Callable[[], float],
        most_s: float = LOOK_S,
        start: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        """Begin nothing yet; `look` is called in a thread."""
        self._look = look
        self._now_s = now_s
        self._most_s = most_s
        self._start = start
        self._now: _Look | None = None
        self._hung: dict[str, _Look] = {}

    @property
    def answer(self) -> Future[Devices] | None:
        """What the look under way will give; None where there is none."""
        return None if self._now is None else self._now.found

    @property
    def until_s(self) -> float:
        """Say when `taken` is to be called though nothing was found."""
        return float("inf") if self._now is None else self._now.until_s

    @property
    def stalled(self) -> bool:
        """Say whether the look under way has to do without some device."""
        return self._now is not None and bool(self._now.looking.without)

    def begin(self) -> None:
        """Begin a look; what an earlier one still finds is dropped."""
        self._hung = {path: look for path, look in self._hung.items() if not (look.found.done() or look.short)}
        look = _Look(looking=Looking(without=frozenset(self._hung)), until_s=self._now_s() + self._most_s)
        self._now = look

        def work() -> None:
            try:
                look.found.set_result(self._look(look.looking))
            except Exception as error:  # noqa: BLE001 - whoever takes what was found gets it
                if isinstance(error, OSError) and error.errno in _SHORT:
                    look.short = str(error)
                else:
                    look.found.set_exception(error)

        try:
            self._start(work)
        except RuntimeError as error:  # no thread is to be had
            look.short = str(error)

    def heard(self, news: Iterable[News]) -> None:
        """Hear what is announced while a look is under way."""
        if self._now is not None:
            self._now.since.extend(news)

    def taken(self, before: Devices) -> Devices | None:
        """Give what was found, with what was heard since; None while nothing was, or no look is under way.

        Of a device that hangs, that is what was known of it before.
        """
        look = self._now
        if look is None:
            return None
        if look.found.done():
            self._now = None
            found = look.found.result()
            known = {path: before[path] for path in look.looking.without if path in before and path in found}
            return after({**found, **known}, look.since)
        at, now_s = look.looking.at, self._now_s()
        if look.short:
            if now_s >= look.until_s:
                _log.warning("looking devices up: %s; begun anew", look.short)
                self.begin()
        elif at != look.at:
            look.at, look.until_s = at, now_s + self._most_s
        elif now_s >= look.until_s and at:
            _log.warning("looking devices up: %s gives no answer for %g s, and is looked past", at, self._most_s)
            self._hung[at] = look
            self.begin()
        elif now_s >= look.until_s:
            look.until_s = now_s + self._most_s
        return None
