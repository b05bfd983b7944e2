"""The life of an upload at the store before its last byte: declared, received, looked at, dropped, expired.

Owns what a repeated, a second or a stale request finds, and what a restart takes up again. Knows no HTTP: refusals
carry a status because tus defines their meaning by it.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dockd.central import index
from dockd.central.database import Database
from dockd.central.declaration import Declaration
from dockd.central.evidence import Evidence
from dockd.central.finishing import Failed, Finisher
from dockd.central.index import Upload
from dockd.central.partials import DiskDiedError, DiskReserveError, Partials
from dockd.central.receiving import Receiver, disk_full
from dockd.central.refusal import RefusedError
from dockd.central.slots import Slot, Slots
from dockd.central.threads import Threads
from dockd.domain.receipt import NO_LEAF

_log = logging.getLogger(__name__)
_TOUCH_AGAIN_S = 60
"""A repeated declaration refreshes the expiry no more often: it would cost a commit each time."""

_SOON_S = 2.0
"""How long a declaration waits for the receipt of a clip that is all here: longer ones are asked for by HEAD."""
_SWEPT_AT_ONCE = 1000
_CROWDED_RETRY_S = 60

Permit = Callable[[Upload], None]
"""Raises RefusedError if whoever asks may not have to do with this upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where an upload stands. `expires_utc` is None once the whole clip has arrived."""

    upload: Upload
    offset_bytes: int
    expires_utc: datetime | None


class Store:
    """All uploads of one folder."""

    def __init__(
        self,
        *,
        max_bytes: int,
        expire_s: int,
        most_unfinished: int,
        database: Database,
        partials: Partials,
        evidence: Evidence,
        receiver: Receiver,
        finisher: Finisher,
        slots: Slots,
        threads: Threads,
        now_utc: Callable[[], datetime],
    ) -> None:
        """Take the parts; the longest clip, how long an unfinished upload lives, and how many a station may have."""
        self.max_bytes = max_bytes
        self._expire_s = expire_s
        self._most_unfinished = most_unfinished
        self._database = database
        self._partials = partials
        self._evidence = evidence
        self._receiver = receiver
        self._finisher = finisher
        self._slots = slots
        self._threads = threads
        self._now_utc = now_utc

    async def declare(self, declaration: Declaration, *, leaf: str | None) -> Status:
        """Open an upload, or find the one this station opened for this clip before: the first declaration stays.

        A clip that another station stored with equal length and digest is complete at once: its object is read again,
        and only then is there a receipt for this station too (I2).

        Raises:
            RefusedError: 413 too long, 507 no room, 400 another length or digest than at first, 503 too many unfinished
                uploads.

        """
        if declaration.length_bytes > self.max_bytes:
            raise RefusedError(
                413, f"Upload-Length: {declaration.length_bytes}: expected at most {self.max_bytes} bytes"
            )
        try:
            upload, held_bytes = await self._database.write(lambda db: self._declared(db, declaration, leaf))
        except DiskReserveError as error:
            raise disk_full(error) from error
        status = self._status(upload, self._known_bytes(upload, held_bytes))
        if status.expires_utc is not None or upload.receipt is not None or upload.length_bytes == 0:
            return status
        finishing = self._finisher.start(upload)
        await asyncio.wait([finishing], timeout=_SOON_S)
        outcome = finishing.result() if finishing.done() else None
        # If it failed, HEAD tells what is held now: a declaration cannot be refused for bytes that came before it.
        return self._status(outcome, upload.length_bytes) if isinstance(outcome, Upload) else status

    async def look(self, upload_id: str, *, permit: Permit) -> Status:
        """Tell where an upload stands; one that a crash left finished is verified from here on.

        Raises:
            RefusedError: 404 there is none, 410 it has expired just now, or what `permit` raises.

        """
        await self._make_way(upload_id, permit=permit)
        status = await self._look(upload_id, permit=permit)
        stale = status.expires_utc is not None and self._is_stale(status.upload)
        if stale and await self._expire(status.upload):
            raise RefusedError(410, f"upload {upload_id}: expired, expected a new one")
        return status

    async def receive(
        self,
        upload_id: str,
        *,
        permit: Permit,
        offset_bytes: int,
        announced_bytes: int | None,
        leaf: str | None,
        read: Callable[[], Awaitable[bytes]],
    ) -> Status:
        """Take bytes from `offset_bytes` on; after the last one, wait for the receipt.

        `announced_bytes` is the body's length if the client told it; `read` gives the next bytes, b"" at the end, and
        raises BodyLostError if the connection ends first. Whatever arrived before an error is kept.

        Raises:
            RefusedError: 404, 408 the client fell silent, 409 another offset, 413 more than declared, 423 held by
                another request, 460 digest mismatch, 500 and 503 the disk failed, 507 no room.

        """
        await self._make_way(upload_id, permit=permit)
        async with self._slots.hold(upload_id) as slot:
            status = await self._look(upload_id, permit=permit)
            if status.offset_bytes != offset_bytes:
                raise RefusedError(409, f"Upload-Offset: {offset_bytes}: expected {status.offset_bytes}")
            room_bytes = status.upload.length_bytes - offset_bytes
            if announced_bytes is not None and announced_bytes > room_bytes:
                raise RefusedError(413, f"body: {announced_bytes} bytes: expected at most {room_bytes} more")
            if status.upload.receipt is not None:
                return status
            upload = await self._note_leaf(status.upload, leaf)
            upload, end_bytes = await self._stream(slot, upload, offset_bytes=offset_bytes, read=read)
            if end_bytes < upload.length_bytes:
                return self._status(upload, end_bytes)
            finishing = self._finisher.start(upload)
        outcome = await asyncio.shield(finishing)
        if isinstance(outcome, Failed):
            raise RefusedError(outcome.status, outcome.words)
        return self._status(outcome, outcome.length_bytes)

    async def drop(self, upload_id: str, *, permit: Permit) -> None:
        """Forget an unfinished upload, at its station's wish.

        Raises:
            RefusedError: 403 it is stored evidence, 404, 423 it is being written or verified.

        """
        await self._make_way(upload_id, permit=permit)
        async with self._slots.hold(upload_id):
            status = await self._look(upload_id, permit=permit)
            if status.upload.receipt is not None:
                raise RefusedError(403, f"upload {upload_id}: stored evidence, expected an unfinished upload")
            if status.offset_bytes == status.upload.length_bytes:
                raise RefusedError(423, f"upload {upload_id}: being verified", retry_after_s=1)
            await self._forget(upload_id)

    async def recover(self) -> None:
        """Take up what an earlier process left: finish what has all its bytes, remove bytes that nothing refers to."""
        whole = await self._database.read(
            lambda db: [known for known in index.unfinished(db) if self._held_bytes(known) == known.length_bytes]
        )
        for upload_id in await self._database.read(self._tidy):
            _log.info("upload %s: bytes without an unfinished upload removed", upload_id)
        for upload in whole:
            self._finisher.start(upload)

    async def sweep(self) -> None:
        """Expire the unfinished uploads that have shown no sign of life for too long."""
        before_s = self._now_s() - self._expire_s
        while True:
            stale = await self._database.read(
                lambda db: index.stale(db, touched_before_s=before_s, limit=_SWEPT_AT_ONCE)
            )
            expired = [await self._expire(upload) for upload in stale]
            # Those that are just being written or verified come first again: nothing is left to expire behind them.
            if len(stale) < _SWEPT_AT_ONCE or not any(expired):
                return

    def _declared(self, db: sqlite3.Connection, declaration: Declaration, leaf: str | None) -> tuple[Upload, int]:
        known = index.find_upload(db, declaration.upload_id)
        if known is not None:
            known = self._declare_again(db, known, declaration, leaf)
            return known, self._held_bytes(known)
        upload = Upload(
            id=declaration.upload_id,
            object_key=declaration.object_key,
            station=declaration.station,
            clip_id=declaration.clip_id,
            recomputed=declaration.recomputed,
            length_bytes=declaration.length_bytes,
            sha256=declaration.sha256,
            metadata=declaration.metadata_header,
            leaf=leaf or NO_LEAF,
            touched_s=self._now_s(),
        )
        if index.has_unfinished(db, upload.station, most=self._most_unfinished):
            raise RefusedError(
                503,
                f"station: {self._most_unfinished} unfinished uploads of {upload.station}, expected fewer",
                retry_after_s=_CROWDED_RETRY_S,
            )
        if not self._evidence.has(upload.object_key):
            if index.has_object(db, upload.object_key):
                # Its first station holds a receipt for it, perhaps this one is the last to have the bytes: take them.
                _log.error("ALARM clip %s: indexed as stored and its file is gone", upload.clip_id)
            self._partials.require_space(upload.length_bytes)
        index.insert_upload(db, upload)
        return upload, self._held_bytes(upload)

    def _declare_again(
        self, db: sqlite3.Connection, known: Upload, declaration: Declaration, leaf: str | None
    ) -> Upload:
        if (known.length_bytes, known.sha256) != (declaration.length_bytes, declaration.sha256):
            raise RefusedError(
                400,
                f"length, sha256: {declaration.length_bytes}, {declaration.sha256}: expected {known.length_bytes},"
                f" {known.sha256} as this station first declared",
            )
        touched = replace(known, leaf=leaf or known.leaf, touched_s=self._now_s())
        changed = touched.leaf != known.leaf or touched.touched_s - known.touched_s > _TOUCH_AGAIN_S
        if known.receipt is not None or not changed:
            return known
        index.touch(db, known.id, now_s=touched.touched_s, leaf=touched.leaf)
        return touched

    def _tidy(self, db: sqlite3.Connection) -> list[str]:
        orphans = [upload_id for upload_id in self._partials.ids() if not index.is_unfinished(db, upload_id)]
        for upload_id in orphans:
            self._partials.discard(upload_id)
        return orphans

    async def _make_way(self, upload_id: str, *, permit: Permit) -> None:
        """End a silent request for an upload, if whoever asks now may have to do with it."""
        if self._slots.is_silent(upload_id):
            await self._look(upload_id, permit=permit)
            await self._slots.evict_silent(upload_id)

    async def _look(self, upload_id: str, *, permit: Permit) -> Status:
        def found(db: sqlite3.Connection) -> tuple[Upload, int]:
            upload = index.find_upload(db, upload_id)
            if upload is None:
                raise _unknown(upload_id)
            return upload, self._held_bytes(upload)

        upload, held_bytes = await self._database.read(found)
        permit(upload)
        return self._status(upload, self._known_bytes(upload, held_bytes))

    def _known_bytes(self, upload: Upload, held_bytes: int) -> int:
        """Correct what the disk said by what is going on; a whole upload that nobody verifies is verified now."""
        if upload.receipt is None and (held_bytes == upload.length_bytes or self._finisher.is_running(upload.id)):
            self._finisher.start(upload)
            return upload.length_bytes
        return held_bytes

    def _held_bytes(self, upload: Upload) -> int:
        if upload.receipt is not None:
            return upload.length_bytes
        size_bytes = self._partials.size_bytes(upload.id)
        if size_bytes is None:
            # Renamed and not yet indexed: by a task that is just doing it, or by a process that was killed there.
            return upload.length_bytes if self._evidence.has(upload.object_key) else 0
        return size_bytes

    async def _stream(
        self, slot: Slot, upload: Upload, *, offset_bytes: int, read: Callable[[], Awaitable[bytes]]
    ) -> tuple[Upload, int]:
        try:
            received = await self._receiver.receive(slot, upload, offset_bytes=offset_bytes, read=read)
        except DiskDiedError as error:
            _log.error("ALARM clip %s station %s: upload discarded: %s", upload.clip_id, upload.station, error)
            await self._forget(upload.id)
            raise RefusedError(
                500, "upload discarded: the store's disk failed: send it again as a new upload"
            ) from error
        if received.end_bytes < upload.length_bytes:
            upload = await self._touch(upload)
            if received.broken is not None:
                raise received.broken
        return upload, received.end_bytes

    async def _expire(self, upload: Upload) -> bool:
        """Drop an upload that is still stale and incomplete; False if it is not, or is being written."""
        try:
            async with self._slots.hold(upload.id):
                status = await self._look(upload.id, permit=_anybody)
                complete = status.offset_bytes == status.upload.length_bytes
                if complete or not self._is_stale(status.upload):
                    return False
                await self._forget(upload.id)
        except RefusedError:
            return False  # held by a request, or gone: neither is stale
        _log.info("clip %s station %s: unfinished upload expired", upload.clip_id, upload.station)
        return True

    async def _forget(self, upload_id: str) -> None:
        # First the bytes, then the row: a row without bytes starts at 0, bytes without a row could be taken up again.
        await self._threads.run(lambda: self._partials.discard(upload_id))
        await self._database.write(lambda db: index.delete_unfinished(db, upload_id))

    async def _note_leaf(self, upload: Upload, leaf: str | None) -> Upload:
        if leaf is None or leaf == upload.leaf:
            return upload
        return await self._touch(replace(upload, leaf=leaf))

    async def _touch(self, upload: Upload) -> Upload:
        touched = replace(upload, touched_s=self._now_s())
        await self._database.write(lambda db: index.touch(db, touched.id, now_s=touched.touched_s, leaf=touched.leaf))
        return touched

    def _status(self, upload: Upload, offset_bytes: int) -> Status:
        expires_utc = datetime.fromtimestamp(upload.touched_s + self._expire_s, tz=UTC)
        arrived = offset_bytes == upload.length_bytes
        return Status(upload=upload, offset_bytes=offset_bytes, expires_utc=None if arrived else expires_utc)

    def _is_stale(self, upload: Upload) -> bool:
        return self._now_s() - upload.touched_s > self._expire_s

    def _now_s(self) -> int:
        return int(self._now_utc().timestamp())


def _unknown(upload_id: str) -> RefusedError:
    return RefusedError(404, f"upload {upload_id}: unknown here, expected one that was declared and has not expired")


def _anybody(_upload: Upload) -> None:
    """Permit the store itself everything."""
