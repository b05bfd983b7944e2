"""Where dockctl's answers come from: the daemon behind its socket, or a state folder at rest.

Owns what can be asked. Everything that comes back is a document of `edges.control`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from dockd.edges.control.client import ask, pages, wish
from dockd.edges.control.shape import Document
from dockd.errors import DockdError


class Desk(Protocol):
    """Where answers come from: the daemon, or a state folder at rest."""

    def status(self) -> Document:
        """Give the station on one screen."""
        ...

    def rows(self, question: str, **filters: str | None) -> Iterator[Document]:
        """Give every row of `bays`, `clips`, `receipts`, `differences`, `held` or `broken`."""
        ...

    def account(self) -> Document:
        """Give the figures of the account, and when it was last compared."""
        ...

    def verify(self, *, receipts: Path | None) -> Document:
        """Check the whole custody chain and every receipt; `receipts` is a file of those that the store lists."""
        ...

    def case(self, kind: str, number: int) -> Document:
        """Give everything of one clip (`clip`), or of one docking's camera (`docking`)."""
        ...

    def wish(self, verb: str, wanted: Document) -> Document:
        """Have something done: `quarantine/retry`, `quarantine/release`, `account/acknowledge` or `identify`."""
        ...


class Daemon:
    """The daemon behind its socket."""

    def __init__(self, socket: Path) -> None:
        """Ask there."""
        self._socket = socket

    def status(self) -> Document:
        """Ask for the status."""
        return ask(self._socket, "status")

    def rows(self, question: str, **filters: str | None) -> Iterator[Document]:
        """Ask for all pages of a list."""
        return pages(self._socket, question, filters)

    def account(self) -> Document:
        """Ask for the account."""
        return ask(self._socket, "account")

    def verify(self, *, receipts: Path | None) -> Document:
        """Ask for a check. Raises DockdError where a file of receipts is given: the daemon reads nobody's files."""
        if receipts is not None:
            raise DockdError(f"{receipts}: is compared with a state folder, expected --state DIR as well")
        return ask(self._socket, "verify")

    def case(self, kind: str, number: int) -> Document:
        """Ask for everything of one clip, or of one docking's camera."""
        return ask(self._socket, f"{kind}/{number}")

    def wish(self, verb: str, wanted: Document) -> Document:
        """Tell a wish."""
        return wish(self._socket, verb, wanted)
