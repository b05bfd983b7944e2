"""The schema's versions: what a database must be before anybody works on it, and how an older one gets there.

Owns user_version, application_id and the migrations. Never goes down a version.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from dockd.errors import StartRefusedError
from dockd.sqlite.faults import is_corruption, reaches_the_connection

DATABASE = "ledger.db"
"""The ledger's file in a state folder."""

APPLICATION_ID = 0x646F636B
"""'dock', in the header of every ledger (sqlite.org/fileformat2.html#application_id)."""


def migrations() -> tuple[str, ...]:
    """Give every migration; the Nth brings a database to version N."""
    scripts = [entry for entry in files("dockd.schema").iterdir() if entry.name.endswith(".sql")]
    return tuple(entry.read_text("utf-8") for entry in sorted(scripts, key=lambda entry: entry.name))


def version_of(connection: sqlite3.Connection) -> int:
    """Read the schema version; 0 is a new, empty database."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def require_known(connection: sqlite3.Connection, *, database: Path, newest: int) -> int:
    """Refuse a database that is not ours, or newer than we are; give its version.

    Raises:
        StartRefusedError: it is.

    """
    version = version_of(connection)
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise StartRefusedError(
            f"{database} is a database of another program (application id {application:#x}, expected"
            f" {APPLICATION_ID:#x}): give dockd a state folder of its own"
        )
    if version > newest:
        raise StartRefusedError(
            f"{database} has schema version {version}, this dockd knows versions up to {newest}: install the dockd"
            " that wrote it, or a later one; a ledger is never taken back to an older version"
        )
    return version


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
