"""The questions of accounting, each one statement: how far the comparison is, and what is on record of which clip.

Owns the SELECTs and the shape of their answers. Like `reads`, it knows no connection.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial

from dockd.domain.accounting import (
    Account,
    Closed,
    Count,
    Difference,
    Kind,
    Known,
    Listed,
    OpenDifference,
    Reading,
    account_of,
)
from dockd.domain.canonical import sha256_hex
from dockd.domain.model import ClipId, ClipKey, ClipState
from dockd.domain.statement import Chain, DockingAccount, DockingRecord
from dockd.edges.ledger.reads import Query
from dockd.edges.ledger.rows import Row, words

CURRENT, FORMER, PRIOR = range(3)


def reading() -> Query[Reading]:
    """How far the store's list was compared, and the account that was closed last."""
    return Query(
        sql="SELECT (SELECT count(*) FROM differences), (SELECT count(*) FROM differences WHERE acknowledged = ''),"
        " cursor, listed_files, listed_bytes, rebuilding, round, whole_utc, store, elsewhere, closed_utc, occasion,"
        " docking, compared, seen_files, seen_bytes, receipted_files, receipted_bytes, pending_files, pending_bytes,"
        " quarantined_files, quarantined_bytes FROM accounting",
        parameters=(),
        decode=_reading,
    )


def account() -> Query[Account]:
    """The whole station's account.

    What was seen is how many keys were given out, as the custody log has it: every new clip gets the next one, and none
    is ever deleted. Where each is now is told by the tallies. Of bytes there is one count only.
    """
    return Query(
        sql=f"SELECT ({_LAST_KEY}), state, sum(files), sum(bytes) FROM tallies GROUP BY state"  # noqa: S608 - constants
        f" UNION ALL SELECT ({_LAST_KEY}), 'found', 0, 0",
        parameters=(),
        decode=_account,
    )


def undeclared() -> Query[DockingAccount | None]:
    """The first docking that ended and of which the store was not told yet."""
    return Query(
        sql="SELECT d.key, d.bay, d.serial, d.volume, d.model, d.firmware, d.attached_utc, d.listed_utc, d.ended_utc,"
        " d.listing_sha256, d.files, d.bytes, d.early, d.left_files, a.listed_files, a.seen_files, a.seen_bytes,"
        " a.receipted_files, a.receipted_bytes, a.pending_files, a.pending_bytes, a.quarantined_files,"
        " a.quarantined_bytes FROM accounts a JOIN dockings d ON d.key = a.docking"
        " WHERE a.declared_utc IS NULL ORDER BY a.docking LIMIT 1",
        parameters=(),
        decode=_docking_account,
    )


def chain() -> Query[Chain]:
    """Which database this is, and the end of its custody chain."""
    return Query(
        sql="SELECT instance, (SELECT max(seq) FROM custody),"
        " (SELECT hash FROM custody WHERE seq = (SELECT max(seq) FROM custody)) FROM meta",
        parameters=(),
        decode=_chain,
    )


def known(listed: Sequence[Listed]) -> Query[tuple[Known, ...]]:
    """What is on record of each listed receipt's clip, in their order."""
    asked = [[line.clip_id, line.leaf, receipt_sha256(line)] for line in listed]
    return Query(sql=_KNOWN, parameters=(json.dumps(asked),), decode=partial(_known, len(listed)))


def receipt_sha256(line: Listed) -> str:
    """Digest a listed receipt. It may be any text: what no receipt can hold is escaped."""
    return sha256_hex(words(line.receipt).encode("utf-8"))


def holding(*, after: ClipKey, limit: int) -> Query[tuple[tuple[ClipKey, bool], ...]]:
    """The next clips by key, and whether each holds a receipt."""
    return Query(
        sql="SELECT key, receipted_utc IS NOT NULL FROM clips WHERE key > ? ORDER BY key LIMIT ?",
        parameters=(after, limit),
        decode=_holding,
    )


def last_key() -> Query[ClipKey]:
    """The key that was given out last; 0 where there is no clip."""
    return Query(sql=_LAST_KEY, parameters=(), decode=_last_key)


def names(keys: Sequence[ClipKey]) -> Query[Mapping[ClipKey, ClipId | None]]:
    """The clip ids of rows, by the custody log where a row is gone; None where a clip never had one."""
    return Query(
        sql="SELECT value, coalesce((SELECT clip_id FROM clips WHERE key = value),"
        " (SELECT json_extract(CAST(body AS TEXT), '$.clip_id') FROM custody WHERE clip = value ORDER BY seq DESC"
        " LIMIT 1)) FROM json_each(?)",
        parameters=(json.dumps(list(keys)),),
        decode=_names,
    )


def receipts(keys: Sequence[ClipKey]) -> Query[Mapping[ClipKey, str]]:
    """The receipts that rows hold."""
    return Query(
        sql="SELECT key, receipt FROM clips WHERE key IN (SELECT value FROM json_each(?)) AND receipt IS NOT NULL",
        parameters=(json.dumps(list(keys)),),
        decode=_receipts,
    )


def differences(*, after: int, limit: int) -> Query[tuple[OpenDifference, ...]]:
    """What does not agree, in the order in which it was found first."""
    return Query(
        sql="SELECT key, since_utc, last_utc, times, acknowledged, kind, clip_id, cause, detail FROM differences"
        " WHERE key > ? ORDER BY key LIMIT ?",
        parameters=(after, limit),
        decode=_differences,
    )


