"""What a battery's charging current says of its charge, where the camera itself says nothing.

Owns the window of readings of one stay and what is inferred from it. A lithium cell takes an even current up to some
80 per cent, then a falling one; a charger ends at about a tenth. Above the bend, what is missing goes with the current.

Source: the CC/CV method of every lithium charger, e.g. TI BQ24040 datasheet (SLUS941), 8.3: termination at a tenth of
the fast-charge current; the bend lies at 70 to 80 per cent. The lower claim is the safer one, but for a camera that is
said to be fuller than it is: what is inferred is labelled so wherever it is shown.
"""

from dataclasses import dataclass, replace

WINDOW = 5
"""A level is inferred from the middle one of so many readings: one that jumps says nothing."""
BEND_PCT = 80
BEND_SHARE = 0.9
"""Below this share of its even current a battery is past the bend."""
END_SHARE = 0.1
FULL_PCT = 100
LEAST_PEAK_MA = 200
"""A camera that never drew more was never seen to charge: it may be full, or its contact bad. Nobody knows."""
LEAST_TAPER_S = 600.0
"""A taper takes longer than this; a current that fell faster was switched off, by heat or by a bad contact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The currents of one stay: the most even one, the latest few, and how long it has been falling."""

    peak_ma: int = 0
    recent_ma: tuple[int, ...] = ()
    falling_s: float = 0.0

    @property
    def settled_ma(self) -> int | None:
        """The middle one of the latest readings; None before there are enough."""
        return sorted(self.recent_ma)[WINDOW // 2] if len(self.recent_ma) == WINDOW else None


def noted(trace: Trace, current_ma: int | None, *, seconds: float, copying: bool) -> Trace:
    """Take one more reading, `seconds` after the one before.

    What a camera draws while it is read says nothing of its battery, and a reading that failed breaks the row.
    """
    if current_ma is None or copying:
        return replace(trace, recent_ma=())
    recent_ma = (*trace.recent_ma, current_ma)[-WINDOW:]
    seen = replace(trace, recent_ma=recent_ma)
    settled_ma = seen.settled_ma
    if settled_ma is None:
        return seen
    peak_ma = max(trace.peak_ma, settled_ma)
    share = settled_ma / max(1, peak_ma)
    if share >= BEND_SHARE:
        return replace(seen, peak_ma=peak_ma, falling_s=0.0)
    if share > END_SHARE:
        return replace(seen, peak_ma=peak_ma, falling_s=trace.falling_s + seconds)
    return replace(seen, peak_ma=peak_ma)


def inferred_pct(trace: Trace) -> int | None:
    """Infer the charge in per cent, 80 to 100; None where the current does not say."""
    settled_ma = trace.settled_ma
    if settled_ma is None or trace.peak_ma < LEAST_PEAK_MA or trace.falling_s < LEAST_TAPER_S:
        return None
    missing = min(1.0, max(0.0, (settled_ma / trace.peak_ma - END_SHARE) / (BEND_SHARE - END_SHARE)))
    return FULL_PCT - round(missing * (FULL_PCT - BEND_PCT))
