"""Faults planted into a life of station and store, by name: a harness that catches none of them proves nothing.

Owns the planting, by replacing parts of dockd in a process of its own. Production code knows nothing of it.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import dockd.central.database
import dockd.central.evidence
import dockd.edges.copier_process
import dockd.edges.ledger.start
import dockd.sqlite.thread
from dockd.app.upload import Bringing, Outcome
from dockd.central.evidence import DigestMismatchError, Evidence
from dockd.central.index import Upload
from dockd.central.partials import Partials
from dockd.domain.clip import Change, Move
from dockd.domain.custody import Entry, Link
from dockd.domain.model import Clip, ClipKey
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.runner import Closure
from dockd.sqlite.group import GroupWriter, Outcome as Written
from dockd.sqlite.wal import make_durable

CHILD = Path(__file__).absolute().parent / "copier_child.py"
"""Not resolved: the dockd beside it is the one that is meant."""
LATE_S = 0.002
COPIER = (
    "copier-file-not-synced",
    "copier-folder-not-synced",
    "copier-sync-retried",
    "copier-unlink-not-synced",
)
"""Planted in the child: see `copier_child`."""


def put(owner: object, name: str, part: object) -> None:
    """Put something in the place of what is there, and fail where nothing is: a fault must not be planted beside."""
    getattr(owner, name)
    setattr(owner, name, part)


def plant(name: str, root: Path) -> None:
    """Plant one fault, or none for an empty name, into this process, which works below `root`.

    Raises:
        KeyError: there is no such fault.

    """
    copier = dockd.edges.copier_process
    put(copier, "COPIER", CHILD)
    if name in COPIER:
        put(copier, "ISOLATED", (*copier.ISOLATED, "-X", f"plant={name}"))
    elif name:
        PLANTS[name](root)


def _ledger_not_full(how: str) -> Callable[[Path], None]:
    def planting(_root: Path) -> None:
        def lax(connection: sqlite3.Connection, *, synchronous: str = "FULL") -> None:
            make_durable(connection, synchronous=how)

        put(dockd.edges.ledger.start, "make_durable", lax)

    return planting


def _claim_before_commit(_root: Path) -> None:
    def commit(writer: GroupWriter[LedgerCore], closures: list[Closure[object]]) -> list[Written]:
        core = writer._ready()
        core.connection.execute("BEGIN IMMEDIATE")
        return [writer._alone(core, closure) for closure in closures]

    thread = dockd.sqlite.thread
    real = thread._write

    def write(writer: GroupWriter[LedgerCore], jobs: thread.Jobs) -> None:
        if threading.current_thread().name != "ledger":
            real(writer, jobs)  # the store's
            return
        stopped = False
        while not stopped:
            group, stopped = thread._waiting(jobs)
            if group:
                thread._answer(group, commit(writer, [job.closure for job in group]))
                time.sleep(LATE_S)
                writer.connection.execute("COMMIT")
        writer.close()

    put(thread, "_write", write)


def _custody_apart(_root: Path) -> None:
    append = LedgerCore._append

    def apart(core: LedgerCore, entry: Entry) -> Link:
        link = append(core, entry)
        core.connection.execute("COMMIT")
        core.connection.execute("BEGIN IMMEDIATE")
        core.connection.execute("SAVEPOINT closure")
        return link

    put(LedgerCore, "_append", apart)


def _erased_at_the_receipt(root: Path) -> None:
    receipted = Bringing._receipted

    async def eager(bringing: Bringing, *answer: Any) -> Outcome:  # noqa: ANN401 - passed through
        clip = bringing.clip
        file = root / "cameras" / clip.camera.serial / os.fsdecode(clip.path)
        file.unlink(missing_ok=True)
        _sync(file.parent)
        return await receipted(bringing, *answer)

    put(Bringing, "_receipted", eager)


def _reclaimed_unreceipted(root: Path) -> None:
    move, gone = StationLedger.move, set[ClipKey]()

    async def greedy(ledger: StationLedger, key: ClipKey, move_: Move, change: Change, *, actor: str) -> Clip:
        clip = await move(ledger, key, move_, change, actor=actor)
        if move_ is Move.COPIED and len(gone) < 3:
            gone.add(key)
            copy = root / "station" / "spool" / f"{clip.clip_id}.clip"
            copy.unlink()
            _sync(copy.parent)
        return clip

    put(StationLedger, "move", greedy)


def _store_not_full(_root: Path) -> None:
    def lax(db: sqlite3.Connection) -> None:
        make_durable(db)
        db.execute("PRAGMA synchronous = NORMAL")

    put(dockd.central.database, "make_durable", lax)


def _object_not_synced(_root: Path) -> None:
    def verify(_evidence: Evidence, path: Path, upload: Upload) -> None:
        data = path.read_bytes()
        if (len(data), sha256(data).hexdigest()) != (upload.length_bytes, upload.sha256):
            raise DigestMismatchError(path, "other bytes than declared")

    put(Evidence, "_verify", verify)


def _object_folder_not_synced(_root: Path) -> None:
    def nothing(_folder: Path) -> None:
        pass

    put(dockd.central.evidence, "sync_folder", nothing)


def _left_believed(_root: Path) -> None:
    def nothing(_partials: Partials, _upload_id: str) -> None:
        pass

    put(Partials, "renew", nothing)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


PLANTS: Mapping[str, Callable[[Path], None]] = {
    "ledger-synchronous-normal": _ledger_not_full("NORMAL"),
    "ledger-synchronous-off": _ledger_not_full("OFF"),
    "ledger-claim-before-commit": _claim_before_commit,
    "ledger-custody-in-a-transaction-of-its-own": _custody_apart,
    "erased-before-the-receipt-is-committed": _erased_at_the_receipt,
    "reclaimed-without-receipt": _reclaimed_unreceipted,
    "store-object-not-synced": _object_not_synced,
    "store-object-folder-not-synced": _object_folder_not_synced,
    "store-index-synchronous-normal": _store_not_full,
    "store-believes-what-was-left": _left_believed,
}

NAMES = (*COPIER, *PLANTS)
