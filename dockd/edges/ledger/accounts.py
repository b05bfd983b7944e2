"""The ledger's side of accounting: binds the questions of `account_reads` and the writes below to a runner.

Owns the SQL that changes the rows of accounting. Knows neither the store nor when anybody looks.
"""

import json
from collections.abc import Callable, Mapping, Sequence

from dockd.domain.accounting import Account, Count, Difference, Kind, Known, Listed, Reading
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
BEYOND = Difference(
    kind=Kind.MISCOUNTED,
    cause="beyond",
    detail=f"more than {MOST_DIFFERENCES} differences: the others are not kept",
)


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

    async def receipts(self, keys: Sequence[ClipKey]) -> Mapping[ClipKey, str]:
        """Give the receipts that rows hold; a row without one is left out."""
        return await self._runner.fetch(account_reads.receipts(keys))

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

    async def end_round(
        self, round_: int, *, rebuilt: bool, store: str | None = None, elsewhere: Mapping[str, int] | None = None
    ) -> None:
        """End a whole comparison: what it has not found again is settled."""
        await self._runner.run(lambda core: _end_round(core, round_, rebuilt=rebuilt, store=store, elsewhere=elsewhere))

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
        """Close an account, with a custody entry; `given` is the store's count, None where nothing was compared."""
        time = self._now()

        def close(core: LedgerCore) -> None:
            _said(core, wrong, occasion=occasion, time=time)
            _close(core, occasion, account, docking=docking, given=given, time=time)
            _testify(core, occasion, account, docking=docking, given=given, facts=facts, time=time)

        await self._runner.run(close)

    async def alarm(self, account: Account, *, wrong: Sequence[Difference]) -> None:
        """Alarm where other differences are open than when it was last done, though no account can be closed now."""
        time = self._now()

        def alarm(core: LedgerCore) -> None:
            _keep(core, wrong, time=time)
            _testify(core, Occasion.DAILY, account, docking=None, given=None, facts={}, time=time)

        await self._runner.run(alarm)

    async def acknowledge(self, *, up_to: int, actor: str, why: str) -> int:
        """Mark open differences up to a number as looked at, on record; give how many were not yet."""
        time = self._now()
        return await self._runner.run(lambda core: _acknowledge(core, up_to=up_to, actor=actor, why=why, time=time))


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
    _put(core, differences, round_=round_, time=time, closing=False)
    core.connection.executemany(
        "INSERT OR IGNORE INTO prior (clip_id, receipt_sha256) VALUES (?, ?)",
        [(line.clip_id, account_reads.receipt_sha256(line)) for line in prior],
    )
    cursor, listed = read_to
    core.connection.execute(
        "UPDATE accounting SET cursor = ?, listed_files = ?, listed_bytes = ?", (cursor, listed.files, listed.bytes_)
    )


def _put(core: LedgerCore, differences: Sequence[Difference], *, round_: int, time: Timestamp, closing: bool) -> None:
    if not differences:
        return
    db = core.connection
    (kept,) = db.execute("SELECT count(*) FROM differences").fetchone()
    if kept + len(differences) > MOST_DIFFERENCES:
        db.executemany(
            "UPDATE differences SET detail = ?, round = ?, last_utc = ?, times = times + 1"
            " WHERE kind = ? AND clip_id = ? AND cause = ?",
            [(words(one.detail), round_, time.utc, *_what(one)) for one in differences],
        )
        differences = (BEYOND,)
    db.executemany(
        "INSERT INTO differences (kind, clip_id, cause, detail, since_utc, last_utc, round, closing)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET detail = excluded.detail, round = excluded.round,"
        " last_utc = excluded.last_utc, times = times + 1",
        [
            (*_what(one), words(one.detail), time.utc, time.utc, round_, int(closing and one is not BEYOND))
            for one in differences
        ],
    )


def _what(one: Difference) -> tuple[str, str, str]:
    return one.kind.value, one.clip_id or "", "" if one.clip_id else words(one.cause)


def _end_round(
    core: LedgerCore, round_: int, *, rebuilt: bool, store: str | None, elsewhere: Mapping[str, int] | None
) -> None:
    core.connection.execute("DELETE FROM differences WHERE round < ? AND closing = 0", (round_,))
    if rebuilt:
        core.connection.execute("UPDATE accounting SET rebuilding = 0")
    if elsewhere is not None:
        core.connection.execute("UPDATE accounting SET store = ?, elsewhere = ?", (store, json.dumps(dict(elsewhere))))


