"""Programs with a fault planted in them, which the harness must catch: dockd is changed in memory, never on the disk.

Owns the plants, by name. Each is put into a child that was forked for one run.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from dockd.app import bus
from dockd.app.offload import copy_clip
from dockd.app.ports import Ledger, Spool
from dockd.app.stay import Stay
from dockd.central import evidence
from dockd.central.evidence import Evidence
from dockd.central.finishing import Failed, Finisher
from dockd.central.index import Upload
from dockd.domain.clip import Change, Move
from dockd.domain.erasure import ErasePermit
from dockd.domain.model import Clip, ClipKey, ClipState
from dockd.edges import copier_process
from dockd.edges.ledger import start
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.ledger import StationLedger
from dockd.edges.ledger.rows import Value
from dockd.sqlite import wal
from tests.killpoint.family import Program
from tests.killpoint.station import hasty

COPIER = Path(__file__).with_name("copier.py")


def plant(where: object, name: str, fault: object) -> None:
    """Put a fault in the place of what dockd has there."""
    if not hasattr(where, name):
        raise AttributeError(f"{where} has no {name} any more: this fault is planted nowhere")
    setattr(where, name, fault)


def copier(fault: str) -> None:
    """Have the station use a copier with a fault."""
    plant(copier_process, "ISOLATED", (*copier_process.ISOLATED, str(COPIER)))
    plant(copier_process, "COPIER", fault)


def claim_before_commit() -> None:
    """Have the unlink go ahead while the move that permits it is not on record yet."""
    move = StationLedger.move

    async def moved(self: StationLedger, key: ClipKey, step: Move, change: Change, *, actor: str) -> Clip:
        if step is Move.ERASE_BEGUN:
            return replace(await self.clip(key), state=ClipState.ERASING)
        if step is Move.ERASED and (await self.clip(key)).state is ClipState.RECEIPTED:
            await move(self, key, Move.ERASE_BEGUN, change, actor=actor)
        return await move(self, key, step, change, actor=actor)

    plant(StationLedger, "move", moved)


def erase_without_receipt() -> None:
    """Take each file off its camera as soon as it is copied."""

    async def copied(clip: Clip, stay: Stay, *, ledger: Ledger, spool: Spool, progress: Callable[[int], None]) -> Clip:
        after = await copy_clip(clip, stay, ledger=ledger, spool=spool, progress=progress)
        assert after.sha256 is not None
        permit = ErasePermit(
            clip=clip.key,
            docking=stay.docking,
            path=clip.path,
            length_bytes=clip.length_bytes,
            sha256=after.sha256,
        )
        await stay.card.erase(permit)
        return after

    plant(bus, "copy_clip", copied)


def receipt_not_synced() -> None:
    """Have commits answered before they are synced."""

    def made(connection: sqlite3.Connection, *, synchronous: str = "FULL") -> None:
        wal.make_durable(connection, synchronous={"FULL": "NORMAL"}[synchronous])

    plant(start, "make_durable", made)


def custody_outside_transaction() -> None:
    """Commit each custody entry before the row that it explains."""
    update = LedgerCore._update

    def updated(self: LedgerCore, before: Clip, columns: Mapping[str, Value]) -> None:
        for statement in ("COMMIT", "BEGIN IMMEDIATE", "SAVEPOINT closure"):
            self.connection.execute(statement)
        update(self, before, columns)

    plant(LedgerCore, "_update", updated)


def store_signs_before_sync() -> None:
    """Have the store hash what it holds without syncing it."""
    verify_with(nothing)


def store_syncs_again() -> None:
    """Have the store believe a second sync after one that failed."""
    fsync = os.fsync

    def again(fd: int) -> None:
        try:
            fsync(fd)
        except OSError:
            fsync(fd)

    verify_with(again)


def verify_with(fsync: Callable[[int], None]) -> None:
    """Give the store's verification a sync of its own."""
    verify, real = Evidence._verify, os.fsync

    def verified(self: Evidence, path: Path, upload: Upload) -> None:
        plant(os, "fsync", fsync)
        try:
            verify(self, path, upload)
        finally:
            plant(os, "fsync", real)

    plant(Evidence, "_verify", verified)


def store_leaves_names_unsynced() -> None:
    """Have the store sign for an object whose folder was not synced."""
    plant(evidence, "sync_folder", nothing)


def store_signs_first() -> None:
    """Have the store put the receipt on record before the object has its place."""
    finish = Finisher._finish
    settle = Evidence.settle

    async def finished(self: Finisher, upload: Upload) -> Upload | Failed:
        plant(Evidence, "settle", nothing)
        ended = await finish(self, upload)
        settle(self._evidence, self._partials.path(upload.id), upload)
        return ended

    plant(Finisher, "_finish", finished)


def nothing(*_: object) -> None:
    """Do nothing."""


PLANTS: Mapping[str, Callable[[], None]] = {
    "short-write-ignored": partial(copier, "short-write-ignored"),
    "enospc-ignored": partial(copier, "enospc-ignored"),
    "fsync-retried": partial(copier, "fsync-retried"),
    "copy-not-synced": partial(copier, "copy-not-synced"),
    "folder-not-synced": partial(copier, "folder-not-synced"),
    "claim-before-commit": claim_before_commit,
    "erase-without-receipt": erase_without_receipt,
    "receipt-not-synced": receipt_not_synced,
    "custody-outside-transaction": custody_outside_transaction,
    "store-signs-before-sync": store_signs_before_sync,
    "store-fsync-retried": store_syncs_again,
    "store-names-unsynced": store_leaves_names_unsynced,
    "store-signs-first": store_signs_first,
}
NONE = "none"


def program(name: str) -> Program:
    """Give dockd with that fault in it."""
    if name == NONE:
        return hasty
    plant = PLANTS[name]

    def planted(arguments: Sequence[str]) -> int:
        plant()
        return hasty(arguments)

    return planted
