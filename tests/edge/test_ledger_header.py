"""A bit that flips in the header of the ledger's file is damage like any other; what is another's stays another's."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from dockd import ctl
from dockd.domain.checkpoint import Head
from dockd.domain.model import ClipState
from dockd.domain.recovery import recovery_signing_input, signature_of
from dockd.edges.ledger.audit import verify_state
from dockd.edges.ledger.checkpoint import FILE as CHECKPOINT, kept
from dockd.edges.ledger.lock import LOCK
from dockd.edges.ledger.schema import DATABASE, migrations, objects
from dockd.edges.seal import KEY_FILE, public_key_of, verifies
from dockd.errors import StartRefusedError
from tests.ledger_parts import SIGNER, bring, clips, docked, file, tampered, threaded

HEADER_BYTES = 100
AT_ONCE = 8
LOG = f"{DATABASE}-wal"
DATABASES = Path(__file__).parent.parent / "databases"

REFUSED: Mapping[int, str] = {}
"""Bits after which a start is refused, with why. There are none: tables say what the header only repeats."""

Dump = tuple[str, ...]
"""What a database holds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a start made of a folder; `words` are those of a refusal, or what is wrong."""

    name: str
    words: str = ""


async def made(folder: Path) -> None:
    """Make a ledger with a few clips, and close it."""
    async with await threaded(folder) as ledger:
        docking = await docked(ledger, file("A.MP4"), file("B.MP4"), file("C.MP4", urgent=True))
        (first, second) = await clips(ledger, 1, 2)
        await bring(ledger, first, ClipState.ERASED)
        await bring(ledger, second, ClipState.RECEIPTED)
        await ledger.undock(docking, early=True, left_files=2)


async def killed(folder: Path) -> None:
    """Make one that was killed before anything was moved out of its log."""
    running = folder.with_name("running")
    async with await threaded(running) as ledger:
        docking = await docked(ledger, file("A.MP4"), file("B.MP4"))
        (first,) = await clips(ledger, 1)
        await bring(ledger, first, ClipState.RECEIPTED)
        await ledger.undock(docking, early=True, left_files=1)
        await ledger.state_end()
        shutil.copytree(running, folder, ignore=shutil.ignore_patterns("*-shm", LOCK))
    assert 1 in pages(folder / LOG)


async def killed_later(folder: Path) -> None:
    """Make one that was killed with a log in which the header is not, so that the file's own counts."""
    running = folder.with_name("running")
    await made(running)
    async with await threaded(running) as ledger:
        await ledger.note("looked at", actor="user:kim")
        await ledger.state_end()
        shutil.copytree(running, folder, ignore=shutil.ignore_patterns("*-shm", LOCK))
    assert 1 not in pages(folder / LOG)


def pages(log: Path) -> set[int]:
    """Give the numbers of the pages in a log: its header has 32 bytes, each frame's 24 (fileformat2.html, 4.1)."""
    data = log.read_bytes()
    assert data
    return {int.from_bytes(data[at : at + 4], "big") for at in range(32, len(data), 24 + 4096)}


def dump(folder: Path) -> Dump:
    """Give every row of every table as SQL."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return tuple(connection.iterdump())


def custody(folder: Path) -> list[tuple[int, str, bytes]]:
    """Give the seq, hash and body of every custody entry."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return connection.execute("SELECT seq, hash, body FROM custody ORDER BY seq").fetchall()


