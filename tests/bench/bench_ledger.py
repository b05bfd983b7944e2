"""What the ledger costs, beside aiosqlite doing the same work in the same run. Prints one JSON object a line.

Run: `.venv/bin/python tests/bench/bench_ledger.py [FOLDER]`; FOLDER is on the disk to measure, the system's temporary
folder otherwise. A move is what the app asks for: read the row, the domain's rule, the update, the custody entry, all
durable. Both sides use the same schema, rules and statements at synchronous FULL; aiosqlite commits each move on its
own, a call a statement, under a lock, which is how it is used.
"""

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import aiosqlite

from dockd.app.ports import Attached
from dockd.domain.canonical import sha256_hex
from dockd.domain.clip import Change, Move, advance
from dockd.domain.custody import Entry, append, verify
from dockd.domain.listing import listing_of
from dockd.domain.model import (
    Assurance,
    BayId,
    Camera,
    CameraSerial,
    ClipId,
    ClipKey,
    DockingId,
    ListedFile,
    Sha256,
    StationId,
    Timestamp,
    VolumeId,
)
from dockd.edges.ledger import reads
from dockd.edges.ledger.entries import facts_of
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.rows import changed, clip_of, link_of
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.ledger.start import connect, open_ledger
from dockd.sqlite.wal import make_durable

CAMERA = Camera(serial=CameraSerial("BENCH-1"), volume=VolumeId("1A2B-3C4D"))
TIME = Timestamp(utc="2024-05-01T12:00:00.000000Z", source="ntp", uncertainty_ms=4)
STATION = StationId("bench")
MOVES = 6000
PEER_MOVES = 1000
WAITING = 200
"""Tasks that wait for a move at the same time."""
ROUNDS = 5
ROWS = 1_000_000


@dataclass(slots=True)
class Cost:
    """Wall time and processor time of this process for one step."""

    wall_us: float = field(default=0.0)
    cpu_us: float = field(default=0.0)


@contextmanager
def measured(steps: int) -> Iterator[Cost]:
    """Measure a block that makes so many steps."""
    cost = Cost()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    yield cost
    cost.wall_us = (time.perf_counter() - wall_s) / steps * 1e6
    cost.cpu_us = (time.process_time() - cpu_s) / steps * 1e6


def show(what: str, **figures: float | str) -> None:
    """Print one line."""
    shown = {name: round(figure, 2) if isinstance(figure, float) else figure for name, figure in figures.items()}
    sys.stdout.write(json.dumps({"what": what, **shown}) + "\n")
    sys.stdout.flush()