_LAST_KEY = "SELECT coalesce(max(clip), 0) FROM custody WHERE clip IS NOT NULL"

_KNOWN = """
WITH asked AS MATERIALIZED (
    SELECT key AS place, json_extract(value, '$[0]') AS clip_id, json_extract(value, '$[1]') AS leaf,
        json_extract(value, '$[2]') AS receipt_sha256 FROM json_each(?1)
)
SELECT a.place, 0, c.key, c.receipt, EXISTS (SELECT 1 FROM custody e WHERE e.clip = c.key AND e.hash = a.leaf)
FROM asked a JOIN clips c ON c.clip_id = a.clip_id
UNION ALL
SELECT a.place, 1, f.clip, NULL, EXISTS (SELECT 1 FROM custody e WHERE e.clip = f.clip AND e.hash = a.leaf)
FROM asked a JOIN former f ON f.clip_id = a.clip_id
UNION ALL
SELECT a.place, 2, 0, NULL, 0
FROM asked a JOIN prior p ON p.clip_id = a.clip_id AND p.receipt_sha256 = a.receipt_sha256
"""


def _reading(rows: Sequence[Row]) -> Reading:
    ((found, unseen, cursor, files, size, rebuilding, round_, whole_utc, store, elsewhere, *closed),) = rows
    utc, occasion, docking, compared, *counts = closed
    last = None
    if utc is not None:
        last = Closed(utc=utc, occasion=occasion, docking=docking, compared=compared == 1, account=_counts(counts))
    return Reading(
        cursor=cursor,
        listed=Count(files=files, bytes_=size),
        rebuilding=rebuilding == 1,
        round=round_,
        differences=found,
        unseen=unseen,
        last=last,
        whole_utc=whole_utc,
        store=store,
        elsewhere=tuple(sorted(json.loads(elsewhere).items())),
    )


def _account(rows: Sequence[Row]) -> Account:
    counts = {state: Count() for state in ClipState}
    for _, state, files, size in rows:
        counts[ClipState(state)] = counts[ClipState(state)].plus(Count(files=files, bytes_=size))
    bytes_ = sum(count.bytes_ for count in counts.values())
    return account_of(counts, seen=Count(files=rows[0][0], bytes_=bytes_))


def _docking_account(rows: Sequence[Row]) -> DockingAccount | None:
    if not rows:
        return None
    (
        key, bay, serial, volume, model, firmware, attached_utc, listed_utc, ended_utc, sha256, files, size, early,
        left_files, listed_files, *counts,
    ) = rows[0]  # fmt: skip
    record = DockingRecord(
        key=key,
        bay=bay,
        serial=serial,
        volume=volume,
        model=model,
        firmware=firmware,
        attached_utc=attached_utc,
        listed_utc=listed_utc,
        ended_utc=ended_utc,
        listing_sha256=sha256,
        listing_files=files,
        listing_bytes=size,
        early=None if early is None else early == 1,
        left_files=left_files,
    )
    return DockingAccount(record=record, account=_counts(counts), listed_files=listed_files)


def _counts(columns: Sequence[int]) -> Account:
    seen, receipted, pending, quarantined = (
        Count(files=files, bytes_=size) for files, size in zip(columns[::2], columns[1::2], strict=True)
    )
    return Account(seen=seen, receipted=receipted, pending=pending, quarantined=quarantined)


def _chain(rows: Sequence[Row]) -> Chain:
    ((instance, entries, head),) = rows
    return Chain(instance=instance, entries=entries, head=head)


def _known(count: int, rows: Sequence[Row]) -> tuple[Known, ...]:
    by_place: list[list[Row]] = [[] for _ in range(count)]
    for place, *row in rows:
        by_place[place].append(tuple(row))
    return tuple(map(_known_of, by_place))


def _known_of(rows: Sequence[Row]) -> Known:
    holders = {key: receipt for what, key, receipt, _ in rows if what == CURRENT and receipt is not None}
    return Known(
        keys=tuple(key for what, key, *_ in rows if what != PRIOR),
        holders=tuple(holders),
        receipts=frozenset(holders.values()),
        leaf_known=any(leaf for *_, leaf in rows),
        prior=any(what == PRIOR for what, *_ in rows),
    )


def _holding(rows: Sequence[Row]) -> tuple[tuple[ClipKey, bool], ...]:
    return tuple((key, receipted == 1) for key, receipted in rows)


def _last_key(rows: Sequence[Row]) -> ClipKey:
    ((key,),) = rows
    return ClipKey(key)


def _names(rows: Sequence[Row]) -> Mapping[ClipKey, ClipId | None]:
    return dict(rows)


def _receipts(rows: Sequence[Row]) -> Mapping[ClipKey, str]:
    return {ClipKey(key): receipt for key, receipt in rows}


def _differences(rows: Sequence[Row]) -> tuple[OpenDifference, ...]:
    return tuple(
        OpenDifference(
            key=key,
            difference=Difference(kind=Kind(kind), clip_id=clip_id or None, cause=cause, detail=detail),
            since_utc=since_utc,
            last_utc=last_utc,
            times=times,
            acknowledged=acknowledged,
        )
        for key, since_utc, last_utc, times, acknowledged, kind, clip_id, cause, detail in rows
    )
