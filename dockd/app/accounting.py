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
LATE_S = 2 * DAY_S
"""An account of the whole station that could not be closed for so long is an alarm, whatever the reason."""
LATE_FIRST_S = 3600.0
"""No such alarm sooner after a start: a line may need its time to come up."""
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
        self._late_s = 0.0
        self._read_whole = False
        self._missing_files = 0
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
        now_s, now_utc = self._clock.monotonic_s(), self._clock.now().utc
        self._whole_due_s = now_s + first_whole_s(reading, now_utc=now_utc)
        self._late_s = now_s + late_s(reading, now_utc=now_utc)
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
        if self._clock.monotonic_s() >= self._late_s:
            await self._overdue()
        jitter = self._chance.jitter()
        await self._clock.sleep(backoff_s(self._failures, jitter=jitter, retry_after_s=error.retry_after_s))

    async def _overdue(self) -> None:
        """Say that the account stays open, and what of it can be said without the store."""
        reading = await self._book.reading()
        account = await self._book.account()
        last = "was never closed" if reading.whole_utc is None else f"was closed last at {reading.whole_utc}"
        detail = f"the whole station's account {last}, and cannot be now: {self._reason}: {self._detail}"
        found = [Difference(kind=Kind.OVERDUE, cause="day", detail=detail), *_wrong(account)]
        await self._book.alarm(account, wrong=found)
        self._late_s = self._clock.monotonic_s() + DAY_S

    async def _reconcile(self) -> None:
        began_s = self._clock.monotonic_s()
        daily = began_s >= self._whole_due_s
        compared = await self._compare(daily=daily)
        try:
            while (docking := await self._book.undeclared()) is not None:
                await self._close_docking(docking, compared)
            if daily:
                await self._close_day(compared)
        except TransientError:
            # A store that lists its receipts may still take no statement: what differs is told all the same.
            await self._book.alarm(await self._book.account(), wrong=())
            raise
        if daily:
            rebuilt_s = self._comparison.rebuilt_s
            self._whole_due_s = began_s + DAY_S if rebuilt_s is None else rebuilt_s
            self._late_s = began_s + LATE_S
            self._read_whole = False

    async def _compare(self, *, daily: bool) -> Compared | None:
        # What is new first: a store that is away is found out by one question, not by a look at every clip.
        compared = await self._comparison.new()
        # Something that was listed is not any more, or the other way round: only the whole list tells what. It has told
        # where it was as short then; and a day's is not read again because the day could not be closed.
        other = compared is not None and (compared.moved or compared.missing_files != self._missing_files)
        if not other and (self._read_whole or not daily):
            return compared
        compared = await self._comparison.whole()
        self._missing_files = 0 if compared is None else compared.missing_files
        self._read_whole = daily and self._comparison.rebuilt_s is None
        return compared

    # --- closing accounts ---

    async def _close_docking(self, docking: DockingAccount, compared: Compared | None) -> None:
        # Files of one docking that are not on record are another loss than those of the next.
        about, wrong = f"docking {docking.record.key}", check(docking.account, listed_files=docking.listed_files)
        found = [] if wrong is None else [_miscounted(about, f"{about}: {wrong.detail}")]
        await self._close(Occasion.DOCKING, docking.account, docking, compared, found)

    async def _close_day(self, compared: Compared | None) -> None:
        account = await self._book.account()
        await self._close(Occasion.DAILY, account, None, compared, _wrong(account))

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


def late_s(reading: Reading, *, now_utc: str) -> float:
    """Say in how many seconds after a start an account that is still open is an alarm.

    The wall clock may be wrong: then that is soon, or as late as if it had been closed just now.
    """
    if reading.whole_utc is None:
        return LATE_S
    return max(LATE_FIRST_S, min(LATE_S, LATE_S - seconds_between(reading.whole_utc, now_utc)))


def _wrong(account: Account) -> list[Difference]:
    """Say what is wrong with the whole station's account by itself."""
    wrong = check(account, listed_files=None)
    return [] if wrong is None else [_miscounted("station", f"the whole station: {wrong.detail}")]


def _miscounted(cause: str, detail: str) -> Difference:
    return Difference(kind=Kind.MISCOUNTED, cause=cause, detail=detail)
