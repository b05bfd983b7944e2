"""What a station was told to do: the settings that the use cases obey, already parsed and checked.

Owns values only. Nothing here can weaken the erase gate: `erase` can only forbid.
"""

from dataclasses import dataclass

from dockd.domain.model import Assurance, StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings of one station.

    `wanted` is the assurance to reach at the store before a clip needs nothing more from it; only SIGNED ever
    erases. `reserve_bytes` of the disk are the ledger's. A receipted spool copy is kept `grace_s` longer. A receipt is
    late `receipt_s` after the last byte, and longer for long clips. A camera may be issued at `issue_charge_pct`.
    """

    station: StationId
    endpoint: str
    wanted: Assurance
    erase: bool
    reserve_bytes: int
    grace_s: float = 0.0
    uploads_at_once: int = 2
    growing_wait_s: float = 5.0
    receipt_s: float = 60.0
    issue_charge_pct: int = 80
