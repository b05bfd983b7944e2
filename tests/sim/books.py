"""The ledger on a simulated disk: the real SQL, on one thread, with the delays and the cuts of the real writer.

Owns the database, which outlives every run of the program. `SimRunner` behaves as the daemon's writing thread does:
what it was given happens in order, awaited or not, and is answered after the commit.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from typing import Any, TypeVar

from dockd.domain.checkpoint import Head
from dockd.domain.model import StationId
from dockd.domain.recovery import Lost
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.faults import told
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.reads import Query
from dockd.edges.ledger.runner import Closure
from dockd.edges.ledger.schema import migrate, migrations
from dockd.edges.ledger.start import connect, prepare
from dockd.edges.seal import Seal
from dockd.errors import Reason, TransientError
from dockd.sqlite.group import Done, Failed, GroupWriter, Outcome
from tests.sim.fate import Fate, Fault
from tests.sim.machine import Power, SimClock

T = TypeVar("T")

COMMIT_MOST_S = 0.02
LATE_ASKED = 0.6
BOTH_LATE = 0.2
"""Of all questions to the ledger so many wait on their way there, and so many on both ways; the others on the way back.

One wait shows what it can change: each is the most of what a run is made of.
"""


class Books:
    """The database of one station."""

    def __init__(self, fate: Fate, *, station: StationId, clock: SimClock, committed: Callable[[], None]) -> None:
        self.fate = fate
        self.connection = connect(":memory:")
        self.connection.deserialize(_empty())
        self._station = station
        self._clock = clock
        self._scripts = _scripts()
        self._instances = count()
        self._seal = Seal.of(b"the station's own key, 32 bytes!")
        self._lost: Lost | None = None
        self.committed = committed

    def open(self, power: Power) -> tuple[StationLedger, "SimRunner"]:
        """Start the ledger for a run of the program, with every check of a start."""
        core = prepare(
            self.connection,
            database=None,
            station=self._station,
            now=self._clock.now,
            instance=f"{next(self._instances):032x}",
            scripts=self._scripts,
            seal=self._seal,
            lost=self._lost,
        )
        self._lost = None
        runner = SimRunner(self, GroupWriter(first=lambda: core, again=lambda: core, told=told), power)
        self.committed()
        return StationLedger(runner, now=self._clock.now, release=_released), runner

    def lose(self, lost: Lost | None) -> None:
        """Lose the whole database; a new one continues it, or knows nothing of it where `lost` is None."""
        self.set_back(_empty())
        self._lost = lost

    def set_back(self, image: bytes) -> None:
        """Put another database in the place of this one."""
        self.connection.close()
        self.connection = connect(":memory:")
        self.connection.deserialize(image)

    def heads(self) -> list[Head]:
        """Give the end that the chain had after each entry."""
        ((instance,),) = self.connection.execute("SELECT instance FROM meta")
        links = self.connection.execute("SELECT seq, hash FROM custody ORDER BY seq")
        return [Head(instance=instance, seq=seq, hash=digest) for seq, digest in links]

    def all_told(self) -> bool:
        """Say whether the world outside knows everything."""
        ((told, end),) = self.connection.execute("SELECT (SELECT seq FROM told), (SELECT max(seq) FROM custody)")
        return bool(told == end)


@cache
def _scripts() -> Sequence[str]:
    """Read the migrations once."""
    return migrations()


@cache
def _empty() -> bytes:
    """Make a ledger's tables once: every run begins with a copy of them."""
    connection = connect(":memory:")
    migrate(connection, database=None, scripts=_scripts())
    image = connection.serialize()
    connection.close()
    return image


class SimRunner:
    """Commits groups of closures a little later, and answers queries a little stale."""

    def __init__(self, books: Books, writer: GroupWriter[LedgerCore], power: Power) -> None:
        self._books = books
        self._fate = books.fate
        self._writer = writer
        self._power = power
        self._queue: list[tuple[Closure[Any], asyncio.Future[Any]]] = []
        self._due_s = 0.0

    def run(self, closure: Closure[T]) -> asyncio.Future[T]:
        """Queue a closure."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if not self._queue:
            stalls_s = 5.0 if self._fate.strikes(Fault.STALL, "ledger") else 0.0
            self._due_s = loop.time() + stalls_s + self._fate.between(0.0005, COMMIT_MOST_S)
            loop.call_at(self._due_s, self._commit)
        self._queue.append((closure, answer))
        return answer

    async def fetch(self, query: Query[T]) -> T:
        """Ask: a question may be late, and an answer as old as its way back is long; now and then both."""
        chance = self._fate.random.random()
        if chance < LATE_ASKED:
            await self._power.step("ledger read", least_s=0.0001, most_s=0.002)
        rows = self._books.connection.execute(query.sql, query.parameters).fetchall()
        answer = query.decode(rows)
        if chance >= LATE_ASKED - BOTH_LATE:
            await self._power.step("ledger answer", least_s=0.0001, most_s=0.002)
        return answer

    async def close(self) -> None:
        """Commit what is queued."""
        if self._queue:
            await asyncio.sleep(self._due_s - asyncio.get_running_loop().time() + COMMIT_MOST_S)

    def _commit(self) -> None:
        group, self._queue = self._queue, []
        if self._power.on and self._fate.strikes(Fault.POWER_CUT, "before a commit"):
            self._power.fail("before a commit")
        if not self._power.on:
            return
        if self._fate.strikes(Fault.LEDGER_FULL) or self._fate.lasts(Fault.DISK_READ_ONLY):
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(TransientError(Reason.DISK_FULL, "ledger: database or disk is full"))
            return
        outcomes = self._writer.commit([closure for closure, _ in group])
        self._books.committed()
        if self._fate.strikes(Fault.POWER_CUT, "after a commit"):
            self._power.fail("after a commit")
            return
        for (_, answer), outcome in zip(group, outcomes, strict=True):
            if not answer.done():
                _answer(answer, outcome)


def _answer(answer: asyncio.Future[Any], outcome: Outcome) -> None:
    match outcome:
        case Done(value=value):
            answer.set_result(value)
        case Failed(error=error):
            answer.set_exception(error)


def _released() -> None:
    """No lock is held."""
