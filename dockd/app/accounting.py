"""Accounting: after each docking and once a day, what is on record here is held against what the store lists (I18).

Owns when to compare and in which order. What a difference is, is `domain.accounting`; nothing here moves a clip, and
nothing waits for it: offload and upload go on whatever it finds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from dockd.app.account_ports import AccountBook, Accounts, GivenPage
from dockd.app.policy import Policy
from dockd.app.ports import Chance, Clock
from dockd.app.waiting import Bell
from dockd.domain.accounting import (
    Account,
    Closed,
    Count,
    Difference,
    FromBefore,
    Kind,
    Listed,
    Outstanding,
    Reading,
    check,
    judge,
    read,
)
from dockd.domain.model import ClipKey
from dockd.domain.schedule import backoff_s
from dockd.domain.statement import DockingAccount, Occasion, Statement
from dockd.errors import Reason, TransientError

DAY_S = 86_400.0
FIRST_S = 20.0
"""The first whole comparison begins so long after the start: until then the disk is for cameras that wait."""
REBUILD_S = 3600.0
"""So long after a recovery, receipts of the lost chain are still taken over: a clip may have been in verification."""
PAGE = 100
"""Receipts asked for at a time: at most half a megabyte of answer, and a few milliseconds of work."""
KEYS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """How the accounts stand. `offered` is None until the store was asked; `reason` says why it cannot be, just now."""

    differences: int = 0
    last: Closed | None = None
    offered: bool | None = None
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How far the store's list was read, and the store's count of it."""

    as_of: int
    listed: Count
    total: Count

    @property
    def agrees(self) -> bool:
        """Say whether the list was as long as its store says."""
        return self.listed.files == self.total.files


