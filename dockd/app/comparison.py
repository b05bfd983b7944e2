"""The store's list held against the ledger: what is new in it, or all of it (I18).

Owns how far the list is read, and that a comparison begun is ended. What a difference is, is `domain.accounting`; when
to compare is not decided here.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice

from dockd.app.account_ports import AccountBook, Accounts, GivenPage
from dockd.app.ports import Clock
from dockd.domain.accounting import Count, Difference, FromBefore, Kind, Listed, Reading, judge, read, store_of
from dockd.domain.model import ClipKey, StationId
from dockd.domain.outstanding import Outstanding
from dockd.errors import Reason, TransientError

PAGE = 100
"""Receipts asked for at a time: at most half a megabyte of answer, and a few milliseconds of work."""
KEYS = 1000
REBUILD_S = 3600.0
"""So long after a recovery, receipts of the lost chain are still taken over: a clip may have been in verification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How far the store's list was read, and the store's count of it; `moved` says that it is another store's."""

    as_of: int
    listed: Count
    total: Count
    moved: bool = False

    @property
    def missing_files(self) -> int:
        """How many receipts the list had less than its store says; below 0 where it had more."""
        return self.total.files - self.listed.files


class Expected:
    """The receipts of a whole comparison: those here that were not met yet, and the stores whose list this is."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.outstanding = Outstanding()
        self.store: str | None = None
        self._names: set[str] = set()

    def met(self, line: Listed, holders: Sequence[ClipKey]) -> None:
        """Strike a listed receipt off; a store that was renamed still lists what it gave under its old name."""
        self.outstanding.met(holders)
        if holders:
            self._names.add(line.store)

    def elsewhere(self, receipt: str | None) -> str | None:
        """Name the other store that a receipt is of; None where this store has to list it."""
        store = None if receipt is None else store_of(receipt)
        # A store that does not say its name has to list everything.
        here = self.store is None or store == self.store or store in self._names
        return None if here else store


class Comparison:
    """Compares the store's list with the ledger.

    `offered` is None until the store was asked; `rebuilt_s` is when a recovery will be over, None where none is known.
    """

    def __init__(self, *, accounts: Accounts, book: AccountBook, clock: Clock, station: StationId) -> None:
        """Begin with nothing read."""
        self._accounts = accounts
        self._book = book
        self._clock = clock
        self._station = station
        self.offered: bool | None = None
        self.rebuilt_s: float | None = None

    async def new(self) -> Compared | None:
        """Judge what the store has listed since the last time; None where it has no list."""
        reading = await self._book.reading()
        as_of, listed = reading.cursor, reading.listed
        while (page := await self._page(as_of, reading)) is not None:
            if page.receipts:
                lines = [read(given, station=self._station) for given in page.receipts]
                as_of, listed = lines[-1].seq, listed.plus(_count(lines))
                await self._judge(lines, reading, round_=reading.round, read_to=(as_of, listed), expected=None)
            if not page.more:
                # Where a list was read of another store, this one's may begin anywhere.
                moved = page.store is not None and reading.store not in {None, page.store}
                return Compared(as_of=as_of, listed=listed, total=page.total, moved=moved)
        return None

    async def whole(self) -> Compared | None:
        """Judge the whole list, and look in it for every receipt that is here; None where there is no list."""
        began_s = self._clock.monotonic_s()
        round_ = await self._book.begin_round()
        # First what is here: whatever has a receipt by now was in the list before it came.
        expected = await self._holding(round_)
        reading = await self._book.reading()
        as_of, listed = 0, Count()
        while (page := await self._page(as_of, reading)) is not None:
            lines = [read(given, station=self._station) for given in page.receipts]
            as_of, listed = lines[-1].seq if lines else as_of, listed.plus(_count(lines))
            # The cursor stays where it was until all is read: a comparison that is broken off begins anew.
            so_far = (reading.cursor, reading.listed) if page.more else (as_of, listed)
            await self._judge(lines, reading, round_=round_, read_to=so_far, expected=expected)
            if not page.more:
                break
        if page is None:
            await self._book.end_round(round_, rebuilt=False)
            return None
        compared, expected.store = Compared(as_of=as_of, listed=listed, total=page.total), page.store
        elsewhere = await self._missing(expected, compared, round_)
        rebuilt = reading.rebuilding and self._window_is_over(began_s)
        await self._book.end_round(round_, rebuilt=rebuilt, store=page.store, elsewhere=elsewhere)
        return compared

    def _window_is_over(self, began_s: float) -> bool:
        if self.rebuilt_s is None:
            self.rebuilt_s = began_s + REBUILD_S
        over = began_s >= self.rebuilt_s
        if over:
            self.rebuilt_s = None
        return over

    async def _page(self, after: int, reading: Reading) -> GivenPage | None:
        page = await self._accounts.receipts(after=after, limit=PAGE)
        self.offered = page is not None
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
        expected: Expected | None,
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
            if expected is not None:
                expected.met(line, on_record.holders)
        # A whole list that agrees is read without a write: of a big station it has thousands of pages.
        if differences or prior or read_to != (reading.cursor, reading.listed):
            await self._book.found(differences, prior=prior, round_=round_, read_to=read_to)

    async def _holding(self, round_: int) -> Expected:
        """Note every clip with a receipt, page by page, and look for rows that are gone."""
        expected, after, last = Expected(), ClipKey(0), await self._book.last_key()
        while rows := await self._book.holding(after=after, limit=KEYS):
            expected.outstanding.add([key for key, receipted in rows if receipted])
            here = {key for key, _ in rows}
            await self._gone([key for key in _between(after, rows[-1][0]) if key not in here], round_)
            after = rows[-1][0]
        await self._gone([*_between(after, ClipKey(last + 1))], round_)
        return expected

    async def _gone(self, keys: Sequence[ClipKey], round_: int) -> None:
        """Say which clips have no row any more: keys are given out one by one, and no clip is ever deleted."""
        for start in range(0, len(keys), PAGE):
            await self._tell(keys[start : start + PAGE], Kind.MISCOUNTED, "its row is gone from the ledger", round_)

    async def _missing(self, expected: Expected, compared: Compared, round_: int) -> Counter[str]:
        """Say which receipts the store does not list, and whether it lists as many as it says; count those of others.

        A receipt of another store is no difference: its bytes are there, and this store never said that it has them.
        """
        left, elsewhere = expected.outstanding.left(), Counter[str]()
        while keys := [*islice(left, PAGE)]:
            receipts = await self._book.receipts(keys)
            others = {key: expected.elsewhere(receipts.get(key)) for key in keys}
            elsewhere.update(store for store in others.values() if store is not None)
            absent = [key for key, store in others.items() if store is None]
            await self._tell(absent, Kind.NOT_AT_STORE, "its receipt is here, and the store lists none", round_)
        if compared.missing_files:
            detail = f"the store says that it gave {compared.total}, and lists {compared.listed}"
            await self._add([Difference(kind=Kind.MISCOUNTED, cause="list", detail=detail)], round_)
        return elsewhere

    async def _tell(self, keys: Sequence[ClipKey], kind: Kind, detail: str, round_: int) -> None:
        names = await self._book.names(keys)
        differences = [
            Difference(kind=kind, clip_id=names[key], cause=f"clip {key}", detail=f"clip {key}: {detail}")
            for key in keys
        ]
        await self._add(differences, round_)

    async def _add(self, differences: Sequence[Difference], round_: int) -> None:
        reading = await self._book.reading()
        await self._book.found(differences, prior=(), round_=round_, read_to=(reading.cursor, reading.listed))


def _count(lines: Sequence[Listed]) -> Count:
    return reduce(Count.plus, (Count(files=1, bytes_=line.length_bytes) for line in lines), Count())


def _between(after: ClipKey, before: ClipKey) -> Iterator[ClipKey]:
    return map(ClipKey, range(after + 1, before))
