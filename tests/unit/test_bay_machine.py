"""The bay against a model in plain words: any event in any order, and a lamp that is never safer than the truth.

The model is written from the rules of a bay, not from its table: whatever it says of phase, stay and lamp must hold.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase as Stage, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dockd.domain.bay import (
    Bay,
    BayEvent,
    BeginStay,
    Broke,
    CameraIn,
    CameraOut,
    CardListed,
    ChargeChanged,
    Effect,
    EndStay,
    EraseWindow,
    Phase,
    RecordStranger,
    SeenEmpty,
    StrangerIn,
    Tally,
    Work,
    WorkChanged,
    step,
    work_of,
)
from dockd.domain.lamps import PATTERNS, Lamp, lamp_for
from dockd.domain.model import BayId, Camera, CameraSerial, ClipState, DockingId, VolumeId
from dockd.domain.usb import UsbIds
from dockd.errors import InvariantError, Reason

ISSUE_PCT = 80
Step = Callable[[Bay, BayEvent], tuple[Bay, tuple[Effect, ...]]]

cameras = st.sampled_from([Camera(serial=CameraSerial(name), volume=VolumeId("V")) for name in ("ONE", "TWO")])
SELDOM, OFTEN = st.sampled_from([0, 0, 0, 0, 0, 0, 1]), st.sampled_from([0, 0, 1, 5])
counts = st.fixed_dictionaries(
    dict.fromkeys(("found", "unread", "held"), SELDOM)
    | dict.fromkeys(("copied", "uploaded", "receipted", "erasing", "erased"), OFTEN)
)
Counts = dict[str, int]


def work(has: Counts) -> Work:
    """Count as the ledger does; `unread` are copied ones of an earlier stay, not read again in this one."""
    files = {ClipState(name): number for name, number in has.items() if name != "unread" and number}
    if has["unread"]:
        files[ClipState.COPIED] = has["copied"] + has["unread"]
    return work_of(
        Tally(
            files=files,
            bytes_={state: 10 * number for state, number in files.items()},
            unconfirmed_files=has["unread"],
            unconfirmed_bytes=10 * has["unread"],
        )
    )


class BayMachine(RuleBasedStateMachine):
    """Gives a bay one event after another, and the model the same."""

    step: Step = staticmethod(step)
    lamp: Callable[[Bay], Lamp] = staticmethod(lambda bay: lamp_for(bay, issue_charge_pct=ISSUE_PCT))

    def __init__(self) -> None:
        super().__init__()
        self.bay = Bay(number=BayId(3))
        self.looked = False  # has anybody seen this bay yet?
        self.camera: Camera | None = None
        self.stranger = False
        self.stay: dict[str, Any] = {}
        self.open_stays = 0

    def give(self, event: BayEvent) -> tuple[Effect, ...]:
        """Let it happen; the effects are done at once, and a stay must be open for as long as its camera is there."""
        self.bay, effects = type(self).step(self.bay, event)
        for effect in effects:
            if not isinstance(effect, RecordStranger):
                self.open_stays += 1 if isinstance(effect, BeginStay) else -1
            assert 0 <= self.open_stays <= 1, "two stays at once, or one ended that never began"
        return effects

    def refuse(self, event: BayEvent) -> None:
        """See it refused, and the bay left as it was."""
        with pytest.raises(InvariantError):
            type(self).step(self.bay, event)

    def leaves(self) -> list[Effect]:
        """Say what must happen because the camera of the model is not there any more."""
        return [EndStay(listed=self.stay["listed"])] if self.camera else []

    def stays(self, patience: int) -> bool:
        """Say that a camera is given time: what ends a stay would otherwise end each after a few steps."""
        return self.camera is not None and patience > 0

    @rule(how=st.sampled_from([SeenEmpty(), CameraOut()]), patience=st.integers(0, 5))
    def it_is_empty(self, how: BayEvent, patience: int) -> None:
        if self.stays(patience):
            return
        assert list(self.give(how)) == self.leaves()
        self.looked, self.camera, self.stranger, self.stay = True, None, False, {}

    @rule(vendor=st.sampled_from(["dead", "cafe"]), seldom=st.sampled_from([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
    def a_stranger_comes(self, vendor: str, seldom: int) -> None:
        if not seldom:
            return
        ids = UsbIds(vendor=vendor, product="beef", serial="S")
        expected = [*self.leaves(), RecordStranger(ids=ids, why="odd")]
        assert list(self.give(StrangerIn(ids=ids, why="odd"))) == expected
        self.looked, self.camera, self.stranger, self.stay = True, None, True, {}

    @rule(camera=cameras, source=st.sampled_from(["usb 1-1", "usb 2-1"]), patience=st.integers(0, 1))
    def a_camera_comes(self, camera: Camera, source: str, patience: int) -> None:
        if self.stays(patience):
            return
        expected = [*self.leaves(), BeginStay(camera=camera, source=source)]
        assert list(self.give(CameraIn(camera=camera, source=source))) == expected
        self.looked, self.camera, self.stranger = True, camera, False
        self.stay = {"listed": False, "has": None, "erasing": False, "charge": None, "broken": None, "docking": None}

    @rule(has=counts, docking=st.none() | st.integers(1, 9).map(DockingId))
    def work_is_told(self, has: Counts, docking: DockingId | None) -> None:
        event: BayEvent = (
            WorkChanged(work=work(has)) if docking is None else CardListed(docking=docking, work=work(has))
        )
        if not self.looked:
            self.refuse(event)
            return
        assert self.give(event) == ()
        if self.camera:
            self.stay["has"] = has
            if docking is not None:
                self.stay |= {"listed": True, "docking": docking}

    @rule(opened=st.booleans())
    def the_erase_window_opens_or_closes(self, *, opened: bool) -> None:
        assert self.give(EraseWindow(opened=opened)) == ()
        if self.camera:
            self.stay["erasing"] = opened

    @rule(charge=st.none() | st.sampled_from([0, 79, 80, 100]))
    def the_battery_is_read(self, charge: int | None) -> None:
        assert self.give(ChargeChanged(charge_pct=charge)) == ()
        if self.camera:
            self.stay["charge"] = charge

    @rule(
        reason=st.sampled_from([Reason.USB, Reason.HASH]),
        detail=st.sampled_from(["gone mad", "reads otherwise"]),
        patience=st.integers(0, 5),
    )
    def the_camera_is_broken(self, reason: Reason, detail: str, patience: int) -> None:
        if self.stays(patience):
            return
        event = Broke(reason=reason, detail=detail)
        if not self.looked:
            self.refuse(event)
            return
        assert self.give(event) == ()
        if self.camera and not self.stay["broken"]:
            self.stay |= {"broken": (reason, detail), "erasing": False}

    # --- what must hold after each ---

    @invariant()
    def the_bay_is_as_the_model_says(self) -> None:
        bay, stay = self.bay, self.stay
        assert (bay.number, bay.camera, self.open_stays) == (3, self.camera, 1 if self.camera else 0)
        if self.stranger:
            assert (bay.phase, bay.reason, bay.docking) == (Phase.FAULT, Reason.UNKNOWN_DEVICE, None)
            return
        if not self.camera:
            assert bay == Bay(number=BayId(3), phase=Phase.EMPTY if self.looked else Phase.UNKNOWN)
            return
        assert bay.docking == stay["docking"]
        assert (bay.erasing, bay.charge_pct) == (stay["erasing"], stay["charge"])
        assert ((bay.reason, bay.detail) if bay.reason else None) == stay["broken"]
        assert bay.work == (work(stay["has"]) if stay["has"] else Work())
        if stay["broken"]:
            assert bay.phase is Phase.FAULT
        elif stay["has"] is None:
            assert bay.phase is Phase.SETTLING
        elif stay["has"]["found"] or stay["has"]["unread"]:
            assert bay.phase is Phase.OFFLOADING
        else:
            assert bay.phase is Phase.READY

    @invariant()
    def the_lamp_is_never_safer_than_the_truth(self) -> None:
        """I8: each answer of the lamp by itself, by what the model knows of the camera."""
        says = PATTERNS[type(self).lamp(self.bay)]
        if self.stranger:
            assert (says.take, says.safe) == ("leave it, take another", "held, nothing lost")
            return
        if not self.camera:
            assert says.take == ("dock here" if self.looked else "unknown: do not trust this bay")
            assert says.safe in {"-", "unknown"}
            return
        has, broken = self.stay["has"], self.stay["broken"]
        left = has is None or has["found"] or has["unread"]
        unproven = left or has["copied"] or has["uploaded"]
        if says.safe == "yes, receipted":
            assert not unproven
            assert not broken
            assert not has["held"]
        if says.safe == "copied here, upload goes on":
            assert not left
            assert not broken
            assert not has["held"]
        if says.take == "yes":
            charge = self.stay["charge"]
            assert not left
            assert not broken
            assert not self.stay["erasing"]
            assert charge is None or charge >= ISSUE_PCT
        assert says.take != "dock here"
        if broken or (not left and has["held"] and not self.stay["erasing"]):
            assert says.take == "leave it, take another"


TestAnyBay = BayMachine.TestCase


FIND = settings(phases=[Stage.generate], max_examples=1600, report_multiple_bugs=False, print_blob=False)

# --- the machine finds a fault ------------------------------------------------------------------------------------


def forgets_to_end(bay: Bay, event: BayEvent) -> tuple[Bay, tuple[Effect, ...]]:
    """Begin a new stay over the old one."""
    after, effects = step(bay, event)
    return after, tuple(
        effect for effect in effects if not isinstance(event, CameraIn) or isinstance(effect, BeginStay)
    )


def heals_by_work(bay: Bay, event: BayEvent) -> tuple[Bay, tuple[Effect, ...]]:
    """Take news of the work for the end of a fault."""
    if bay.phase is Phase.FAULT and isinstance(event, WorkChanged):
        bay = replace(bay, phase=Phase.READY, reason=None, detail="")
    return step(bay, event)


def takes_late_news(bay: Bay, event: BayEvent) -> tuple[Bay, tuple[Effect, ...]]:
    """File late news under whatever is there now."""
    after, effects = step(bay, event)
    late = bay.phase is Phase.EMPTY and isinstance(event, WorkChanged)
    return (replace(after, work=event.work) if late and isinstance(event, WorkChanged) else after), effects


def keeps_the_window_open(bay: Bay, event: BayEvent) -> tuple[Bay, tuple[Effect, ...]]:
    """Remember over a change of cameras that files go."""
    after, effects = step(bay, event)
    return replace(after, erasing=bay.erasing) if isinstance(event, CameraIn) else after, effects


def calls_unread_done(bay: Bay, event: BayEvent) -> tuple[Bay, tuple[Effect, ...]]:
    """Take a candidate for a match (I3)."""
    after, effects = step(bay, event)
    ready = after.phase is Phase.OFFLOADING and not after.work.files - after.work.unreceipted_files
    return replace(after, phase=Phase.READY) if ready else after, effects


def ignores_held(bay: Bay) -> Lamp:
    """Show a bay without its held clips."""
    return lamp_for(replace(bay, work=replace(bay.work, held_files=0)), issue_charge_pct=ISSUE_PCT)


def ignores_uploads(bay: Bay) -> Lamp:
    """Show what is uploaded as if it were receipted."""
    return lamp_for(replace(bay, work=replace(bay.work, unreceipted_files=0)), issue_charge_pct=ISSUE_PCT)


def ignores_the_window(bay: Bay) -> Lamp:
    """Show a bay as if nothing were being erased in it."""
    return lamp_for(replace(bay, erasing=False), issue_charge_pct=ISSUE_PCT)


def trusts_an_unread_card(bay: Bay) -> Lamp:
    """Show a card that is not listed yet as an empty one."""
    phase = Phase.READY if bay.phase is Phase.SETTLING else bay.phase
    return lamp_for(replace(bay, phase=phase), issue_charge_pct=ISSUE_PCT)


@pytest.mark.parametrize(
    "faulty", [forgets_to_end, heals_by_work, takes_late_news, keeps_the_window_open, calls_unread_done]
)
def test_a_bay_that_goes_wrong_is_found(faulty: Step) -> None:
    class Faulty(BayMachine):
        step = staticmethod(faulty)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Faulty, settings=FIND)


@pytest.mark.promise("I8")
@pytest.mark.parametrize("faulty", [ignores_held, ignores_uploads, ignores_the_window, trusts_an_unread_card])
def test_a_lamp_that_says_too_much_is_found(faulty: Callable[[Bay], Lamp]) -> None:
    class Faulty(BayMachine):
        lamp = staticmethod(faulty)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Faulty, settings=FIND)
