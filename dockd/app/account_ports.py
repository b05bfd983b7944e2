"""What accounting needs of the world: the store's side of the accounts, and the ledger's.

Owns the two protocols. Every call is safe to repeat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dockd.domain.accounting import Account, Count, Difference, Given, Known, Listed, Reading
from dockd.domain.model import ClipId, ClipKey, DockingId
from dockd.domain.statement import Chain, DockingAccount, Occasion, Statement, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPage:
    """A page of the store's list; `more` follow it, and `total` is every receipt given to this station so far.

    `store` is the name that the store bears in its receipts; None where it does not say.
    """

    receipts: tuple[Given, ...]
    more: bool
    total: Count
    store: str | None = None


class Accounts(Protocol):
    """The store's side. Not every tus store keeps accounts."""

    async def receipts(self, *, after: int, limit: int) -> GivenPage | None:
        """Give receipts in the order in which they were given to this station; None where the store has no such list.

        Raises:
            TransientError: AUTH, DNS, TLS, CLOCK or NETWORK: no whole answer came. STORE: it makes no sense.

        """
        ...

    async def declare(self, statement: Statement) -> Verdict | None:
        """Tell the store what we know, and hear what it knows; None where the store takes no statements.

        Raises:
            TransientError: as `receipts`.

        """
        ...


class AccountBook(Protocol):
    """The ledger's side. Raises what `Ledger` raises."""

    async def reading(self) -> Reading:
        """Say how far the store's list was compared, and how things stand."""
        ...

    async def account(self) -> Account:
        """Give the whole station's account as it is now."""
        ...

    async def undeclared(self) -> DockingAccount | None:
        """Give the first docking that ended and was not declared; None where there is none."""
        ...

    async def chain(self) -> Chain:
        """Say which database this is, and how long its custody chain."""
        ...

    async def known(self, listed: Sequence[Listed]) -> Sequence[Known]:
        """Say what is on record of each listed receipt's clip, in their order."""
        ...

    async def last_key(self) -> ClipKey:
        """Give the key that was given out last, as the custody log has it; 0 where there is no clip."""
        ...

    async def holding(self, *, after: ClipKey, limit: int) -> Sequence[tuple[ClipKey, bool]]:
        """Give the next clips by key, and whether each holds a receipt."""
        ...

    async def names(self, keys: Sequence[ClipKey]) -> Mapping[ClipKey, ClipId | None]:
        """Give the clip ids of rows, also of rows that are gone; None where a clip was never copied."""
        ...

    async def receipts(self, keys: Sequence[ClipKey]) -> Mapping[ClipKey, str]:
        """Give the receipts that rows hold; a row without one is left out."""
        ...

    async def begin_round(self) -> int:
        """Begin a whole comparison; give its number."""
        ...

    async def found(
        self, differences: Sequence[Difference], *, prior: Sequence[Listed], round_: int, read_to: tuple[int, Count]
    ) -> None:
        """Write down what a part of a comparison found, and how far the list was read, in one transaction.

        `prior` are receipts of before a recovery; a difference that is known already is found once more.
        """
        ...

    async def end_round(
        self, round_: int, *, rebuilt: bool, store: str | None = None, elsewhere: Mapping[str, int] | None = None
    ) -> None:
        """End a whole comparison: what it has not found again is settled; `rebuilt` also ends a recovery.

        `store` is the one that answered, and `elsewhere` counts receipts of others; None where nothing was compared.
        """
        ...

    async def close(
        self,
        occasion: Occasion,
        account: Account,
        *,
        docking: DockingId | None,
        given: Count | None,
        facts: Mapping[str, str],
        wrong: Sequence[Difference] = (),
    ) -> None:
        """Close an account: what people are shown, and a custody entry where something was compared or is wrong.

        `given` is the store's own count, None where nothing was compared. `wrong` is what closing it brought up; what
        is not said again when a later day is closed is settled, but for what is wrong with one docking. The entry is an
        alarm only where other differences are open than when it was last one. A docking's account is closed once.
        """
        ...

    async def alarm(self, account: Account, *, wrong: Sequence[Difference]) -> None:
        """Alarm where other differences are open than when it was last done, though no account can be closed now.

        `account` is the whole station's; `wrong` is kept as by `close`.
        """
        ...

    async def acknowledge(self, *, up_to: int, actor: str, why: str) -> int:
        """Mark open differences up to a number as looked at, on record; give how many were not yet.

        They stay, and are counted as before.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Both sides."""

    store: Accounts
    book: AccountBook
