"""Profiles and listings for tests: what their files would say, written by hand."""

from zoneinfo import ZoneInfo

from dockd.domain.contents import Contents, Known, contents_of
from dockd.domain.listing import listing_of
from dockd.domain.model import ListedFile
from dockd.domain.naming import Template, template_of
from dockd.domain.profile import BatterySource, Counting, EraseMethod, Mark, Match, Meaning, Profile, Trigger
from dockd.domain.recorded import Zone

LONDON = Zone(name="Europe/London", rules=ZoneInfo("Europe/London"))


def template(text: str) -> Template:
    """Give a template that must be one."""
    read = template_of(text)
    assert isinstance(read, Template), read
    return read


DCF = Profile(
    name="dcf",
    about="counted",
    matches=(Match(vendor="2672", product="0049"),),
    paths=(template("DCIM/{folder:3}{any:5}/{any:4}{counter:4}"),),
    clips=frozenset({b"MP4", b"JPG"}),
    sidecars={b"THM": frozenset(), b"KEY": frozenset({Mark.PROTECTED})},
    recording=("counter",),
    counting=Counting(first=1, last=9999, folder_first=100, folder_last=999),
    battery=BatterySource.CURRENT,
    erase=EraseMethod.UNLINK,
)
DATED = Profile(
    name="dated",
    about="dated",
    paths=(template("Rec/{Y}{M}{D}-{h}{m}{s}_{type}"),),
    clips=frozenset({b"MP4"}),
    sidecars={b"GPS": frozenset()},
    meanings={
        b"NOR": Meaning(trigger=Trigger.SLIDE),
        b"EVT": Meaning(marks=frozenset({Mark.EVIDENCE}), trigger=Trigger.BUTTON, category="stop and search"),
    },
    trigger=Trigger.BUTTON,
    recording=("Y", "M", "D", "h", "m", "s"),
    zone=LONDON,
    battery=BatterySource.CAMERA,
    erase=EraseMethod.UNLINK,
)
GENERIC = Profile(name="generic", about="anything")


def card(profile: Profile, *paths: bytes) -> Contents:
    """Give what a profile makes of a card with these files."""
    files = [ListedFile(path=path, length_bytes=1, mtime_ns=0) for path in paths]
    return contents_of(profile, listing_of(files))


def known(profile: Profile, path: bytes) -> Known:
    """Give what a profile makes of one file."""
    (only,) = card(profile, path).files
    return only
