"""The schema's versions: what a database must be before anybody works on it, and how an older one gets there.

Owns the header's fields, user_version and application_id among them, and the migrations. Never goes down a version.
"""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from dockd.errors import StartRefusedError
from dockd.sqlite.faults import is_corruption, reaches_the_connection

DATABASE = "ledger.db"
"""The ledger's file in a state folder."""

APPLICATION_ID = 0x646F636B
"""'dock', in the header of every ledger (sqlite.org/fileformat2.html#application_id)."""

_TABLES = frozenset({"meta", "dockings", "clips", "custody"})
"""Those that every version has."""
_WRITE_VERSION, _NEWEST_WRITE_VERSION = 18, 2
"""Where it stands in the header, and that of a database with a log (sqlite.org/fileformat2.html, section 1.3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """The version of a database, 0 where it is new or cannot be said; `fault` where its header says something else."""

    version: int
    fault: str = ""


def migrations() -> tuple[str, ...]:
    """Give every migration; the Nth brings a database to version N."""
    scripts = [entry for entry in files("dockd.schema").iterdir() if entry.name.endswith(".sql")]
    return tuple(entry.read_text("utf-8") for entry in sorted(scripts, key=lambda entry: entry.name))


def version_of(connection: sqlite3.Connection) -> int:
    """Read the schema version; 0 is a new, empty database."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def require_known(connection: sqlite3.Connection, *, database: Path, scripts: Sequence[str]) -> Stamp:
    """Refuse a database that is not ours, or newer than we are.

    What it is, its tables say: every script changes them, so that those of a version are no other's. The header only
    repeats it, in two numbers of a few bits that nothing guards.

    Raises:
        StartRefusedError: it is another program's, or a newer dockd's.
        sqlite3.Error: it is damaged, or the disk fails.

    """
    said = version_of(connection)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    there = objects(connection)
    ours = application == APPLICATION_ID
    if there and not (ours or {name for kind, name in there if kind == "table"} >= _TABLES):
        raise StartRefusedError(
            f"{database} is a database of another program (application id {application:#x}, expected"
            f" {APPLICATION_ID:#x}): give dockd a state folder of its own"
        )
    made = next((version for version, its in enumerate(_made_by(tuple(scripts)), 1) if its == there), 0)
    if said > len(scripts) and not made:
        raise StartRefusedError(
            f"{database} has schema version {said}, this dockd knows versions up to {len(scripts)}: install the dockd"
            " that wrote it, or a later one; a ledger is never taken back to an older version"
        )
    if there and not ours:
        return Stamp(version=made, fault=f"its application id is {application:#x}, its tables are a ledger's")
    if there and (said < 1 or made not in {0, said}):
        tables = f"those of version {made}" if made else "there"
        return Stamp(version=made, fault=f"its header says schema version {said}, its tables are {tables}")
    return Stamp(version=said)


def write_version_fault(database: Path) -> str:
    """Say what is wrong with the number by which SQLite decides whether it may write; empty where nothing is.

    Nothing else shows it: whatever is read of such a file is sound. Raises OSError.
    """
    with database.open("rb") as file:
        header = file.read(_WRITE_VERSION + 1)
    if len(header) <= _WRITE_VERSION or header[_WRITE_VERSION] <= _NEWEST_WRITE_VERSION:
        return ""
    return f"its header says write version {header[_WRITE_VERSION]}, expected at most {_NEWEST_WRITE_VERSION}"


def order_fault(connection: sqlite3.Connection) -> str:
    """Say whether the schema format lost the order of an index; empty where it did not.

    Nothing else shows it before a write is lost in that index: SQLite reads descending ones as ascending then.
    """
    orders = [bool(row[3]) for row in connection.execute("PRAGMA index_xinfo(clips_copy)")]
    lost = orders and not any(orders)
    return "its header says a schema format without descending indexes, and it has some" if lost else ""


def objects(connection: sqlite3.Connection) -> Mapping[tuple[str, str], str]:
    """Give every table, index and trigger, by kind and name, as the SQL that made it."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    return {(kind, name): sql for kind, name, sql in rows}


@cache
def _made_by(scripts: tuple[str, ...]) -> tuple[Mapping[tuple[str, str], str], ...]:
    """Give what a database of each version has: the scripts, and so this, are the same at each start."""
    made = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in scripts:
            connection.executescript(script)
            made.append(objects(connection))
    return tuple(made)


def migrate(connection: sqlite3.Connection, *, database: Path | None, scripts: Sequence[str]) -> None:
    """Bring a database up to the last script, each step one transaction; `database` None keeps no copy.

    A copy of an older database is kept beside it first, as `<name>.v<version>`.

    Raises:
        StartRefusedError: a step fails; the database is as it was before that step.
        sqlite3.Error: the disk fails; the same holds.

    """
    version = version_of(connection)
    if 0 < version < len(scripts) and database is not None:
        _keep(connection, database.with_name(f"{database.name}.v{version}"))
    for number, script in enumerate(scripts[version:], start=version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if reaches_the_connection(error) and not is_corruption(error):
                raise  # the disk, not the step: it may work later
            raise StartRefusedError(
                f"{database}: the step to schema version {number} failed ({error}): nothing of it was kept, version"
                f" {number - 1} still works with the dockd that wrote it"
            ) from error


def _keep(connection: sqlite3.Connection, copy: Path) -> None:
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(part)) as target:
        connection.backup(target)
    _sync(part)
    part.rename(copy)
    _sync(copy.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
