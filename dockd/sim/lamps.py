"""Lamps that nobody sees but those who ask: the last lamp of each bay."""

from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId


class ShownLamps:
    """Implements the port Lamps."""

    def __init__(self) -> None:
        """Begin dark."""
        self._shown: dict[BayId, Lamp] = {}

    def show(self, bay: BayId, lamp: Lamp) -> None:
        """Show a lamp until told otherwise."""
        self._shown[bay] = lamp

    def shown(self, bay: BayId) -> Lamp:
        """Give what a bay's lamp shows."""
        return self._shown.get(bay, Lamp.OFF)
