"""The ledger's writes: each method is one step inside a transaction that somebody else begins and commits.

Owns the SQL that changes rows and the end of the custody chain. Knows no threads, no event loop and no clock; the
same methods run under the group commit of the daemon and, one by one, in the simulation.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from dockd.app.ports import Salvaged
from dockd.domain.clip import SALVAGED, Change, Move, advance
from dockd.domain.custody import GENESIS, Entry, Link, append
from dockd.domain.gaps import gaps_text
from dockd.domain.listing import found_clip, reconcile
from dockd.domain.model import BayId, Camera, Clip, ClipKey, ClipState, DockingId, ListedFile, Listing, Tag, Timestamp
from dockd.edges.ledger.entries import facts_of, found_facts
from dockd.edges.ledger.rows import (
    CLIP_COLUMNS,
    Row,
    Value,
    camera_of,
    changed,
    clip_of,
    found_row,
    link_row,
    text_in,
    words,
)
from dockd.errors import InvariantError, StaleMoveError

CHUNK_ROWS = 1000
"""Rows of a listing held in memory at a time, apart from the listing itself."""

_INSERT_LINK = "INSERT INTO custody (seq, prev, hash, body, clip) VALUES (?, ?, ?, ?, ?)"
_INSERT_CLIP = (
    "INSERT INTO clips (key, found_in, docking, path, length_bytes, mtime_s, mtime_part_ns, state, kind, recording_id,"
    " tags, urgent, facts, assurance, spooled, detail)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'none', 0, '')"
)
_INSERT_SALVAGED = (
    "INSERT INTO clips (key, found_in, docking, path, length_bytes, mtime_s, mtime_part_ns, state, kind, recording_id,"
    " tags, urgent, facts, sha256, clip_id, assurance, spooled, detail, copied_seq, superseded_in, gaps)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'none', 1, '', ?, ?, ?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEnd:
    """The last custody entry."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A docking as custody entries name it."""

    docking: DockingId
    bay: BayId
    camera: Camera


