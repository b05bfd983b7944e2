"""When, and in which order: the next work on a bus, how long to back off, how long to wait for a receipt.

Owns the order of work at a shift change and every retry delay. Reads no clock and no chance: both are arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dockd.domain.bay import Work
from dockd.domain.model import Clip, DockingId

BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 300.0
RETRY_AFTER_MOST_S = 3600.0
POLL_FIRST_S = 0.1
POLL_MOST_S = 600.0
PER_CLIP_S = 30.0
"""What one clip may cost beside its bytes (I17): so long, for each clip that waits, one may be left alone."""
VERIFY_BYTES_S = 4_000_000
"""Slowest re-read and hash we allow a store before we call its receipt late; a busy disk array does ten times that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the ledger would have the bus do next for one docking: the first clip of each kind of work.

    `uncopied_bytes` is what is left to copy of the docking.
    """

    docking: DockingId
    uncopied_bytes: int
    copy: Clip | None
    confirm: Clip | None
    erase: Clip | None


class JobKind(StrEnum):
    """What the bus is used for."""

    COPY = "copy"
    CONFIRM = "confirm"
    ERASE = "erase"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One clip's turn on the bus."""

    kind: JobKind
    docking: DockingId
    clip: Clip


def next_job(heads: Sequence[Head], *, first: DockingId | None, current: DockingId | None, erase: bool) -> Job | None:
    """Choose the next clip for a bus.

    Urgent clips first, then `first` (the camera lifted and docked again: "this one first"), then camera by camera:
    the one already begun, then the one with least left, so that the most are ready soonest. Re-reads and erasing only
    fill the time in which nothing is left to copy; nothing is erased unless `erase` says so.
    """
    copies = [(head, head.copy) for head in heads if head.copy is not None]
    if copies:
        head, clip = min(
            copies,
            key=lambda pair: (
                not pair[1].urgent,
                pair[0].docking != first,
                pair[0].docking != current,
                pair[0].uncopied_bytes,
                pair[0].docking,
            ),
        )
        return Job(kind=JobKind.COPY, docking=head.docking, clip=clip)
    in_turn = sorted(heads, key=lambda head: (head.docking != first, head.docking != current, head.docking))
    # A candidate is believed only after its re-read, and until then its bay cannot say 'ready'; erasing can wait.
    for head in in_turn:
        if head.confirm is not None:
            return _confirm(head, head.confirm, erase=erase)
    for head in in_turn:
        if erase and head.erase is not None:
            return Job(kind=JobKind.ERASE, docking=head.docking, clip=head.erase)
    return None


def _confirm(head: Head, clip: Clip, *, erase: bool) -> Job:
    # Erasing begins with a re-read: a receipted candidate needs no other.
    again = erase and head.erase is not None and head.erase.key == clip.key
    return Job(kind=JobKind.ERASE if again else JobKind.CONFIRM, docking=head.docking, clip=clip)


def patience_s(clips: int) -> float:
    """Say how long one of `clips` clips that wait may be left alone, such that all are done in time once faults end.

    The fewer wait, the sooner each is tried again: a station asks the store some twice a minute, however many wait.
    """
    return PER_CLIP_S * max(1, clips)


def backoff_s(
    attempt: int, *, jitter: float, retry_after_s: float | None = None, most_s: float = BACKOFF_MOST_S
) -> float:
    """Say how long to wait after `attempt` failures in a row (1 for the first), `jitter` in [0, 1).

    Doubles from half a second to five minutes, or `most_s` where that is less, the upper half of each step at random,
    so that a fleet does not come back in step. What the peer asked for is a least wait, up to an hour.
    """
    step_s = min(BACKOFF_MOST_S, most_s, BACKOFF_FIRST_S * 2.0 ** min(attempt - 1, 16))
    wait_s = step_s * (0.5 + jitter / 2)
    return max(wait_s, min(retry_after_s or 0.0, RETRY_AFTER_MOST_S))


def poll_s(attempt: int, *, jitter: float, most_s: float = POLL_MOST_S) -> float:
    """Say how long to wait before asking for a receipt again, after `attempt` fruitless answers."""
    return min(POLL_MOST_S, most_s, POLL_FIRST_S * 2.0 ** min(attempt - 1, 16)) * (0.5 + jitter / 2)


def receipt_deadline_s(length_bytes: int, *, base_s: float) -> float:
    """Say how long after the last byte a receipt is late: a fixed time and time to re-read the clip."""
    return base_s + length_bytes / VERIFY_BYTES_S


def ahead(works: Mapping[DockingId, Work], *, docking: DockingId, current: DockingId | None) -> tuple[int, int]:
    """Count the files and bytes a bus has to do until one docking is done, its own included, in `next_job`'s order."""
    mine = works[docking]
    if not mine.left_files:
        return 0, 0
    before = [
        work
        for other, work in works.items()
        if (other != current, work.left_bytes, other) <= (docking != current, mine.left_bytes, docking)
    ]
    return sum(work.left_files for work in before), sum(work.left_bytes for work in before)


def minutes_to_ready(*, bytes_before: int, files_before: int, bytes_s: float) -> int | None:
    """Estimate whole minutes until a camera is ready: bytes before it on its bus, and 50 ms a file.

    None while no rate was measured; never 0 while something is left.
    """
    if not files_before:
        return 0
    if bytes_s <= 0:
        return None
    return max(1, round((bytes_before / bytes_s + files_before * 0.05) / 60))
