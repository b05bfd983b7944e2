"""Group commit: many whole-transaction closures, one COMMIT, each closure all or nothing on its own.

Owns the transaction and the life of the writing connection. Knows neither threads nor what the closures write.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from dockd.errors import InvariantError
from dockd.sqlite.faults import reaches_the_connection


class Core(Protocol):
    """What closures are given: an open database, and what is held in memory of it."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, set to write."""
        ...

    def reread(self) -> None:
        """Read again what is held in memory: a closure was taken back."""
        ...


C = TypeVar("C", bound=Core)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The closure's answer; its writes are synced."""

    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why nothing of the closure is in the database.

    One exception: after an error at COMMIT itself nobody can say, and the caller reads again before it goes on.
    """

    error: Exception


Outcome = Done | Failed


class GroupWriter(Generic[C]):
    """Commits groups of closures on one connection, which it opens at the first group and after an error of the disk.

    `first` opens the database with every check, `again` after a failure; `standing` is asked after each COMMIT whether
    what was written to still is the database, and raises InvariantError where it is not. `told` says in the callers'
    words what loses a group, and what SQLite says to one closure; each closure gets one of its own.
    """

    def __init__(
        self,
        *,
        first: Callable[[], C],
        again: Callable[[], C],
        told: Callable[[BaseException, str], Exception],
        standing: Callable[[], None] | None = None,
    ) -> None:
        """Open nothing yet."""
        self._open = first
        self._again = again
        self._told = told
        self._standing = standing
        self._core: C | None = None
        self._closed = False

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, for reads between groups."""
        return self._ready().connection

    def open(self) -> None:
        """Open the database now and not at the first group. Raises what `first` raises."""
        self._ready()

    def commit(self, closures: Sequence[Callable[[C], object]]) -> list[Outcome]:
        """Run closures in order in one transaction, each under its own savepoint, and commit once.

        Outcomes come in the order of the closures, after COMMIT has returned.
        """
        try:
            core = self._ready()
        except Exception as error:  # noqa: BLE001 - the boundary of every closure: whoever awaits it gets it
            return [self.failed(error, "open") for _ in closures]
        try:
            core.connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._alone(core, closure) for closure in closures]
            core.connection.execute("COMMIT")
            if self._standing is not None:
                self._standing()
        except Exception as error:  # noqa: BLE001 - the same boundary
            # The disk failed us, perhaps in COMMIT. Nothing is tried again on this connection, no ROLLBACK either (I9).
            self._drop()
            return [self.failed(error, "write") for _ in closures]
        except BaseException:
            self._drop()
            raise
        return outcomes

    def failed(self, error: BaseException, doing: str) -> Failed:
        """Say that a closure is lost for this; an exception raised in two tasks would carry the trace of both."""
        return Failed(error=self._told(error, doing))

    def close(self) -> None:
        """Close the connection for good. The last one to close moves the log into the database."""
        self._closed = True
        self._drop()

    def _alone(self, core: C, closure: Callable[[C], object]) -> Outcome:
        core.connection.execute("SAVEPOINT closure")
        try:
            value = closure(core)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and reaches_the_connection(error):
                raise
            core.connection.execute("ROLLBACK TO closure")
            core.connection.execute("RELEASE closure")
            core.reread()
            return self.failed(error, "write") if isinstance(error, sqlite3.Error) else Failed(error=error)
        core.connection.execute("RELEASE closure")
        return Done(value=value)

    def _ready(self) -> C:
        if self._closed:
            raise InvariantError("the database is closed, expected no more calls")
        if self._core is None:
            self._core = self._open()
            self._open = self._again
        return self._core

    def _drop(self) -> None:
        core, self._core = self._core, None
        if core is not None:
            with suppress(sqlite3.Error):  # closed is all it can be
                core.connection.close()
