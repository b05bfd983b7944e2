"""What the app needs of a station's power: switches, sensors, and whether its own supply holds.

Owns the shapes that cross the border. Every call is bounded by whoever makes it, and none is repeated by who answers.
"""

from collections.abc import Mapping
from typing import Protocol

from dockd.domain.model import BayId


class Power(Protocol):
    """Switches the power of bays. A bay that is off is dark: its camera leaves the bus, or charges no more."""

    def switchable(self) -> frozenset[BayId]:
        """Say which bays can be switched, as was found when this was made; the others always have power."""
        ...

    async def set(self, bay: BayId, *, on: bool) -> None:
        """Switch a bay; fine where it is so already.

        Raises:
            TransientError: POWER, it could not be switched now.
            InvariantError: it is none of those that can be.

        """
        ...


class Currents(Protocol):
    """Measures what bays draw, in mA."""

    async def read(self) -> Mapping[BayId, int]:
        """Give every bay's current that could be measured now; one that cannot be is not in it.

        Raises:
            TransientError: POWER, none can be measured now.

        """
        ...


class Temperatures(Protocol):
    """Measures how hot bays are, in degrees Celsius."""

    async def read_c(self) -> Mapping[BayId, float]:
        """Give every bay's temperature that could be measured now; one that cannot be is not in it.

        Raises:
            TransientError: POWER, none can be measured now.

        """
        ...


class Supply(Protocol):
    """Knows whether the station's own supply holds its voltage."""

    async def weak(self) -> bool | None:
        """Say whether it was too low just now; None where nobody measures that.

        Raises:
            TransientError: POWER, it cannot be asked now.

        """
        ...