class Accountant:
    """Keeps the accounts. `run` works until cancelled; `bell` is rung when a docking has ended."""

    def __init__(self, *, accounts: Accounts, book: AccountBook, clock: Clock, chance: Chance, policy: Policy) -> None:
        """Begin with everything to be compared."""
        self._accounts = accounts
        self._book = book
        self._clock = clock
        self._chance = chance
        self._policy = policy
        self.bell = Bell()
        self._whole_due_s = 0.0
        self._rebuilt_s: float | None = None
        self._failures = 0
        self._offered: bool | None = None
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
            last=reading.last,
            offered=self._offered,
            reason=self._reason,
            detail=self._detail,
        )

    async def run(self) -> None:
        """Work for ever."""
        # What an earlier run did not come to say is said first.
        self.bell.ring()
        self._whole_due_s = self._clock.monotonic_s() + FIRST_S
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
        compared = await self._compare_new()
        if daily or (compared is not None and not compared.agrees):
            # Something that was listed is not any more, or the other way round: only the whole list tells what.
            compared = await self._compare_whole()
        while (docking := await self._book.undeclared()) is not None:
            await self._close_docking(docking, compared)
        if daily:
            await self._close_day(compared)
            self._whole_due_s = began_s + DAY_S if self._rebuilt_s is None else self._rebuilt_s

    # --- comparing with the store's list ---

    async def _compare_new(self) -> Compared | None:
        """Judge what the store has listed since the last time; None where it has no list."""
        reading = await self._book.reading()
        as_of, listed = reading.cursor, reading.listed
        while (page := await self._page(as_of, reading)) is not None:
            if page.receipts:
                lines = [read(given, station=self._policy.station) for given in page.receipts]
                as_of, listed = lines[-1].seq, listed.plus(_count(lines))
                await self._judge(lines, reading, round_=reading.round, read_to=(as_of, listed), outstanding=None)
            if not page.more:
                return Compared(as_of=as_of, listed=listed, total=page.total)
        return None

    async def _compare_whole(self) -> Compared | None:
        """Judge the whole list, and look in it for every receipt that is here; None where there is no list."""
        began_s = self._clock.monotonic_s()
        round_ = await self._book.begin_round()
        # First what is here: whatever has a receipt by now was in the list before it came.
        outstanding = await self._holding(round_)
        reading = await self._book.reading()
        as_of, listed = 0, Count()
        while (page := await self._page(as_of, reading)) is not None:
            lines = [read(given, station=self._policy.station) for given in page.receipts]
            as_of, listed = lines[-1].seq if lines else as_of, listed.plus(_count(lines))
            # The cursor stays where it was until all is read: a comparison that is broken off begins anew.
            so_far = (reading.cursor, reading.listed) if page.more else (as_of, listed)
            await self._judge(lines, reading, round_=round_, read_to=so_far, outstanding=outstanding)
            if not page.more:
                break
        compared = None if page is None else Compared(as_of=as_of, listed=listed, total=page.total)
        if compared is not None:
            await self._missing(outstanding, compared, round_)
        rebuilt = reading.rebuilding and compared is not None and self._window_is_over(began_s)
        await self._book.end_round(round_, rebuilt=rebuilt)
        return compared

    def _window_is_over(self, began_s: float) -> bool:
        if self._rebuilt_s is None:
            self._rebuilt_s = began_s + REBUILD_S
        over = began_s >= self._rebuilt_s
        if over:
            self._rebuilt_s = None
        return over

    async def _page(self, after: int, reading: Reading) -> GivenPage | None:
        page = await self._accounts.receipts(after=after, limit=PAGE)
        self._offered = page is not None
        if page is None and reading.cursor:
            detail = f"the store listed its receipts up to {reading.cursor} before, and lists none now"
            raise TransientError(Reason.STORE, detail)
        return page

    async def _judge(
        self,
        lines: Sequence[Listed],
        reading: Reading,
        *,
        round_: int,
        read_to: tuple[int, Count],
        outstanding: Outstanding | None,
    ) -> None:
        known = await self._book.known(lines)
        differences: list[Difference] = []
        prior: list[Listed] = []
        for line, on_record in zip(lines, known, strict=True):
            verdict = judge(line, on_record, rebuilding=reading.rebuilding)
            if isinstance(verdict, Difference):
                differences.append(verdict)
            elif isinstance(verdict, FromBefore):
                prior.append(line)
            if outstanding is not None:
                outstanding.met(on_record.holders)
        # A whole list that agrees is read without a write: of a big station it has thousands of pages.
        if differences or prior or read_to != (reading.cursor, reading.listed):
            await self._book.found(differences, prior=prior, round_=round_, read_to=read_to)

    async def _holding(self, round_: int) -> Outstanding:
        """Note every clip with a receipt, page by page, and look for rows that are gone."""
        outstanding, after, last = Outstanding(), ClipKey(0), await self._book.last_key()
        while rows := await self._book.holding(after=after, limit=KEYS):
            outstanding.add([key for key, receipted in rows if receipted])
            here = {key for key, _ in rows}
            await self._gone([key for key in _between(after, rows[-1][0]) if key not in here], round_)
            after = rows[-1][0]
        await self._gone([*_between(after, ClipKey(last + 1))], round_)
        return outstanding

    async def _gone(self, keys: Sequence[ClipKey], round_: int) -> None:
        """Say which clips have no row any more: keys are given out one by one, and no clip is ever deleted."""
        for start in range(0, len(keys), PAGE):
            await self._tell(keys[start : start + PAGE], Kind.MISCOUNTED, "its row is gone from the ledger", round_)

    async def _missing(self, outstanding: Outstanding, compared: Compared, round_: int) -> None:
        """Say which receipts the store does not list, and whether it lists as many as it says."""
        left = outstanding.left()
        while keys := [*islice(left, PAGE)]:
            await self._tell(keys, Kind.NOT_AT_STORE, "its receipt is here, and the store lists none", round_)
        if not compared.agrees:
            detail = f"the store says that it gave {compared.total}, and lists {compared.listed}"
            await self._add([Difference(kind=Kind.MISCOUNTED, detail=detail)], round_)

    async def _tell(self, keys: Sequence[ClipKey], kind: Kind, detail: str, round_: int) -> None:
        names = await self._book.names(keys)
        await self._add(
            [Difference(kind=kind, clip_id=names[key], detail=f"clip {key}: {detail}") for key in keys], round_
        )

    async def _add(self, differences: Sequence[Difference], round_: int) -> None:
        reading = await self._book.reading()
        await self._book.found(differences, prior=(), round_=round_, read_to=(reading.cursor, reading.listed))

    # --- closing accounts ---

    async def _close_docking(self, docking: DockingAccount, compared: Compared | None) -> None:
        wrong = check(docking.account, listed_files=docking.listed_files)
        if wrong is not None:
            await self._wrong(f"docking {docking.record.key}: {wrong.detail}")
        await self._close(Occasion.DOCKING, docking.account, docking, compared)

    async def _close_day(self, compared: Compared | None) -> None:
        account = await self._book.account()
        wrong = check(account, listed_files=None)
        if wrong is not None:
            await self._wrong(f"the whole station: {wrong.detail}")
        await self._close(Occasion.DAILY, account, None, compared)

    async def _close(
        self, occasion: Occasion, account: Account, docking: DockingAccount | None, compared: Compared | None
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
            if verdict is not None and verdict.differs:
                await self._wrong(f"the store says of {statement.about}: {'; '.join(verdict.differs)}")
        await self._book.close(
            occasion,
            account,
            docking=None if docking is None else docking.record.key,
            given=None if compared is None else compared.total,
            facts=facts,
        )

    async def _wrong(self, detail: str) -> None:
        reading = await self._book.reading()
        await self._add([Difference(kind=Kind.MISCOUNTED, detail=detail)], reading.round)


def _count(lines: Sequence[Listed]) -> Count:
    return Count(files=len(lines), bytes_=sum(line.length_bytes for line in lines))


def _between(after: ClipKey, before: ClipKey) -> Iterator[ClipKey]:
    return map(ClipKey, range(after + 1, before))
