"""The machine of a bay: every lawful pair as a literal, what it does, and what is left to do by the counts."""

import pytest

from dockd.domain.bay import (
    TRANSITIONS,
    Bay,
    BayEvent,
    BeginStay,
    Broke,
    CameraIn,
    CameraOut,
    CardListed,
    ChargeChanged,
    EndStay,
    EraseWindow,
    Phase,
    RecordStranger,
    SeenEmpty,
    Signal,
    StrangerIn,
    Tally,
    Work,
    WorkChanged,
    step,
    work_of,
)
from dockd.domain.model import BayId, Camera, CameraSerial, ClipState, DockingId, VolumeId
from dockd.domain.usb import UsbIds
from dockd.errors import InvariantError, Reason

# Rows: phases; columns: seen empty, camera in, stranger in, work left, nothing left, broke, camera out, told.
# '-' is a bug.
LAWFUL = """
unknown     empty settling fault  -          -     -     empty unknown
empty       empty settling fault empty      empty empty empty empty
settling    empty settling fault offloading ready fault empty settling
offloading  empty settling fault offloading ready fault empty offloading
ready       empty settling fault offloading ready fault empty ready
fault       empty settling fault fault      fault fault empty fault
"""
COLUMNS = [
    Signal.SEEN_EMPTY,
    Signal.CAMERA_IN,
    Signal.STRANGER_IN,
    Signal.WORK_LEFT,
    Signal.NOTHING_LEFT,
    Signal.BROKE,
    Signal.CAMERA_OUT,
    Signal.TOLD,
]
TABLE = {
    (Phase(phase), signal): Phase(target)
    for phase, *targets in (line.split() for line in LAWFUL.strip().splitlines())
    for signal, target in zip(COLUMNS, targets, strict=True)
    if target != "-"
}
CAMERA = Camera(serial=CameraSerial("CAM"), volume=VolumeId("VOL"))
OTHER = Camera(serial=CameraSerial("OTHER"), volume=VolumeId("VOL"))
SOME = Work(files=2, left_files=1, left_bytes=5)
EVENTS: dict[Signal, tuple[BayEvent, ...]] = {
    Signal.SEEN_EMPTY: (SeenEmpty(),),
    Signal.CAMERA_IN: (CameraIn(camera=OTHER, source="usb"),),
    Signal.STRANGER_IN: (StrangerIn(ids=UsbIds(vendor="dead", product="beef", serial="S"), why="odd"),),
    Signal.WORK_LEFT: (CardListed(docking=DockingId(5), work=SOME), WorkChanged(work=SOME)),
    Signal.NOTHING_LEFT: (CardListed(docking=DockingId(5), work=Work(files=2)), WorkChanged(work=Work(files=2))),
    Signal.BROKE: (Broke(reason=Reason.USB, detail="gone mad"),),
    Signal.CAMERA_OUT: (CameraOut(),),
    Signal.TOLD: (EraseWindow(opened=True), EraseWindow(opened=False), ChargeChanged(charge_pct=50)),
}
OCCUPIED = {Phase.SETTLING, Phase.OFFLOADING, Phase.READY, Phase.FAULT}


def bay_in(phase: Phase) -> Bay:
    if phase not in OCCUPIED:
        return Bay(number=BayId(1), phase=phase)
    listed = phase is not Phase.SETTLING
    return Bay(number=BayId(1), phase=phase, camera=CAMERA, docking=DockingId(4) if listed else None, work=SOME)


def test_the_table_is_the_one_written_here() -> None:
    assert dict(TRANSITIONS) == TABLE


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("phase", list(Phase))
def test_every_pair_leads_where_it_is_written_or_is_refused(phase: Phase, signal: Signal) -> None:
    for event in EVENTS[signal]:
        target = TABLE.get((phase, signal))
        if target is None:
            with pytest.raises(InvariantError, match=f"bay 1 in phase {phase.value}: {signal.value} is not lawful"):
                step(bay_in(phase), event)
            continue
        assert step(bay_in(phase), event)[0].phase is target


@pytest.mark.parametrize("phase", sorted(OCCUPIED))
def test_whoever_leaves_an_occupied_bay_ends_its_stay_first(phase: Phase) -> None:
    end = EndStay(listed=phase is not Phase.SETTLING)
    assert step(bay_in(phase), CameraOut())[1] == (end,)
    assert step(bay_in(phase), SeenEmpty())[1] == (end,)
    begin = BeginStay(camera=OTHER, source="usb")
    assert step(bay_in(phase), CameraIn(camera=OTHER, source="usb"))[1] == (end, begin)


