"""What is written down of quarantine: why a camera broke, and who has looked at what.

Owns the SQL of both. Like `core`, each is a step inside a transaction that somebody else begins and commits.
"""

from dockd.domain.model import Clip, ClipKey, DockingId, Timestamp
from dockd.edges.ledger.core import LedgerCore
from dockd.edges.ledger.rows import words
from dockd.errors import Reason, StaleMoveError


def broke(core: LedgerCore, docking: DockingId, reason: Reason, detail: str, *, time: Timestamp) -> None:
    """Write down why nothing more is done with a camera in this docking; the first cause stands."""
    cursor = core.connection.execute(
        "UPDATE dockings SET reason = ?, detail = ? WHERE key = ? AND reason IS NULL",
        (reason.value, words(detail), docking),
    )
    if cursor.rowcount:
        facts = {"reason": reason.value, "why": words(detail)}
        core.note("camera broken", actor="offload", time=time, docking=docking, facts=facts)


def acknowledge_clip(core: LedgerCore, key: ClipKey, *, actor: str, why: str, time: Timestamp) -> Clip:
    """Write down that somebody has looked at a held clip and lets it be: it stays held, and on the accounts.

    Raises:
        StaleMoveError: it is not held.

    """
    cursor = core.connection.execute(
        "UPDATE clips SET acknowledged = ? WHERE key = ? AND state = 'held'", (words(f"{actor}: {why}"), key)
    )
    if cursor.rowcount != 1:
        raise StaleMoveError(f"clip {key} is {core.clip(key).state.value}, expected held")
    core.note("acknowledged", actor=actor, time=time, clip=key, facts={"why": words(why)})
    return core.clip(key)


def acknowledge_docking(core: LedgerCore, docking: DockingId, *, actor: str, why: str, time: Timestamp) -> None:
    """Write down that somebody has looked at a camera that broke.

    Raises:
        StaleMoveError: it did not break in that docking.

    """
    cursor = core.connection.execute(
        "UPDATE dockings SET acknowledged = ? WHERE key = ? AND reason IS NOT NULL",
        (words(f"{actor}: {why}"), docking),
    )
    if cursor.rowcount != 1:
        raise StaleMoveError(f"docking {docking} broke for no reason that is on record")
    core.note("acknowledged", actor=actor, time=time, docking=docking, facts={"why": words(why)})