def card(files: int) -> list[ListedFile]:
    """Make up a card's files, three to a recording."""
    endings = (b"MP4", b"THM", b"GPX")
    return [
        ListedFile(path=b"DCIM/100/A%06d.%s" % (i // 3, endings[i % 3]), length_bytes=1000 + i, mtime_ns=i * 10**9)
        for i in range(files)
    ]


def copied(key: int, docking: DockingId) -> Change:
    """Make up what a copy tells."""
    digest = sha256_hex(str(key).encode("ascii"))
    return Change(sha256=Sha256(digest), clip_id=ClipId(digest[::-1]), verified_in=docking)


def steps(clips: range, docking: DockingId) -> list[tuple[ClipKey, Move, Change]]:
    """Give three moves of each clip, all first moves first: neighbours in a group are different clips."""
    return [
        *((ClipKey(key), Move.COPIED, copied(key, docking)) for key in clips),
        *((ClipKey(key), Move.OPENED, Change(url=f"http://127.0.0.1:1080/files/{key}")) for key in clips),
        *((ClipKey(key), Move.SENT, Change(assurance=Assurance.ACCEPTED)) for key in clips),
    ]


async def stocked(state: Path, files: int) -> tuple[StationLedger, DockingId]:
    """Open a ledger with one docking of so many files."""
    ledger = await open_ledger(state, station=STATION, now=lambda: TIME)
    docking = await ledger.dock(Attached(bay=BayId(1), camera=CAMERA, source=""))
    await ledger.record_listing(docking, listing_of(card(files)))
    return ledger, docking


Step = Callable[[ClipKey, Move, Change], Awaitable[object]]


async def shared_out(step: Step, todo: list[tuple[ClipKey, Move, Change]]) -> None:
    """Do every step, `WAITING` of them at a time."""
    left = iter(todo)

    async def worker() -> None:
        for key, move, change in left:
            await step(key, move, change)

    await asyncio.gather(*(worker() for _ in range(WAITING)))


async def ours(state: Path) -> tuple[Cost, Cost]:
    """Measure moves together and one after the other."""
    clips = MOVES // 3
    ledger, docking = await stocked(state, clips + PEER_MOVES)
    async with ledger:

        async def step(key: ClipKey, move: Move, change: Change) -> None:
            await ledger.move(key, move, change, actor="bench")

        with measured(MOVES) as together:
            await shared_out(step, steps(range(1, clips + 1), docking))
        with measured(PEER_MOVES) as alone:
            for key in range(clips + 1, clips + PEER_MOVES + 1):
                await step(ClipKey(key), Move.COPIED, copied(key, docking))
    return together, alone


class Peer:
    """The same moves as an aiosqlite program makes them."""

    def __init__(self, database: aiosqlite.Connection, *, seq: int, prev: str) -> None:
        self._database = database
        self._lock = asyncio.Lock()
        self._seq = seq
        self._prev = prev

    async def move(self, key: ClipKey, move: Move, change: Change) -> None:
        """Make one move, durable when it returns."""
        async with self._lock:
            await self._database.execute("BEGIN IMMEDIATE")
            async with self._database.execute(
                "SELECT d.bay, f.serial, f.volume, f.model, f.firmware, c.* FROM clips c"
                " JOIN dockings f ON f.key = c.found_in JOIN dockings d ON d.key = c.docking WHERE c.key = ?",
                (key,),
            ) as cursor:
                found = await cursor.fetchone()
            if found is None:
                raise LookupError(key)
            bay, *row = found
            before = clip_of(tuple(row))
            after = advance(before, move, change)
            entry = Entry(
                time=TIME, actor="bench", cause=move.value, bay=bay, docking=after.docking, camera=after.camera.serial,
                clip=key, clip_id=after.clip_id, state_from=before.state.value, state_to=after.state.value,
                facts=facts_of(after, move, change),
            )  # fmt: skip
            link = append(entry, seq=self._seq + 1, prev=self._prev)
            await self._database.execute(
                "INSERT INTO custody (seq, prev, hash, body, clip) VALUES (?, ?, ?, ?, ?)",
                (link.seq, link.prev, link.hash, link.body, key),
            )
            columns = changed(before, after)
            if move is Move.COPIED:
                columns["copied_seq"] = link.seq
            names = ", ".join(f"{name} = ?" for name in columns)
            await self._database.execute(
                f"UPDATE clips SET {names} WHERE key = ? AND state = ?",  # noqa: S608 - our own column names
                (*columns.values(), key, before.state.value),
            )
            await self._database.execute("COMMIT")
            self._seq, self._prev = link.seq, link.hash


async def peers(state: Path) -> Cost:
    """Measure aiosqlite on a ledger of the same make."""
    clips = PEER_MOVES // 3
    ledger, docking = await stocked(state, MOVES // 3 + PEER_MOVES)
    last = (await ledger.links(after=0, limit=10 * PEER_MOVES))[-1]
    await ledger.close()
    async with aiosqlite.connect(state / DATABASE, isolation_level=None) as database:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "recursive_triggers = ON"):
            await database.execute(f"PRAGMA {pragma}")
        peer = Peer(database, seq=last.seq, prev=last.hash)
        todo = steps(range(1, clips + 1), docking)
        with measured(len(todo)) as cost:
            await shared_out(peer.move, todo)
    return cost


async def moves(folder: Path) -> None:
    """Durable moves: ours in groups, ours one by one, aiosqlite's; rounds in turn, the medians of each."""
    together, alone, peer = zip(*[await one_round(folder / str(number)) for number in range(ROUNDS)], strict=True)
    ratios = [theirs.wall_us / own.wall_us for own, theirs in zip(together, peer, strict=True)]
    show(
        "durable moves",
        ours_per_s=1e6 / median(cost.wall_us for cost in together),
        ours_cpu_us=median(cost.cpu_us for cost in together),
        ours_one_at_a_time_per_s=1e6 / median(cost.wall_us for cost in alone),
        aiosqlite_per_s=1e6 / median(cost.wall_us for cost in peer),
        aiosqlite_cpu_us=median(cost.cpu_us for cost in peer),
        ratio=median(ratios),
        least_ratio=min(ratios),
        goal="ratio >= 8",
    )


async def one_round(folder: Path) -> tuple[Cost, Cost, Cost]:
    """Measure ours and, right after it, aiosqlite."""
    folder.mkdir()
    together, alone = await ours(folder / "ours")
    return together, alone, await peers(folder / "peer")


async def bare_steps(folder: Path) -> None:
    """The smallest durable step, one row changed: what group commit itself saves, the work of a move left out."""
    rounds = [await one_bare_round(folder / f"bare{number}") for number in range(ROUNDS)]
    ratios = [theirs.wall_us / own.wall_us for own, theirs in rounds]
    show(
        "durable bare steps",
        ours_per_s=1e6 / median(own.wall_us for own, _ in rounds),
        ours_cpu_us=median(own.cpu_us for own, _ in rounds),
        aiosqlite_per_s=1e6 / median(theirs.wall_us for _, theirs in rounds),
        aiosqlite_cpu_us=median(theirs.cpu_us for _, theirs in rounds),
        ratio=median(ratios),
        least_ratio=min(ratios),
        goal="ratio >= 8",
    )


async def one_bare_round(state: Path) -> tuple[Cost, Cost]:
    """Measure ours and, right after it, aiosqlite on the same database."""
    ledger, _ = await stocked(state, 1000)
    keys = [(ClipKey(number % 1000 + 1), Move.FOUND, Change(detail=str(number))) for number in range(MOVES)]

    async def own(key: ClipKey, _: Move, change: Change) -> None:
        await ledger.annotate(key, change)

    async with ledger:
        with measured(len(keys)) as ours_cost:
            await shared_out(own, keys)
    turn = asyncio.Lock()
    async with aiosqlite.connect(state / DATABASE, isolation_level=None) as database:
        await database.execute("PRAGMA synchronous = FULL")

        async def theirs(key: ClipKey, _: Move, change: Change) -> None:
            async with turn:
                await database.execute("BEGIN IMMEDIATE")
                await database.execute("UPDATE clips SET reason = NULL, detail = ? WHERE key = ?", (change.detail, key))
                await database.execute("COMMIT")

        with measured(PEER_MOVES) as peer_cost:
            await shared_out(theirs, keys[:PEER_MOVES])
    return ours_cost, peer_cost


async def listings(folder: Path) -> None:
    """A card listed in one transaction, new and again."""
    for files in (2_000, 100_000):
        ledger = await open_ledger(folder / f"listing{files}", station=STATION, now=lambda: TIME)
        async with ledger:
            listing = listing_of(card(files))
            for again in ("new", "known"):
                docking = await ledger.dock(Attached(bay=BayId(1), camera=CAMERA, source=""))
                with measured(1) as cost:
                    await ledger.record_listing(docking, listing)
                show(f"listing of {files} {again} files", wall_s=cost.wall_us / 1e6, cpu_s=cost.cpu_us / 1e6)


def grown(database: Path) -> sqlite3.Connection:
    """Fill a ledger up to a million clips, nearly all erased, a few thousand of each other state."""
    connection = connect(database)
    make_durable(connection, synchronous="OFF")
    connection.execute("BEGIN")
    connection.execute(
        "INSERT INTO clips (key, found_in, docking, path, length_bytes, mtime_s, mtime_part_ns, state, kind,"
        " recording_id, tags, urgent, verified_in, sha256, clip_id, url, assurance, receipt, meta_sha256, spooled,"
        " detail, copied_seq, receipted_utc)"
        " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
        " SELECT 10000000 + i, 1, 1, CAST(printf('OLD/%08d.MP4', i) AS BLOB), i, i, 0,"
        " CASE i % 500 WHEN 0 THEN 'copied' WHEN 1 THEN 'uploaded' WHEN 2 THEN 'receipted' ELSE 'erased' END, 'video',"
        " printf('%032x', i), '', 0, 1, printf('%064x', i), printf('%064x', i), 'http://127.0.0.1/files/x',"
        " CASE i % 500 WHEN 0 THEN 'none' WHEN 1 THEN 'accepted' ELSE 'signed' END,"
        " CASE WHEN i % 500 > 1 THEN 'a.b.c' END, CASE WHEN i % 500 > 1 THEN printf('%064x', i) END,"
        " i % 500 < 3, '', i, CASE WHEN i % 500 > 1 THEN '2024-01-01T00:00:00.000000Z' END FROM n",
        (ROWS,),
    )
    connection.execute("COMMIT")
    return connection


def asked_often(connection: sqlite3.Connection, query: reads.Query[Any]) -> Cost:
    """Measure one question a thousand times."""
    with measured(1000) as cost:
        for _ in range(1000):
            query.decode(connection.execute(query.sql, query.parameters).fetchall())
    return cost


async def questions(folder: Path) -> None:
    """Questions of the day at a million rows: on the writing connection, and as the app asks them."""
    state = folder / "million"
    ledger, docking = await stocked(state, 2000)
    await ledger.close()
    asked: dict[str, reads.Query[Any]] = {
        "next upload": reads.next_upload(skip=(), wanted=Assurance.SIGNED),
        "next upload, ten skipped": reads.next_upload(skip=[ClipKey(10_000_000 + 500 * i) for i in range(10)],
                                                      wanted=Assurance.SIGNED),
        "next reclaim": reads.next_reclaim(receipted_before_utc="2024-02-01T00:00:00Z", copying=(), skip=()),
        "heads of one docking": reads.heads([docking], skip=()),
        "tally": reads.tally(docking),
        "backlog": reads.backlog(),
    }  # fmt: skip
    with closing(grown(state / DATABASE)) as connection:
        for what, query in asked.items():
            query.decode(connection.execute(query.sql, query.parameters).fetchall())
            costs = [asked_often(connection, query) for _ in range(ROUNDS)]
            show(
                f"{what}, {ROWS} rows",
                cpu_us=min(cost.cpu_us for cost in costs),
                goal="<= 20" if what == "next upload" else "",
            )


async def readers(folder: Path) -> None:
    """A question while moves are being synced: by aiosqlite beside the writer, and behind it in the writer's queue."""
    ledger, docking = await stocked(folder / "readers", MOVES)
    query = reads.next_upload(skip=(), wanted=Assurance.SIGNED)

    async def beside() -> object:
        return await ledger.query(query)

    async def behind() -> object:
        return await ledger._runner.run(
            lambda core: query.decode(core.connection.execute(query.sql, query.parameters).fetchall())
        )

    async with ledger:
        half = MOVES // 2
        for what, ask, keys in (
            ("beside the writer", beside, range(1, half)),
            ("in the writer's queue", behind, range(half, MOVES)),
        ):
            busy = asyncio.create_task(_keep_moving(ledger, keys, docking), name="moves")
            with measured(200) as cost:
                for _ in range(200):
                    await ask()
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)
            show(f"one question {what}, moves going on", wall_us=cost.wall_us)


async def _keep_moving(ledger: StationLedger, keys: range, docking: DockingId) -> None:
    for key in keys:
        await ledger.move(ClipKey(key), Move.COPIED, copied(key, docking), actor="bench")


def chain(folder: Path) -> None:
    """The whole chain checked, as at every start."""
    with closing(connect(folder / "listing100000" / DATABASE)) as connection:
        (entries,) = connection.execute("SELECT count(*) FROM custody").fetchone()
        with measured(entries) as cost:
            for _ in verify(map(link_of, connection.execute("SELECT seq, prev, hash, body FROM custody ORDER BY seq"))):
                pass
    show("custody chain checked", seconds_per_100000_entries=cost.wall_us / 10)


async def main() -> None:
    """Measure everything in a folder that is removed again."""
    where = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        await moves(folder)
        await bare_steps(folder)
        await readers(folder)
        await listings(folder)
        chain(folder)
        await questions(folder)


if __name__ == "__main__":
    asyncio.run(main())
