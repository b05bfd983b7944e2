"""Views of a station to be drawn: a bay at work, a free one, a store in reach."""

from types import MappingProxyType

from dockd.app.turns import Underway
from dockd.app.uplink import UplinkView
from dockd.app.view import BayView, StationView
from dockd.domain.bay import Tally, Work
from dockd.domain.lamps import Lamp
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial, ClipKey, DockingId, StationId
from dockd.domain.schedule import JobKind

CAMERA = Camera(serial=CameraSerial("DKD-0412"), volume=FOLDER_VOLUME)
IN_REACH = UplinkView(reason=None, detail="", failures=0, failing_s=0.0, sending={}, verifying_files=0, overdue_files=0)
NOTHING = Tally(files=MappingProxyType({}), bytes_=MappingProxyType({}))
DOCKED = BayView(
    number=BayId(3),
    phase="offloading",
    lamp=Lamp.WAIT,
    camera=CAMERA,
    docking=DockingId(7),
    work=Work(files=10, bytes_=1000, left_files=6, left_bytes=600, unreceipted_files=8, receipted_files=2),
    underway=None,
    charge_pct=63,
    minutes=4,
    reason=None,
    detail="",
)
FREE = BayView(
    number=BayId(1),
    phase="empty",
    lamp=Lamp.EMPTY,
    camera=None,
    docking=None,
    work=Work(),
    underway=None,
    charge_pct=None,
    minutes=None,
    reason=None,
    detail="",
)


def underway(kind: JobKind, bytes_done: int = 0) -> Underway:
    return Underway(docking=DockingId(7), clip=ClipKey(1), kind=kind, bytes_done=bytes_done)


def station(
    *bays: BayView, uplink: UplinkView = IN_REACH, backlog: Tally = NOTHING, spool_full: str = ""
) -> StationView:
    return StationView(station=StationId("north-1"), bays=bays, uplink=uplink, backlog=backlog, spool_full=spool_full)
