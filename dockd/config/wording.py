"""A finding about a setting, and how its path and value are shown: on one line, escaped, and without secrets."""

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

MISSING = "(missing)"
MOST_SHOWN_CHARS = 80

Path = tuple[str | int, ...]
"""The keys and indices from the root to a setting, as in ("bays", 2, "number")."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRET_NAME = re.compile(r"tok|pass|secret|cred|key(_file)?$", re.IGNORECASE)
_PATH_START = re.compile(r"[~./]")
_UNIT = re.compile(r"(_file|_bytes_s|_bytes|_s|_pct|_ma|_mah|_c)$")
_USER_INFO = re.compile(r"//[^/?#]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong; `value` is ready to be shown."""

    path: Path
    value: str
    expected: str
    hint: str = ""


def written(path: Path) -> str:
    """Write a path as people do: `bays[2].number`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return "".join(parts).removeprefix(".")


def shown(path: Path, value: object) -> str:
    """Show a value as it was written, or say what it is where that is long or a secret."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(str(path[-1]), value)
        case list():
            return f"an array of {len(value)}" if value else "[]"
        case dict():
            return "a table"
        case _:  # a number or a date: what TOML has besides prints as it is written
            return _one_line(str(value))


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does: `a, b or c`."""
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def meant(word: str, names: Sequence[str]) -> str:
    """Ask whether the nearest of some names was meant; nothing where none is near."""
    stems = {_UNIT.sub("", name): name for name in names}  # people leave out the unit
    near = difflib.get_close_matches(word.lower(), [*names, *stems], n=1)
    return f"did you mean {stems.get(near[0], near[0])}?" if near else ""


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _one_line(json.dumps(key, ensure_ascii=False))


def _text(name: str, value: str) -> str:
    # What looks like a path may be shown; anything else under such a name may be the secret itself, pasted.
    if "PRIVATE KEY" in value or (_SECRET_NAME.search(name) and not _PATH_START.match(value)):
        return f"a text of {len(value)} characters, not shown"
    return _one_line(json.dumps(_USER_INFO.sub("//...@", value), ensure_ascii=False))


def _one_line(text: str) -> str:
    # json escapes control characters, but not those that turn the direction of text or cannot be seen.
    safe = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return safe if len(safe) <= MOST_SHOWN_CHARS else f"{safe[: MOST_SHOWN_CHARS - 3]}..."
