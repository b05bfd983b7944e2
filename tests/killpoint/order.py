"""The order of calls: what must be on the disk before the next one may happen, seen from outside, call by call.

Owns the rules that a look at the disks after a death cannot check, since a killed process loses no write that was not
synced. What was not synced is not believed here.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.killpoint import judge
from tests.killpoint.calls import RENAMES, SYNCS, UNLINKS, WRITES, Call
from tests.killpoint.faults import Fault, plain
from tests.killpoint.judge import Scene

BROKEN = frozenset({Fault.EIO, Fault.ENOSPC, Fault.LOST})


@dataclass(slots=True, kw_only=True)
class Unwatched:
    """A watch that looks at nothing."""

    def before(self, call: Call) -> None:
        """Let it be."""

    def happens(self, call: Call) -> None:
        """Let it be."""

    def failed(self, call: Call, fault: Fault) -> None:
        """Let it be."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """Holds calls against rules; `faults` are those that were broken."""

    scene: Scene
    faults: list[str] = field(default_factory=list)
    _unsynced: set[bytes] = field(default_factory=set)
    _dead: set[bytes] = field(default_factory=set)
    _nameless: set[bytes] = field(default_factory=set)
    _log_synced_bytes: int = 0

    def _fault(self, promise: str, path: bytes, words: str) -> None:
        self.faults.append(f"{promise}: {plain(path, self.scene.root)}: {words}")


@dataclass(slots=True, kw_only=True)
class StationWatch(Watch):
    """Watches a station's calls."""

    sees_syncs: bool = True

    def before(self, call: Call) -> None:
        """Hold a call against the rules."""
        if call.name in UNLINKS and self._is_on_card(call.path):
            self._erases(call.path)
        elif call.name in RENAMES and call.other.endswith(b".clip"):
            self._names(call.path)
        elif call.name in SYNCS and call.path in self._dead:
            self._fault("I9", call.path, "synced again after it could not be written or synced")
        elif call.name in SYNCS and call.path == self._log and self._nameless:
            self.faults += self.unnamed()

    def happens(self, call: Call) -> None:
        """Keep account of what is synced, and where names come and go."""
        if call.name in WRITES:
            self._unsynced.add(call.path)
        elif call.name in SYNCS:
            self._unsynced.discard(call.path)
            if call.path == os.fsencode(self.scene.spool):
                self._nameless.clear()
            if call.path == self._log:
                self._log_synced_bytes = size_of(call.path)
        elif call.name in RENAMES:
            if call.other.endswith(b".clip"):
                self._nameless.add(call.other)
        elif call.name in UNLINKS:
            self._dead.discard(call.path)
            self._nameless.discard(call.path)
            if call.path == self._log:
                self._log_synced_bytes = 0
        elif call.name in {"ftruncate", "truncate"} and call.path == self._log:
            self._log_synced_bytes = 0

    def failed(self, call: Call, fault: Fault) -> None:
        """Take note of a copy that is dead from here on, and of pages that the kernel gave up."""
        if fault is Fault.SHORT:
            self._unsynced.add(call.path)
        if fault in BROKEN and call.name in WRITES | SYNCS and call.path.endswith(b".part"):
            self._dead.add(call.path)
        if fault is Fault.LOST:
            start = self._log_synced_bytes if call.path == self._log else 0
            lose(call.path, start)

    def kept(self) -> list[str]:
        """Say which dead copies were never discarded (I9)."""
        return [f"I9: {plain(path, self.scene.root)}: failed, and was not discarded" for path in self._dead]

    def unnamed(self) -> list[str]:
        """Say which copies the ledger claims although their names were never synced (I8)."""
        if not self._nameless:
            return []
        return [
            f"I8: {row['path']!r}: {row['state']}, and its copy's name was never synced"
            for row in judge.books(self.scene).rows
            if row["state"] != "found" and os.fsencode(self.scene.spool / f"{row['clip_id']}.clip") in self._nameless
        ]

    @property
    def _log(self) -> bytes:
        return os.fsencode(judge.log_of(self.scene.ledger))

    def _is_on_card(self, path: bytes) -> bool:
        return path.startswith(os.fsencode(self.scene.card) + b"/")

    def _erases(self, path: bytes) -> None:
        name = os.path.relpath(path, os.fsencode(self.scene.card))
        if name not in self.scene.originals:
            self._fault("I6", path, "unlinked, and it is no clip")
            return
        # Only what is synced of the log counts, where syncs are seen.
        log_bytes = self._log_synced_bytes if self.sees_syncs else None
        row = judge.books(self.scene, log_bytes=log_bytes).clips.get(name)
        for fault in judge.why_gone(self.scene, name, row, judge.shelf(self.scene)):
            self.faults.append(f"I1: at the unlink, by what is synced: {fault}")

    def _names(self, part: bytes) -> None:
        if part in self._dead:
            self._fault("I9", part, "given a name after it could not be written or synced")
        elif part in self._unsynced:
            self._fault("I8", part, "given a name before it was synced")
        whole = {hashlib.sha256(data).digest() for data in self.scene.originals.values()}
        if hashlib.sha256(Path(os.fsdecode(part)).read_bytes()).digest() not in whole:
            self._fault("I5", part, "given a name, and its bytes are those of no clip")


