"""A ledger that is gone, damaged or rolled back: found out at the start, set aside, and told to the one that follows.

Owns the order of the renames, such that a cut at any instant leaves either the old ledger in its place, or its remains
in `setting-aside` and no finished ledger: the next start then goes on from there. Nothing is ever deleted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dockd.domain.checkpoint import Checkpoint, Head, contradiction
from dockd.domain.model import StationId
from dockd.domain.recovery import Basis, Lost
from dockd.durable import move_file, sync_folder
from dockd.edges.copies import SPOOL, copies_in, counted
from dockd.edges.ledger.checkpoint import Check, Kept, is_signed, kept
from dockd.edges.ledger.schema import DATABASE
from dockd.edges.ledger.survey import Survey, survey
from dockd.errors import StartRefusedError

ASIDE = "set-aside-"
"""A folder of one lost ledger's files: `set-aside-1` and so on; `dockctl --state` reads it like a state folder."""
PENDING = "setting-aside"
"""The same while its successor is not finished yet."""
MOST_ASIDE = 20

_BESIDE = (f"{DATABASE}-wal", f"{DATABASE}-journal")


class Named(Protocol):
    """The names of the station's key."""

    @property
    def public_key(self) -> str:
        """As the chain names it: `ed25519:` and base64url."""
        ...

    @property
    def kid(self) -> str:
        """Its thumbprint."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a start may go on with: `lost` where a new ledger is to be made, `key` what the chain named last.

    `unstated` says in words why nothing states how far the chain had come, empty where it is stated or never was.
    """

    lost: Lost | None
    key: str
    unstated: str = ""


def settle(state_dir: Path, *, station: StationId, seal: Named, check: Check) -> Settled:
    """Make sure that what lies in the ledger's place is sound, or nothing; `seal` is the station's own key.

    Raises:
        StartRefusedError: it is another station's, another program's or a newer dockd's, or too much is set aside.
        OSError, sqlite3.Error: the disk does not do it now.

    """
    statement = kept(state_dir)
    mark = frozenset() if statement.stated is None else frozenset({statement.stated.checkpoint.head.seq})
    found = survey(state_dir / DATABASE, mark=mark)
    in_place = not found.empty
    if in_place:
        finish(state_dir)  # whatever was being set aside: its successor came to be, and is what was looked at
    elif (state_dir / PENDING / DATABASE).exists():
        found = survey(state_dir / PENDING / DATABASE, mark=mark)
    checkpoint = _believed(statement, keys=(seal.public_key, found.key), check=check)
    _require_station(state_dir / DATABASE, station, found, statement, checkpoint, kid=seal.kid)
    why = found.fault or _contradiction(checkpoint, found)
    if not why and in_place:
        return Settled(lost=None, key=found.key, unstated=_unstated(statement, checkpoint, found))
    if not in_place and not _was_there(state_dir, statement):
        return Settled(lost=None, key="")
    number = _free(state_dir)
    remains = _set_aside(state_dir, damaged=in_place)
    head, basis = _last_known(found, checkpoint)
    lost = Lost(
        why=(why or "the database is there no more") + _doubt(statement, checkpoint),
        head=head,
        basis=basis,
        set_aside=f"{ASIDE}{number}" if remains else "",
        checkpoint=statement.stated.compact if statement.stated is not None else "",
        strays=counted(copies_in(state_dir / SPOOL)),
    )
    return Settled(lost=lost, key="")


def finish(state_dir: Path) -> None:
    """Give what was set aside its name, once the ledger that follows is durable.

    Raises:
        StartRefusedError: too much is set aside.
        OSError: the disk does not do it now.

    """
    pending = state_dir / PENDING
    # An empty one was made for what never came to be moved.
    if pending.exists() and any(pending.iterdir()):
        pending.rename(state_dir / f"{ASIDE}{_free(state_dir)}")
        sync_folder(state_dir)


def _believed(statement: Kept, *, keys: Iterable[str], check: Check) -> Checkpoint | None:
    stated = statement.stated
    return stated.checkpoint if stated is not None and is_signed(stated, keys=keys, check=check) else None


