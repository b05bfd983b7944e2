"""A file that is one table of its own: a board, a camera's profile. Read and checked as the configuration is.

Owns reading one such file with every problem at once. Must not know what it is about.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from dockd.config.check import build_as, findings_as
from dockd.config.files import read
from dockd.config.wording import Finding, written
from dockd.errors import ConfigError, Problem

Settings = Mapping[str, object]
Rules = Callable[[Settings], Iterator[Finding]]
T = TypeVar("T", bound=Struct)


def read_settings(path: Path) -> Settings:
    """Read one file as it is written, unchecked.

    Raises:
        ConfigError: it cannot be read, or is no TOML.

    """
    return read(path)


def checked(settings: Settings, kind: type[T], *, where: str, rules: Rules | None = None) -> T:
    """Make one table of settings; `rules` hold their values against each other, if every value is fit for itself.

    Raises:
        ConfigError: every problem, each of the file `where`.

    """
    found = list(findings_as(kind, settings)) or list(rules(settings) if rules is not None else ())
    if found:
        raise ConfigError([_problem(finding, where) for finding in found])
    return build_as(kind, settings)


def _problem(finding: Finding, where: str) -> Problem:
    path = written(finding.path)
    return Problem(path=path, value=finding.value, expected=finding.expected, hint=finding.hint, where=where)
