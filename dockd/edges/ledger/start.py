"""How a ledger is opened: the state folder, its lock, and every check that comes before the first write.

Owns the order of checks, recovery and creation, and the refusals to start. Knows nothing of clips.
"""

import asyncio
import errno
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dockd.domain.model import StationId, Timestamp
from dockd.domain.recovery import CAUSE as RECOVERED, Lost, recovery_facts, recovery_signing_input, with_signature
from dockd.durable import make_private, sync_folder, write_again
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.entries import MADE, NEW_KEY, UNSTATED
from dockd.edges.ledger.faults import told
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.lock import lock
from dockd.edges.ledger.recovery import finish, settle
from dockd.edges.ledger.runner import InlineRunner, ThreadRunner
from dockd.edges.ledger.schema import DATABASE, migrate, migrations
from dockd.edges.ledger.survey import Survey, look
from dockd.edges.ledger.witness import Witness
from dockd.edges.seal import Seal, open_seal, verifies
from dockd.edges.standing import Standing
from dockd.errors import InvariantError, Reason, StartRefusedError, TransientError
from dockd.sqlite.group import GroupWriter
from dockd.sqlite.wal import empty_log, make_durable

BUSY_TIMEOUT_MS = 5000
"""How long a write waits for another program's: only a person's sqlite3 shell ever holds it."""

_log = logging.getLogger(__name__)


async def open_ledger(state_dir: Path, *, station: StationId, now: Callable[[], Timestamp]) -> StationLedger:
    """Open the ledger of a state folder for its one daemon, making both if need be.

    Checks before it writes: lock, application, schema version, station, structure (quick_check), the whole custody
    chain, and the checkpoint that it must hold: about half a second per 100,000 entries (tests/bench/bench_ledger.py),
    on a thread, the event loop free. A ledger that is gone, damaged, cut or rolled back is set aside, and a new one
    begins with a signed entry that continues it.

    Raises:
        StartRefusedError: the folder is not this station's to work on; the message says what to do.
        TransientError: DISK or DISK_FULL, the folder cannot be worked on now.

    """
    held = lock(state_dir)
    database = state_dir / DATABASE
    standing = Standing(database, database.with_name(f"{DATABASE}-wal"))
    try:
        seal = await asyncio.to_thread(open_seal, state_dir)
        first = partial(
            _open_first, state_dir, standing, station=station, now=now, instance=os.urandom(16).hex(), seal=seal
        )
        again = partial(_open_again, database, standing)
        writer = GroupWriter(first=first, again=again, told=told, standing=standing)
        runner = ThreadRunner(writer, database=database)
        await runner.start()
    except BaseException:
        held.close()
        raise
    witness = Witness(state_dir, station=station, seal=seal, now=now)
    ledger = StationLedger(runner, now=now, release=held.close, witness=witness)
    try:
        await ledger.state_end()
    except BaseException:
        await ledger.close()
        raise
    return ledger


async def open_inline(
    database: Path | None,
    *,
    station: StationId,
    now: Callable[[], Timestamp],
    instance: str,
    seal: Seal | None = None,
    lost: Lost | None = None,
) -> StationLedger:
    """Open a ledger without threads, lock or syncing, for a simulated station; None keeps it in memory.

    The same SQL, checks and group commit as the daemon's. Closing it is also how a crash is simulated: what was
    answered is there, and nothing is ever half written. `lost` is the ledger that a new one continues; it takes `seal`.
    """
    opening = partial(_open_simulated, database, station=station, now=now, instance=instance, seal=seal, lost=lost)
    runner = InlineRunner(GroupWriter(first=opening, again=opening, told=told))
    await runner.run(_nothing)
    return StationLedger(runner, now=now, release=_released)