class LedgerCore:
    """One open database of one station, for writing. Every method needs an open transaction around it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take a connection whose schema is current and whose chain holds."""
        self.connection = connection
        self.end = self._read_end()
        self._updates: dict[tuple[str, ...], str] = {}

    def reread(self) -> None:
        """Find the end of the chain anew: a closure was taken back."""
        self.end = self._read_end()

    def dock(self, *, bay: BayId, camera: Camera, time: Timestamp) -> DockingId:
        """Open a docking."""
        cursor = self.connection.execute(
            "INSERT INTO dockings (bay, serial, volume, model, firmware, attached_utc) VALUES (?, ?, ?, ?, ?, ?)",
            (bay, text_in(camera.serial), text_in(camera.volume), text_in(camera.model), text_in(camera.firmware),
             time.utc),
        )  # fmt: skip
        docking = DockingId(self._key(cursor.lastrowid))
        facts = {"volume": camera.volume, "model": camera.model, "firmware": camera.firmware}
        self._append(
            Entry(time=time, actor="station", cause="docked", bay=bay, docking=docking, camera=camera.serial,
                  facts={name: fact for name, fact in facts.items() if fact})
        )  # fmt: skip
        return docking

    def undock(self, docking: DockingId, *, early: bool, left_files: int, time: Timestamp) -> None:
        """Close a docking; nothing happens if it is closed already."""
        place = self.place(docking)
        cursor = self.connection.execute(
            "UPDATE dockings SET ended_utc = ?, early = ?, left_files = ? WHERE key = ? AND ended_utc IS NULL",
            (time.utc, int(early), left_files, docking),
        )
        if cursor.rowcount:
            facts = {"early": "yes" if early else "no", "left_files": str(left_files)}
            self.note("undocked", actor="station", time=time, bay=place.bay, docking=docking, facts=facts)

    def cut(self, time: Timestamp) -> None:
        """Close the dockings that an earlier run left open: nobody saw how they ended."""
        rows = self.connection.execute("SELECT key FROM dockings WHERE ended_utc IS NULL ORDER BY key").fetchall()
        for (docking,) in rows:
            self.connection.execute("UPDATE dockings SET ended_utc = ? WHERE key = ?", (time.utc, docking))
            facts = {"detail": "the service ended before the docking did"}
            self.note("docking-cut", actor="ledger", time=time, docking=docking, facts=facts)

    def record_listing(self, docking: DockingId, listing: Listing, *, time: Timestamp) -> None:
        """Write down a complete listing: new files, and what it means for the known clips of the camera and volume."""
        place = self.place(docking)
        total_bytes = sum(file.length_bytes for file in listing.files)
        self.connection.execute(
            "UPDATE dockings SET listed_utc = ?, listing_sha256 = ?, files = ?, bytes = ? WHERE key = ?",
            (time.utc, listing.sha256, len(listing.files), total_bytes, docking),
        )
        known = {clip.key: clip for clip in self._known(place.camera)}
        found = reconcile(listing, docking=docking, known=tuple(known.values()))
        facts = {
            "bytes": str(total_bytes),
            "files": str(len(listing.files)),
            "known": str(len(found.moves)),
            "new": str(len(found.new)),
            "sha256": listing.sha256,
        } | {f"card_{name}": value for name, value in listing.structure}
        self.note("listed", actor="offload", time=time, docking=docking, facts=facts)
        for known_move in found.moves:
            self._apply(
                known[known_move.clip], known_move.move, known_move.change, bay=place.bay, actor="offload", time=time
            )
        for start in range(0, len(found.new), CHUNK_ROWS):
            self._insert(place, found.new[start : start + CHUNK_ROWS], joins=found.joins, time=time)

    def move(self, key: ClipKey, move: Move, change: Change, *, actor: str, time: Timestamp) -> Clip:
        """Move one clip and append its custody entry.

        Raises:
            StaleMoveError: the move is not lawful from the state the clip is in now.

        """
        before, bay = self._clip_and_bay(key)
        if change.docking is not None:
            bay = self.place(change.docking).bay
        return self._apply(before, move, change, bay=bay, actor=actor, time=time)

    def supersede(self, key: ClipKey, file: ListedFile, *, docking: DockingId, time: Timestamp) -> Clip:
        """Part a clip from a file that proved to be another one; give the file's own new clip.

        Raises:
            StaleMoveError: the clip was listed in another docking since.

        """
        old, place = self._listed_in(key, docking)
        self.connection.execute("UPDATE clips SET superseded_in = ? WHERE key = ?", (docking, key))
        (new,) = self._insert(place, (file,), joins={file.path: old.recording_id}, time=time)
        self._append(
            Entry(time=time, actor="offload", cause="superseded", bay=place.bay, docking=docking,
                  camera=place.camera.serial, clip=key, clip_id=old.clip_id, state_from=old.state.value,
                  state_to=old.state.value, facts={"by": str(new.key)})
        )  # fmt: skip
        return new

    def salvage(self, key: ClipKey, salvaged: Salvaged, *, docking: DockingId, time: Timestamp) -> Clip:
        """Write down what was salvaged of a clip's file, as a clip of its own that is apart from the docking's work.

        Raises:
            StaleMoveError: the clip was listed in another docking since.

        """
        of, place = self._listed_in(key, docking)
        clip = replace(
            of,
            key=self._next_key(),
            camera=place.camera,
            state=ClipState.COPIED,
            tags=of.tags | {Tag.SALVAGED},
            sha256=salvaged.sha256,
            clip_id=salvaged.clip_id,
            gaps=salvaged.gaps,
        )
        # The row first: its entry names it.
        row = (*found_row(clip), clip.sha256, clip.clip_id, self.end.seq + 1, docking, gaps_text(clip.gaps))
        self.connection.execute(_INSERT_SALVAGED, row)
        clip = self.clip(clip.key)
        self._append(
            Entry(time=time, actor="offload", cause=SALVAGED, bay=place.bay, docking=docking,
                  camera=place.camera.serial, clip=clip.key, clip_id=clip.clip_id, state_to=clip.state.value,
                  facts={**found_facts(clip), "sha256": salvaged.sha256, "of": str(key), "gaps": gaps_text(clip.gaps)})
        )  # fmt: skip
        return clip

    def annotate(self, key: ClipKey, change: Change) -> None:
        """Set what a clip waits for."""
        reason = None if change.reason is None else change.reason.value
        cursor = self.connection.execute(
            "UPDATE clips SET reason = ?, detail = ? WHERE key = ?", (reason, words(change.detail), key)
        )
        if cursor.rowcount != 1:
            raise InvariantError(f"clip {key} is not in the ledger, expected a known clip")

    def note(
        self,
        cause: str,
        *,
        actor: str,
        time: Timestamp,
        bay: BayId | None = None,
        docking: DockingId | None = None,
        clip: ClipKey | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Append an entry that moves no clip; the docking and the camera follow from the clip, the bay from those."""
        known = None if clip is None else self.clip(clip)
        docking = known.docking if docking is None and known is not None else docking
        place = None if docking is None else self.place(docking)
        self._append(
            Entry(
                time=time,
                actor=actor,
                cause=cause,
                bay=place.bay if bay is None and place is not None else bay,
                docking=docking,
                camera=None if place is None else place.camera.serial,
                clip=clip,
                clip_id=None if known is None else known.clip_id,
                facts=facts or {},
            )
        )

    def record_told(self, seq: int) -> None:
        """Write down up to which entry the world outside knows everything."""
        self.connection.execute("UPDATE told SET seq = ?", (seq,))

    def clip(self, key: ClipKey) -> Clip:
        """Read one clip as this transaction has it.

        Raises:
            InvariantError: there is none.

        """
        clip, _ = self._clip_and_bay(key)
        return clip

    def place(self, docking: DockingId) -> Place:
        """Read a docking's bay and camera.

        Raises:
            InvariantError: there is none.

        """
        row = self.connection.execute(
            "SELECT bay, serial, volume, model, firmware FROM dockings WHERE key = ?", (docking,)
        ).fetchone()
        if row is None:
            raise InvariantError(f"docking {docking} is not in the ledger, expected a known docking")
        return Place(docking=docking, bay=row[0], camera=camera_of(row[1:]))

    def _listed_in(self, key: ClipKey, docking: DockingId) -> tuple[Clip, Place]:
        clip = self.clip(key)
        if clip.docking != docking:
            raise StaleMoveError(f"clip {key}: docking {docking} was asked for, it was listed in {clip.docking} since")
        return clip, self.place(docking)

    def _clip_and_bay(self, key: ClipKey) -> tuple[Clip, BayId]:
        row = self.connection.execute(
            "SELECT d.bay, f.serial, f.volume, f.model, f.firmware, c.* FROM clips c"
            " JOIN dockings f ON f.key = c.found_in JOIN dockings d ON d.key = c.docking WHERE c.key = ?",
            (key,),
        ).fetchone()
        if row is None:
            raise InvariantError(f"clip {key} is not in the ledger, expected a known clip")
        return clip_of(row[1:]), row[0]

    def _apply(self, before: Clip, move: Move, change: Change, *, bay: BayId, actor: str, time: Timestamp) -> Clip:
        change = replace(change, detail=words(change.detail)) if change.detail else change
        try:
            after = advance(before, move, change)
        except StaleMoveError:
            raise
        except InvariantError as error:
            raise StaleMoveError(f"clip {before.key}: {error}") from error
        link = self._append(
            Entry(
                time=time,
                actor=actor,
                cause=move.value,
                bay=bay,
                docking=after.docking,
                camera=after.camera.serial,
                clip=after.key,
                clip_id=after.clip_id,
                state_from=before.state.value,
                state_to=after.state.value,
                facts=facts_of(after, move, change),
            )
        )
        columns = changed(before, after)
        match move:
            case Move.COPIED:
                columns["copied_seq"] = link.seq
            case Move.RECEIPTED:
                columns["receipted_utc"] = time.utc
            case _:
                pass
        if columns:
            self._update(before, columns)
        return after

    def _update(self, before: Clip, columns: Mapping[str, Value]) -> None:
        names = tuple(columns)
        sql = self._updates.get(names)
        if sql is None:
            # Only what changed is named, so that only the indexes that know it are written.
            sql = self._updates[names] = _update_of(names)
        cursor = self.connection.execute(sql, (*columns.values(), before.key, before.state.value))
        if cursor.rowcount != 1:
            raise StaleMoveError(
                f"clip {before.key}: {cursor.rowcount} rows are {before.state.value}, expected exactly one"
            )

    def _known(self, camera: Camera) -> Iterator[Clip]:
        cursor = self.connection.execute(
            "SELECT f.serial, f.volume, f.model, f.firmware, c.* FROM dockings d JOIN clips c ON c.docking = d.key"
            " JOIN dockings f ON f.key = c.found_in"
            " WHERE d.serial = ? AND d.volume = ? AND c.state <> 'erased' ORDER BY c.key",
            (text_in(camera.serial), text_in(camera.volume)),
        )
        return map(clip_of, cursor)

    def _insert(
        self, place: Place, files: Sequence[ListedFile], *, joins: Mapping[bytes, str], time: Timestamp
    ) -> tuple[Clip, ...]:
        """Put files on record as found; `joins` is the recording that a file is of already, by its path."""
        keys = count(self._next_key())
        clips = tuple(
            found_clip(file, key=ClipKey(key), docking=place.docking, camera=place.camera, joins=joins)
            for file, key in zip(files, keys, strict=False)
        )
        self.connection.executemany(_INSERT_CLIP, map(found_row, clips))
        self.connection.executemany(_INSERT_LINK, self._found_links(place, clips, time=time))
        return clips

    def _next_key(self) -> ClipKey:
        (last,) = self.connection.execute("SELECT coalesce(max(key), 0) FROM clips").fetchone()
        return ClipKey(last + 1)

    def _found_links(self, place: Place, clips: Sequence[Clip], *, time: Timestamp) -> Iterator[Row]:
        for clip in clips:
            entry = Entry(
                time=time,
                actor="offload",
                cause=Move.FOUND.value,
                bay=place.bay,
                docking=place.docking,
                camera=place.camera.serial,
                clip=clip.key,
                state_to=ClipState.FOUND.value,
                facts=found_facts(clip),
            )
            yield link_row(self._next(entry), clip.key)

    def _append(self, entry: Entry) -> Link:
        link = self._next(entry)
        self.connection.execute(_INSERT_LINK, link_row(link, entry.clip))
        return link

    def _next(self, entry: Entry) -> Link:
        link = append(entry, seq=self.end.seq + 1, prev=self.end.hash)
        self.end = ChainEnd(seq=link.seq, hash=link.hash)
        return link

    def _read_end(self) -> ChainEnd:
        row = self.connection.execute("SELECT seq, hash FROM custody ORDER BY seq DESC LIMIT 1").fetchone()
        return ChainEnd(seq=0, hash=GENESIS) if row is None else ChainEnd(seq=row[0], hash=row[1])

    @staticmethod
    def _key(key: int | None) -> int:
        if key is None:
            raise InvariantError("SQLite gave no key for a row it inserted")
        return key


def _update_of(names: Sequence[str]) -> str:
    unknown = set(names) - set(CLIP_COLUMNS)
    if unknown:
        raise InvariantError(f"columns {sorted(unknown)} are not of a clip")
    return " ".join(["UPDATE clips SET", ", ".join(f"{name} = ?" for name in names), "WHERE key = ? AND state = ?"])
