"""A connection that writes: every COMMIT synced, and nothing left in the log of one that failed.

Owns the settings. Knows no tables.
"""

import sqlite3


def make_durable(connection: sqlite3.Connection, *, synchronous: str = "FULL") -> None:
    """Set a connection to write: WAL, and every COMMIT synced before it returns (synchronous FULL)."""
    # Fetched: the switch commits after its row was given, and only whoever asks for more hears that the disk failed.
    # Unheard, the log would be written beside a database that knows of none, and go with the next start.
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    # INSERT OR REPLACE would delete a row without asking the triggers: only recursive ones are asked.
    for rule in ("foreign_keys", "recursive_triggers"):
        # Setting one has every statement compiled anew, also where it is set already.
        if connection.execute(f"PRAGMA {rule}").fetchone() != (1,):
            connection.execute(f"PRAGMA {rule} = ON")
    # What a statement sets aside for its own undoing goes to no folder for temporary files: that may be full, or be on
    # another disk, and nobody looks after it.
    connection.execute("PRAGMA temp_store = MEMORY")
    # A big transaction leaves a big log: give its room back at the next checkpoint.
    connection.execute("PRAGMA journal_size_limit = 16777216")


def empty_log(connection: sqlite3.Connection) -> None:
    """Move what is committed into the database and empty the log, before anything is written after an error.

    What a failed COMMIT left there must not come back to life at the next power cut, after its callers were told that
    it failed (I9).

    Raises:
        sqlite3.OperationalError: SQLITE_BUSY where a reader holds the log.

    """
    (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        error = sqlite3.OperationalError("a reader holds the log, expected it to be emptied")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_BUSY, "SQLITE_BUSY"
        raise error
