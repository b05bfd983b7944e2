"""Accounting: after each docking and once a day, what is on record here is held against what the store lists (I18).

Owns when to compare and in which order. What a difference is, is `domain.accounting`; nothing here moves a clip, and
nothing waits for it: offload and upload go on whatever it finds.
"""

from dataclasses import dataclass

from dockd.app.account_ports import AccountBook, Accounts
from dockd.app.comparison import Compared, Comparison
from dockd.app.policy import Policy
from dockd.app.ports import Chance, Clock
from dockd.app.waiting import Bell
from dockd.domain.accounting import Account, Closed, Difference, Kind, Reading, cause_of, check
from dockd.domain.moment import seconds_between
from dockd.domain.schedule import backoff_s
from dockd.domain.statement import DockingAccount, Occasion, Statement
from dockd.errors import Reason, TransientError

DAY_S = 86_400.0
FIRST_S = 20.0
"""The first whole comparison begins so long after the start: until then the disk is for cameras that wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """How the accounts stand: how many differences are open, and how many of them nobody has looked at.

    `elsewhere` says how many receipts are of which other store, and so in no list of this one. `offered` is None until
    the store was asked; `reason` says why it cannot be, just now.
    """

    differences: int = 0
    unseen: int = 0
    elsewhere: tuple[tuple[str, int], ...] = ()
    last: Closed | None = None
    offered: bool | None = None
    reason: Reason | None = None
    detail: str = ""


class Accountant:
    """Keeps the accounts. `run` works until cancelled; `bell` is rung when a docking has ended."""

    def __init__(self, *, accounts: Accounts, book: AccountBook, clock: Clock, chance: Chance, policy: Policy) -> None:
        """Begin with everything to be compared."""
        self._accounts = accounts
        self._comparison = Comparison(accounts=accounts, book=book, clock=clock, station=policy.station)
        self._book = book
        self._clock = clock
        self._chance = chance
        self._policy = policy
        self.bell = Bell()
        self._whole_due_s = 0.0
        self._failures = 0
        self._reason: Reason | None = None
        self._detail = ""
        self._resting = False

    @property
    def resting(self) -> bool:
        """Say whether every account is closed that can be closed now."""
        return self._resting and not self.bell.rung and not self._failures

    async def view(self) -> AccountView:
        """Tell people how it stands."""
        reading = await self._book.reading()
        return AccountView(
            differences=reading.differences,
            unseen=reading.unseen,
            elsewhere=reading.elsewhere,
            last=reading.last,
            offered=self._comparison.offered,
            reason=self._reason,
            detail=self._detail,
        )

    async def run(self) -> None:
        """Work for ever."""
        # What an earlier run did not come to say is said first.
        self.bell.ring()
        reading = await self._book.reading()
        self._whole_due_s = self._clock.monotonic_s() + first_whole_s(reading, now_utc=self._clock.now().utc)
        while True:
            self._resting = True
            await self.bell.heard(within_s=max(0.0, self._whole_due_s - self._clock.monotonic_s()))
            self._resting = False
            try:
                await self._reconcile()
            except TransientError as error:
                await self._failed(error)
            else:
                self._failures, self._reason, self._detail = 0, None, ""

    async def _failed(self, error: TransientError) -> None:
        self._failures += 1
        self._reason, self._detail = error.reason, str(error)
        self.bell.ring()
        jitter = self._chance.jitter()
        await self._clock.sleep(backoff_s(self._failures, jitter=jitter, retry_after_s=error.retry_after_s))

    async def _reconcile(self) -> None:
        began_s = self._clock.monotonic_s()
        daily = began_s >= self._whole_due_s
        # What is new first: a store that is away is found out by one question, not by a look at every clip.
        compared = await self._comparison.new()
        if daily or (compared is not None and (compared.moved or not compared.agrees)):
            # Something that was listed is not any more, or the other way round: only the whole list tells what.
            compared = await self._comparison.whole()
        while (docking := await self._book.undeclared()) is not None:
            await self._close_docking(docking, compared)
        if daily:
            await self._close_day(compared)
            rebuilt_s = self._comparison.rebuilt_s
            self._whole_due_s = began_s + DAY_S if rebuilt_s is None else rebuilt_s

    # --- closing accounts ---

    async def _close_docking(self, docking: DockingAccount, compared: Compared | None) -> None:
        # Files of one docking that are not on record are another loss than those of the next.
        about, wrong = f"docking {docking.record.key}", check(docking.account, listed_files=docking.listed_files)
        found = [] if wrong is None else [_miscounted(about, f"{about}: {wrong.detail}")]
        await self._close(Occasion.DOCKING, docking.account, docking, compared, found)

    async def _close_day(self, compared: Compared | None) -> None:
        account = await self._book.account()
        wrong = check(account, listed_files=None)
        found = [] if wrong is None else [_miscounted("station", f"the whole station: {wrong.detail}")]
        await self._close(Occasion.DAILY, account, None, compared, found)

    async def _close(
        self,
        occasion: Occasion,
        account: Account,
        docking: DockingAccount | None,
        compared: Compared | None,
        found: list[Difference],
    ) -> None:
        facts: dict[str, str] = {}
        if compared is not None:
            statement = Statement(
                station=self._policy.station,
                chain=await self._book.chain(),
                occasion=occasion,
                docking=None if docking is None else docking.record,
                account=account,
                as_of=compared.as_of,
                listed=compared.listed,
                utc=self._clock.now().utc,
            )
            verdict = await self._accounts.declare(statement)
            facts = {"as_of": str(compared.as_of)}
            if verdict is not None:
                # Said of every docking, with other figures each time: one cause all the same.
                about = f"the store says of {statement.about}"
                found += [_miscounted(f"store: {cause_of(words)}", f"{about}: {words}") for words in verdict.differs]
        await self._book.close(
            occasion,
            account,
            docking=None if docking is None else docking.record.key,
            given=None if compared is None else compared.total,
            facts=facts,
            wrong=found,
        )


def first_whole_s(reading: Reading, *, now_utc: str) -> float:
    """Say in how many seconds after a start the whole list is read: a day after it was last, or soon.

    The wall clock may be wrong: then the list is read soon, or up to a day later.
    """
    if reading.whole_utc is None or reading.rebuilding:
        return FIRST_S
    left_s = DAY_S - seconds_between(reading.whole_utc, now_utc)
    return left_s if FIRST_S < left_s <= DAY_S else FIRST_S


def _miscounted(cause: str, detail: str) -> Difference:
    return Difference(kind=Kind.MISCOUNTED, cause=cause, detail=detail)
