"""Output lines: driven on or off until they are let go of, whoever drives them, and what an error of one is.

Must not know which driver that is, nor what a line is for.
"""

from typing import Protocol

from dockd.domain.board import Line


class LineError(Exception):
    """A line cannot be had, or cannot be driven now. It stays within this package."""


class Output(Protocol):
    """One line that is driven on or off until it is closed."""

    def on(self) -> None:
        """Drive it."""
        ...

    def off(self) -> None:
        """Drive it off."""
        ...

    def close(self) -> None:
        """Let go of it: an input again, where the kernel makes it one."""
        ...


class Lines(Protocol):
    """Whoever has lines to give."""

    def output(self, line: Line) -> Output:
        """Take a line, driven off.

        Raises:
            LineError: it is not there, or is in use.

        """
        ...
