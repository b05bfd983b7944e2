"""A read that hangs keeps no other bay of its bus waiting: its job is set aside, and ends as any other."""

import asyncio
from collections import Counter

import pytest

from dockd.app.turns import ASIDE_MOST
from dockd.domain.lamps import Lamp
from dockd.domain.model import ClipId, ClipKey
from dockd.errors import Reason, TransientError
from tests.sim.cameras import SimCamera, SimCard
from tests.sim.disk import SimSpool
from tests.sim.fate import Fault
from tests.sim.scene import Scene, play, policy

CLIP = {"A.MP4": b"a" * 900}
OTHER = {"O.MP4": b"o" * 800}
TWO = {"A.MP4": b"a" * 900, "B.MP4": b"b" * 900}
FOUR_BAYS = dict.fromkeys(range(1, 5), "a")
SOON_S = 8.0
STALL_S = 30.0


class Stuck:
    """Cameras that stand still while they are named, in 30 s at most, and then fail; what waits for them."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.hung: list[str] = []
        self.at_work: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def stand_still(self, camera: SimCamera, what: str) -> None:
        if camera.name not in self.names or what == "listing":
            return
        self.hung.append(f"{camera.name} {what}")
        self.at_work[camera.name] += 1
        self.most[camera.name] = max(self.most[camera.name], self.at_work[camera.name])
        self.most["all"] = max(self.most["all"], self.at_work.total())
        try:
            for _ in range(int(STALL_S * 20)):
                await asyncio.sleep(0.05)
                if camera.name not in self.names:
                    return
        finally:
            self.at_work[camera.name] -= 1
        raise TransientError(Reason.USB, f"{camera.name}: no sign of life")


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Stuck:
    stuck = Stuck()

    async def may_hang(card: SimCard, what: str) -> None:
        await stuck.stand_still(card._camera, what)

    monkeypatch.setattr(SimCard, "_may_hang", may_hang)
    return stuck


def _states(world: Scene, path: str) -> list[str]:
    return [row.state for row in world.clips(path)]


async def _hung(world: Scene, stuck: Stuck, *cameras: SimCamera) -> None:
    """Dock cameras in the first bays, and wait until a read of each hangs."""
    for bay, camera in enumerate(cameras, start=1):
        stuck.names.add(camera.name)
        world.dock(camera, bay)
    await world.until(lambda: all(stuck.at_work[camera.name] for camera in cameras), within_s=SOON_S * len(cameras))


@pytest.mark.promise("I17")
def test_another_bays_clip_is_copied_while_a_read_hangs_which_is_then_answered_as_any_failure(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        await _hung(world, stuck, world.camera("cam", CLIP))
        hung_s = world.clock.monotonic_s()
        world.dock(world.camera("other", OTHER), 2)
        await world.until(lambda: _states(world, "O.MP4") == ["erased"], within_s=SOON_S)
        await asyncio.sleep(2)
        underway = (await world.bay(1)).underway
        assert underway is not None, "nothing else moves"
        assert underway.kind == "copy"
        assert not world.running.station.offloaded
        assert stuck.hung == ["cam b'A.MP4'"]
        await world.until(lambda: not stuck.at_work["cam"])
        assert world.clock.monotonic_s() - hung_s == pytest.approx(STALL_S, abs=0.2)
        await asyncio.sleep(0.5)
        clip = await world.running.ledger.clip(ClipKey(world.clips("A.MP4")[0].key))
        assert (clip.state, clip.reason, clip.detail) == ("found", Reason.USB, "cam: no sign of life")
        stuck.names.clear()
        await world.rest()
        assert _states(world, "A.MP4") == ["erased"]

    play(scene)


@pytest.mark.promise("I17")
def test_while_one_job_hangs_the_one_that_moves_is_shown(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        await _hung(world, stuck, world.camera("cam", CLIP))
        other = world.camera("other", {"O.MP4": b"o" * 20_000})
        world.dock(other, 2)
        await world.until(lambda: world.running.station._buses["a"].underway, within_s=SOON_S)
        await asyncio.sleep(6)
        shown = (await world.bay(2)).underway
        assert shown is not None
        assert shown.bytes_done > 0
        assert (await world.bay(1)).underway is None
        stuck.names.clear()

    play(scene)


@pytest.mark.promise("I17")
def test_a_hung_copy_that_moves_again_ends_well_beside_the_others(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        await _hung(world, stuck, world.camera("cam", CLIP))
        world.dock(world.camera("other", {"O.MP4": b"o" * 40_000}), 2)
        await asyncio.sleep(SOON_S)
        stuck.names.clear()
        await world.until(lambda: _states(world, "A.MP4") == ["receipted"], within_s=SOON_S)
        assert world.clips("O.MP4")[0].sha256 is None, "it is still being copied"
        await world.rest()
        assert (_states(world, "A.MP4"), _states(world, "O.MP4")) == (["erased"], ["erased"])
        assert stuck.hung == ["cam b'A.MP4'"]
        assert world.custody(world.clips("A.MP4")[0].key).count("copied") == 1

    play(scene)


@pytest.mark.promise("I17")
def test_a_file_that_hangs_when_it_is_read_again_keeps_no_other_waiting(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        world.dock(camera, 1)
        await world.rest()
        world.pull(camera)
        await asyncio.sleep(1)
        await _hung(world, stuck, camera)
        underway = (await world.bay(1)).underway
        assert underway is not None
        assert underway.kind == "confirm"
        world.dock(world.camera("other", OTHER), 2)
        await world.until(lambda: world.clips("O.MP4") and world.clips("O.MP4")[0].sha256, within_s=SOON_S)
        assert stuck.at_work["cam"] == 1
        stuck.names.clear()
        await world.rest()

    play(scene, policy=policy(erase=False))


@pytest.mark.promise("I17")
def test_a_camera_that_is_pulled_while_its_job_is_set_aside_ends_that_at_once(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", CLIP)
        await _hung(world, stuck, camera)
        await asyncio.sleep(SOON_S)
        space = world.running.station._space
        assert space._promised_bytes == 900, "its room stays promised to it"
        world.pull(camera)
        await world.until(lambda: not stuck.at_work["cam"], within_s=1.0)
        assert space._promised_bytes == 0
        assert not space.copying()
        await world.rest_of_bus("a")
        assert world.notes("camera broken") == 0
        world.dock(camera, 2)
        stuck.names.clear()
        await world.rest()
        assert _states(world, "A.MP4") == ["erased"]

    play(scene)


@pytest.mark.promise("I17")
def test_a_station_that_is_stopped_waits_for_no_job_that_was_set_aside(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        await _hung(world, stuck, world.camera("cam", CLIP), world.camera("next", TWO))
        await asyncio.sleep(SOON_S)
        stopped_s = world.clock.monotonic_s()
        await world.stop()
        assert world.clock.monotonic_s() - stopped_s < 1.0
        assert not stuck.at_work.total()
        world.run = None

    play(scene)


@pytest.mark.promise("I17")
def test_two_that_hang_at_once_keep_no_third_waiting_and_each_is_called_broken_for_itself(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        await _hung(world, stuck, world.camera("cam", TWO), world.camera("next", TWO))
        third = world.camera("third", {f"{number}.MP4": b"x" * 700 for number in range(9)})
        world.dock(third, 3)
        await world.until(lambda: third.listed and not third.files, within_s=2 * SOON_S)
        await asyncio.sleep(4 * STALL_S)
        lamps = [(await world.bay(number)).lamp for number in (1, 2, 3)]
        assert lamps == [Lamp.LEAVE, Lamp.LEAVE, Lamp.GO_RECEIPTED]
        assert world.notes("camera broken") == 2
        assert len(stuck.hung) == 6
        assert (stuck.most["cam"], stuck.most["next"]) == (1, 1), "nothing of one docking runs twice"

    play(scene, buses=FOUR_BAYS)


@pytest.mark.promise("I17")
def test_of_a_dock_full_of_cameras_that_hang_only_so_many_are_set_aside(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        cameras = [world.camera(f"cam{number:02}", CLIP) for number in range(ASIDE_MOST + 4)]
        stuck.names = {camera.name for camera in cameras}
        for bay, camera in enumerate(cameras, start=1):
            world.dock(camera, bay)
        await asyncio.sleep(10 * STALL_S)
        assert stuck.most["all"] == ASIDE_MOST + 1
        assert world.notes("camera broken") == len(cameras)

    play(scene, buses=dict.fromkeys(range(1, ASIDE_MOST + 5), "a"))


def test_what_reads_on_is_never_set_aside_however_long_it_takes() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", {"A.MP4": b"a" * 40_000}), 1)
        await world.until(lambda: world.running.station._buses["a"].underway)
        world.dock(world.camera("other", OTHER), 2)
        await asyncio.sleep(9)
        assert world.clips("A.MP4")[0].sha256 is None
        assert world.clips("O.MP4")[0].sha256 is None
        await world.rest()

    play(scene)


@pytest.mark.promise("I3")
def test_what_reads_on_to_be_believed_is_not_set_aside_either() -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", {"A.MP4": b"a" * 40_000})
        world.dock(camera, 1)
        await world.rest()
        world.pull(camera)
        await asyncio.sleep(1)
        world.dock(camera, 1)
        await world.until(lambda: world.running.station._buses["a"].underway)
        world.dock(world.camera("other", OTHER), 2)
        await asyncio.sleep(9)
        assert world.clips("O.MP4")[0].sha256 is None
        await world.rest()

    play(scene, policy=policy(erase=False))


def test_a_slow_disk_is_no_read_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    write = SimSpool.write

    async def slow(spool: SimSpool, clip_id: ClipId, data: bytes) -> None:
        await asyncio.sleep(10)
        await write(spool, clip_id, data)

    monkeypatch.setattr(SimSpool, "write", slow)

    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", CLIP), 1)
        await world.until(lambda: world.running.station._buses["a"].underway)
        world.dock(world.camera("other", OTHER), 2)
        await asyncio.sleep(9)
        assert (await world.bay(2)).underway is None
        await world.rest()
        assert (_states(world, "A.MP4"), _states(world, "O.MP4")) == (["erased"], ["erased"])

    play(scene)


@pytest.mark.promise("I6")
def test_an_erasure_that_hangs_keeps_its_lamp_and_its_card_and_no_others_clip_waiting(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        camera = world.camera("cam", TWO)
        world.dock(camera, 1)
        await world.until(lambda: camera.writable)
        stuck.names.add("cam")
        await world.until(lambda: stuck.at_work["cam"])
        other = world.camera("other", OTHER)
        world.dock(other, 2)
        await world.until(lambda: _states(world, "O.MP4") == ["receipted"], within_s=2 * SOON_S)
        await asyncio.sleep(2)
        assert stuck.at_work["cam"] == 1
        assert other.files, "one camera of a bus is cleared at a time"
        assert not other.writable
        assert camera.writable
        assert (await world.bay(1)).lamp is Lamp.WAIT
        assert stuck.most["cam"] == 1
        stuck.names.clear()
        await world.rest()
        assert (camera.files, other.files, camera.writable) == ({}, {}, set())

    play(scene)


@pytest.mark.promise("I16")
def test_a_bus_whose_other_clips_find_no_room_does_not_stand_still_while_a_job_is_set_aside(stuck: Stuck) -> None:
    async def scene(world: Scene) -> None:
        await _hung(world, stuck, world.camera("cam", CLIP))
        world.plan(Fault.DISK_FULL)
        world.dock(world.camera("other", OTHER), 2)
        await world.until(lambda: world.planned.injected[Fault.DISK_FULL], within_s=SOON_S)
        await asyncio.sleep(1)
        assert not world.running.station.full
        await world.until(lambda: not stuck.at_work["cam"])
        world.plan(Fault.DISK_FULL, 0)
        stuck.names.clear()
        await world.rest()

    play(scene)


def test_late_news_of_a_copy_that_is_over_is_not_of_the_next() -> None:
    async def scene(world: Scene) -> None:
        world.dock(world.camera("cam", TWO), 1)
        turns = world.running.station._buses["a"]._turns
        await world.until(lambda: turns.underway)
        first = turns.underway
        assert first is not None
        await world.until(lambda: turns.underway is not None and turns.underway.clip != first.clip)
        turns.progress(first.docking, first.clip, 5000)
        assert turns.underway is not None
        assert turns.underway.bytes_done < 5000
        await world.rest()

    play(scene)
