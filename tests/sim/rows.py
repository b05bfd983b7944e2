"""Clips as their rows have them, and the judgement of a file that was just found: what was read of it, its recording.

Owns the auditor's SELECT. Shares no code with what it judges.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dockd.domain.model import ClipKey
from tests.sim.promise import require


class Row(NamedTuple):
    """A clip as its row has it."""

    key: ClipKey
    serial: str
    volume: str
    docking: int
    path: bytes
    length_bytes: int
    state: str
    sha256: str | None
    clip_id: str | None
    spooled: int
    url: str | None
    receipt: str | None
    facts: str
    recording: str


ROWS = (
    "SELECT c.key, f.serial, f.volume, c.docking, c.path, c.length_bytes, c.state, c.sha256, c.clip_id,"
    " c.spooled, c.url, c.receipt, c.facts, c.recording_id FROM clips c"
    " LEFT JOIN dockings f ON f.key = c.found_in ORDER BY c.key"
)


def are_alike(one: Row, other: Row) -> bool:
    """Say whether two files are of one camera, folder and stem: they are of one recording, whatever a profile says."""
    return (one.serial, one.volume, *_stem(one)) == (other.serial, other.volume, *_stem(other))


def judge_finding(entry: Mapping[str, Any], row: Row, rows: Iterable[Row]) -> tuple[str, str]:
    """Judge a file at the commit that claims its finding; give what its row is to say from now on (I18).

    Whatever is still to be done with files of its stem keeps it company, in one recording (I1).
    """
    of_it = {other.recording for other in rows if other.state != "erased" and are_alike(other, row)}
    require(of_it <= {row.recording}, f"I1: clip {row.key} {row.path!r} is of {row.recording}, beside {of_it}")
    read = {name[5:]: fact for name, fact in entry["facts"].items() if name.startswith("read_")}
    told = json.dumps(read, sort_keys=True, separators=(",", ":")) if read else ""
    return told, entry["facts"]["recording"]


def judge_declared(row: Row, metadata: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Judge what a receipt covers: what was read of a file under that name when it was found, whole, or nothing (I1).

    A file that comes back after it went is read anew, and its clip was declared before.
    """
    readings = [json.loads(other.facts or "{}") for other in rows if other.clip_id == row.clip_id]
    told = any(
        all(metadata.get(name) == fact for name, fact in read.items()) and ("profile" in metadata) == bool(read)
        for read in readings
    )
    require(told, f"I1: clip {row.key}: its receipt covers {dict(metadata)}, what was read is {readings}")


def _stem(row: Row) -> tuple[bytes, bytes]:
    folder, _, name = row.path.rpartition(b"/")
    return folder, name.rpartition(b".")[0] or name
