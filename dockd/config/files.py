"""Configuration files: reading them, and laying them over each other.

Owns which file each setting came from. Must not know the settings.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockd.config.check import build, findings
from dockd.config.tables import Config
from dockd.config.wording import Finding, written
from dockd.errors import ConfigError, Problem

MOST_FILE_BYTES = 1024 * 1024

_PLACE = re.compile(r" \(at line ([0-9]+), column ([0-9]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One parsed file and its name."""

    where: str
    data: Mapping[str, object]


def load(path: Path) -> Config:
    """Read a configuration file and then `conf.d/*.toml` beside it, by name, a later one key by key over an earlier.

    `[[bays]]` is one key: a later file gives all bays or none.

    Raises:
        ConfigError: every problem, each with the file it is in.

    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for found in _files(path, problems):
        try:
            documents.append(_document(_text(found), where=str(found)))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:  # without those files, whatever else is found may not be true
        raise ConfigError(problems)
    return _checked(documents)


def parse(text: str, *, where: str) -> Config:
    """Check the text of one file called `where`; touches no disk.

    Raises:
        ConfigError: every problem.

    """
    return _checked([_document(text, where=where)])


def read(path: Path) -> Mapping[str, object]:
    """Read one TOML file as it is written, unchecked.

    Raises:
        ConfigError: it cannot be read, is too long, or is no TOML in UTF-8.

    """
    return _document(_text(path), where=str(path)).data


def _files(path: Path, problems: list[Problem]) -> Sequence[Path]:
    folder = path.parent / "conf.d"
    try:
        names = sorted(found.name for found in folder.iterdir())
    except FileNotFoundError:
        names = []
    except OSError as error:  # to go on without would be to run with other settings than are written down
        names = []
        problems.append(Problem(path=str(folder), value=str(error.strerror), expected="a folder that dockd can read"))
    # Editors leave hidden files beside what they edit.
    return [path, *(folder / name for name in names if name.endswith(".toml") and not name.startswith("."))]


def _text(path: Path) -> str:
    expected = f"a TOML file in UTF-8 of at most {MOST_FILE_BYTES} bytes"
    try:
        with path.open("rb") as file:
            data = file.read(MOST_FILE_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigError([Problem(path=str(path), value=str(error.strerror), expected=expected)]) from error
    except UnicodeDecodeError as error:
        value = f"byte {error.start} is no UTF-8"
        raise ConfigError([Problem(path=str(path), value=value, expected=expected)]) from error
    if len(data) > MOST_FILE_BYTES:
        raise ConfigError([Problem(path=str(path), value="more bytes", expected=expected)])
    return text


def _document(text: str, *, where: str) -> Document:
    try:
        return Document(where=where, data=tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
    except RecursionError:
        message = "nested too deeply"
    place = _PLACE.search(message)
    path, value = (f"{where}:{place[1]}", f"column {place[2]}") if place else (where, "the text")
    raise ConfigError([Problem(path=path, value=value, expected="TOML", hint=_PLACE.sub("", message))])


def _checked(documents: Sequence[Document]) -> Config:
    settings: dict[str, object] = {}
    origins: dict[tuple[str | int, ...], str] = {}
    for document in documents:
        for name, value in document.data.items():
            below = settings.get(name)
            inner = value if isinstance(value, dict) else {}
            if isinstance(below, dict) and isinstance(value, dict):
                settings[name] = {**below, **value}
            else:
                settings[name] = value
                origins[name,] = document.where
            origins.update({(name, key): document.where for key in inner})
    problems = [_problem(finding, origins, main=documents[0].where) for finding in findings(settings)]
    if problems:
        raise ConfigError(problems)
    return build(settings)


def _problem(finding: Finding, origins: Mapping[tuple[str | int, ...], str], *, main: str) -> Problem:
    where = origins.get(finding.path[:2]) or origins.get(finding.path[:1]) or main
    path = written(finding.path)
    return Problem(path=path, value=finding.value, expected=finding.expected, hint=finding.hint, where=where)
