"""One simulated shift: cameras come and go while everything goes wrong, and then all faults end.

Owns the course of a run and its outcome. `run(seed)` is the same every time.
"""

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass, field

from dockd.domain.bay import Phase
from dockd.domain.model import Assurance, BayId
from tests.sim.auditor import PROVEN
from tests.sim.cameras import SimCamera
from tests.sim.day import happen, wait
from tests.sim.fate import Fate, Fault
from tests.sim.loop import SpinError, StuckError, simulate
from tests.sim.promise import require
from tests.sim.world import Setup, World, policy_of

CALM_S = 4 * 3600.0
"""Long enough for every back-off that was begun; what is not done by then is stuck."""
ROUNDS = 3
"""A disk may be full of what a camera that comes last has to be docked for."""
PLANS: tuple[dict[BayId, str], ...] = (
    {BayId(1): "a"},
    {BayId(1): "a", BayId(2): "a"},
    {BayId(1): "a", BayId(2): "a", BayId(3): "b"},
    {BayId(1): "a", BayId(2): "b", BayId(3): "a", BayId(4): "b"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run."""

    seed: int
    error: str
    trace_sha256: str
    injected: Counter[Fault]
    states: Counter[str]
    lines: tuple[str, ...]
    losses: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Say it in a few lines, with the end of the trace where it failed."""
        states = ", ".join(f"{state} {count}" for state, count in sorted(self.states.items()))
        head = f"seed {self.seed}: {self.error or 'well'}; {states}; trace {self.trace_sha256}"
        return "\n".join((head, *self.lines[-60:])) if self.error else head


def run(seed: int, *, only: frozenset[Fault] | None = None, claims_early: bool = False) -> Outcome:
    """Run one shift; in it the faults happen that the seed chooses, or only those asked for."""
    fate = Fate(seed, only=only)
    policy = policy_of(fate)
    setup = Setup(policy=policy, receipts=policy.wanted is Assurance.SIGNED, claims_early=claims_early)
    try:
        error, states = simulate(lambda: _run(fate, setup))
    except (SpinError, StuckError) as caught:
        error, states = f"I17: {type(caught).__name__}: {caught}", Counter()
    return Outcome(
        seed=seed,
        error=error,
        trace_sha256=fate.trace_sha256(),
        injected=fate.injected,
        states=states,
        lines=tuple(fate.lines),
    )


async def _run(fate: Fate, setup: Setup) -> tuple[str, Counter[str]]:
    world = World(fate, setup=setup, buses=dict(fate.random.choice(PLANS)))
    error = ""
    try:
        await _shift(world)
        await calm(world)
        judge(world)
    except Exception as caught:  # noqa: BLE001 - whatever it is, it is this seed's outcome
        error = words(caught)
        await world.abandon()
    states = Counter(row.state for row in world.auditor.rows())
    world.books.connection.close()
    return error, states


def words(error: BaseException) -> str:
    """Say an error, the innermost of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def _shift(world: World) -> None:
    """Things happen."""
    begin(world)
    for _ in range(world.fate.random.randrange(4, 14)):
        await wait(world, some_s(world.fate))
        await happen(world)


def begin(world: World) -> None:
    """Make the cameras and start the program."""
    fate = world.fate
    for _ in range(fate.random.randrange(1, 5)):
        world.add_camera()
    if fate.strikes(Fault.TWIN, world.cameras[0].name):
        world.add_camera(twin_of=world.cameras[0])
    world.boot()


def some_s(fate: Fate) -> float:
    """Say how long it is until the next thing happens."""
    return fate.random.choice((0.2, 2.0, 8.0, 30.0)) * fate.random.random()


async def calm(world: World) -> None:
    """All faults end; every camera is docked once more; nothing may be left to do in the end (I17)."""
    world.fate.calm = True
    world.fate.note("calm")
    for camera in world.cameras:
        for file in camera.files.values():
            file.grows = 0  # what was copied, lost here and then grew is rightly held
    await wait(world, 1.0)
    world.store.hurry()
    if await _dock_each(world, strict=False):
        # A copy proved lost after its camera was listed, and keeps its recording back: only the next listing tells
        # whether the camera still has it. Or copies of held clips fill the disk until their camera is docked again.
        rounds = 1
        while await _dock_each(world, strict=True):
            rounds += 1
            require(rounds <= ROUNDS, "I17: the disk stays full, whichever camera is docked")
    world.rack.end()
    limit_s = asyncio.get_running_loop().time() + CALM_S
    await wait(world, 2.0)
    require(world.running.station.settled, "I17: the feed has ended, all is done, and the station is not settled")
    await wait(world, 130.0)
    # Nobody waits for an account but us.
    await world.running.station.undock_all()
    while not world.running.station.accounted:
        require(asyncio.get_running_loop().time() < limit_s, "I18: the accounts are not closed")
        await wait(world, 5.0)
    while not world.books.all_told():
        require(asyncio.get_running_loop().time() < limit_s, "I17: the broker is there, and events are not told")
        await wait(world, 10.0)
    await world.stop()


async def _dock_each(world: World, *, strict: bool) -> bool:
    """Dock every camera afresh, as many at a time as there are bays; the last stay. Say whether anything is left."""
    left = False
    loop = asyncio.get_running_loop()
    limit_s = loop.time() + CALM_S
    waiting = [camera for camera in world.cameras if not _is_second_twin(world, camera)]
    while waiting:
        for camera in world.cameras:
            camera.read_only = False
            world.rack.pull(camera)
        await wait(world, 1.0)
        docked, waiting = waiting[: len(world.rack.bays)], waiting[len(world.rack.bays) :]
        for camera, bay in zip(docked, world.rack.bays, strict=False):
            world.rack.dock(camera, bay)
        await wait(world, 2.0)
        while await _busy(world):
            require(loop.time() < limit_s, "I17: the station does not come to rest")
            await wait(world, 5.0)
        await wait(world, 1.0)
        world.auditor.look_at_lamps()
        left |= await _judge_docked(world, docked, strict=strict)
    return left or (not strict and any(row.state == "found" for row in world.auditor.rows()))


async def _busy(world: World) -> bool:
    """Whether anything is left to do; the station does not wait for receipts that are overdue, we do."""
    station = world.running.station
    overdue = (await station.view()).uplink.overdue_files
    if station.stuck:
        return False  # only another camera can make room: receipted copies wait for nothing
    return not (station.offloaded and station.uploaded) or overdue > 0


def _is_second_twin(world: World, camera: SimCamera) -> bool:
    first = next(other for other in world.cameras if other.identity == camera.identity)
    return first is not camera


async def _judge_docked(world: World, docked: list[SimCamera], *, strict: bool) -> bool:
    """Every file of a docked camera is dealt with, and its lamp says so; say whether a lost clip keeps any back."""
    left = False
    bays = {bay.number: bay for bay in (await world.running.station.view()).bays}
    if world.running.station.stuck:
        return True
    for camera in docked:
        assert camera.bay is not None
        bay = bays[camera.bay]
        require(bay.phase == Phase.READY, f"I17: {camera.name} rests in {bay.phase}: {bay.reason} {bay.detail}")
        lost = {row.path for row in world.auditor.rows_of(camera) if row.state in {"found", "held"}}
        require(bay.work.held_files == 0, f"I17: {camera.name}: {bay.work.held_files} files held, and no fault lasts")
        require(bay.work.left_files == 0, f"I17: {camera.name}: {bay.work.left_files} files left")
        if world.setup.receipts:
            require(bay.work.unreceipted_files == 0, f"I17: {camera.name}: {bay.work.unreceipted_files} unreceipted")
        if world.setup.receipts and world.setup.policy.erase:
            stays = set() if strict else {path for path in camera.files if _stem(path) in map(_stem, lost)}
            left |= bool(stays) and not strict
            require(camera.files.keys() <= stays, f"I17: {camera.name} still has {sorted(camera.files)}")
        if not (world.setup.receipts and world.setup.policy.erase):
            listed = {file.path for file in camera.listed[camera.stay].files}
            require(listed <= camera.files.keys(), f"I1: {camera.name} lost {sorted(listed - camera.files.keys())}")
    return left


def _stem(path: bytes) -> bytes:
    return path.rpartition(b".")[0] or path


def judge(world: World) -> None:
    """Nothing is lost, and everything is accounted for (I4, I18)."""
    for error in world.broken:
        raise error
    world.auditor.final()
    world.auditor.accounts(forgotten=world.forgotten)
    world.auditor.told(world.broker.taken)
    require(world.broker.most_in_flight <= 10, f"I16: {world.broker.most_in_flight} events were in flight at once")
    wanted = PROVEN if world.setup.receipts else {"uploaded"}
    away = {camera.identity.serial for camera in world.cameras if _is_second_twin(world, camera)}
    for row in world.auditor.rows():
        done = row.state in wanted or row.state == "held"
        # What is left on a twin that stayed away is still on it.
        require(done or row.serial in away, f"I18: clip {row.key} {row.path!r} ends as {row.state}")
    if not world.setup.policy.grace_s:
        # A copy that an open clip shares stays, and one that was made of a twin just before it was pulled.
        shared = {row.clip_id for row in world.auditor.rows() if row.state not in PROVEN or row.serial in away}
        # A copy that was made after the day to which a ledger was set back is nobody's: it stays, for people to move.
        known = [row for row in world.auditor.rows() if row.spooled or not world.forgotten]
        proven = {row.clip_id for row in known if row.state in PROVEN} - shared
        kept = sorted(clip_id for clip_id in world.disk.seen if clip_id in proven)
        require(not kept, f"I16: copies {kept} are still in the spool")


def main() -> None:
    """Show one run."""
    outcome = run(int(sys.argv[1]))
    print(*outcome.lines, outcome, sep="\n")  # noqa: T201 - that is what it is for


if __name__ == "__main__":
    main()
