"""Who read which evidence, and when: `access.log`, one JSON object a line, on the disk before any byte is sent.

Owns the file and the form of a line: ts, who, what, and range or query where there was one.
"""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from dockd.central.threads import Threads

_PRIVATE = 0o600


class AccessLog:
    """Appends to one file; to be made outside the event loop."""

    def __init__(self, path: Path, *, threads: Threads, now_utc: Callable[[], datetime]) -> None:
        """Open the file, or make it (mode 0600)."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        self._threads = threads
        self._now_utc = now_utc
        self._whole = True

    async def note(self, *, who: str, what: str, part: str | None = None) -> None:
        """Write one line and sync it.

        Raises:
            OSError: it is not on the disk: nothing may be shown.

        """
        entry = {"ts": self._now_utc().isoformat(timespec="milliseconds"), "who": who, "what": what, "range": part}
        line = (json.dumps(entry) + "\n").encode("ascii")
        await self._threads.run(lambda: self._append(line))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _append(self, line: bytes) -> None:
        # One write of an O_APPEND file: lines of several threads never mix. After one cut short a new line begins.
        written = os.write(self._descriptor, line if self._whole else b"\n" + line)
        self._whole = written >= len(line)
        if not self._whole:
            raise OSError(f"access log: {written} of {len(line)} bytes written")
        os.fdatasync(self._descriptor)
