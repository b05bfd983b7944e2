"""Files of hw/cameras/ as profiles: all of a folder, a later folder over an earlier, every problem of all of them said.

Owns how a file's tables become a `Profile`, what `like` takes over, and the zones that are read from the system.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from dockd.config.camera_table import CameraTable, MatchTable, between
from dockd.config.single import Settings, checked, read_settings
from dockd.config.wording import Finding, meant, shown
from dockd.domain.naming import Template, template_of
from dockd.domain.profile import Counting, Match, Meaning, Profile
from dockd.domain.recorded import UNKNOWN_ZONE, UTC_ZONE, Zone
from dockd.edges.boards import hardware_folder
from dockd.errors import ConfigError, Problem

OWN_FOLDER = Path("/etc/dockd/cameras")
"""Where a force keeps the profiles of its own cameras; a file there stands before one of the same name in hw/."""

_OWN = frozenset({"name", "about", "like", "match"})


def camera_folders() -> tuple[Path, ...]:
    """Give the folders of profiles: ours, then the station's own."""
    return hardware_folder(Path(__file__).parents[1]) / "cameras", OWN_FOLDER


def load_profiles(folders: Sequence[Path] | None = None) -> tuple[Profile, ...]:
    """Read every profile of some folders, by name; a folder that is not there has none.

    Raises:
        ConfigError: every problem of every file.

    """
    problems: list[Problem] = []
    files: dict[str, tuple[Path, Settings]] = {}
    for folder in camera_folders() if folders is None else folders:
        for path in _files(folder, problems):
            try:
                files[path.stem] = path, read_settings(path)
            except ConfigError as error:
                problems.extend(error.problems)
    profiles: list[Profile] = []
    for name, (path, settings) in sorted(files.items()):
        try:
            profiles.append(_profile(name, path, settings, files))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return tuple(profiles)


def _files(folder: Path, problems: list[Problem]) -> Sequence[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".toml" and not path.name.startswith("."))
    except FileNotFoundError:
        return ()
    except OSError as error:  # to go on without would be to know fewer cameras than are written down
        problems.append(Problem(path=str(folder), value=str(error.strerror), expected="a folder that can be read"))
        return ()
    return found


def _profile(name: str, path: Path, settings: Settings, files: Mapping[str, tuple[Path, Settings]]) -> Profile:
    whole = {**_taken_over(settings.get("like"), path, files), **settings}

    def rules(fit: Settings) -> Iterator[Finding]:
        yield from between(fit)
        if fit["name"] != name:
            yield Finding(path=("name",), value=shown(("name",), fit["name"]), expected=f'"{name}", as its file has it')
        if _zone(str(fit.get("zone", UNKNOWN_ZONE.name))) is None:
            expected = '"UTC", "unknown", or a zone of this system such as "Europe/London"'
            yield Finding(path=("zone",), value=shown(("zone",), fit["zone"]), expected=expected)

    return _of_table(checked(whole, CameraTable, where=str(path), rules=rules))


def _taken_over(like: object, path: Path, files: Mapping[str, tuple[Path, Settings]]) -> Settings:
    """Give what a profile takes over of the one it is like, whose own words and ids are never taken over."""
    if not isinstance(like, str):
        return {}  # none, or a problem that the check of the table says
    family = files.get(like, (path, None))[1]
    if family is None or "like" in family:
        expected = "the name of a profile that there is, and that is like no other itself"
        problem = Problem(
            path="like", value=shown(("like",), like), expected=expected, hint=meant(like, [*files]), where=str(path)
        )
        raise ConfigError([problem])
    return {key: value for key, value in family.items() if key not in _OWN}


def _of_table(table: CameraTable) -> Profile:
    templates = tuple(map(template_of, table.paths))
    return Profile(
        name=table.name,
        about=table.about,
        matches=tuple(map(_match, table.match)),
        paths=tuple(template for template in templates if isinstance(template, Template)),
        clips=frozenset(text.encode("ascii") for text in table.clips),
        sidecars={sidecar.extension.encode("ascii"): frozenset(sidecar.marks) for sidecar in table.sidecars},
        meanings={
            kind.text.encode("ascii"): Meaning(
                marks=frozenset(kind.marks), trigger=kind.trigger, category=kind.category or ""
            )
            for kind in table.types
        },
        trigger=table.trigger,
        recording=table.recording,
        counting=_counting(table),
        zone=_zone(table.zone) or UNKNOWN_ZONE,
        battery=table.battery,
        erase=table.erase,
    )


def _match(table: MatchTable) -> Match:
    return Match(
        vendor=table.vendor,
        product=table.product,
        serial=table.serial,
        filesystem=table.filesystem,
        label=table.label,
    )


def _counting(table: CameraTable) -> Counting | None:
    counting = table.counting
    if counting is None:
        return None
    return Counting(
        first=counting.first,
        last=counting.last,
        folder_first=counting.folder_first,
        folder_last=counting.folder_last,
    )


def _zone(name: str) -> Zone | None:
    """Give a zone by its name; None where this system has none of it."""
    for zone in (UNKNOWN_ZONE, UTC_ZONE):
        if zone.name == name:
            return zone
    try:
        return Zone(name=name, rules=ZoneInfo(name))
    except (ValueError, OSError, LookupError):  # no zone's name, or the system has no such table
        return None
