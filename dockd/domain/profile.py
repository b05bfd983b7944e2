"""What is known of a kind of camera: how it is recognised, where its clips are, what their names say, how they go.

Owns the values that files of hw/cameras/ mean. Must not know TOML, and reads nothing: whatever a profile says of a
camera, the camera's own word stays as it was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dockd.domain.naming import Template
from dockd.domain.recorded import UNKNOWN_ZONE, Zone


class Filesystem(StrEnum):
    """What a card may be formatted with; nothing else is ever mounted."""

    VFAT = "vfat"
    EXFAT = "exfat"


class EraseMethod(StrEnum):
    """How a file of such a camera may be erased, once the gate permits it (I1, I6)."""

    UNLINK = "unlink"
    VENDOR = "vendor"
    NEVER = "never"


class BatterySource(StrEnum):
    """Where the charge of such a camera can be learnt: told by it, inferred from the current's taper, or not at all."""

    CAMERA = "camera"
    CURRENT = "current"
    UNKNOWN = "unknown"


class Trigger(StrEnum):
    """What began a recording, as the camera says it."""

    BUTTON = "button"
    SLIDE = "slide"
    SENSOR = "sensor"
    ALWAYS = "always"
    UNKNOWN = "unknown"


class Mark(StrEnum):
    """What makes a recording urgent, as the camera wrote it."""

    EVIDENCE = "evidence-button"
    EVENT = "event"
    PROTECTED = "protected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a device must say to be such a camera: everything that is not None.

    `serial` and `label` are patterns: `*` for any characters, `?` for one, `#` for one digit.
    """

    vendor: str
    product: str | None = None
    serial: str | None = None
    filesystem: Filesystem | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the word that a name has for `{type}` says of its file."""

    marks: frozenset[Mark] = field(default_factory=frozenset)
    trigger: Trigger = Trigger.UNKNOWN
    category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """How a camera counts: files from `first` to `last`, then the next folder; after the last of those all over again.

    Without folders `folder_first` and `folder_last` are 0.
    """

    first: int
    last: int
    folder_first: int = 0
    folder_last: int = 0

    @property
    def places(self) -> int:
        """How many files it counts before a number comes again."""
        return (self.folder_last - self.folder_first + 1) * (self.last - self.first + 1)

    def place_of(self, *, folder: int, counter: int) -> int | None:
        """Give a file's place on that circle, from 0; None where the camera cannot have counted so."""
        if not (self.first <= counter <= self.last and self.folder_first <= folder <= self.folder_last):
            return None
        return (folder - self.folder_first) * (self.last - self.first + 1) + counter - self.first


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of camera.

    `paths` are the names of its files from the card's root, without extension; `clips` and `sidecars` the extensions of
    what it records and of what belongs to it, in capitals; a sidecar may be a mark by being there. `meanings` are by
    the word of `{type}`. `recording` are the fields that the files of one recording share, beside their folder; none:
    their stem. `erase` is for files that the profile knows: any other stays on the camera.
    """

    name: str
    about: str
    matches: tuple[Match, ...] = ()
    paths: tuple[Template, ...] = ()
    clips: frozenset[bytes] = frozenset()
    sidecars: Mapping[bytes, frozenset[Mark]] = field(default_factory=dict)
    meanings: Mapping[bytes, Meaning] = field(default_factory=dict)
    trigger: Trigger = Trigger.UNKNOWN
    recording: tuple[str, ...] = ()
    counting: Counting | None = None
    zone: Zone = UNKNOWN_ZONE
    battery: BatterySource = BatterySource.UNKNOWN
    erase: EraseMethod = EraseMethod.NEVER