def flipped(whole: Path, folder: Path, bit: int) -> dict[str, bytes]:
    """Copy a folder with one bit of the ledger's file flipped; give what then lies in its place."""
    shutil.copytree(whole, folder)
    data = bytearray((folder / DATABASE).read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    (folder / DATABASE).write_bytes(data)
    return {name: (folder / name).read_bytes() for name in (DATABASE, LOG) if (folder / name).exists()}


async def started(folder: Path, there: Mapping[str, bytes], before: Dump, end: Head) -> Outcome:
    """Start and stop on a folder, and judge what came of it; what is no StartRefusedError is a traceback."""
    try:
        async with await threaded(folder):
            pass
    except StartRefusedError as error:
        left = {name: (folder / name).read_bytes() for name in there}
        return Outcome("refused" if left == there else "refused, altered", str(error))
    return await asyncio.to_thread(judged, folder, there, before, end)


def judged(folder: Path, there: Mapping[str, bytes], before: Dump, end: Head) -> Outcome:
    """Say what a start made of a folder: the same rows, or a recovery that is signed and keeps what was there."""
    if dump(folder) == before:
        report = verify_state(folder, SIGNER.pinned().verify, key=public_key_of(folder), check=verifies)
        return Outcome("unchanged" if report.clean else "not clean", "; ".join(report.faults))
    entries = [json.loads(body) for _, _, body in custody(folder)]
    if [entry["cause"] for entry in entries] != ["ledger-made", "ledger-recovered"]:
        return Outcome("altered")
    facts = entries[1]["facts"]
    if not verifies(entries[0]["facts"]["key"], recovery_signing_input(facts), signature_of(facts)):
        return Outcome("not signed")
    if Head(instance=facts["old_instance"], seq=int(facts["old_seq"]), hash=facts["old_head"]) != end:
        return Outcome("old head lost")
    aside = {name: (folder / facts["set_aside"] / name).read_bytes() for name in there}
    return Outcome("recovered" if aside == there else "remains altered", facts["why"])


async def outcomes(whole: Path, bits: Iterable[int]) -> dict[int, Outcome]:
    """Flip each bit of a folder's ledger on its own, and start on that."""
    copy = whole.with_name("copy")
    shutil.copytree(whole, copy)
    before, turns, found = await asyncio.to_thread(dump, copy), asyncio.Semaphore(AT_ONCE), {}
    statement = kept(whole).stated
    assert statement is not None
    end = statement.checkpoint.head
    assert custody(copy)[-1][:2] == (end.seq, end.hash)

    async def one(bit: int) -> None:
        async with turns:
            folder = whole.with_name(f"bit{bit}")
            there = await asyncio.to_thread(flipped, whole, folder, bit)
            found[bit] = await started(folder, there, before, end)
            await asyncio.to_thread(shutil.rmtree, folder)

    async with asyncio.TaskGroup() as group:
        for bit in bits:
            group.create_task(one(bit), name=f"bit {bit}")
    return found


@pytest.mark.promise("I18")
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("make", "bits"),
    [
        pytest.param(made, range(HEADER_BYTES * 8), id="closed"),
        # One bit of each byte, another one in each: that the log is asked first is all that differs.
        pytest.param(killed, range(0, HEADER_BYTES * 8, 9), id="all in the log"),
        pytest.param(killed_later, range(3, HEADER_BYTES * 8, 9), id="header not in the log"),
    ],
)
async def test_any_bit_of_the_header_that_flips_is_recovered_from_or_costs_nothing(
    tmp_path: Path, make: Callable[[Path], object], bits: range
) -> None:
    whole = tmp_path / "whole"
    await make(whole)  # type: ignore[misc] # each is a coroutine function
    found = await outcomes(whole, bits)
    wrong = {bit: outcome for bit, outcome in found.items() if outcome.name not in {"unchanged", "recovered"}}
    assert {bit for bit, outcome in wrong.items() if outcome.name == "refused"} == REFUSED.keys() & set(bits), wrong
    assert not wrong.keys() - REFUSED.keys(), wrong
    assert {outcome.name for outcome in found.values()} == {"unchanged", "recovered"}


APPLICATION, VERSION, WRITE_VERSION, FORMAT = 68 * 8, 63 * 8, 18 * 8, 47 * 8


@pytest.mark.parametrize(
    ("bit", "words"),
    [
        (APPLICATION, "its application id is 0x656f636b, its tables are a ledger's"),
        (VERSION + 2, "its header says schema version 1, its tables are those of version 5"),
        (VERSION + 3, "its header says schema version 13, its tables are those of version 5"),
        (60 * 8 + 7, "its header says schema version -2147483643, its tables are those of version 5"),
        (WRITE_VERSION, "its header says write version 3, expected at most 2"),
        (FORMAT, "unsupported file format"),
        (FORMAT + 2, "its header says a schema format without descending indexes, and it has some"),
    ],
)
async def test_what_the_header_says_wrongly_is_named_in_the_recovery(tmp_path: Path, bit: int, words: str) -> None:
    await made(tmp_path / "whole")
    assert (await outcomes(tmp_path / "whole", [bit])) == {bit: Outcome("recovered", words)}