def connect(database: Path | str) -> sqlite3.Connection:
    """Open a database, changing nothing in it."""
    connection = sqlite3.connect(database, isolation_level=None, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return connection


def prepare(
    connection: sqlite3.Connection,
    *,
    database: Path | None,
    station: StationId,
    now: Callable[[], Timestamp],
    instance: str,
    scripts: Sequence[str],
    synchronous: str = "FULL",
    seal: Seal | None = None,
    lost: Lost | None = None,
) -> LedgerCore:
    """Check a database that nobody recovers, bring it up to date, close what an earlier run left open; give its writes.

    Raises:
        StartRefusedError: it is not fit to be worked on.

    """
    shown, found = database or Path(":memory:"), Survey()
    look(connection, found, database=shown, mark=frozenset(), scripts=scripts)
    if found.fault:
        raise StartRefusedError(f"{shown} is damaged: {found.fault}")
    if found.station not in {"", station}:
        raise StartRefusedError(f"{shown} belongs to station {found.station}, this is station {station}")
    make_durable(connection, synchronous=synchronous)
    migrate(connection, database=database, scripts=scripts)
    return _begin(connection, station=station, time=now(), instance=instance, seal=seal, named=found.key, lost=lost)


def _begin(
    connection: sqlite3.Connection,
    *,
    station: StationId,
    time: Timestamp,
    instance: str,
    seal: Seal | None,
    named: str,
    lost: Lost | None,
    unstated: str = "",
) -> LedgerCore:
    """Write what every start writes, in one transaction; `named` is the key that the chain names last.

    `unstated` says why no checkpoint vouches for the chain as it was found: on record before another one does.
    """
    core = LedgerCore(connection)
    connection.execute("BEGIN IMMEDIATE")
    if unstated:
        core.note(UNSTATED, actor="ledger", time=time, facts={"entries": str(core.end.seq), "why": unstated})
    key = {} if seal is None else {"key": seal.public_key}
    if connection.execute("SELECT count(*) FROM meta").fetchone() == (0,):
        connection.execute(
            "INSERT INTO meta (one, station, instance, created_utc) VALUES (1, ?, ?, ?)", (station, instance, time.utc)
        )
        core.note(MADE, actor="ledger", time=time, facts={"station": station, "instance": instance, **key})
        if lost is not None:
            facts = _signed(lost, station=station, instance=instance, seal=seal)
            core.note(RECOVERED, actor="ledger", time=time, facts=facts)
    elif seal is not None and named != seal.public_key:
        core.note(NEW_KEY, actor="ledger", time=time, facts=key)
    core.cut(time)
    connection.execute("COMMIT")
    return core


def _signed(lost: Lost, *, station: StationId, instance: str, seal: Seal | None) -> dict[str, str]:
    if seal is None:
        raise InvariantError("a lost ledger is continued without a key, expected the station's own")
    facts = recovery_facts(lost, station=station, instance=instance, kid=seal.kid)
    return with_signature(facts, seal.sign(recovery_signing_input(facts)))


def _open_first(
    state_dir: Path,
    standing: Standing,
    *,
    station: StationId,
    now: Callable[[], Timestamp],
    instance: str,
    seal: Seal,
) -> LedgerCore:
    database = state_dir / DATABASE
    try:
        # Nobody was told of a commit that was not synced; from here on everybody would be.
        write_again(database.with_name(f"{DATABASE}-wal"))
        settled = settle(state_dir, station=station, seal=seal, check=verifies)
        _make(database)
        with _closed_on_error(connect(database)) as connection:
            make_durable(connection)
            migrate(connection, database=database, scripts=migrations())
            core = _begin(
                connection,
                station=station,
                time=now(),
                instance=instance,
                seal=seal,
                named=settled.key,
                lost=settled.lost,
                unstated=settled.unstated,
            )
            finish(state_dir)
    except OSError as error:
        reason = Reason.DISK_FULL if error.errno == errno.ENOSPC else Reason.DISK
        raise TransientError(reason, f"{database}: {error.strerror}, expected a ledger to be opened") from error
    if settled.lost is not None:
        _warn(database, settled.lost)
    if settled.unstated:
        _log.warning("%s: %s: entries at the end of its chain may have been cut off", database, settled.unstated)
    standing.opened()
    return core


def _warn(database: Path, lost: Lost) -> None:
    known = "nothing is known of its chain" if lost.head is None else f"it is known up to entry {lost.head.seq}"
    where = f"; it is kept in {lost.set_aside}" if lost.set_aside else ""
    left = f"; in the spool are {lost.strays.words}" if lost.strays.copies else ""
    _log.warning("%s was lost (%s): %s%s%s; a new one continues it", database, lost.why, known, where, left)


def _make(database: Path) -> None:
    make_private(database)  # SQLite gives its other files the mode of this one
    sync_folder(database.parent)


def _open_again(database: Path, standing: Standing) -> LedgerCore:
    standing()
    with _closed_on_error(connect(database)) as connection:
        make_durable(connection)
        empty_log(connection)
        core = LedgerCore(connection)
    standing.opened()
    return core


def _open_simulated(
    database: Path | None,
    *,
    station: StationId,
    now: Callable[[], Timestamp],
    instance: str,
    seal: Seal | None,
    lost: Lost | None,
) -> LedgerCore:
    with _closed_on_error(connect(database or ":memory:")) as connection:
        return prepare(
            connection,
            database=database,
            station=station,
            now=now,
            instance=instance,
            scripts=migrations(),
            synchronous="OFF",
            seal=seal,
            lost=lost,
        )


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _nothing(_: object) -> None:
    return None


def _released() -> None:
    return None
