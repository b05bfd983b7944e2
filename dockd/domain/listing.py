"""What a complete listing means for the ledger: which files are new, which are old acquaintances, which are missing.

Owns the comparison of a card with what is known of it. Equal path and length make a candidate, never a match (I3).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from dockd.domain.canonical import length_prefixed, sha256_hex
from dockd.domain.clip import Change, Move
from dockd.domain.model import Camera, Clip, ClipKey, ClipKind, ClipState, DockingId, ListedFile, Listing, Sha256, Tag
from dockd.errors import ListingError, Reason

FOUR_GIB_BYTES = 1 << 32
MOST_CARD_BYTES = 1 << 50
"""No card holds so much (SDUC ends at 2**47): a listing that says so lies, and its sums must fit into a ledger."""

_KINDS: Mapping[bytes, ClipKind] = {
    b"mp4": ClipKind.VIDEO,
    b"mov": ClipKind.VIDEO,
    b"mkv": ClipKind.VIDEO,
    b"avi": ClipKind.VIDEO,
    b"ts": ClipKind.VIDEO,
    b"m4a": ClipKind.AUDIO,
    b"wav": ClipKind.AUDIO,
    b"mp3": ClipKind.AUDIO,
    b"aac": ClipKind.AUDIO,
    b"jpg": ClipKind.IMAGE,
    b"jpeg": ClipKind.IMAGE,
    b"png": ClipKind.IMAGE,
    b"thm": ClipKind.SIDECAR,
    b"gpx": ClipKind.SIDECAR,
    b"nmea": ClipKind.SIDECAR,
    b"srt": ClipKind.SIDECAR,
    b"json": ClipKind.SIDECAR,
    b"xml": ClipKind.SIDECAR,
    b"key": ClipKind.SIDECAR,
    b"lrv": ClipKind.SIDECAR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMove:
    """A move of a clip that the ledger already has, as a listing asks for it."""

    clip: ClipKey
    move: Move
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What to write down of a listing: files never seen before, and moves of known clips.

    `joins` is the recording that a new file joins, by its path, where clips of that recording are known: what keeps its
    files together must not be parted by a profile that came, went or was changed between two dockings.
    """

    new: tuple[ListedFile, ...]
    moves: tuple[KnownMove, ...]
    joins: Mapping[bytes, str] = field(default_factory=dict)


def listing_of(files: Iterable[ListedFile]) -> Listing:
    """Make a listing of files that were all read without error.

    Raises:
        ListingError: two files have one name: each would open the same bytes (I7); or more is listed than any card
            holds.

    """
    ordered = tuple(sorted(files, key=lambda file: file.path))
    for before, file in pairwise(ordered):
        if before.path == file.path:
            raise ListingError(Reason.DUPLICATE_NAME, f"{file.path!r} is listed twice, expected unique names")
    total_bytes = sum(file.length_bytes for file in ordered)
    if total_bytes > MOST_CARD_BYTES:
        raise ListingError(
            Reason.LISTING, f"files of {total_bytes} bytes, expected at most {MOST_CARD_BYTES}: the card is lying"
        )
    body = b"".join(
        length_prefixed(file.path, str(file.length_bytes).encode("ascii"), str(file.mtime_ns).encode("ascii"))
        for file in ordered
    )
    return Listing(files=ordered, sha256=Sha256(sha256_hex(body)))


def reconcile(listing: Listing, *, docking: DockingId, known: Sequence[Clip]) -> Reconciled:
    """Compare a complete listing with the clips known of this camera and volume.

    `known` holds, oldest first, every clip of the camera and volume that is not erased. The latest clip of a path and
    length is its candidate; an erased one never is, so a file that comes back is copied and proven anew. A clip that
    was met in this docking already, at a listing before this one, is left as it is: it was read, or held, in this stay.
    What was salvaged of a file is never that file: it stands for itself, whatever is listed.
    """
    known = tuple(clip for clip in known if Tag.SALVAGED not in clip.tags)
    candidates = {(clip.path, clip.length_bytes): clip for clip in known}
    files = {file.path: file for file in listing.files}
    new: list[ListedFile] = []
    moves: list[KnownMove] = []
    met: set[ClipKey] = set()
    for clip in known:
        file = files.get(clip.path)
        # What was copied whole once and lost here is not what is longer now: only a file never copied can have grown.
        young = clip.state is ClipState.FOUND and clip.sha256 is None
        if young and file is not None and file.length_bytes > clip.length_bytes:
            met.add(clip.key)
            moves.append(_grew(clip, file, docking=docking))
            candidates[(file.path, file.length_bytes)] = clip
    for file in listing.files:
        candidate = candidates.get((file.path, file.length_bytes))
        if candidate is None:
            new.append(file)
        elif candidate.key not in met:
            met.add(candidate.key)
            if candidate.docking != docking or candidate.state is ClipState.ERASING:
                moves.append(_redocked(candidate, file, docking=docking))
    moves.extend(_absent(clip) for clip in known if clip.key not in met and clip.state in _MUST_BE_THERE)
    return Reconciled(new=tuple(new), moves=tuple(moves), joins=_joins(new, known, files))


