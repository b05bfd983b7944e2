"""The ledger's side of accounting: binds the questions of `account_reads` and the writes below to a runner.

Owns the SQL that changes the rows of accounting. Knows neither the store nor when anybody looks.
"""

from collections.abc import Callable, Mapping, Sequence

from dockd.domain.accounting import Account, Count, Difference, Kind, Known, Listed, Reading
from dockd.domain.canonical import sha256_hex
from dockd.domain.model import ClipId, ClipKey, DockingId, Timestamp
from dockd.domain.statement import Chain, DockingAccount, Occasion
from dockd.edges.ledger import account_reads
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.rows import words
from dockd.edges.ledger.runner import Runner

MOST_NAMED = 20
"""Clips that a custody entry names; the table holds all of them."""
MOST_DIFFERENCES = 100_000
"""So many are kept: a store that lists strangers without end must not fill this disk (I16)."""
BEYOND = Difference(kind=Kind.MISCOUNTED, detail=f"more than {MOST_DIFFERENCES} differences: the others are not kept")


class LedgerAccounts:
    """Implements `app.ports.AccountBook` on the ledger's own runner."""

    def __init__(self, runner: Runner, *, now: Callable[[], Timestamp]) -> None:
        """Take the runner of an open ledger."""
        self._runner = runner
        self._now = now

    async def reading(self) -> Reading:
        """Say how far the store's list was compared, and how things stand."""
        return await self._runner.fetch(account_reads.reading())

    async def account(self) -> Account:
        """Give the whole station's account as it is now."""
        return await self._runner.fetch(account_reads.account())

    async def undeclared(self) -> DockingAccount | None:
        """Give the first docking that ended and was not declared; None where there is none."""
        return await self._runner.fetch(account_reads.undeclared())

    async def chain(self) -> Chain:
        """Say which database this is, and how long its custody chain."""
        return await self._runner.fetch(account_reads.chain())

    async def known(self, listed: Sequence[Listed]) -> Sequence[Known]:
        """Say what is on record of each listed receipt's clip, in their order."""
        return await self._runner.fetch(account_reads.known(listed))

    async def last_key(self) -> ClipKey:
        """Give the key that was given out last, as the custody log has it; 0 where there is no clip."""
        return await self._runner.fetch(account_reads.last_key())

    async def holding(self, *, after: ClipKey, limit: int) -> Sequence[tuple[ClipKey, bool]]:
        """Give the next clips by key, and whether each holds a receipt."""
        return await self._runner.fetch(account_reads.holding(after=after, limit=limit))

    async def names(self, keys: Sequence[ClipKey]) -> Mapping[ClipKey, ClipId | None]:
        """Give the clip ids of rows, also of rows that are gone; None where a clip was never copied."""
        return await self._runner.fetch(account_reads.names(keys))

    async def begin_round(self) -> int:
        """Begin a whole comparison; give its number."""
        return await self._runner.run(_begin_round)

    async def found(
        self, differences: Sequence[Difference], *, prior: Sequence[Listed], round_: int, read_to: tuple[int, Count]
    ) -> None:
        """Write down what a part of a comparison found, and how far the list was read, in one transaction."""
        time = self._now()
        await self._runner.run(
            lambda core: _found(core, differences, prior=prior, round_=round_, read_to=read_to, time=time)
        )

    async def end_round(self, round_: int, *, rebuilt: bool) -> None:
        """End a whole comparison: what it has not found again is settled."""
        await self._runner.run(lambda core: _end_round(core, round_, rebuilt=rebuilt))

    async def close(
        self,
        occasion: Occasion,
        account: Account,
        *,
        docking: DockingId | None,
        given: Count | None,
        facts: Mapping[str, str],
    ) -> None:
        """Close an account, with a custody entry; `given` is the store's count, None where nothing was compared."""
        time = self._now()
        await self._runner.run(
            lambda core: _close(core, occasion, account, docking=docking, given=given, facts=facts, time=time)
        )


