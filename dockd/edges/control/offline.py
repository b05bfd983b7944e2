"""A state folder at rest, or beside its daemon: the same answers as the socket gives, read from the database.

Owns the read-only connection, and which keys receipts are checked under. Knows nothing of bays: nobody is there.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from dockd.app.accounting import AccountView
from dockd.domain.model import CameraSerial, ClipId, ClipKey, ClipState, DockingId
from dockd.edges.control.accounts import account_document, difference_document
from dockd.edges.control.cases import (
    MOST_DOCKINGS,
    alarms_document,
    broken_document,
    camera_case,
    clip_case,
    held_document,
)
from dockd.edges.control.client import DaemonDownError, UnknownError
from dockd.edges.control.documents import (
    clip_document,
    receipt_document,
    report_document,
    strays_document,
    tally_document,
)
from dockd.edges.control.shape import Document
from dockd.edges.control.store_list import receipts_in
from dockd.edges.ledger import account_reads, reads, views
from dockd.edges.ledger.audit import opened, strays_in, verify_state
from dockd.edges.ledger.reads import Query
from dockd.edges.ledger.schema import DATABASE, migrations, require_known
from dockd.errors import DockdError, StartRefusedError

PAGE = 500
T = TypeVar("T")


class Folder:
    """A state folder, for dockctl."""

    def __init__(self, state_dir: Path, *, key_texts: Sequence[str]) -> None:
        """Read there; without `key_texts` receipts are checked under the keys that the station pinned last."""
        self._state_dir = state_dir
        self._key_texts = tuple(key_texts)

    def status(self) -> Document:
        """Count what is on record; bays and store are a running daemon's to tell."""
        with self._connection() as connection:
            row = connection.execute("SELECT station FROM meta").fetchone()
            if row is None:
                raise StartRefusedError(f"{self._state_dir / DATABASE} holds nothing yet: start dockd once")
            backlog = _answer(connection, reads.backlog())
            alarms = _answer(connection, views.alarms())
            account = _account(connection)
            continues = _answer(connection, views.continues())
            strays = strays_in(connection, self._state_dir)
        return {
            "station": row[0],
            "bays": 0,
            "docked": 0,
            "faults": [],
            "kept": {},
            "spool_full": "",
            "strays": strays_document(strays),
            "backlog": tally_document(backlog),
            "account": account,
            "quarantine": alarms_document(*alarms),
            "continues": continues,
            "store": {"reason": None, "detail": "not asked: read from the state folder", "overdue": 0},
        }

    def rows(self, question: str, **filters: str | None) -> Iterator[Document]:
        """Read every row of a list.

        Raises:
            DockdError: bays are asked for, or a state that there is none of.

        """
        match question:
            case "clips":
                return self._clips(state=filters["in"], serial=filters["camera"])
            case "receipts":
                return self._receipts(filters["clip_id"])
            case "differences":
                return self._differences()
            case "held":
                return self._held()
            case "broken":
                return self._broken()
            case _:
                raise DockdError(f"{question}: asked of a state folder, expected a running daemon (leave --state out)")

    def account(self) -> Document:
        """Read how the accounts stood when the daemon last closed one."""
        with self._connection() as connection:
            return _account(connection)

    def case(self, kind: str, number: int) -> Document:
        """Read everything of one clip, or of one docking's camera.

        Raises:
            UnknownError: there is no such one.

        """
        with self._connection() as connection:
            if kind == "docking":
                docking = _answer(connection, views.docking(DockingId(number)))
                if docking is None:
                    raise UnknownError(f"docking {number}: there is no such one here")
                held = _answer(connection, views.held(camera=docking.camera, after=ClipKey(0), limit=PAGE))
                others = _answer(connection, views.dockings_of(docking.camera, limit=MOST_DOCKINGS))
                return camera_case(docking, dockings=others, held=held)
            clip = _answer(connection, views.found(ClipKey(number)))
            if clip is None:
                raise UnknownError(f"clip {number}: there is no such one here")
            return clip_case(
                clip,
                links=_answer(connection, views.custody_of(clip.key)),
                dockings=_answer(connection, views.dockings_of(clip.camera, limit=MOST_DOCKINGS)),
                salvaged=_answer(connection, views.salvaged_of(clip)),
            )

    def wish(self, verb: str, wanted: Document) -> Document:
        """Refuse: a state folder at rest is only read.

        Raises:
            DaemonDownError: always.

        """
        raise DaemonDownError(f"{verb} {wanted}: expected a running daemon to tell it to (leave --state out)")

    def _held(self) -> Iterator[Document]:
        after: ClipKey | None = ClipKey(0)
        with self._connection() as connection:
            while after is not None:
                page = _answer(connection, views.held(after=after, limit=PAGE))
                yield from map(held_document, page)
                after = page[-1].clip.key if len(page) == PAGE else None

    def _broken(self) -> Iterator[Document]:
        with self._connection() as connection:
            yield from map(broken_document, _answer(connection, views.broken()))

    def verify(self, *, receipts: Path | None) -> Document:
        """Check everything; against the receipts that the store lists, too, where a file of them is given."""
        # The keys bring the cryptography with them, which no other answer needs.
        from dockd.edges.keys import PinnedKeys, remembered  # noqa: PLC0415 - imported when asked for
        from dockd.edges.seal import public_key_of, verifies  # noqa: PLC0415 - the same

        texts = self._key_texts or remembered(self._state_dir)
        keys = PinnedKeys.read(texts, setting="--store-key") if texts else None
        report = verify_state(
            self._state_dir,
            keys.verify if keys else None,
            key=public_key_of(self._state_dir),
            check=verifies,
            store_says=None if receipts is None else receipts_in(receipts),
        )
        return report_document(report)

    def _clips(self, *, state: str | None, serial: str | None) -> Iterator[Document]:
        if state is not None and state not in set(ClipState):
            raise DockdError(f"in: {state!r}: expected one of {', '.join(ClipState)}")
        after: ClipKey | None = ClipKey(0)
        with self._connection() as connection:
            while after is not None:
                query = views.clips(
                    state=None if state is None else ClipState(state),
                    serial=None if serial is None else CameraSerial(serial),
                    after=after,
                    limit=PAGE,
                )
                page = _answer(connection, query)
                yield from map(clip_document, page)
                after = page[-1].key if len(page) == PAGE else None

    def _receipts(self, clip_id: str | None) -> Iterator[Document]:
        after: ClipKey | None = ClipKey(0)
        with self._connection() as connection:
            while after is not None:
                wanted = None if clip_id is None else ClipId(clip_id)
                page = _answer(connection, views.receipts(clip_id=wanted, after=after, limit=PAGE))
                yield from map(receipt_document, page)
                after = page[-1].clip if len(page) == PAGE else None

    def _differences(self) -> Iterator[Document]:
        after: int | None = 0
        with self._connection() as connection:
            while after is not None:
                page = _answer(connection, account_reads.differences(after=after, limit=PAGE))
                for row in page:
                    yield difference_document(row)
                after = page[-1].key if len(page) == PAGE else None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Open a ledger that this version can read.

        Raises:
            StartRefusedError: it is none, or is damaged.

        """
        database, scripts = self._state_dir / DATABASE, migrations()
        with closing(opened(database)) as connection:
            try:
                # A header that lies is no reason not to read what is there: remains that were set aside are read too.
                stamp = require_known(connection, database=database, scripts=scripts)
                if stamp.version < len(scripts):
                    words = stamp.fault or f"has schema version {stamp.version}, expected {len(scripts)}"
                    raise StartRefusedError(f"{database} {words}: start dockd once")
                yield connection
            except sqlite3.DatabaseError as error:
                raise StartRefusedError(
                    f"{database} cannot be read: {error}: 'dockctl verify' says what of it still stands"
                ) from error


def _account(connection: sqlite3.Connection) -> Document:
    reading = _answer(connection, account_reads.reading())
    view = AccountView(
        differences=reading.differences, unseen=reading.unseen, elsewhere=reading.elsewhere, last=reading.last
    )
    return account_document(view)


def _answer(connection: sqlite3.Connection, query: Query[T]) -> T:
    return query.decode(connection.execute(query.sql, query.parameters).fetchall())
