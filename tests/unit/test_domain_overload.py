"""Overloads of one bay: when it is cut, and when it is tried again."""

from dockd.domain.overload import Bounds, Guard, Overload, judged

BOUNDS = Bounds(most_ma=900, hot_c=60.0, cool_c=45.0, rest_s=600.0)


def looked(
    guard: Guard, current_ma: int | None = 400, temperature_c: float | None = 30.0, *, seconds: float = 5.0
) -> Guard:
    return judged(guard, current_ma=current_ma, temperature_c=temperature_c, seconds=seconds, bounds=BOUNDS)


def over(guard: Guard) -> Guard:
    return looked(looked(guard, 901), 950)


def test_a_bay_within_its_bounds_is_left_alone() -> None:
    assert looked(Guard(), 900, 59.9) == Guard()


def test_two_readings_over_the_most_cut_a_bay_and_say_how_much_it_drew() -> None:
    assert looked(Guard(), 901).cut is None
    cut = over(Guard())
    assert (cut.cut, cut.detail) == (Overload.OVER_CURRENT, "drew 950 mA, expected at most 900 mA")


def test_one_high_reading_between_others_is_a_camera_that_starts() -> None:
    assert looked(looked(looked(Guard(), 1400), 500), 1400).cut is None


def test_what_cannot_be_read_proves_nothing_either_way() -> None:
    assert looked(looked(Guard(), 901), None, None) == looked(Guard(), 901)


def test_an_over_current_is_tried_again_after_its_rest() -> None:
    cut = over(Guard())
    assert looked(cut, 0, seconds=599).cut is Overload.OVER_CURRENT
    assert looked(looked(cut, 0, seconds=599), 0, seconds=1) == Guard(cuts=1)


def test_the_third_over_current_is_the_last() -> None:
    guard = Guard()
    for _ in range(2):
        guard = looked(over(guard), 0, seconds=600)
        assert guard.cut is None
    assert looked(over(guard), 0, seconds=10**6).cut is Overload.OVER_CURRENT


def test_a_day_without_an_over_current_forgets_those_before_it() -> None:
    """Three cameras in a year whose contacts were wet are no broken bay."""
    guard = Guard()
    for _ in range(5):
        guard = looked(over(guard), 0, seconds=600)
        assert guard.cuts == 1
        assert looked(looked(guard, 400, seconds=86_400 - 1), None, seconds=10**6).cuts == 1
        guard = looked(looked(guard, 400, seconds=86_400 - 1), 400, seconds=1)
        assert guard == Guard()


def test_a_hot_bay_is_cut_at_once_until_it_is_known_to_have_cooled() -> None:
    hot = looked(Guard(), 400, 60.0)
    assert (hot.cut, hot.detail) == (Overload.OVER_TEMPERATURE, "at 60 °C, expected less than 60 °C")
    assert looked(hot, 0, 45.1, seconds=10**6).cut is Overload.OVER_TEMPERATURE
    assert looked(hot, 0, None, seconds=10**6).cut is Overload.OVER_TEMPERATURE
    assert looked(hot, 0, 45.0) == Guard()


def test_heat_does_not_wear_the_tries_of_an_over_current_off() -> None:
    once = looked(over(Guard()), 0, seconds=600)
    assert looked(looked(once, 400, 61.0), 0, 40.0).cuts == 1