@pytest.mark.parametrize("phase", [Phase.UNKNOWN, Phase.EMPTY])
def test_a_camera_that_comes_into_an_empty_bay_only_begins(phase: Phase) -> None:
    bay, effects = step(bay_in(phase), CameraIn(camera=OTHER, source="usb"))
    assert effects == (BeginStay(camera=OTHER, source="usb"),)
    assert bay == Bay(number=BayId(1), phase=Phase.SETTLING, camera=OTHER)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_stranger_ends_the_stay_before_it_and_begins_none(phase: Phase) -> None:
    ids = UsbIds(vendor="dead", product="beef", serial="S 1")
    strange, effects = step(bay_in(phase), StrangerIn(ids=ids, why="no profile is of such a device"))
    end = (EndStay(listed=phase is not Phase.SETTLING),) if phase in OCCUPIED else ()
    assert effects == (*end, RecordStranger(ids=ids, why="no profile is of such a device"))
    assert strange == Bay(
        number=BayId(1),
        phase=Phase.FAULT,
        reason=Reason.UNKNOWN_DEVICE,
        detail="dead:beef S 1: no profile is of such a device",
    )
    assert step(strange, CameraOut()) == (Bay(number=BayId(1), phase=Phase.EMPTY), ())
    begin = BeginStay(camera=OTHER, source="usb")
    assert step(strange, CameraIn(camera=OTHER, source="usb"))[1] == (begin,)


@pytest.mark.promise("I3")
def test_a_new_stay_knows_nothing_of_the_one_before() -> None:
    before = Bay(
        number=BayId(1),
        phase=Phase.READY,
        camera=CAMERA,
        docking=DockingId(4),
        work=Work(files=9, receipted_files=9),
        erasing=True,
        charge_pct=100,
    )
    assert step(before, CameraIn(camera=OTHER, source="usb"))[0] == Bay(
        number=BayId(1), phase=Phase.SETTLING, camera=OTHER
    )
    assert step(before, CameraOut())[0] == Bay(number=BayId(1), phase=Phase.EMPTY)


def test_late_news_of_a_camera_that_left_changes_nothing() -> None:
    empty = bay_in(Phase.EMPTY)
    for event in (CardListed(docking=DockingId(4), work=SOME), WorkChanged(work=SOME), EraseWindow(opened=True)):
        assert step(empty, event) == (empty, ())
    assert step(empty, Broke(reason=Reason.USB, detail="")) == (empty, ())
    assert step(empty, ChargeChanged(charge_pct=3)) == (empty, ())


def test_a_listing_gives_a_bay_its_docking_and_work() -> None:
    bay, effects = step(bay_in(Phase.SETTLING), CardListed(docking=DockingId(8), work=SOME))
    assert (bay.docking, bay.work, effects) == (DockingId(8), SOME, ())


def test_the_erase_window_and_the_battery_change_no_phase() -> None:
    ready = bay_in(Phase.READY)
    assert step(ready, EraseWindow(opened=True))[0].erasing
    assert step(ready, ChargeChanged(charge_pct=81))[0].charge_pct == 81
    assert step(ready, ChargeChanged(charge_pct=None))[0].charge_pct is None


def test_a_fault_keeps_its_first_cause_until_the_camera_leaves() -> None:
    first, _ = step(bay_in(Phase.READY), Broke(reason=Reason.HASH, detail="reads otherwise"))
    assert (first.phase, first.reason, first.detail, first.erasing) == (
        Phase.FAULT,
        Reason.HASH,
        "reads otherwise",
        False,
    )
    again, effects = step(first, Broke(reason=Reason.USB, detail="and then it went"))
    assert (again, effects) == (first, ())
    assert step(first, WorkChanged(work=Work(files=1)))[0].phase is Phase.FAULT


def test_work_is_counted_from_the_states_of_the_clips() -> None:
    numbers = {
        ClipState.FOUND: 1,
        ClipState.COPIED: 2,
        ClipState.UPLOADED: 4,
        ClipState.RECEIPTED: 8,
        ClipState.ERASING: 16,
        ClipState.ERASED: 32,
        ClipState.HELD: 64,
    }
    tally = Tally(
        files=numbers,
        bytes_={state: count * 1000 for state, count in numbers.items()},
        unconfirmed_files=3,
        unconfirmed_bytes=50,
    )
    assert work_of(tally) == Work(
        files=127,
        bytes_=127_000,
        left_files=4,
        left_bytes=1050,
        unreceipted_files=7,
        receipted_files=56,
        erased_files=32,
        held_files=64,
    )
    assert work_of(Tally(files={}, bytes_={})) == Work()