@pytest.mark.parametrize(("bit", "says"), [(0, 0), (1, 3), (2, 5), (4, 17)])
async def test_an_old_ledger_whose_version_flips_is_not_brought_up_from_the_wrong_one(
    tmp_path: Path, bit: int, says: int
) -> None:
    """Version 1 and one bit may say 3: the steps in between would never be done."""
    flipped(DATABASES / "v1", tmp_path / "state", VERSION + bit)
    async with await threaded(tmp_path / "state"):
        pass
    (recovery,) = [
        entry["facts"]
        for entry in (json.loads(body) for _, _, body in custody(tmp_path / "state"))
        if entry["cause"] == "ledger-recovered"
    ]
    assert recovery["why"] == f"its header says schema version {says}, its tables are those of version 1"
    assert recovery["basis"] == "database"
    assert dump(tmp_path / "state" / "set-aside-1") == dump(DATABASES / "v1")


# --- what is another's ----------------------------------------------------------------------------------------------

NEWER = ("CREATE TABLE shoes (size)", f"PRAGMA user_version = {len(migrations()) + 1}")


def foreign(folder: Path) -> None:
    """Put a database of another program in the ledger's place."""
    (folder / DATABASE).unlink()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.executescript("CREATE TABLE meta (a); CREATE TABLE clips (b); PRAGMA user_version = 4")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda folder: tampered(folder, *NEWER), "has schema version 6, this dockd", id="newer"),
        pytest.param(
            lambda folder: tampered(folder, *NEWER, "PRAGMA application_id = 7"),
            "has schema version 6, this dockd",
            id="newer, and its application id flipped",
        ),
        pytest.param(foreign, "is a database of another program", id="another program's"),
    ],
)
@pytest.mark.parametrize("beside", [(CHECKPOINT, KEY_FILE), ()], ids=["with its station's files", "alone"])
async def test_what_is_newer_or_anothers_is_refused_and_left_as_it_is_whatever_lies_beside_it(
    tmp_path: Path, spoil: Callable[[Path], None], words: str, beside: tuple[str, ...]
) -> None:
    await made(tmp_path)
    spoil(tmp_path)
    for name in {CHECKPOINT, KEY_FILE} - set(beside):
        (tmp_path / name).unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in {LOCK, KEY_FILE}}
    with pytest.raises(StartRefusedError, match=words):
        await threaded(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in {LOCK, KEY_FILE}} == before


def test_every_script_changes_the_tables_so_that_they_say_the_version() -> None:
    """Without this a newer ledger could not be told from one whose version flipped, and would be set aside."""
    seen = []
    with closing(sqlite3.connect(":memory:")) as connection:
        for script in migrations():
            connection.executescript(script)
            seen.append(objects(connection))
    assert all(one != other for at, one in enumerate(seen) for other in seen[:at])


# --- what dockctl says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bit", "words"),
    [
        (APPLICATION, "its application id is 0x656f636b, its tables are a ledger's"),
        (VERSION + 3, "its header says schema version 13, its tables are those of version 5"),
        (WRITE_VERSION, "its header says write version 3, expected at most 2"),
    ],
)
async def test_dockctl_reads_a_ledger_at_rest_whose_header_lies_and_verify_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bit: int, words: str
) -> None:
    await made(tmp_path / "whole")
    flipped(tmp_path / "whole", tmp_path / "state", bit)
    assert ctl.main(["verify", "--state", str(tmp_path / "state")]) == ctl.EX_FAILED
    assert f"  database: {words}\n" in capsys.readouterr().out
    assert ctl.main(["clips", "--state", str(tmp_path / "state")]) == ctl.EX_OK
    assert "DCIM/B.MP4" in capsys.readouterr().out


async def test_an_old_ledger_whose_version_flips_is_named_as_such_by_dockctl(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flipped(DATABASES / "v1", tmp_path / "state", VERSION + 1)
    for command in ("verify", "clips"):
        assert ctl.main([command, "--state", str(tmp_path / "state")]) == ctl.EX_CONFIG
        assert "its header says schema version 3, its tables are those of version 1" in capsys.readouterr().err