def _said(core: LedgerCore, wrong: Sequence[Difference], *, occasion: Occasion, time: Timestamp) -> None:
    """Keep what the closing of an account brought up; at the end of a day, settle what is not said any more."""
    round_ = _keep(core, wrong, time=time)
    if occasion is Occasion.DAILY:
        # What is wrong with one docking is said when that is closed, once: nothing mends it, and no day takes it back.
        core.connection.execute(
            "DELETE FROM differences WHERE round < ? AND closing = 1 AND cause NOT GLOB 'docking *'", (round_,)
        )
        core.connection.execute("UPDATE accounting SET whole_utc = ?", (time.utc,))


def _keep(core: LedgerCore, wrong: Sequence[Difference], *, time: Timestamp) -> int:
    (round_,) = core.connection.execute("SELECT round FROM accounting").fetchone()
    _put(core, wrong, round_=round_, time=time, closing=True)
    return int(round_)


def _close(
    core: LedgerCore,
    occasion: Occasion,
    account: Account,
    *,
    docking: DockingId | None,
    given: Count | None,
    time: Timestamp,
) -> None:
    core.connection.execute(
        "UPDATE accounting SET closed_utc = ?, occasion = ?, docking = ?, compared = ?, seen_files = ?, seen_bytes = ?,"
        " receipted_files = ?, receipted_bytes = ?, pending_files = ?, pending_bytes = ?, quarantined_files = ?,"
        " quarantined_bytes = ?",
        (
            time.utc, occasion.value, docking, int(given is not None),
            *(number for count in _counts(account) for number in (count.files, count.bytes_)),
        ),
    )  # fmt: skip
    if docking is not None:
        core.connection.execute("UPDATE accounts SET declared_utc = ? WHERE docking = ?", (time.utc, docking))


def _testify(
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
    kinds = db.execute("SELECT kind, count(*) FROM differences GROUP BY kind ORDER BY kind").fetchall()
    # What is new comes first: only so many clips are named.
    clips = db.execute(
        "SELECT clip_id FROM differences WHERE clip_id <> '' ORDER BY told, key LIMIT ?", (MOST_NAMED,)
    ).fetchall()
    changed = _changed(core)
    if given is None and not (kinds and changed):
        return  # nothing was compared, and nothing is wrong that was not told: nothing to testify to
    told = dict(zip(("seen", "receipted", "pending", "quarantined"), map(_short, _counts(account)), strict=True))
    if given is not None:
        told["store"] = _short(given)
    if clips:
        told["clips"] = " ".join(clip_id for (clip_id,) in clips)
    # Only `difference` is an alarm: a difference that stays is on record with every account, and alarms once.
    wrong = "difference" if changed else "unreconciled"
    core.note(
        wrong if kinds else "reconciled",
        actor="account",
        time=time,
        docking=docking,
        facts={**facts, **told, "occasion": occasion.value, **{kind: str(files) for kind, files in kinds}},
    )


def _changed(core: LedgerCore) -> bool:
    """Say whether other differences are open than when they were told last; from now on these are told."""
    db = core.connection
    fresh, told, before = db.execute(
        "SELECT count(*) FILTER (WHERE told = 0), count(*) FILTER (WHERE told = 1),"
        " (SELECT told FROM accounting) FROM differences"
    ).fetchone()
    if fresh or told != before:
        db.execute("UPDATE differences SET told = 1 WHERE told = 0")
        db.execute("UPDATE accounting SET told = ?", (fresh + told,))
    return bool(fresh or told != before)


def _acknowledge(core: LedgerCore, *, up_to: int, actor: str, why: str, time: Timestamp) -> int:
    cursor = core.connection.execute(
        "UPDATE differences SET acknowledged = ? WHERE key <= ? AND acknowledged = ''",
        (words(f"{actor}: {why}"), up_to),
    )
    if cursor.rowcount:
        facts = {"differences": str(cursor.rowcount), "up_to": str(up_to), "why": words(why)}
        core.note("differences acknowledged", actor=actor, time=time, facts=facts)
    return cursor.rowcount


def _counts(account: Account) -> Sequence[Count]:
    return account.seen, account.receipted, account.pending, account.quarantined


def _short(count: Count) -> str:
    return f"{count.files}/{count.bytes_}"
