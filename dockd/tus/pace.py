"""A limit of bytes a second that several senders share: when may the next bytes go?

Owns the arithmetic, as values. Must not know threads, sockets or the time.
"""

from dataclasses import dataclass, replace

BURST_S = 0.25
"""After a pause this much of a second may go at once; more would let short uploads ignore the limit."""
MAX_SLICE_BYTES = 256 * 1024
MIN_SLICE_BYTES = 4 * 1024
_SLICES_A_SECOND = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """A limit and the time until which it is booked out. `limit_bytes_s` None is no limit, else at least 1."""

    limit_bytes_s: int | None = None
    booked_until_s: float = 0.0


def book(pace: Pace, *, length_bytes: int, now_s: float) -> tuple[Pace, float]:
    """Book the next bytes, first come first served: the pace after it, and how long to wait before sending them."""
    if pace.limit_bytes_s is None:
        return pace, 0.0
    start_s = max(pace.booked_until_s, now_s - BURST_S)
    booked = replace(pace, booked_until_s=start_s + length_bytes / pace.limit_bytes_s)
    return booked, max(start_s - now_s, 0.0)


def limited(pace: Pace, limit_bytes_s: int | None, *, now_s: float) -> Pace:
    """Change the limit from now on; what was booked under the old one is forgotten."""
    return replace(pace, limit_bytes_s=limit_bytes_s, booked_until_s=min(pace.booked_until_s, now_s))


def slice_bytes(limit_bytes_s: int | None) -> int:
    """Say how much to book at a time: an eighth of a second's worth, so that a change of the limit is felt at once."""
    if limit_bytes_s is None:
        return MAX_SLICE_BYTES
    return min(max(limit_bytes_s // _SLICES_A_SECOND, MIN_SLICE_BYTES), MAX_SLICE_BYTES)
