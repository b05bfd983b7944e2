"""The machine of one bay: what is docked, how far it is, and what to do about an event.

Owns phases, lawful events and their effects as a table. Knows neither lamps' colours nor how an effect is performed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from dockd.domain.model import BayId, Camera, ClipState, DockingId
from dockd.domain.usb import UsbIds
from dockd.errors import InvariantError, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Files and bytes of a docking by state; `unconfirmed_files` are copied or further, not yet read in this stay."""

    files: Mapping[ClipState, int]
    bytes_: Mapping[ClipState, int]
    unconfirmed_files: int = 0
    unconfirmed_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is still to be done for a docked camera.

    left: to copy, or to read again before the copy may be believed. unreceipted: not yet proven by the store, left
    ones included. held: somebody has to look.
    """

    files: int = 0
    bytes_: int = 0
    left_files: int = 0
    left_bytes: int = 0
    unreceipted_files: int = 0
    receipted_files: int = 0
    erased_files: int = 0
    held_files: int = 0


class Phase(StrEnum):
    """Where a bay stands."""

    UNKNOWN = "unknown"
    EMPTY = "empty"
    SETTLING = "settling"
    OFFLOADING = "offloading"
    READY = "ready"
    FAULT = "fault"


class BayPower(StrEnum):
    """Whether a bay has power. One WAITING for its turn to charge, or CUT, is dark: nobody sees what is in it."""

    ON = "on"
    WAITING = "waiting"
    CUT = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bay:
    """One bay: the camera in it, its docking, and what is left to do. `erasing` is the window in which files go.

    `inferred` is a charge that the camera did not tell. `power` is the bay's own, whatever is in it; `power_detail`
    says why it has none.
    """

    number: BayId
    phase: Phase = Phase.UNKNOWN
    camera: Camera | None = None
    docking: DockingId | None = None
    work: Work = field(default_factory=Work)
    erasing: bool = False
    charge_pct: int | None = None
    inferred: bool = False
    reason: Reason | None = None
    detail: str = ""
    power: BayPower = BayPower.ON
    power_detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEmpty:
    """Looked at, and nothing is docked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraIn:
    """A camera came in."""

    camera: Camera
    source: str
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrangerIn:
    """A device came in that nobody knows how to treat: by what it calls itself, and why."""

    ids: UsbIds
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardListed:
    """The docking is on record and its card was listed completely."""

    docking: DockingId
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkChanged:
    """Clips of this docking moved."""

    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseWindow:
    """The card became writable, or read-only again."""

    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeChanged:
    """The battery was read, or its charge inferred; None where it cannot be known."""

    charge_pct: int | None
    inferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerChanged:
    """The bay's power was switched, or cannot be, and why."""

    power: BayPower
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broke:
    """The camera cannot be worked on; it keeps everything it holds."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraOut:
    """The camera left."""


BayEvent = (
    SeenEmpty
    | CameraIn
    | StrangerIn
    | CardListed
    | WorkChanged
    | EraseWindow
    | ChargeChanged
    | PowerChanged
    | Broke
    | CameraOut
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginStay:
    """Open the docking and work on the card."""

    camera: Camera
    source: str
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndStay:
    """Stop all work on the card at once. `listed` says whether its listing ever ended well."""

    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStranger:
    """Put on record that an unknown device came in."""

    ids: UsbIds
    why: str


Effect = BeginStay | EndStay | RecordStranger


class Signal(StrEnum):
    """An event as far as the phase cares."""

    SEEN_EMPTY = "seen empty"
    CAMERA_IN = "camera in"
    STRANGER_IN = "stranger in"
    WORK_LEFT = "work left"
    NOTHING_LEFT = "nothing left"
    BROKE = "broke"
    CAMERA_OUT = "camera out"
    TOLD = "told"


_P = Phase
_G = Signal

TRANSITIONS: Mapping[tuple[Phase, Signal], Phase] = MappingProxyType(
    {
        (_P.UNKNOWN, _G.SEEN_EMPTY): _P.EMPTY,
        (_P.UNKNOWN, _G.CAMERA_IN): _P.SETTLING,
        (_P.UNKNOWN, _G.STRANGER_IN): _P.FAULT,
        # The feed tells a removal it only half saw, or a battery, before the first look at the bay.
        (_P.UNKNOWN, _G.CAMERA_OUT): _P.EMPTY,
        (_P.UNKNOWN, _G.TOLD): _P.UNKNOWN,
        (_P.EMPTY, _G.CAMERA_IN): _P.SETTLING,
        (_P.EMPTY, _G.STRANGER_IN): _P.FAULT,
        # Late news of the camera that just left.
        (_P.EMPTY, _G.SEEN_EMPTY): _P.EMPTY,
        (_P.EMPTY, _G.CAMERA_OUT): _P.EMPTY,
        (_P.EMPTY, _G.TOLD): _P.EMPTY,
        (_P.EMPTY, _G.WORK_LEFT): _P.EMPTY,
        (_P.EMPTY, _G.NOTHING_LEFT): _P.EMPTY,
        (_P.EMPTY, _G.BROKE): _P.EMPTY,
        (_P.SETTLING, _G.WORK_LEFT): _P.OFFLOADING,
        (_P.SETTLING, _G.NOTHING_LEFT): _P.READY,
        (_P.SETTLING, _G.BROKE): _P.FAULT,
        (_P.SETTLING, _G.CAMERA_OUT): _P.EMPTY,
        # The removal between two dockings was missed, or the device came back under another name: a new stay.
        (_P.SETTLING, _G.CAMERA_IN): _P.SETTLING,
        # A second filesystem shows up behind the first, or the removal before a stranger was missed.
        (_P.SETTLING, _G.STRANGER_IN): _P.FAULT,
        (_P.SETTLING, _G.SEEN_EMPTY): _P.EMPTY,
        (_P.SETTLING, _G.TOLD): _P.SETTLING,
        (_P.OFFLOADING, _G.WORK_LEFT): _P.OFFLOADING,
        (_P.OFFLOADING, _G.NOTHING_LEFT): _P.READY,
        (_P.OFFLOADING, _G.BROKE): _P.FAULT,
        (_P.OFFLOADING, _G.CAMERA_OUT): _P.EMPTY,
        (_P.OFFLOADING, _G.CAMERA_IN): _P.SETTLING,
        (_P.OFFLOADING, _G.STRANGER_IN): _P.FAULT,
        (_P.OFFLOADING, _G.SEEN_EMPTY): _P.EMPTY,
        (_P.OFFLOADING, _G.TOLD): _P.OFFLOADING,
        (_P.READY, _G.NOTHING_LEFT): _P.READY,
        # A lost spool copy is copied again from the camera.
        (_P.READY, _G.WORK_LEFT): _P.OFFLOADING,
        (_P.READY, _G.BROKE): _P.FAULT,
        (_P.READY, _G.CAMERA_OUT): _P.EMPTY,
        (_P.READY, _G.CAMERA_IN): _P.SETTLING,
        (_P.READY, _G.STRANGER_IN): _P.FAULT,
        (_P.READY, _G.SEEN_EMPTY): _P.EMPTY,
        (_P.READY, _G.TOLD): _P.READY,
        # A fault latches with its first cause until the camera leaves.
        (_P.FAULT, _G.BROKE): _P.FAULT,
        (_P.FAULT, _G.WORK_LEFT): _P.FAULT,
        (_P.FAULT, _G.NOTHING_LEFT): _P.FAULT,
        (_P.FAULT, _G.TOLD): _P.FAULT,
        (_P.FAULT, _G.CAMERA_OUT): _P.EMPTY,
        (_P.FAULT, _G.CAMERA_IN): _P.SETTLING,
        (_P.FAULT, _G.STRANGER_IN): _P.FAULT,
        (_P.FAULT, _G.SEEN_EMPTY): _P.EMPTY,
    }
)
"""Every lawful pair; late and doubled events are listed where they are known to happen."""


def step(bay: Bay, event: BayEvent) -> tuple[Bay, tuple[Effect, ...]]:  # noqa: C901, PLR0911 - one arm an event
    """Take an event: the bay as it is then, and what to do, in order.

    Raises:
        InvariantError: the pair of phase and event is not in the table.

    """
    signal = _signal(event)
    phase = TRANSITIONS.get((bay.phase, signal))
    if phase is None:
        message = f"bay {bay.number} in phase {bay.phase.value}: {signal.value} is not lawful"
        raise InvariantError(message)
    end = (EndStay(listed=bay.docking is not None),) if bay.camera is not None else ()
    match event:
        case PowerChanged(power=power, detail=detail):
            return replace(bay, phase=phase, power=power, power_detail=detail), ()
        case SeenEmpty() | CameraOut():
            return Bay(number=bay.number, phase=phase, power=bay.power, power_detail=bay.power_detail), end
        case CameraIn(camera=camera, source=source, device=device):
            begun = Bay(number=bay.number, phase=phase, camera=camera, power=bay.power, power_detail=bay.power_detail)
            return begun, (*end, BeginStay(camera=camera, source=source, device=device))
        case StrangerIn(ids=ids, why=why):
            reason, detail = Reason.UNKNOWN_DEVICE, f"{ids}: {why}"
            strange = Bay(
                number=bay.number,
                phase=phase,
                reason=reason,
                detail=detail,
                power=bay.power,
                power_detail=bay.power_detail,
            )
            return strange, (*end, RecordStranger(ids=ids, why=why))
        case _ if bay.camera is None:
            # News of a camera that is no longer here.
            return replace(bay, phase=phase), ()
        case CardListed(docking=docking, work=work):
            return replace(bay, phase=phase, docking=docking, work=work), ()
        case WorkChanged(work=work):
            return replace(bay, phase=phase, work=work), ()
        case EraseWindow(opened=opened):
            return replace(bay, erasing=opened), ()
        case ChargeChanged(charge_pct=charge_pct, inferred=inferred):
            return replace(bay, charge_pct=charge_pct, inferred=inferred), ()
        case Broke(reason=reason, detail=detail):
            if bay.phase is Phase.FAULT:
                return bay, ()
            return replace(bay, phase=phase, erasing=False, reason=reason, detail=detail), ()


def work_of(tally: Tally) -> Work:
    """Turn the ledger's counts of a docking into what is left to do."""
    files = {state: tally.files.get(state, 0) for state in ClipState}
    return Work(
        files=sum(files.values()),
        bytes_=sum(tally.bytes_.values()),
        left_files=files[ClipState.FOUND] + tally.unconfirmed_files,
        left_bytes=tally.bytes_.get(ClipState.FOUND, 0) + tally.unconfirmed_bytes,
        unreceipted_files=files[ClipState.FOUND] + files[ClipState.COPIED] + files[ClipState.UPLOADED],
        receipted_files=files[ClipState.RECEIPTED] + files[ClipState.ERASING] + files[ClipState.ERASED],
        erased_files=files[ClipState.ERASED],
        held_files=files[ClipState.HELD],
    )


def _signal(event: BayEvent) -> Signal:  # noqa: PLR0911 - one arm a signal
    match event:
        case SeenEmpty():
            return Signal.SEEN_EMPTY
        case CameraIn():
            return Signal.CAMERA_IN
        case StrangerIn():
            return Signal.STRANGER_IN
        case CardListed(work=work) | WorkChanged(work=work):
            return Signal.WORK_LEFT if work.left_files else Signal.NOTHING_LEFT
        case EraseWindow() | ChargeChanged() | PowerChanged():
            return Signal.TOLD
        case Broke():
            return Signal.BROKE
        case CameraOut():
            return Signal.CAMERA_OUT
