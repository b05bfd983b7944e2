"""When the next shift begins, from the times of day at which shifts begin and what the clock on the wall shows.

Owns the reckoning with days and with clocks that go forward or back. Must not know which clock it is, nor its zone.
"""

from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta, tzinfo

SET_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows less was never set: a Raspberry Pi without a network or a battery begins in 1970, or where it
stopped last."""
BEGINNING_S = 900.0
"""For so long a shift is beginning: who comes late finds what may be taken lit."""


def shift_in_s(shifts: Collection[time], *, now: datetime, zone: tzinfo) -> float | None:
    """Say in how many seconds the next shift begins: 0 while one does; None where there are none, or no time is known.

    `now` is aware, `shifts` are times of day in `zone`. One that the clock shows twice, as it goes back, is the first
    of the two; one that it leaves out, as it goes forward, is as long after midnight as on any other day.
    """
    if now < SET_SINCE:
        return None
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=days) for days in (-1, 0, 1, 2))
    begin = (datetime.combine(day, at, tzinfo=zone).astimezone(UTC) for day in days for at in shifts)
    in_s = ((moment - now.astimezone(UTC)).total_seconds() for moment in begin)
    return min((max(0.0, seconds) for seconds in in_s if seconds > -BEGINNING_S), default=None)