def _doubt(statement: Kept, checkpoint: Checkpoint | None) -> str:
    if statement.flaw:
        return "; its checkpoint cannot be read"
    return "; its checkpoint bears no signature of a known key" if statement.text and checkpoint is None else ""


def _unstated(statement: Kept, checkpoint: Checkpoint | None, found: Survey) -> str:
    """Say why a sound chain can be held against nothing: entries at its end may have been cut off (I11)."""
    if statement.text:
        return _doubt(statement, checkpoint).removeprefix("; ")
    return "its checkpoint is there no more" if found.worked else ""


def _require_station(
    database: Path, station: StationId, found: Survey, statement: Kept, checkpoint: Checkpoint | None, *, kid: str
) -> None:
    """Refuse the folder of another station, whichever of its files says so."""
    said = set()
    if checkpoint is not None:
        said.add(checkpoint.station)
    elif statement.stated is not None and statement.stated.jws.kid != kid:
        # Nobody can say whether it was signed so, but a name of another key is no bit that flipped.
        said.add(statement.stated.checkpoint.station)
    if found.seq or checkpoint is None:
        said.add(StationId(found.station))  # a chain's word; a table's alone counts where nothing else speaks
    for name in sorted(said - {station, ""}):
        raise StartRefusedError(
            f"{database} belongs to station {name}, this is station {station}: if the disk was moved here, put it"
            " back, or give this station a new state folder"
        )


def _contradiction(checkpoint: Checkpoint | None, found: Survey) -> str:
    if checkpoint is None or found.end is None:
        return ""
    return contradiction(
        checkpoint, end=found.end, hash_there=found.marked.get(checkpoint.head.seq), continues=found.continues
    )


def _was_there(state_dir: Path, statement: Kept) -> bool:
    """Say whether anything shows that there was a ledger once."""
    if statement.text or (state_dir / PENDING).exists() or any(state_dir.glob(f"{ASIDE}*")):
        return True
    stray = not (state_dir / DATABASE).exists() and any(_holds_bytes(state_dir / name) for name in _BESIDE)
    return stray or any((state_dir / SPOOL).glob("*.clip"))


def _last_known(found: Survey, checkpoint: Checkpoint | None) -> tuple[Head | None, Basis]:
    """Choose the highest head that is proved: the chain as far as it is read, unless the checkpoint knows more."""
    read, stated = found.end, checkpoint.head if checkpoint is not None else None
    if read is None and stated is None:
        return None, Basis.NONE
    if stated is None or (read is not None and _holds(found, stated)):
        return read, Basis.DATABASE
    return stated, Basis.CHECKPOINT


def _holds_bytes(path: Path) -> bool:
    # A reader leaves an empty log: it says nothing, and may stay.
    return path.is_file() and path.stat().st_size > 0


def _holds(found: Survey, stated: Head) -> bool:
    if found.instance != stated.instance:
        return found.continues == stated.instance
    return found.marked.get(stated.seq) == stated.hash


def _free(state_dir: Path) -> int:
    for number in range(1, MOST_ASIDE + 1):
        if not (state_dir / f"{ASIDE}{number}").exists():
            return number
    raise StartRefusedError(
        f"{state_dir}: {MOST_ASIDE} lost ledgers are set aside in it: look into why, and move them elsewhere"
    )


def _set_aside(state_dir: Path, *, damaged: bool) -> bool:
    """Move what lies in the ledger's place into `setting-aside`; say whether anything lies there now.

    `damaged` says that a database lies in its place; otherwise one that is there is the next one, its making cut.
    """
    pending = state_dir / PENDING
    # The database first: a log without its database is no ledger, but a database without its log is an older ledger.
    names = (DATABASE, *_BESIDE) if damaged else () if (state_dir / DATABASE).exists() else _BESIDE
    there = [state_dir / name for name in names if name == DATABASE or _holds_bytes(state_dir / name)]
    if there:
        pending.mkdir(mode=0o700, exist_ok=True)
        sync_folder(state_dir)
    for path in there:
        move_file(path, pending)
    return pending.exists()
