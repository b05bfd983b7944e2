"""The copies that lie in a spool's folder, by their names alone.

Owns the form of such a name, and one look at the folder. Knows neither what is in a copy nor any ledger.
"""

import os
import re
import stat
from pathlib import Path

from dockd.domain.model import ClipId
from dockd.domain.space import Strays

SPOOL = "spool"
"""The spool's folder in a state folder."""
_COPY = re.compile(r"([0-9a-f]{64})\.clip")


def copies_in(folder: Path) -> dict[ClipId, int]:
    """Give the length in bytes of each copy in a folder; none where there is no folder.

    Raises:
        OSError: the disk does not give it now.

    """
    found: dict[ClipId, int] = {}
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return found
    with entries:
        for entry in entries:
            match = _COPY.fullmatch(entry.name)
            if match is None:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # given up just now
            if stat.S_ISREG(status.st_mode):
                found[ClipId(match[1])] = status.st_size
    return found


def counted(copies: dict[ClipId, int]) -> Strays:
    """Sum copies up."""
    return Strays(copies=len(copies), bytes_=sum(copies.values()))
