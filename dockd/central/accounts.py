"""What the store knows of its accounts with stations: receipts in the order given, and what stations said of theirs.

Owns those statements of SQL and the store's judgement of a statement of account. Knows no HTTP. Each function takes a
connection and belongs inside one transaction of `database.Database`.
"""

import sqlite3
from dataclasses import dataclass, replace

from dockd.domain.accounting import Count
from dockd.domain.canonical import sha256_hex
from dockd.domain.model import ClipId
from dockd.domain.statement import Chain, Statement, Verdict, contradictions, statement_json, verdict_json

NO_HASH = "0" * 64
MOST_FIGURES = 16
"""Statements kept of one docking or day with other figures each time; the log has an alarm for each that differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenReceipt:
    """One receipt of a station, and which one that was."""

    seq: int
    clip_id: ClipId
    length_bytes: int
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A statement of account as it was heard last, canonical JSON, and the JSON that it was answered with."""

    seq: int
    heard_at: str
    statement: str
    verdict: str


def list_given(db: sqlite3.Connection, station: str, *, after: int, limit: int) -> tuple[list[GivenReceipt], Count]:
    """Give a station's receipts after a sequence number, one more than `limit` where there is one, and their count.

    Both are of one moment.
    """
    db.execute("BEGIN")
    try:
        rows = db.execute(
            "SELECT given.seq, clip_id, given.length_bytes, receipt FROM given JOIN upload ON upload.id = given.upload"
            " WHERE given.station = ? AND given.seq > ? ORDER BY given.seq LIMIT ?",
            (station, after, limit + 1),
        ).fetchall()
        total = count_given(db, station)
    finally:
        db.execute("COMMIT")
    given = [
        GivenReceipt(seq=seq, clip_id=clip_id, length_bytes=length, receipt=receipt)
        for seq, clip_id, length, receipt in rows
    ]
    return given, total


def count_given(db: sqlite3.Connection, station: str, *, as_of: int | None = None) -> Count:
    """Count the receipts that a station was given, up to one of them or all.

    Costs what came after that one, not what came before: the whole count is kept.
    """
    files, size = db.execute(
        "SELECT coalesce(sum(files), 0), coalesce(sum(bytes), 0) FROM given_total WHERE station = ?", (station,)
    ).fetchone()
    if as_of is None:
        return Count(files=files, bytes_=size)
    later, later_size = db.execute(
        "SELECT count(*), coalesce(sum(length_bytes), 0) FROM given WHERE station = ? AND seq > ?", (station, as_of)
    ).fetchone()
    return Count(files=files - later, bytes_=size - later_size)


def hear(db: sqlite3.Connection, statement: Statement, *, heard_at: str) -> Verdict:
    """Judge a statement by itself and by what is known here, and keep it with the verdict.

    The same figures about the same docking or day are one row, however often they are said; other figures about it are
    kept beside them, the latest of them.
    """
    given = count_given(db, statement.station, as_of=statement.as_of)
    differs = [*contradictions(statement)]
    if statement.listed != given:
        differs.append(
            f"the station has read {statement.listed} up to receipt {statement.as_of}, it was given {given} up to there"
        )
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM given WHERE station = ?", (statement.station,)).fetchone()
    if statement.as_of > last:
        differs.append(f"the station has read up to receipt {statement.as_of}, the last that it was given is {last}")
    differs.extend(_set_back(db, statement))
    verdict = Verdict(given=given, differs=tuple(differs))
    db.execute(
        "INSERT INTO account (station, instance, about, figures, statement, entries, head, heard_at, verdict)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (station, instance, about, figures) DO UPDATE SET"
        " statement = excluded.statement, entries = excluded.entries, head = excluded.head,"
        " heard_at = excluded.heard_at, verdict = excluded.verdict",
        (
            statement.station,
            statement.chain.instance,
            statement.about,
            _figures(statement),
            statement_json(statement).decode("ascii"),
            statement.chain.entries,
            statement.chain.head,
            heard_at,
            verdict_json(verdict).decode("ascii"),
        ),
    )
    # What the longest chain was stays known: the next statement is held against it.
    db.execute(
        "DELETE FROM account WHERE seq IN (SELECT seq FROM account WHERE station = ?1 AND instance = ?2 AND about = ?3"
        " ORDER BY seq DESC LIMIT -1 OFFSET ?4) AND seq <> (SELECT seq FROM account WHERE station = ?1"
        " AND instance = ?2 ORDER BY entries DESC, seq DESC LIMIT 1)",
        (statement.station, statement.chain.instance, statement.about, MOST_FIGURES),
    )
    return verdict


def list_heard(db: sqlite3.Connection, station: str | None, *, after: int, limit: int) -> list[Heard]:
    """Give statements in the order in which they were first heard, one more than `limit` where there is one."""
    whose = "account" if station is None else "account WHERE station = ?2 AND seq > ?1"
    where = " WHERE seq > ?1" if station is None else ""
    rows = db.execute(
        f"SELECT seq, heard_at, statement, verdict FROM {whose}{where} ORDER BY seq LIMIT ?3",  # noqa: S608 - constants
        (after, station, limit + 1),
    )
    return [Heard(seq=seq, heard_at=at, statement=statement, verdict=verdict) for seq, at, statement, verdict in rows]


def _set_back(db: sqlite3.Connection, statement: Statement) -> list[str]:
    """Say whether the station's custody chain is another one than it was: a chain only ever grows."""
    row = db.execute(
        "SELECT entries, head FROM account WHERE station = ? AND instance = ? ORDER BY entries DESC, seq DESC LIMIT 1",
        (statement.station, statement.chain.instance),
    ).fetchone()
    if row is None:
        return []
    entries, head = row
    if (statement.chain.entries, statement.chain.head) == (entries, head) or statement.chain.entries > entries:
        return []
    now = f"the custody chain has {statement.chain.entries} entries and ends with {statement.chain.head}"
    return [f"{now}, it had {entries} and ended with {head} before: the state folder was set back"]


def _figures(statement: Statement) -> str:
    """Name what a statement says of its docking or day, whenever it is said."""
    chain = Chain(instance=statement.chain.instance, entries=0, head=NO_HASH)
    bare = replace(statement, as_of=0, listed=Count(), chain=chain, utc=statement.utc[:10])
    return sha256_hex(statement_json(bare if statement.docking is None else replace(bare, utc="")))
