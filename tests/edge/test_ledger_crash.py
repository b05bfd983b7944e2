"""Killed at any moment, the ledger loses no answer that it gave and keeps no half of anything."""

import asyncio
import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dockd.domain.custody import Link, verify
from dockd.domain.model import ClipKey
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.schema import DATABASE, migrations
from tests.ledger_parts import SIGNER, threaded

WRITER = """
import asyncio, os, sys
from collections.abc import Sequence
from pathlib import Path
from dockd.domain.model import ClipState
from tests.ledger_parts import Ticks, WAY, attached, bring, docked, file, listing, threaded

async def life(ledger, clip):
    # Each answer is said the moment it is given: os.write is one system call, a kill never cuts it.
    while clip.state is not ClipState.ERASED:
        clip = await bring(ledger, clip, WAY[WAY.index(clip.state) + 1])
        os.write(1, f"{clip.key} {clip.state.value} {await ledger.leaf(clip.key)}\\n".encode())

async def main():
    async with await threaded(Path(sys.argv[1])) as ledger:
        os.write(1, b"open\\n")
        for number in range(10_000):
            docking = await docked(ledger, *(file(f"{sys.argv[2]}-{number}-{each}.MP4") for each in range(20)))
            heads = [(await ledger.heads([docking], skip=frozenset()))[0].copy]
            clips = [await ledger.clip(heads[0].key + each) for each in range(20)]
            await asyncio.gather(*(life(ledger, clip) for clip in clips))
            await ledger.undock(docking, early=False, left_files=0)

asyncio.run(main())
"""

ORDER = ("found", "copied", "uploaded", "receipted", "erasing", "erased")
ROUNDS = 12


def killed_while_writing(
    state: Path, name: str, *, after_s: float, at_log_bytes: int = 1 << 40
) -> list[tuple[int, str, str]]:
    """Run the writer, kill it some time after it opened the ledger, give the answers it said it had."""
    log = state / f"{DATABASE}-wal"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(state), name], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        said = writer.stdout.readline()
        deadline_s = time.monotonic() + after_s
        while (left_s := deadline_s - time.monotonic()) > 0 and log.stat().st_size < at_log_bytes:
            if select.select([writer.stdout], [], [], left_s)[0]:
                said += os.read(writer.stdout.fileno(), 1 << 16)
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read()
        assert writer.wait(10) == -signal.SIGKILL
    lines = said.decode().splitlines()
    assert lines[0] == "open"
    return [(int(key), state, leaf) for key, state, leaf in (line.split() for line in lines[1:])]


def read_chain(links: Sequence[Link]) -> tuple[set[str], dict[int, str]]:
    """Check a chain, and give its hashes and the last state it tells of each clip."""
    checked = list(verify(links))
    last = {(entry := json.loads(link.body))["clip"]: entry["to"] for link in checked}
    return {link.hash for link in checked}, last


@pytest.mark.promise("I4")
@pytest.mark.promise("I8")
async def test_no_answer_is_lost_and_nothing_is_torn_when_the_writer_is_killed(tmp_path: Path) -> None:
    """Twelve kills of one ledger's writer at random moments; between them it must open and hold."""
    chance = random.Random(20240501)
    answers = 0
    for number in range(ROUNDS):
        told = killed_while_writing(tmp_path, str(number), after_s=chance.uniform(0.0, 0.4))
        answers += len(told)
        async with await threaded(tmp_path) as ledger:
            for key, state, _ in told:
                clip = await ledger.clip(ClipKey(key))
                assert ORDER.index(clip.state.value) >= ORDER.index(state), clip
            links = await ledger.links(after=0, limit=1_000_000)
            hashes, last = await asyncio.to_thread(read_chain, links)
            assert {leaf for _, _, leaf in told} <= hashes
            for key in {key for key, _, _ in told}:
                assert last[key] == (await ledger.clip(ClipKey(key))).state.value
        report = await asyncio.to_thread(verify_state, tmp_path, SIGNER.pinned().verify)
        assert report.clean, report.faults
    assert answers > 100


def test_a_log_cut_at_any_length_gives_back_whole_transactions_only(tmp_path: Path) -> None:
    """A power cut tears the log wherever it likes: what is left of it is a number of whole commits."""
    # Before SQLite moves the log into the database (at 4 MiB): what was moved is synced, and no cut takes it back.
    told = killed_while_writing(tmp_path, "cut", after_s=30, at_log_bytes=1 << 20)
    assert told
    database, log = (tmp_path / DATABASE).read_bytes(), (tmp_path / f"{DATABASE}-wal").read_bytes()
    chance = random.Random(1)
    lengths = [0, 32, len(log) - 1, len(log) // 2, *(chance.randrange(len(log)) for _ in range(8))]
    entries = set()
    for length in lengths:
        folder = tmp_path / f"cut{length}"
        folder.mkdir(exist_ok=True)
        (folder / DATABASE).write_bytes(database)
        (folder / f"{DATABASE}-wal").write_bytes(log[:length])
        connection = sqlite3.connect(folder / DATABASE)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.close()
        if version < len(migrations()):
            continue  # cut before even the schema was whole: its making goes on at the next start
        report = verify_state(folder, SIGNER.pinned().verify)
        # Beside no checkpoint, which would tell that the log is not whole.
        assert {*report.faults} <= {"checkpoint: is not there, expected one beside a ledger in use"}, length
        entries.add(report.entries)
    assert len(entries) > 2
