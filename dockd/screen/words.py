"""A station in words: every text that a view of it becomes, on a terminal or in a pipe.

Pure text. What came from a camera is data: nothing in it can steer a terminal.
"""

from collections.abc import Mapping
from types import MappingProxyType

from dockd.app.view import BayView, StationView
from dockd.domain.bay import Phase
from dockd.domain.lamps import PATTERNS, Colour, Lamp
from dockd.domain.model import ClipState
from dockd.domain.schedule import JobKind

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
