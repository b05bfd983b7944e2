"""What names may stand in one folder, so that each file that is listed can be opened, and is the one that was listed.

Owns the rules that Linux keeps to when it looks a name up, which are stricter than what it lists: a name that holds
`/` or none at all stops a listing with an error, `.` and `..` are passed over in silence, dots at the end are cut off,
and half a surrogate pair is left out. Control characters, backslashes and quotes are data.

Source: Linux fs/readdir.c (verify_dirent_name), fs/fat/namei_vfat.c (vfat_striptail_len), fs/exfat/namei.c,
fs/nls/nls_base.c (utf16s_to_utf8s).
"""

from collections.abc import Callable
from dataclasses import dataclass

from dockd.structure.verdict import Findings, ProblemKind

MOST_NAME_CHARS = 1 << 23


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file or folder as its folder tells of it.

    `name` is what Linux lists; `alias` the short name beside a long one, which opens the file as well. `contiguous`
    files have no chain: their clusters follow each other. `valid_length` is how much of a file was ever written.
    """

    name: str
    alias: str
    is_folder: bool
    first: int
    length: int
    valid_length: int
    contiguous: bool


class Names:
    """The names of one folder."""

    def __init__(self, folder: bytes, *, fold: Callable[[str], str], findings: Findings) -> None:
        """Begin with none; `fold` makes names that differ in case only the same."""
        self._folder = folder
        self._fold = fold
        self._findings = findings
        self._met: set[str] = set()
        self._chars = 0

    def take(self, entry: Entry) -> bytes:
        """Check a name beside those before it, and give its path."""
        path = self._folder + entry.name.encode("utf-8", "replace")
        bad = wrong_with(entry.name)
        if bad:
            self._findings.add(ProblemKind.BAD_NAME, path, bad)
        opens = {self._fold(name) for name in (entry.name, entry.alias) if name}
        if not self._met.isdisjoint(opens):
            say = "its folder has another file that the same name opens"
            self._findings.add(ProblemKind.DUPLICATE_NAME, path, say)
        self._met |= opens
        self._chars += sum(map(len, opens))
        if self._chars > MOST_NAME_CHARS:
            raise self._findings.stop(ProblemKind.TOO_MANY, self._folder, "its names are too long, all together")
        return path


def wrong_with(name: str) -> str:
    """Say why a name cannot be listed or opened; empty where it can."""
    if not name:
        return "its name is empty"
    if "/" in name or "\0" in name:
        return "its name holds a character that ends every path"
    if name.endswith("."):
        return "its name ends in a dot, which is cut off when it is looked up"
    if not name.isascii() and any("\ud800" <= char <= "\udfff" for char in name):
        return "its name holds half a surrogate pair"
    return ""


def fold_simple(name: str) -> str:
    """Fold a name as FAT does, each character on its own; in doubt two names are the same."""
    if name.isascii():
        return name.upper()
    return "".join(upper if len(upper := char.upper()) == 1 else char for char in name)
