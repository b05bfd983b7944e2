"""Bays with power, and batteries that fill in them: switches and sensors of a station that is not there.

Owns the batteries' currents: even up to the bend, falling from there. Time passes when it is told to.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dockd.domain.model import BayId
from dockd.errors import InvariantError

EVEN_MA = 500
END_MA = 40
BEND_PCT = 80.0
FULL_PCT = 100.0
FULL_MAS = EVEN_MA * 9 * 3600
"""What a battery holds, in mA times seconds: nine hours at the even current."""
ROOM_C = 25.0


def current_ma(level_pct: float) -> int:
    """Say what a battery draws."""
    falling = min(1.0, max(0.0, (level_pct - BEND_PCT) / (FULL_PCT - BEND_PCT)))
    return round(EVEN_MA - falling * (EVEN_MA - END_MA))


@dataclass(slots=True, kw_only=True)
class SimCharger:
    """Implements the ports Power, Currents, Temperatures and Supply.

    `levels_pct` has each docked camera's charge. `short_ma` and `hot_c` have bays in which something is wrong; `blind`
    bays have no sensor that answers; `low` is a supply that is too weak.
    """

    can: frozenset[BayId]
    levels_pct: dict[BayId, float] = field(default_factory=dict)
    short_ma: dict[BayId, int] = field(default_factory=dict)
    hot_c: dict[BayId, float] = field(default_factory=dict)
    blind: Collection[BayId] = frozenset()
    low: bool | None = False
    dark: set[BayId] = field(default_factory=set)
    most_ma: int = 0

    def switchable(self) -> frozenset[BayId]:
        """Say which bays can be switched."""
        return self.can

    async def set(self, bay: BayId, *, on: bool) -> None:
        """Switch a bay."""
        if bay not in self.can:
            raise InvariantError(f"bay {bay}: it cannot be switched, expected one of {sorted(self.can)}")
        (self.dark.discard if on else self.dark.add)(bay)

    async def read(self) -> Mapping[BayId, int]:
        """Give what every bay with a sensor draws."""
        return {bay: ma for bay, ma in self._draws_ma().items() if bay not in self.blind}

    async def read_c(self) -> Mapping[BayId, float]:
        """Give how hot every docked camera is."""
        return {bay: self.hot_c.get(bay, ROOM_C) for bay in self.levels_pct if bay not in self.blind}

    async def weak(self) -> bool | None:
        """Say whether the supply is too low."""
        return self.low

    def passes(self, seconds: float) -> None:
        """Let time pass: who has power charges."""
        draws_ma = self._draws_ma()
        self.most_ma = max(self.most_ma, sum(draws_ma.values()))
        for bay, level_pct in self.levels_pct.items():
            self.levels_pct[bay] = min(FULL_PCT, level_pct + 100 * draws_ma[bay] * seconds / FULL_MAS)

    def _draws_ma(self) -> Mapping[BayId, int]:
        return {
            bay: 0 if bay in self.dark else self.short_ma.get(bay, current_ma(level_pct))
            for bay, level_pct in self.levels_pct.items()
        }