def _begin_round(core: LedgerCore) -> int:
    core.connection.execute("UPDATE accounting SET round = round + 1")
    (round_,) = core.connection.execute("SELECT round FROM accounting").fetchone()
    return int(round_)


def _found(
    core: LedgerCore,
    differences: Sequence[Difference],
    *,
    prior: Sequence[Listed],
    round_: int,
    read_to: tuple[int, Count],
    time: Timestamp,
) -> None:
    (kept,) = core.connection.execute("SELECT count(*) FROM differences").fetchone()
    if kept + len(differences) > MOST_DIFFERENCES:
        core.connection.executemany(
            "UPDATE differences SET detail = ?, round = ? WHERE kind = ? AND clip_id = ? AND clip_id <> ''",
            [(words(one.detail), round_, one.kind.value, one.clip_id) for one in differences],
        )
        differences = (BEYOND,)
    core.connection.executemany(
        "INSERT INTO differences (kind, clip_id, detail, since_utc, round) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET detail = excluded.detail, round = excluded.round",
        [(one.kind.value, one.clip_id or "", words(one.detail), time.utc, round_) for one in differences],
    )
    core.connection.executemany(
        "INSERT OR IGNORE INTO prior (clip_id, receipt_sha256) VALUES (?, ?)",
        [(line.clip_id, sha256_hex(line.receipt.encode("utf-8"))) for line in prior],
    )
    cursor, listed = read_to
    core.connection.execute(
        "UPDATE accounting SET cursor = ?, listed_files = ?, listed_bytes = ?", (cursor, listed.files, listed.bytes_)
    )


def _end_round(core: LedgerCore, round_: int, *, rebuilt: bool) -> None:
    core.connection.execute("DELETE FROM differences WHERE round < ?", (round_,))
    if rebuilt:
        core.connection.execute("UPDATE accounting SET rebuilding = 0")


def _close(
    core: LedgerCore,
    occasion: Occasion,
    account: Account,
    *,
    docking: DockingId | None,
    given: Count | None,
    facts: Mapping[str, str],
    time: Timestamp,
) -> None:
    db = core.connection
    counts = [account.seen, account.receipted, account.pending, account.quarantined]
    db.execute(
        "UPDATE accounting SET closed_utc = ?, occasion = ?, docking = ?, compared = ?, seen_files = ?, seen_bytes = ?,"
        " receipted_files = ?, receipted_bytes = ?, pending_files = ?, pending_bytes = ?, quarantined_files = ?,"
        " quarantined_bytes = ?",
        (
            time.utc, occasion.value, docking, int(given is not None),
            *(number for count in counts for number in (count.files, count.bytes_)),
        ),
    )  # fmt: skip
    if docking is not None:
        db.execute("UPDATE accounts SET declared_utc = ? WHERE docking = ?", (time.utc, docking))
    kinds = db.execute("SELECT kind, count(*) FROM differences GROUP BY kind ORDER BY kind").fetchall()
    if not kinds and given is None:
        return  # nothing was compared, and nothing is wrong: nothing to testify to
    told = dict(zip(("seen", "receipted", "pending", "quarantined"), map(_short, counts), strict=True))
    if given is not None:
        told["store"] = _short(given)
    clips = db.execute(
        "SELECT clip_id FROM differences WHERE clip_id <> '' ORDER BY key LIMIT ?", (MOST_NAMED,)
    ).fetchall()
    if clips:
        told["clips"] = " ".join(clip_id for (clip_id,) in clips)
    core.note(
        "difference" if kinds else "reconciled",
        actor="account",
        time=time,
        docking=docking,
        facts={**facts, **told, "occasion": occasion.value, **{kind: str(files) for kind, files in kinds}},
    )


def _short(count: Count) -> str:
    return f"{count.files}/{count.bytes_}"
