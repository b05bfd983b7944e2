"""How often something may come into a bay: hands are never delayed, and what flaps is told twice in all."""

from dataclasses import replace

import pytest

from dockd.domain.flapping import WHY, Pace, fresh, seen
from dockd.domain.matching import CardIds
from dockd.domain.model import Camera, CameraSerial, VolumeId
from dockd.domain.plugged import Arriving, CameraThere, Nothing, Occupant, Stranger
from dockd.domain.usb import UsbIds

PACE = Pace()


def ids(serial: str) -> UsbIds:
    return UsbIds(vendor="46f4", product="0001", serial=serial)


def camera(plugging: int, serial: str = "CAM") -> CameraThere:
    return CameraThere(
        camera=Camera(serial=CameraSerial(serial), volume=VolumeId("VOL")),
        devpath="/devices/usb1/1-1",
        plugging=str(plugging),
        ids=ids(serial),
        card=CardIds(filesystem="vfat", label="CAM"),
        usb_plugging=f"/dev/bus/usb/001/{plugging:03}",
    )


def arriving(plugging: int, serial: str = "CAM") -> Arriving:
    return Arriving(ids=ids(serial), plugging=f"/dev/bus/usb/001/{plugging:03}")


def stranger(serial: str) -> Stranger:
    return Stranger(ids=ids(serial), why="no profile is of such a device")


Step = tuple[float, Occupant]


def told(steps: list[Step], pace: Pace = PACE) -> list[Step]:
    """Give what is told anew, each with its time, when a bay holds this at these times."""
    flaps, found = fresh(pace, 0.0), list[Step]()
    last: Occupant = Nothing()
    for at_s, occupant in steps:
        flaps, occupants = seen(flaps, occupant, pace=pace, now_s=at_s)
        for one in occupants:
            if one != last:
                found.append((at_s, one))
            last = one
    return found


def docked(count: int, *, every_s: float, away_s: float = 1.0) -> list[Step]:
    """Dock a camera so many times, each time from its port to its card, and take it out again."""
    steps: list[Step] = []
    for number in range(count):
        at_s = number * every_s
        steps += [(at_s, arriving(number)), (at_s, camera(number)), (at_s + every_s - away_s, Nothing())]
    return steps


@pytest.mark.parametrize(("count", "every_s"), [(12, 2.0), (20, 15.0), (1000, 30.0)])
def test_a_camera_that_is_docked_by_hand_is_never_delayed(count: int, every_s: float) -> None:
    steps = docked(count, every_s=every_s)
    assert told(steps) == steps


def test_what_is_announced_again_or_becomes_a_camera_or_a_stranger_has_not_come_again() -> None:
    steps: list[Step] = [(0.0, arriving(1)), *((0.1 * more, camera(1)) for more in range(1, 100))]
    assert told(steps) == steps[:2]
    later: list[Step] = [(0.0, arriving(1)), (0.1, stranger("CAM"))]
    assert told(later, Pace(free=1)) == later


@pytest.mark.parametrize("changing", [False, True])
@pytest.mark.parametrize("kind", ["camera", "stranger", "arriving", "camera without a gap"])
def test_what_comes_and_goes_several_times_a_second_for_long_is_told_a_few_times(kind: str, *, changing: bool) -> None:
    """I17: whatever it calls itself."""
    steps: list[Step] = []
    for number in range(3000):
        serial = f"S{number}" if changing else "CAM"
        what: dict[str, Occupant] = {"stranger": stranger(serial), "arriving": arriving(number, serial)}
        steps.append((number / 3, what.get(kind, camera(number, serial))))
        if "gap" not in kind:
            steps.append((number / 3 + 0.1, Nothing()))
    found = told(steps)
    assert len(found) <= 2 * PACE.free + 1
    shown = found[-1][1]
    assert isinstance(shown, Stranger)
    assert shown.why == WHY


def test_a_card_that_loses_contact_in_its_reader_over_and_over_is_left_alone_too() -> None:
    steps: list[Step] = [(0.0, arriving(1))]
    for number in range(100):
        steps += [(number + 0.3, replace(camera(1), plugging=str(number))), (number + 0.6, arriving(1))]
    assert told(steps)[-1][1] == Stranger(ids=ids("CAM"), why=WHY)


def test_a_camera_that_leaves_is_told_to_be_gone_at_once_also_right_before_a_rest() -> None:
    steps: list[Step] = [(0.0, camera(1)), (0.1, Nothing()), (0.2, camera(2)), (0.3, Nothing()), (0.4, camera(3))]
    rest = (0.4, Stranger(ids=ids("CAM"), why=WHY))
    assert told(steps, Pace(free=2)) == [*steps[:4], rest]
    swapped: list[Step] = [(0.0, camera(1)), (0.1, camera(2))]
    assert told(swapped, Pace(free=1)) == [swapped[0], (0.1, Stranger(ids=ids("CAM"), why=WHY))]


@pytest.mark.parametrize("last", [camera(99), Nothing(), stranger("X"), arriving(99)])
def test_what_stays_after_all_is_told_with_the_count_of_what_came(last: Occupant) -> None:
    flapping: list[Step] = [(at / 10, camera(at)) for at in range(40)]
    came = 39 if isinstance(last, Nothing) else 40
    steps = [*flapping, (4.0, last), (13.9, last), (14.0, last), (14.1, last)]
    why = f"it came {came} times within 14 s, then stayed as it is"
    assert told(steps, Pace(free=1))[1:] == [
        (0.1, Stranger(ids=ids("CAM"), why=WHY)),
        (14.0, Stranger(ids=ids("CAM"), why=why)),
        (14.0, last),
    ]


def test_a_rest_is_longer_each_time_up_to_a_bound_and_a_bay_that_was_calm_begins_anew() -> None:
    pace, flaps = Pace(free=1, regain_s=1000.0), fresh(Pace(free=1, regain_s=1000.0), 0.0)
    rests, now_s = list[float](), 0.0
    for number in range(10):
        flaps, _ = seen(flaps, camera(number), pace=pace, now_s=now_s)
        if flaps.until_s is not None:
            rests.append(flaps.until_s - now_s)
            now_s = flaps.until_s
            flaps, (_, after) = seen(flaps, camera(number), pace=pace, now_s=now_s)
            assert (after, flaps.until_s) == (camera(number), None)
        now_s += 0.1
    assert rests == pytest.approx([10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0])
    flaps, _ = seen(flaps, camera(11), pace=pace, now_s=now_s + 2000.0)
    assert (flaps.until_s, flaps.rest_s) == (None, 10.0)


def test_a_slow_loop_of_resets_rests_too_after_some_minutes() -> None:
    found = told(docked(3000, every_s=10.0, away_s=5.0))
    assert len(found) < 100
    assert found[-1][1] == Stranger(ids=ids("CAM"), why=WHY)
