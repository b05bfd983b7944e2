"""The check of a state folder: the custody chain holds, and it explains every row; every receipt stands.

Owns the order of the checks, and how a folder is opened for them. Reads only, beside a running daemon or without one.
Knows no keys: whoever calls brings the checks of signatures.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from dockd.domain.model import StationId
from dockd.domain.space import Strays
from dockd.edges.copies import SPOOL, copies_in, counted
from dockd.edges.ledger import reads
from dockd.edges.ledger.anchors import check_anchors
from dockd.edges.ledger.chain_check import check_chain
from dockd.edges.ledger.checkpoint import Check, Kept, kept
from dockd.edges.ledger.findings import MAX_FAULTS, Findings, Report
from dockd.edges.ledger.rows_check import Verifier, check_clips, check_dockings, check_meta, check_tallies
from dockd.edges.ledger.schema import DATABASE, migrations, objects, require_known, write_version_fault
from dockd.errors import StartRefusedError

__all__ = ["MAX_FAULTS", "Report", "Verifier", "opened", "strays_in", "verify_state"]


def verify_state(
    state_dir: Path,
    keys_verify: Verifier | None,
    *,
    key: str = "",
    check: Check | None = None,
    store_says: Iterable[str] | None = None,
) -> Report:
    """Check a state folder; without `keys_verify` receipts are checked in everything but their signature.

    `check` verifies the station's own statements, under the keys that the chain names; `key` is the public key of the
    folder's key file, empty where it cannot be had. `store_says` are the receipts (compact JWS) that the store lists
    for this station: each must name an entry of this chain, or be known from before a recovery that it declares.

    Raises:
        StartRefusedError: there is no ledger that this version can read.

    """
    database = state_dir / DATABASE
    findings = Findings(station=StationId(""))
    # Before the database: what is stated was committed by then, so that a daemon that goes on contradicts nothing.
    try:
        statement = kept(state_dir)
    except OSError as error:
        statement = Kept(text="?", flaw=f"cannot be read: {error.strerror}")
    with closing(opened(database)) as connection:
        try:
            _check(connection, findings, database=database)
            chain = check_chain(connection, findings, statement=statement, key=key, check=check)
            check_meta(connection, chain, findings)
            check_dockings(connection, chain, findings)
            check_clips(connection, findings, keys_verify=keys_verify)
            check_tallies(connection, findings)
            findings.strays = strays_in(connection, state_dir)
            if store_says is not None:
                check_anchors(connection, findings, store_says, keys_verify=keys_verify)
        except sqlite3.DatabaseError as error:
            findings.fault(f"database: {error}")
    return findings.report(signatures=keys_verify is not None)


def strays_in(connection: sqlite3.Connection, state_dir: Path) -> Strays:
    """Count the copies in a state folder's spool that no clip names.

    Raises:
        StartRefusedError: the spool cannot be read.
        sqlite3.Error: the database cannot.

    """
    spool = state_dir / SPOOL
    try:
        there = copies_in(spool)
    except OSError as error:
        raise StartRefusedError(f"{spool} cannot be read: {error.strerror}") from error
    query = reads.spooled(there)
    named = query.decode(connection.execute(query.sql, query.parameters).fetchall())
    return counted({clip_id: length for clip_id, length in there.items() if clip_id not in named})


def opened(database: Path) -> sqlite3.Connection:
    """Open a ledger for reading only, beside a daemon, without one, or on a disk that is read-only.

    Raises:
        StartRefusedError: it is not there, or cannot be read without leave to write.

    """
    try:
        there = database.is_file()
    except OSError as error:
        raise StartRefusedError(f"{database} cannot be read: {error.strerror}") from error
    if not there:
        raise StartRefusedError(f"{database} is not there, expected the state folder of a dockd")
    uri = f"file:{quote(str(database))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return connection
        connection.close()
        if database.with_name(f"{database.name}-wal").exists():
            raise StartRefusedError(
                f"{database} cannot be read ({error}): a log lies beside it, so reading it needs leave to write"
            ) from error
        # Nobody writes and all is in the one file: it may be read from a folder, or a disk, that is read-only.
        return sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    except sqlite3.DatabaseError:
        return connection  # what it says will be said again where it is written down
    return connection


def _check(connection: sqlite3.Connection, findings: Findings, *, database: Path) -> None:
    scripts = migrations()
    stamp = require_known(connection, database=database, scripts=scripts)
    if stamp.version < len(scripts):
        words = stamp.fault or f"has schema version {stamp.version}, expected {len(scripts)}"
        raise StartRefusedError(f"{database} {words}: start dockd once")
    for fault in (stamp.fault, write_version_fault(database)):
        if fault:
            findings.fault(f"database: {fault}")
    connection.execute("BEGIN")  # one snapshot for everything, also while a daemon writes
    row = connection.execute("SELECT station, instance FROM meta").fetchone()
    if row is None:
        raise StartRefusedError(f"{database} was never opened to the end and holds nothing: start dockd once")
    findings.station, findings.instance = row
    _check_structure(connection, findings)
    _check_schema(connection, findings, scripts)


def _check_structure(connection: sqlite3.Connection, findings: Findings) -> None:
    for (problem,) in connection.execute(f"PRAGMA integrity_check({MAX_FAULTS})"):
        if problem != "ok":
            findings.fault(f"database: {problem}")
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        findings.fault(f"database: row {row} of {table} names a row of {parent} that is not there")


def _check_schema(connection: sqlite3.Connection, findings: Findings, scripts: Sequence[str]) -> None:
    """See that the tables and the rules on them are those that were made: a trigger that is gone refuses nothing."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        for script in scripts:
            made.executescript(script)
        expected = objects(made)
    there = objects(connection)
    for kind, name in sorted(expected.keys() | there.keys()):
        if (kind, name) not in there:
            findings.fault(f"database: {kind} {name} is not there")
        elif (kind, name) not in expected:
            findings.fault(f"database: {kind} {name} is none of dockd's")
        elif there[kind, name] != expected[kind, name]:
            findings.fault(f"database: {kind} {name} is not as dockd makes it")
