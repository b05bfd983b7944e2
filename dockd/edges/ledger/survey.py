"""What a database file turns out to be: sound, damaged, or of nobody yet; and how far its custody chain can be read.

Owns every look at a file that may be damaged. Writes nothing, and knows no state folder.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from dockd.domain.checkpoint import Head
from dockd.domain.custody import BrokenChainError, Link, verify
from dockd.domain.recovery import CAUSE as RECOVERED, continued
from dockd.edges.ledger.entries import MADE, NEW_KEY, facts_in
from dockd.edges.ledger.rows import Row, clip_of, docking_of
from dockd.edges.ledger.schema import migrations, order_fault, require_known, write_version_fault
from dockd.sqlite.faults import reaches_the_connection, reason_of

BUSY_TIMEOUT_MS = 5000
LOOKS = 3
"""So often a fault must be found before the file counts as damaged: SQLite calls a read that failed once the same."""
PAGE_BYTES = 4096
"""SQLite's page: all that there is of a database until its log is moved into it for the first time."""
_NAMING = tuple(f'"cause":"{cause}"'.encode("ascii") for cause in (MADE, NEW_KEY, RECOVERED))
_BY_LEDGER = b'"actor":"ledger"'


@dataclass(slots=True, kw_only=True)
class Survey:
    """A database as it was found.

    `fault` says in words what is wrong, empty where nothing is; `empty` that nothing was ever committed to it.
    `station` and `instance` are what a sound chain begins with, else what the table says. `seq` and `hash` are of the
    last entry of the chain's longest sound beginning, `marked` the hashes of the entries asked for. `key` is the
    station's public key that the chain names last, `continues` the instance of the lost ledger that it goes on from.
    `worked` says that more than a start was written since a key was named: there was a checkpoint by then.
    """

    fault: str = ""
    empty: bool = False
    station: str = ""
    instance: str = ""
    seq: int = 0
    hash: str = ""
    key: str = ""
    continues: str | None = None
    worked: bool = False
    marked: dict[int, str] = field(default_factory=dict)

    @property
    def end(self) -> Head | None:
        """The last sound entry."""
        return Head(instance=self.instance, seq=self.seq, hash=self.hash) if self.seq and self.instance else None


def survey(database: Path, *, mark: frozenset[int] = frozenset()) -> Survey:
    """Look at a database file; `mark` are the seqs of entries whose hashes are wanted.

    Raises:
        StartRefusedError: it is another program's, or of a newer dockd.
        OSError, sqlite3.Error: the disk does not give it now; that says nothing of the database.

    """
    # An EIO comes as damage, from the check of the structure and from every other statement. A passing one, as of a bus
    # that was reset, must not cost a sound ledger: what is damaged is so each time.
    found = _once(database, mark=mark)
    for _ in range(LOOKS - 1):
        if not found.fault:
            break
        found = _once(database, mark=mark)
    return found


def _once(database: Path, *, mark: frozenset[int]) -> Survey:
    found = Survey()
    if not database.is_file():
        found.empty = True
        return found
    if not database.stat().st_size:
        # SQLite makes a log only beside a database that has a page: this one was cut.
        log = database.with_name(f"{database.name}-wal")
        found.empty = not (log.is_file() and log.stat().st_size)
        found.fault = "" if found.empty else "the database is empty, and its log is not"
        return found
    try:
        with closing(_reading(database)) as connection:
            look(connection, found, database=database, mark=mark, scripts=migrations())
    except sqlite3.DatabaseError as error:
        # What does not come of disk or memory comes of the file, also that it has none of our tables, or a format that
        # nobody knows. No ledger has a journal beside its log: one that only a writer could take back is no ledger's.
        if reason_of(error) is not None and error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
        found.fault = found.fault or str(error)
    found.fault = found.fault or write_version_fault(database)
    return found


