"""What a profile makes of a card: each file's role, what its name says, which recording it is of, what may be erased.

Owns that reading, as a function of a profile and a complete listing. It changes nothing of a file: no name, time or
length, and no file is left out, whatever it is called.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from dockd.domain.canonical import length_prefixed
from dockd.domain.model import ListedFile, Listing
from dockd.domain.naming import parted
from dockd.domain.profile import Counting, EraseMethod, Mark, Meaning, Profile, Trigger
from dockd.domain.recorded import RecordedTime, recorded_time


class Role(StrEnum):
    """What a file is to its profile. Every role is carried; only a file whose role is known is ever erased."""

    CLIP = "clip"
    SIDECAR = "sidecar"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one file. `start` is None where its name tells no time.

    `marks` are its own; `urgent` says that a file of its recording has one. Files of one `group` are one recording.
    `counter` and `folder` are numbers as the name has them. `erase` is how this one file may go.
    """

    file: ListedFile
    role: Role
    group: bytes
    start: RecordedTime | None = None
    counter: int | None = None
    folder: int | None = None
    chapter: int | None = None
    marks: frozenset[Mark] = frozenset()
    urgent: bool = False
    trigger: Trigger = Trigger.UNKNOWN
    category: str = ""
    erase: EraseMethod = EraseMethod.NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The counted clips of a card in the camera's own order: the first, the last, and how many between are not there.

    What was erased before is not there, too: a number that is missing asks a question, and answers none.
    """

    first: bytes
    last: bytes
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is known of every file, in the order of the listing."""

    files: tuple[Known, ...]
    run: Run | None


def contents_of(profile: Profile, listing: Listing) -> Contents:
    """Read a listing as its profile has it."""
    alone = [_known(profile, file) for file in listing.files]
    marked = {known.group for known in alone if known.marks}
    files = tuple(replace(known, urgent=known.group in marked) for known in alone)
    return Contents(files=files, run=_run(profile.counting, files))


def marked(listing: Listing, contents: Contents) -> Listing:
    """Give the same listing with the files of marked recordings urgent, and those that nobody erases kept.

    Whatever was urgent or kept before stays so. Only `unlink` erases: no driver has a command of its own yet.
    """
    urgent = {known.file.path for known in contents.files if known.urgent}
    kept = frozenset(known.file.path for known in contents.files if known.erase is not EraseMethod.UNLINK)
    files = tuple(replace(file, urgent=file.urgent or file.path in urgent) for file in listing.files)
    return replace(listing, files=files, kept=listing.kept | kept)


def recordings(contents: Contents) -> Mapping[bytes, Sequence[Known]]:
    """Give the files of each recording."""
    groups: dict[bytes, list[Known]] = defaultdict(list)
    for known in contents.files:
        groups[known.group].append(known)
    return groups


def stem_group(path: bytes) -> bytes:
    """Give the recording that a file is of where nothing tells of one: that of its folder and stem."""
    return length_prefixed(b"stem", parted(path)[0])


def _known(profile: Profile, file: ListedFile) -> Known:
    stem, extension = parted(file.path)
    told = next((fields for template in profile.paths if (fields := template.read(stem)) is not None), None)
    if told is None:
        return Known(file=file, role=Role.STRANGER, group=stem_group(file.path))
    role = _role(profile, extension)
    if role is Role.STRANGER:
        # Named like a recording, it is held to be of it: nothing more is believed of its name.
        return Known(file=file, role=role, group=_group(profile, file.path, told))
    meaning = profile.meanings.get(told.get("type", b""), Meaning())
    return Known(
        file=file,
        role=role,
        group=_group(profile, file.path, told),
        start=recorded_time(told, zone=profile.zone),
        counter=_number(told, "counter"),
        folder=_number(told, "folder"),
        chapter=_number(told, "chapter"),
        marks=meaning.marks | profile.sidecars.get(extension, frozenset()),
        trigger=profile.trigger if meaning.trigger is Trigger.UNKNOWN else meaning.trigger,
        category=meaning.category,
        erase=profile.erase,
    )


def _role(profile: Profile, extension: bytes) -> Role:
    if extension in profile.clips:
        return Role.CLIP
    return Role.SIDECAR if extension in profile.sidecars else Role.STRANGER


def _group(profile: Profile, path: bytes, told: Mapping[str, bytes]) -> bytes:
    shared = [told[name] for name in profile.recording if name in told]
    if not shared:
        return stem_group(path)
    return length_prefixed(b"fields", path.rpartition(b"/")[0].upper(), *shared)


def _number(told: Mapping[str, bytes], name: str) -> int | None:
    return int(told[name]) if name in told else None


def _run(counting: Counting | None, files: Iterable[Known]) -> Run | None:
    """Order counted clips on the circle of their counter. They begin behind its widest gap: there the camera is not."""
    if counting is None:
        return None
    places: dict[int, bytes] = {}
    for known in files:
        if known.role is Role.CLIP and known.counter is not None:
            folder = counting.folder_first if known.folder is None else known.folder
            place = counting.place_of(folder=folder, counter=known.counter)
            if place is not None:
                places.setdefault(place, known.file.path)
    if not places:
        return None
    ordered = sorted(places)
    steps = [after - before for before, after in pairwise(ordered)]
    steps.append(ordered[0] + counting.places - ordered[-1])
    begin = (steps.index(max(steps)) + 1) % len(ordered)
    turned = ordered[begin:] + ordered[:begin]
    missing = sum(steps) - max(steps) - (len(ordered) - 1)
    return Run(first=places[turned[0]], last=places[turned[-1]], missing=missing)
