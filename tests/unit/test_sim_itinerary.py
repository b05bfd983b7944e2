from collections.abc import Sequence
from random import Random

import pytest

from dockd.domain.model import BayId
from dockd.sim.itinerary import After, Visit, WhenDone, WhileCopying, plan_shift


def bays(count: int) -> tuple[BayId, ...]:
    return tuple(BayId(number) for number in range(1, count + 1))


def plan(seed: int, *, cameras: int, places: int) -> tuple[Visit, ...]:
    return plan_shift(cameras=cameras, bays=bays(places), chance=Random(seed))


SIZES = [(1, 1), (1, 8), (2, 2), (3, 3), (6, 8), (8, 8), (12, 4), (34, 34), (40, 3)]


def of(visits: Sequence[Visit], camera: int) -> list[Visit]:
    return [visit for visit in visits if visit.camera == camera]


def test_a_seed_gives_the_same_shift_again_and_another_seed_another() -> None:
    assert plan(7, cameras=8, places=8) == plan(7, cameras=8, places=8)
    assert plan(7, cameras=8, places=8) != plan(8, cameras=8, places=8)


@pytest.mark.parametrize(("cameras", "places"), SIZES)
def test_every_camera_comes_and_stays_until_it_is_done_at_last(cameras: int, places: int) -> None:
    for seed in range(30):
        visits = plan(seed, cameras=cameras, places=places)
        assert {visit.camera for visit in visits} == set(range(cameras))
        for camera in range(cameras):
            leavings = [visit.leaving for visit in of(visits, camera)]
            assert leavings[-1] == WhenDone()
            assert WhenDone() not in leavings[:-1]


@pytest.mark.parametrize(("cameras", "places"), SIZES)
def test_somebody_is_always_too_early(cameras: int, places: int) -> None:
    """A camera pulled out in the middle of a copy is part of every shift, and comes back."""
    for seed in range(30):
        visits = plan(seed, cameras=cameras, places=places)
        pulled = [visit.camera for visit in visits if isinstance(visit.leaving, WhileCopying)]
        assert pulled
        assert all(len(of(visits, camera)) == 2 for camera in pulled)


def test_a_pulled_camera_comes_back_to_another_bay_where_there_is_one() -> None:
    for seed in range(50):
        for cameras, places in [(6, 8), (8, 8), (3, 4), (34, 34)]:
            visits = plan(seed, cameras=cameras, places=places)
            for camera in {visit.camera for visit in visits if isinstance(visit.leaving, WhileCopying)}:
                first, second = of(visits, camera)
                assert first.bay != second.bay, (seed, cameras, places)


def test_one_camera_is_lifted_and_put_back_within_ten_seconds() -> None:
    for seed in range(50):
        visits = plan(seed, cameras=8, places=8)
        (lifted,) = [visit for visit in visits if isinstance(visit.leaving, After)]
        back = of(visits, lifted.camera)[1]
        assert back.bay == lifted.bay
        assert 0 < back.after_s < 10


def test_some_cameras_are_there_from_the_start_and_some_come_later() -> None:
    starts = [visit.after_s for visit in plan(7, cameras=8, places=8)[:8]]
    assert starts.count(0.0) == 2
    assert len(set(starts)) == 7


def test_more_cameras_than_bays_queue() -> None:
    visits = plan(7, cameras=12, places=4)
    for number in bays(4):
        cameras = {visit.camera for visit in visits if visit.bay == number}
        assert len(cameras) == 3


@pytest.mark.parametrize(("cameras", "places"), SIZES)
def test_a_visit_waits_for_earlier_visits_only(cameras: int, places: int) -> None:
    """Taking the plan in its order, each visit finds its camera out and its bay left or about to be: no two wait."""
    for seed in range(30):
        inside: dict[int, BayId] = {}
        for visit in plan(seed, cameras=cameras, places=places):
            # Everybody before it in this bay, and this camera's own stay, has ended or will end by itself.
            inside.pop(visit.camera, None)
            inside = {camera: bay for camera, bay in inside.items() if bay != visit.bay}
            inside[visit.camera] = visit.bay
        assert len(inside) == min(cameras, places)