@dataclass(slots=True, kw_only=True)
class StoreWatch(Watch):
    """Watches a store's calls."""

    def before(self, call: Call) -> None:
        """Hold a call against the rules."""
        if call.name in RENAMES and self._is_object(call.other):
            if call.path in self._dead:
                self._fault("I9", call.path, "made an object after it could not be synced")
            elif call.path in self._unsynced:
                self._fault("I8", call.path, "made an object before it was synced")
        elif call.name in SYNCS and call.path in self._dead:
            self._fault("I9", call.path, "synced again after it could not be")

    def happens(self, call: Call) -> None:
        """Keep account of what is synced, and where names come and go."""
        if call.name in WRITES:
            self._unsynced.add(call.path)
        elif call.name in SYNCS:
            self._unsynced.discard(call.path)
            self._nameless = {name for name in self._nameless if os.path.dirname(name) != call.path}  # noqa: PTH120 - bytes
            if call.path == self._log:
                self._log_synced_bytes = size_of(call.path)
        elif call.name in RENAMES:
            if self._is_object(call.other):
                self._nameless.add(call.other)
                if call.path in self._unsynced:
                    self._unsynced.add(call.other)
        elif call.name in UNLINKS:
            self._dead.discard(call.path)
            self._nameless.discard(call.path)

    def failed(self, call: Call, fault: Fault) -> None:
        """Take note of bytes that are dead from here on, and of pages that the kernel gave up."""
        if fault in BROKEN and call.name in SYNCS and os.fsencode(self.scene.store / "uploads") in call.path:
            self._dead.add(call.path)
        if fault is Fault.LOST:
            lose(call.path, self._log_synced_bytes if call.path == self._log else 0)

    def unnamed(self) -> list[str]:
        """Say for which objects the store signed although their names were never synced (I2, I8)."""
        if not self._nameless:
            return []
        signed = {receipt["object"] for receipt in judge.shelf(self.scene).receipts.values()}
        return [
            f"I2: signed for object {os.path.basename(name)!r}, whose name was never synced"  # noqa: PTH119 - bytes
            for name in self._nameless
            if os.fsdecode(name).rpartition("/")[2] in signed
        ]

    @property
    def _log(self) -> bytes:
        return os.fsencode(judge.log_of(self.scene.store / "index.sqlite3"))

    def _is_object(self, path: bytes) -> bool:
        return path.startswith(os.fsencode(self.scene.store / "objects") + b"/")


def size_of(path: bytes) -> int:
    """Give a file's length."""
    return os.stat(path).st_size  # noqa: PTH116 - names are bytes


def lose(path: bytes, start: int) -> None:
    """Make a file's bytes from `start` on read as zeros."""
    with open(path, "r+b", buffering=0) as file:  # noqa: PTH123 - the same
        length = size_of(path)
        os.pwrite(file.fileno(), bytes(max(0, length - start)), start)