def found_clip(
    file: ListedFile, *, key: ClipKey, docking: DockingId, camera: Camera, joins: Mapping[bytes, str]
) -> Clip:
    """Make the clip that a file is when it is first listed; `joins` is as `Reconciled` has it."""
    return Clip(
        key=key,
        docking=docking,
        camera=camera,
        path=file.path,
        length_bytes=file.length_bytes,
        mtime_ns=file.mtime_ns,
        state=ClipState.FOUND,
        kind=kind_in(file),
        recording_id=joins.get(file.path) or recording_in(file, camera=camera),
        tags=tags_of(file),
        urgent=file.urgent,
        facts=file.reading.facts if file.reading is not None else (),
    )


def kind_of(path: bytes) -> ClipKind:
    """Tell a file's kind by its extension; an unknown one is OTHER and is carried all the same."""
    return _KINDS.get(_extension(path), ClipKind.OTHER)


def kind_in(file: ListedFile) -> ClipKind:
    """Tell a listed file's kind: a sidecar where its profile says so, else by its extension."""
    if file.reading is not None and file.reading.sidecar:
        return ClipKind.SIDECAR
    return kind_of(file.path)


def tags_of(file: ListedFile) -> frozenset[Tag]:
    """Tell what is odd about a file from its listing alone."""
    odd = (
        (file.length_bytes == 0, Tag.EMPTY),
        (file.length_bytes >= FOUR_GIB_BYTES, Tag.OVER_4_GIB),
        (kind_in(file) is ClipKind.OTHER, Tag.UNKNOWN_TYPE),
    )
    return frozenset(tag for holds, tag in odd if holds)


def recording_of(*, serial: str, volume: str, path: bytes) -> str:
    """Group the files of one press of the button: same camera, volume, folder and stem (32 hex digits).

    A clip and its sidecars share a stem (DCF: ABCD0001.MP4, ABCD0001.THM). The counter wraps after months; two
    recordings that then share an id are held and erased together, which only ever keeps more.
    """
    return _named(b"dockd recording 1", serial, volume, *_stem(path))


def recording_in(file: ListedFile, *, camera: Camera) -> str:
    """Group the files of one press of the button as their profile has it, without one by folder and stem."""
    if file.reading is None or not file.reading.group:
        return recording_of(serial=camera.serial, volume=camera.volume, path=file.path)
    return _named(b"dockd recording 2", camera.serial, camera.volume, file.reading.group)


_MUST_BE_THERE = frozenset({ClipState.FOUND, ClipState.ERASING})


def _named(version: bytes, serial: str, volume: str, *group: bytes) -> str:
    camera = (serial.encode("utf-8", "surrogateescape"), volume.encode("utf-8", "surrogateescape"))
    return sha256_hex(length_prefixed(version, *camera, *group))[:32]


def _stem(path: bytes) -> tuple[bytes, bytes]:
    folder, _, name = path.rpartition(b"/")
    return folder, name.rpartition(b".")[0] or name


def _joins(new: Sequence[ListedFile], known: Iterable[Clip], files: Mapping[bytes, ListedFile]) -> Mapping[bytes, str]:
    there: dict[tuple[bytes, ...], str] = {}
    for clip in known:
        there.setdefault(_stem(clip.path), clip.recording_id)
        if clip.path in files:
            there.setdefault(_group(files[clip.path]), clip.recording_id)
    # Files of one stem are of one recording under every profile, also where the known one is not on the card now.
    for file in new:
        if (stem := _stem(file.path)) in there:
            there.setdefault(_group(file), there[stem])
    ways = ((file.path, there.get(_stem(file.path)) or there.get(_group(file))) for file in new)
    return {path: recording for path, recording in ways if recording is not None}


def _group(file: ListedFile) -> tuple[bytes, ...]:
    return _stem(file.path) if file.reading is None or not file.reading.group else (file.reading.group,)


def _extension(path: bytes) -> bytes:
    name = path.rpartition(b"/")[2]
    return name.rpartition(b".")[2].lower() if b"." in name else b""


def _grew(clip: Clip, file: ListedFile, *, docking: DockingId) -> KnownMove:
    change = Change(docking=docking, length_bytes=file.length_bytes, mtime_ns=file.mtime_ns, urgent=file.urgent)
    return KnownMove(clip=clip.key, move=Move.GREW, change=change)


def _redocked(clip: Clip, file: ListedFile, *, docking: DockingId) -> KnownMove:
    change = Change(docking=docking, urgent=clip.urgent or file.urgent)
    if clip.state is ClipState.HELD:
        # Docking a camera again is how people retry. A verified copy is never given up for it: the camera may have
        # grown worse since, and what it gives now is held against the copy like any other candidate.
        move = Move.RESUMED if clip.spooled and clip.sha256 is not None else Move.RECOPY
        return KnownMove(clip=clip.key, move=move, change=change)
    return KnownMove(clip=clip.key, move=Move.REDOCKED, change=change)


def _absent(clip: Clip) -> KnownMove:
    if clip.state is ClipState.ERASING:
        # The unlink was recorded, permitted and asked for; a complete listing shows that it happened.
        return KnownMove(clip=clip.key, move=Move.ERASED, change=Change(facts={"seen": "absent at the next listing"}))
    lost = "listed before and never copied" if clip.sha256 is None else "copied before, its copy here is lost"
    detail = f"it was {lost}, and it is no longer on the camera"
    return KnownMove(clip=clip.key, move=Move.HELD, change=Change(reason=Reason.MISSING, detail=detail))
