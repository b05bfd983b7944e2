"""The feed of a simulated shift, on a clock that a test turns by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from dockd.app.ports import Attached, ChargeRead, Detached, Empty, FeedEvent, Unknown
from dockd.domain.lamps import Lamp
from dockd.domain.model import FOLDER_VOLUME, BayId, Camera, CameraSerial
from dockd.sim.battery import Battery
from dockd.sim.feed import ShiftFeed
from dockd.sim.itinerary import After, Visit, WhenDone, WhileCopying, plan_shift
from dockd.sim.lamps import ShownLamps
from dockd.sim.rack import Rack
from tests.clock_parts import HandClock

FULL = Battery(level_pct=100.0, tells=True)
ONE, TWO = BayId(1), BayId(2)


class World:
    """A rack with cameras on its shelf, lamps, and a feed over them."""

    def __init__(
        self,
        root: Path,
        visits: Sequence[Visit],
        *,
        bays: Sequence[BayId] = (ONE, TWO),
        batteries: Mapping[int, Battery] | None = None,
        speed: float = 1.0,
    ) -> None:
        count = 1 + max(visit.camera for visit in visits)
        self.cameras = [
            Camera(serial=CameraSerial(f"DKD-{number:04d}"), volume=FOLDER_VOLUME) for number in range(count)
        ]
        self.rack, self.lamps, self.clock = Rack(root), ShownLamps(), HandClock()
        for camera in self.cameras:
            self.rack.shelf(camera).mkdir(parents=True)
            (self.rack.shelf(camera) / "A.MP4").touch()
        self.feed = ShiftFeed(
            visits=visits,
            cameras=self.cameras,
            batteries=[(batteries or {}).get(number, FULL) for number in range(count)],
            bays=bays,
            rack=self.rack,
            lamps=self.lamps,
            clock=self.clock,
            speed=speed,
        )

    def offload(self, bay: BayId) -> None:
        """Do what a station does in the end: the card is clean and the lamp says go."""
        docked = self.rack.docked(bay)
        assert docked is not None
        (docked.folder / "A.MP4").unlink(missing_ok=True)
        self.lamps.show(bay, Lamp.GO_RECEIPTED)


def told(events: Sequence[FeedEvent]) -> list[str]:
    """Write events as words, batteries left out."""
    words: list[str] = []
    for event in events:
        match event:
            case Attached(bay=bay, camera=camera):
                words.append(f"{camera.serial} in {bay}")
            case Detached(bay=bay):
                words.append(f"{bay} out")
            case Empty(bay=bay):
                words.append(f"{bay} empty")
            case ChargeRead() | Unknown():
                continue
    return words


def visit(camera: int, bay: BayId, after_s: float, leaving: After | WhenDone | WhileCopying) -> Visit:
    return Visit(camera=camera, bay=bay, after_s=after_s, leaving=leaving)


async def test_every_bay_is_told_once_at_the_start(tmp_path: Path) -> None:
    world = World(tmp_path, [visit(0, TWO, 0.0, WhenDone())], bays=(ONE, TWO, BayId(3)))
    events = [event async for event in world.feed.events()]
    assert told(events) == ["DKD-0000 in 2", "1 empty", "3 empty"]
    (attached,) = [event for event in events if isinstance(event, Attached)]
    assert Path(attached.source, "A.MP4").exists()


async def test_cameras_come_when_the_plan_says(tmp_path: Path) -> None:
    world = World(tmp_path, [visit(0, ONE, 2.0, WhenDone()), visit(1, TWO, 5.0, WhenDone())])
    came_s = {
        event.camera.serial: world.clock.at_s async for event in world.feed.events() if isinstance(event, Attached)
    }
    assert 2.0 <= came_s[CameraSerial("DKD-0000")] < 2.11
    assert 5.0 <= came_s[CameraSerial("DKD-0001")] < 5.11


async def test_a_quicker_shift_is_the_same_shift_in_less_time(tmp_path: Path) -> None:
    world = World(tmp_path, [visit(0, ONE, 60.0, WhenDone())], speed=12.0)
    assert told([event async for event in world.feed.events()]) == ["1 empty", "2 empty", "DKD-0000 in 1"]
    assert 5.0 <= world.clock.at_s < 5.11


def test_a_lifted_camera_is_told_to_be_out_and_in_again(tmp_path: Path) -> None:
    world = World(tmp_path, [visit(0, ONE, 0.0, After(stay_s=2.0)), visit(0, ONE, 3.0, WhenDone())])
    assert told(list(world.feed.happens(0.0))) == ["DKD-0000 in 1"]
    assert told(list(world.feed.happens(1.9))) == []
    assert told(list(world.feed.happens(2.0))) == ["1 out"]
    assert not world.feed.over
    assert told(list(world.feed.happens(4.9))) == []
    assert told(list(world.feed.happens(5.0))) == ["DKD-0000 in 1"]
    assert world.feed.over


def test_a_camera_pulled_in_a_copy_is_told_at_the_next_look_and_comes_back_elsewhere(tmp_path: Path) -> None:
    world = World(tmp_path, [visit(0, ONE, 0.0, WhileCopying(file_number=2)), visit(0, TWO, 4.0, WhenDone())])
    assert told(list(world.feed.happens(0.0))) == ["DKD-0000 in 1"]
    docked = world.rack.docked(ONE)
    assert docked is not None
    assert docked.pull_at == 2
    assert told(list(world.feed.happens(50.0))) == [], "it stays until its card is pulled"
    world.rack.pull(ONE)
    assert told(list(world.feed.happens(51.0))) == ["1 out"]
    assert told(list(world.feed.happens(55.0))) == ["DKD-0000 in 2"]


def test_a_queued_camera_gets_the_bay_once_the_one_in_it_is_clean_and_may_go(tmp_path: Path) -> None:
    world = World(tmp_path, [visit(0, ONE, 0.0, WhenDone()), visit(1, ONE, 3.0, WhenDone())])
    list(world.feed.happens(0.0))
    assert told(list(world.feed.happens(5.0))) == []
    world.lamps.show(ONE, Lamp.GO_RECEIPTED)
    assert told(list(world.feed.happens(6.0))) == [], "its card is not clean yet"
    world.offload(ONE)
    world.lamps.show(ONE, Lamp.CHARGING_RECEIPTED)
    assert told(list(world.feed.happens(7.0))) == [], "nobody takes a camera that charges"
    world.offload(ONE)
    assert told(list(world.feed.happens(8.0))) == ["1 out", "DKD-0001 in 1"]
    world.offload(ONE)
    assert told(list(world.feed.happens(9.0))) == [], "nobody waits for the bay"
    assert world.feed.over


def test_a_camera_stays_while_nobody_waits_yet(tmp_path: Path) -> None:
    world = World(tmp_path, [visit(0, ONE, 0.0, WhenDone()), visit(1, ONE, 30.0, WhenDone())])
    list(world.feed.happens(0.0))
    world.offload(ONE)
    assert told(list(world.feed.happens(29.0))) == []
    assert told(list(world.feed.happens(30.0))) == ["1 out", "DKD-0001 in 1"]


def test_batteries_rise_in_a_bay_and_are_told_when_they_changed(tmp_path: Path) -> None:
    plan = [visit(0, ONE, 0.0, After(stay_s=4.0)), visit(0, ONE, 100.0, WhenDone())]
    world = World(tmp_path, plan, batteries={0: Battery(level_pct=40.0, tells=True)})

    def levels(now_s: float) -> list[int | None]:
        return [event.charge_pct for event in world.feed.happens(now_s) if isinstance(event, ChargeRead)]

    assert levels(0.0) == [40]
    assert levels(0.5) == []
    assert levels(2.0) == [42]
    assert levels(4.0) == [44]
    assert levels(103.0) == []
    assert levels(104.0) == [44], "nothing is charged on the shelf"
    assert not world.feed.over
    assert levels(151.0) == [100]
    assert world.feed.over


def test_a_camera_that_tells_no_battery_is_told_once_as_unknown(tmp_path: Path) -> None:
    world = World(tmp_path, [visit(0, ONE, 0.0, WhenDone())], batteries={0: Battery(level_pct=10.0, tells=False)})
    events = [*world.feed.happens(0.0), *world.feed.happens(9.0)]
    assert [event for event in events if isinstance(event, ChargeRead)] == [ChargeRead(bay=ONE, charge_pct=None)]
    assert world.feed.over


async def test_a_whole_shift_happens_the_same_way_again(tmp_path: Path) -> None:
    """Same seed, same station: same events at the same times; every camera is docked at the end or made room."""

    async def happened(root: Path) -> list[tuple[float, str]]:
        bays = tuple(BayId(number) for number in range(1, 5))
        world = World(root, plan_shift(cameras=7, bays=bays, chance=Random(7)), bays=bays)
        log: list[tuple[float, str]] = []
        async for event in world.feed.events():
            log += [(round(world.clock.at_s, 2), word) for word in told([event])]
            for bay in bays:
                docked = world.rack.docked(bay)
                # The station of this test: it pulls what is to be pulled, and else is done after five seconds.
                if docked is not None and docked.pull_at is not None and world.clock.at_s > 5:
                    world.rack.pull(bay)
                elif docked is not None and world.clock.at_s > 5:
                    world.offload(bay)
        return log

    first = await happened(tmp_path / "a")
    assert first == await happened(tmp_path / "b")
    words = [word for _, word in first]
    assert {word.split()[0] for word in words if " in " in word} == {f"DKD-{number:04d}" for number in range(7)}
    assert words.count("1 out") + words.count("2 out") + words.count("3 out") + words.count("4 out") == 5
