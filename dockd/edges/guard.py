"""The guard of a state folder: its files still lie where they were opened, and the chain's end is stated now and then.

Owns how often. What it finds ends the service, so that the next start sets it right; nothing here mends anything.
"""

import logging
from typing import Protocol

from dockd.app.ports import Clock
from dockd.errors import TransientError

LOOK_S = 5.0
STATE_S = 60.0
"""The end of the chain is stated so often at most, and only if it moved: flash wears by every write."""

_log = logging.getLogger(__name__)


class Stands(Protocol):
    """Something open in the state folder."""

    async def stand(self) -> None:
        """See that it still is what lies in its place; raises InvariantError, and TransientError where none can say."""
        ...


class States(Stands, Protocol):
    """The ledger."""

    async def state_end(self) -> None:
        """Leave a checkpoint, if the chain moved; raises TransientError and InvariantError."""
        ...


async def guarding(*, ledger: States, spool: Stands, clock: Clock) -> None:
    """Look for ever.

    Raises:
        InvariantError: something was taken away or is damaged: the service must end.

    """
    stated_s = clock.monotonic_s()
    while True:
        await clock.sleep(LOOK_S)
        try:
            await spool.stand()
            await ledger.stand()
            if clock.monotonic_s() - stated_s >= STATE_S:
                stated_s = clock.monotonic_s()
                await ledger.state_end()
        except TransientError as error:
            # The disk is full, say: the checkpoint before stays true, and whoever has to write hears of it as well.
            _log.warning("%s", error)
