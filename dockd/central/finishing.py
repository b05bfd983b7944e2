"""From the last byte to the receipt: sync, re-read, compare, place, index, sign.

Owns the order in README.md's "From the last byte to the receipt" (I2, I8), and the only place where a receipt is made.
Knows no HTTP but the status a failure is answered with.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

from dockd.central import index
from dockd.central.database import Database
from dockd.central.declaration import meta_sha256_of
from dockd.central.evidence import DeadCopyError, DigestMismatchError, Evidence, StoppedError
from dockd.central.index import Facts, Upload
from dockd.central.partials import DiskDiedError, Partials
from dockd.central.refusal import CHECKSUM_MISMATCH
from dockd.central.signing import Signer
from dockd.central.threads import Threads
from dockd.domain.receipt import Claims
from dockd.tus.headers import parse_metadata

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why a finished upload got no receipt, as the status and words of the answer."""

    status: int
    words: str


class Finisher:
    """Brings finished uploads to their receipts, each as a task of its own that no client going away ends."""

    def __init__(
        self,
        *,
        store_name: str,
        database: Database,
        partials: Partials,
        evidence: Evidence,
        signer: Signer,
        threads: Threads,
        tasks: asyncio.TaskGroup,
        now_utc: Callable[[], datetime],
    ) -> None:
        """Take the parts; `store_name` and `now_utc` are what receipts say."""
        self._store_name = store_name
        self._database = database
        self._partials = partials
        self._evidence = evidence
        self._signer = signer
        self._threads = threads
        self._tasks = tasks
        self._now_utc = now_utc
        self._running: dict[str, asyncio.Task[Upload | Failed]] = {}
        self._placing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def is_running(self, upload_id: str) -> bool:
        """Whether an upload is being verified."""
        return upload_id in self._running

    def start(self, upload: Upload) -> asyncio.Task[Upload | Failed]:
        """Verify an upload whose bytes are all there; the task that already does so, if there is one."""
        task = self._running.get(upload.id)
        if task is None:
            task = self._tasks.create_task(self._run(upload), name=f"verify {upload.id}")
            self._running[upload.id] = task
        return task

    def _record(self, db: sqlite3.Connection, upload: Upload) -> Upload | None:
        """Index an object that is verified and synced, and give the upload its receipt; for a write transaction.

        None if the upload has gone meanwhile.
        """
        stored_at = self._now_utc().isoformat(timespec="microseconds").replace("+00:00", "Z")
        receipt = self._signer.sign(
            Claims(
                clip_id=upload.clip_id,
                aud=upload.station,
                length_bytes=upload.length_bytes,
                sha256=upload.sha256,
                meta_sha256=meta_sha256_of(upload.metadata),
                stored_at=stored_at,
                store=self._store_name,
                leaf=upload.leaf,
            )
        )
        return index.record_stored(db, upload, facts=_facts(upload), stored_at=stored_at, receipt=receipt)

    async def _run(self, upload: Upload) -> Upload | Failed:
        # Two stations that bring one clip at once take turns: a bad copy's removal must not hit the other's good one.
        lock = self._placing.setdefault(upload.object_key, asyncio.Lock())
        try:
            async with lock:
                return await self._finish(upload)
        except (sqlite3.Error, OSError) as error:
            _log.error("clip %s station %s: not verified or not indexed: %s", upload.clip_id, upload.station, error)
            return Failed(status=503, words="store: could not verify this upload now, expected to do so later")
        finally:
            # Here, not in a callback: once the row is gone, a new upload of this name must not look finished.
            del self._running[upload.id]

    async def _finish(self, upload: Upload) -> Upload | Failed:
        partial = self._partials.path(upload.id)

        def settle() -> None:
            self._partials.renew(upload.id)
            self._evidence.settle(partial, upload)

        try:
            await self._threads.run(settle, size_bytes=upload.length_bytes)
        except StoppedError:
            return Failed(status=503, words="store: shutting down, expected to verify this upload at the next start")
        except DigestMismatchError as error:
            if error.path == self._evidence.path(upload.object_key) and await self._is_indexed(upload):
                _log.error("ALARM clip %s: its stored copy is damaged, set aside: %s", upload.clip_id, error)
                await self._threads.run(lambda: self._evidence.set_aside(upload.object_key))
                return Failed(status=503, words="store: its copy was damaged, expected the bytes from this station")
            await self._discard(upload, f"digest mismatch: {error}")
            return Failed(status=CHECKSUM_MISMATCH, words=f"upload discarded: {error}: send it again as a new upload")
        except (DeadCopyError, DiskDiedError) as error:
            await self._discard(upload, f"disk failed: {error}")
            return Failed(status=500, words="upload discarded: the store's disk failed: send it again as a new upload")
        stored = await self._database.write(lambda db: self._record(db, upload))
        return stored or Failed(
            status=404, words=f"upload {upload.id}: dropped meanwhile: send it again as a new upload"
        )

    async def _discard(self, upload: Upload, why: str) -> None:
        _log.error("ALARM clip %s station %s: upload discarded: %s", upload.clip_id, upload.station, why)
        indexed = await self._is_indexed(upload)

        def remove() -> None:
            # With bytes of its own that never got the object's name, what has the name is another upload's.
            if self._partials.size_bytes(upload.id) is not None:
                self._partials.discard(upload.id)
            elif not indexed:
                self._evidence.path(upload.object_key).unlink(missing_ok=True)

        # First the bytes, then the row: a row without bytes starts at 0, bytes without a row could be taken up again.
        await self._threads.run(remove)
        await self._database.write(lambda db: index.delete_unfinished(db, upload.id))

    async def _is_indexed(self, upload: Upload) -> bool:
        return await self._database.read(lambda db: index.has_object(db, upload.object_key))


def _facts(upload: Upload) -> Facts:
    metadata = parse_metadata(upload.metadata)
    return Facts(
        camera=metadata["serial"],
        recording_id=metadata.get("recording_id"),
        kind=metadata.get("kind"),
        name=metadata.get("name"),
    )
