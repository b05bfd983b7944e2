"""Relays that switch the power of bays. A relay feeds its bay while its line is not driven: a dead daemon charges.

Owns that meaning of a line: driven is dark. Must not know who charges when.
"""

from collections.abc import Mapping

from dockd.domain.board import Line
from dockd.domain.model import BayId
from dockd.edges.gpio.lines import LineError, Lines, Output
from dockd.errors import InvariantError, Reason, TransientError


class Relays:
    """Implements the port Power for bays that have a relay. `missing` says why others have none that works."""

    def __init__(self, wiring: Mapping[BayId, Line], *, lines: Lines) -> None:
        """Take every line, not driven: each bay has power. One that cannot be had is a bay that cannot be switched."""
        self._outputs = dict[BayId, Output]()
        self.missing = dict[BayId, str]()
        for bay, line in wiring.items():
            try:
                self._outputs[bay] = lines.output(line)
            except LineError as error:
                self.missing[bay] = f"bay {bay}: {error}"

    def switchable(self) -> frozenset[BayId]:
        """Say which bays can be switched."""
        return frozenset(self._outputs)

    async def set(self, bay: BayId, *, on: bool) -> None:
        """Switch a bay; fine where it is so already."""
        output = self._outputs.get(bay)
        if output is None:
            raise InvariantError(f"bay {bay}: it cannot be switched, expected one of {sorted(self._outputs)}")
        try:
            (output.off if on else output.on)()
        except LineError as error:
            raise TransientError(Reason.POWER, f"bay {bay}: {error}") from error

    def close(self) -> None:
        """Drive no line and let go of all: every bay has power again. What cannot be done is let be."""
        for output in self._outputs.values():
            for step in (output.off, output.close):
                try:
                    step()
                except LineError:
                    continue
        self._outputs.clear()