def look(
    connection: sqlite3.Connection, found: Survey, *, database: Path, mark: frozenset[int], scripts: Sequence[str]
) -> None:
    """Look at an open database; what was found before an error stays found. `scripts` make the versions known.

    Raises:
        StartRefusedError: as `survey`.
        sqlite3.Error: it is damaged, or the disk fails.

    """
    stamp = require_known(connection, database=database, scripts=scripts)
    found.fault = stamp.fault
    if not stamp.version and not stamp.fault:
        found.empty = True
        return
    connection.execute("BEGIN")  # one snapshot, also beside a person's shell
    problems = [" ".join(str(row[0]).split()) for row in connection.execute("PRAGMA quick_check(5)")]
    if problems != ["ok"]:
        found.fault = found.fault or "; ".join(problems)
    found.fault = found.fault or order_fault(connection)
    row = connection.execute("SELECT station, instance FROM meta").fetchone()
    try:
        for link in verify(_links(connection)):
            _note(link, found, mark=mark)
    except (BrokenChainError, ValueError) as error:
        found.fault = found.fault or f"the custody chain is broken: {error}"
    if stamp.version == len(scripts):
        found.fault = found.fault or _unreadable(connection)
    connection.execute("COMMIT")
    if row is None:
        rows = connection.execute("SELECT (SELECT count(*) FROM custody) + (SELECT count(*) FROM clips)").fetchone()
        found.empty = rows == (0,) and not found.fault
        found.fault = found.fault or ("" if found.empty else "its station is no longer named")
    elif not found.seq:
        found.station, found.instance = row
        found.fault = found.fault or "the custody chain is empty"
    elif (found.station, found.instance) != row:
        found.fault = found.fault or f"it calls itself {row[0]} {row[1]}, its chain {found.station} {found.instance}"


def _note(link: Link, found: Survey, *, mark: frozenset[int]) -> None:
    found.seq, found.hash = link.seq, link.hash
    if link.seq in mark:
        found.marked[link.seq] = link.hash
    found.worked = found.worked or bool(found.key and _BY_LEDGER not in link.body)
    # Texts in a body have their quotes escaped, so these bytes stand there for the cause and nothing else.
    if any(naming in link.body for naming in _NAMING):
        cause, facts = facts_in(link.body)
        found.key = facts.get("key", found.key)
        if cause == MADE:
            found.station, found.instance = facts.get("station", ""), facts.get("instance", "")
        if cause == RECOVERED:
            head = continued(facts)
            found.continues = head.instance if head is not None else None


def _unreadable(connection: sqlite3.Connection) -> str:
    """Say which row of those that the service works with cannot be read: SQLite does not look into texts."""
    clips = (
        "SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM clips c JOIN dockings f ON f.key = c.found_in"
        " WHERE c.state <> 'erased' ORDER BY c.key"
    )
    lenient, connection.text_factory = connection.text_factory, str
    try:
        return _unreadable_row(connection, "docking", "SELECT * FROM dockings ORDER BY key", docking_of) or (
            _unreadable_row(connection, "clip", clips, clip_of)
        )
    finally:
        connection.text_factory = lenient


def _unreadable_row(connection: sqlite3.Connection, what: str, sql: str, read: Callable[[Row], object]) -> str:
    count = 0
    try:
        for count, row in enumerate(connection.execute(sql), 1):  # noqa: B007 - how far it came is told
            read(row)
    except (KeyError, ValueError) as error:
        return f"{what} row {count} holds what cannot be: {error!r}"
    except sqlite3.OperationalError as error:
        if reaches_the_connection(error):
            raise
        return f"{what} row {count + 1} holds what cannot be: {error}"
    return ""


def _links(connection: sqlite3.Connection) -> Iterator[Link]:
    for seq, prev, digest, body in connection.execute("SELECT seq, prev, hash, body FROM custody ORDER BY seq"):
        if not (isinstance(seq, int) and isinstance(prev, str) and isinstance(digest, str) and isinstance(body, bytes)):
            raise BrokenChainError(int(seq), "is no entry: its columns hold other kinds of values")
        yield Link(seq=seq, prev=prev, hash=digest, body=body)


def _reading(database: Path) -> sqlite3.Connection:
    journal, log = (database.with_name(f"{database.name}{ending}") for ending in ("-journal", "-wal"))
    if journal.exists() and (not log.exists() or database.stat().st_size <= PAGE_BYTES):
        # A making that was cut: only a connection that may write takes it back, and without that nobody can read. A
        # log may lie there already, without anything that was ever answered: the first sync of a log syncs the folder
        # too, and with it that the journal is gone.
        with closing(sqlite3.connect(database, isolation_level=None)) as making:
            making.execute("SELECT count(*) FROM sqlite_master")
    # For reading only: a connection that may write moves the log into the database when it closes, damaged or not.
    # Without a log nobody else has it open, and nothing need be left beside it.
    alone = "" if log.exists() else "&immutable=1"
    connection = sqlite3.connect(f"file:{quote(str(database))}?mode=ro{alone}", uri=True, isolation_level=None)
    connection.text_factory = _lenient
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return connection


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "replace")
