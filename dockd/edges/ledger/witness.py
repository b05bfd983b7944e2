"""Who states in the state folder where the custody chain ends, after the commits and never before.

Owns what was stated last, and that statements are made one by one. Knows not when one is due.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from dockd.domain.checkpoint import Checkpoint, Head
from dockd.domain.model import StationId, Timestamp
from dockd.edges.ledger.checkpoint import keep
from dockd.edges.ledger.core import ChainEnd, LedgerCore
from dockd.edges.seal import Seal


class Witness:
    """States where a station's custody chain ends, for its state folder."""

    def __init__(self, state_dir: Path, *, station: StationId, seal: Seal, now: Callable[[], Timestamp]) -> None:
        """State nothing yet."""
        self._state_dir = state_dir
        self._station = station
        self._seal = seal
        self._now = now
        self._stated: ChainEnd | None = None
        self._stating = threading.Lock()

    def owes(self, core: LedgerCore) -> Checkpoint | None:
        """Give what is to be stated; None where nothing was added since. A closure for the ledger's writer."""
        if core.end == self._stated:
            return None
        (instance,) = core.connection.execute("SELECT instance FROM meta").fetchone()
        head = Head(instance=instance, seq=core.end.seq, hash=core.end.hash)
        return Checkpoint(station=self._station, head=head, utc=self._now().utc)

    def state(self, checkpoint: Checkpoint) -> None:
        """State what was committed, unless more was stated; blocks for the disk.

        Raises:
            TransientError: DISK or DISK_FULL.

        """
        # Whoever awaited the one before may have been cancelled: its thread goes on, and writes the same file.
        with self._stating:
            if self._stated is not None and self._stated.seq >= checkpoint.head.seq:
                return
            keep(self._state_dir, checkpoint, kid=self._seal.kid, sign=self._seal.sign)
            self._stated = ChainEnd(seq=checkpoint.head.seq, hash=checkpoint.head.hash)
