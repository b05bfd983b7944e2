"""Group commit: many whole-transaction closures, one COMMIT, each closure all or nothing on its own.

Owns the transaction and the life of the writing connection. Knows neither threads nor what the closures write.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.faults import Damage, damage_of, translated
from dockd.errors import InvariantError

T = TypeVar("T")
Closure = Callable[[LedgerCore], T]
"""A whole transaction's worth of writes: run once, kept or undone as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The closure's answer; its writes are synced."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why nothing of the closure is in the ledger.

    One exception: after an error at COMMIT itself nobody can say, and the caller reads again before it goes on.
    """

    error: Exception


Outcome = Done | Failed


class GroupWriter:
    """Commits groups of closures on one connection, which it opens at the first group and after an error of the disk.

    `first` opens the database with every check, `again` after a failure; `standing` is asked after each COMMIT whether
    what was written to still is the ledger, and raises InvariantError where it is not.
    """

    def __init__(
        self,
        *,
        first: Callable[[], LedgerCore],
        again: Callable[[], LedgerCore],
        standing: Callable[[], None] | None = None,
    ) -> None:
        """Open nothing yet."""
        self._open = first
        self._again = again
        self._standing = standing
        self._core: LedgerCore | None = None
        self._closed = False

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, for reads between groups."""
        return self._ready().connection

    def commit(self, closures: Sequence[Closure[object]]) -> list[Outcome]:
        """Run closures in order in one transaction, each under its own savepoint, and commit once.

        Outcomes come in the order of the closures, after COMMIT has returned.
        """
        try:
            core = self._ready()
        except Exception as error:  # noqa: BLE001 - the boundary of every closure: whoever awaits it gets it
            return [_failed(error, "open") for _ in closures]
        try:
            core.connection.execute("BEGIN IMMEDIATE")
            outcomes = [_alone(core, closure) for closure in closures]
            core.connection.execute("COMMIT")
            if self._standing is not None:
                self._standing()
        except Exception as error:  # noqa: BLE001 - the same boundary
            # The disk failed us, perhaps in COMMIT. Nothing is tried again on this connection (I9).
            self._drop()
            return [_failed(error, "write") for _ in closures]
        except BaseException:
            self._drop()
            raise
        return outcomes

    def close(self) -> None:
        """Close the connection for good. The last one to close moves the log into the database."""
        self._closed = True
        core, self._core = self._core, None
        if core is not None:
            core.connection.close()

    def _ready(self) -> LedgerCore:
        if self._closed:
            raise InvariantError("the ledger is closed, expected no more calls")
        if self._core is None:
            self._core = self._open()
            self._open = self._again
        return self._core

    def _drop(self) -> None:
        core, self._core = self._core, None
        if core is not None:
            core.connection.close()


def _alone(core: LedgerCore, closure: Closure[object]) -> Outcome:
    end = core.end
    core.connection.execute("SAVEPOINT closure")
    try:
        value = closure(core)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and damage_of(error) is Damage.CONNECTION:
            raise
        core.connection.execute("ROLLBACK TO closure")
        core.connection.execute("RELEASE closure")
        core.end = end
        return _failed(error, "write")
    core.connection.execute("RELEASE closure")
    return Done(value=value)


def _failed(error: Exception, doing: str) -> Failed:
    # One error each: an exception raised in two tasks would carry the trace of both.
    match error:
        case sqlite3.Error():
            failed = translated(error, doing)
            failed.__cause__ = error
            return Failed(error=failed)
        case _:
            return Failed(error=error)
