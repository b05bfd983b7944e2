"""What people are shown of a station: plain values, taken at one moment.

Owns the shapes only; who shows them, and how, is not its business.
"""

from dataclasses import dataclass, field

from dockd.app.accounting import AccountView
from dockd.app.turns import Underway
from dockd.app.uplink import UplinkView
from dockd.domain.bay import Tally, Work
from dockd.domain.lamps import Lamp
from dockd.domain.model import BayId, Camera, DockingId, StationId
from dockd.domain.space import NO_STRAYS, Strays
from dockd.errors import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class BayView:
    """One bay. `minutes` until the camera is ready: 0 when it is, None where nobody knows yet or nothing is docked.

    `kept_files` are never erased from this card, whose structure is not as it should be; their clips are safe as any.
    `inferred` is a charge that the camera did not tell.
    """

    number: BayId
    phase: str
    lamp: Lamp
    camera: Camera | None
    docking: DockingId | None
    work: Work
    underway: Underway | None
    charge_pct: int | None
    minutes: int | None
    reason: Reason | None
    detail: str
    kept_files: int = 0
    inferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StationView:
    """The whole station. `spool_full` says why copying stopped, empty while it does not; `strays` copies of no clip.

    `weak` says that no work on cards begins, because the voltage of the station's supply is too low.
    """

    station: StationId
    bays: tuple[BayView, ...]
    uplink: UplinkView
    backlog: Tally
    spool_full: str
    strays: Strays = NO_STRAYS
    account: AccountView = field(default_factory=AccountView)
    weak: bool = False
