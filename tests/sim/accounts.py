"""The store's side of accounting on the simulated machine: its list of receipts, and who checks every statement.

Owns what the store lists, which is every receipt that it ever signed, unless a test plants another list. Implements the
port Accounts for one run.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dockd.app.account_ports import GivenPage
from dockd.domain.accounting import Count, Given
from dockd.domain.model import ClipId
from dockd.domain.statement import Statement, Verdict, statement_json
from dockd.errors import Reason, TransientError
from tests.sim.fate import Fate, Fault
from tests.sim.machine import Power
from tests.sim.store import Store

MOST_STATEMENT_BYTES = 16 * 1024


@dataclass(kw_only=True)
class StoreAccounts:
    """What the store lists, over all runs of the station's program; `planted` replaces its own list."""

    store: Store
    offered: bool
    name: str | None = "simulated"
    planted: Callable[[Sequence[Given]], Sequence[Given]] = list
    statements: list[dict[str, object]] = field(default_factory=list)

    def given(self) -> Sequence[Given]:
        """Every receipt for this station, in the order in which they were signed."""
        genuine = enumerate(self.store.genuine.items(), start=1)
        return self.planted(
            [Given(seq=seq, clip_id=ClipId(str(claims["clip_id"])), receipt=text) for seq, (text, claims) in genuine]
        )

    def size(self, given: Sequence[Given]) -> Count:
        """Count receipts and the bytes they stand for."""
        lengths = (self.store.genuine.get(one.receipt, {}).get("length", 0) for one in given)
        return Count(files=len(given), bytes_=sum(map(int, lengths)))

    def take(self, statement: Statement) -> Verdict:
        """Check a statement by its JSON alone."""
        text = statement_json(statement)
        assert len(text) <= MOST_STATEMENT_BYTES
        said = json.loads(text)
        self.statements.append(said)
        account, differs = said["account"], []
        for unit in ("files", "bytes"):
            parts = sum(account[f"{name}_{unit}"] for name in ("receipted", "pending", "quarantined"))
            if account[f"seen_{unit}"] != parts:
                differs.append(f"seen {account[f'seen_{unit}']} {unit}, and they come to {parts}")
        mine = self.size([one for one in self.given() if one.seq <= said["as_of"]])
        if said["listed"] != {"files": mine.files, "bytes": mine.bytes_}:
            differs.append(f"listed {said['listed']}, given {mine}")
        return Verdict(given=mine, differs=tuple(differs))


class SimAccounts:
    """The port Accounts: one run's way to the store."""

    def __init__(self, accounts: StoreAccounts, fate: Fate, power: Power) -> None:
        self._accounts = accounts
        self._fate = fate
        self._power = power

    async def receipts(self, *, after: int, limit: int) -> GivenPage | None:
        """List receipts, a few at a time so that there are pages."""
        await self._way("GET receipts")
        if not self._accounts.offered:
            return None
        every = self._accounts.given()
        page = [one for one in every if one.seq > after][: min(limit, 3)]
        more = bool(page) and page[-1].seq < every[-1].seq
        answer = GivenPage(receipts=tuple(page), more=more, total=self._accounts.size(every), store=self._accounts.name)
        await self._way("GET receipts answered")
        return answer

    async def declare(self, statement: Statement) -> Verdict | None:
        """Take a statement; the answer may be lost."""
        await self._way(f"POST account {statement.about}")
        if not self._accounts.offered:
            return None
        verdict = self._accounts.take(statement)
        await self._way(f"POST account {statement.about} answered")
        return verdict

    async def _way(self, what: str) -> None:
        fate = self._fate
        await self._power.step(what, least_s=0.005, most_s=0.1)
        if fate.lasts(Fault.BLACK_HOLE, what) or fate.strikes(Fault.LOST_ANSWER, what):
            raise TransientError(Reason.NETWORK, f"{what}: no answer")
        if fate.lasts(Fault.PAGE, what):
            raise TransientError(Reason.STORE, f"{what}: answered with a page to sign in at")
        if fate.lasts(Fault.AUTH, what):
            raise TransientError(Reason.AUTH, f"{what}: answered 401")
