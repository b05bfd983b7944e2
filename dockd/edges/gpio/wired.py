"""The lines of a board: those of its header and of its expanders, each by its own driver, as one.

Owns which driver has a line. The header's is opened only where a bay is wired to the header.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

from dockd.domain.board import Board, Line, lines_of
from dockd.edges.gpio.chips import Chip
from dockd.edges.gpio.lines import LineError, Lines, Output


class BoardLines:
    """The lines of one board."""

    def __init__(self, *, header: Lines | None, expanders: Mapping[str, Lines]) -> None:
        """Take who has the header's lines, if anybody, and who each expander's."""
        self._header = header
        self._expanders = expanders

    def output(self, line: Line) -> Output:
        """Take a line, driven off. Raises LineError where it cannot be had."""
        having = self._header if line.expander is None else self._expanders.get(line.expander)
        if having is None:
            raise LineError(f"{line}: expected a line of the header or of an expander that the board has")
        return having.output(line)


@contextmanager
def board_lines(board: Board) -> Iterator[Lines]:
    """Give the lines of a board for as long as the block runs.

    Raises:
        StartRefusedError: bays are wired to the header, and it cannot be had.

    """
    with ExitStack() as opened:
        expanders = {name: opened.enter_context(closing(Chip(expander))) for name, expander in board.expanders.items()}
        wired = [line for wiring in board.bays.values() for _, line in lines_of(wiring)]
        if all(line.expander is not None for line in wired):
            yield BoardLines(header=None, expanders=expanders)
            return
        # gpiozero, and the driver of the header, only where something is wired to it.
        from dockd.edges.gpio.pins import pi_pins  # noqa: PLC0415 - as said

        yield BoardLines(header=opened.enter_context(closing(pi_pins())), expanders=expanders)
