"""A camera's battery: how full it is after a time on charge, and whether the camera tells."""

from dataclasses import dataclass, replace

FULL_PCT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """A battery that charges evenly. `tells` is False for a camera that is plain mass storage and says nothing."""

    level_pct: float
    tells: bool

    def charged(self, *, seconds: float, rate_pct_s: float) -> "Battery":
        """Give the battery after some time in a bay."""
        return replace(self, level_pct=min(FULL_PCT, self.level_pct + seconds * rate_pct_s))

    @property
    def told_pct(self) -> int | None:
        """What the camera says, in whole per cent; None where it says nothing."""
        return int(self.level_pct) if self.tells else None

    @property
    def full(self) -> bool:
        """Say whether charging changes nothing more that anybody is told."""
        return not self.tells or self.level_pct >= FULL_PCT
